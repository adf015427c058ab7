# Adapters: what is refused
New-VM A | Out-Null
New-VM B -SwitchName Nowhere
Set-VMNetworkAdapter A -MacAddressSpoofing Onn
Set-VMNetworkAdapter A -Name third -MacAddressSpoofing On
Set-VMNetworkAdapter A -StaticMacAddress 0011
Set-VMNetworkAdapter A -StaticMacAddress 01-11-22-33-44-55
Set-VMNetworkAdapter A -StaticMacAddress 000000000000
Set-VMNetworkAdapter A -StaticMacAddress 001122334455 -DynamicMacAddress
Connect-VMNetworkAdapter A Nowhere
Get-VMSwitch | Set-VMNetworkAdapter -MacAddressSpoofing On
Set-VMNetworkAdapter B -MacAddressSpoofing On
Set-VMNetworkAdapter A -StormLimit 100 -DeviceNaming On -VmqWeight 0 -MaximumBandwidth 1000000 -Passthru | fl StormLimit, VmqWeight, DeviceNaming, MaximumBandwidth
Get-VM
