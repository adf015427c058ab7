# While a VM runs, what a frame may carry and where the cable leads change, addresses and the number of adapters do not
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
Start-VM A
Set-VMNetworkAdapter A -MacAddressSpoofing On -DhcpGuard On -Passthru | ft Name, MacAddressSpoofing, DhcpGuard, Status
Set-VMNetworkAdapter A -StaticMacAddress 001122334455
Add-VMNetworkAdapter A
Remove-VMNetworkAdapter A
(Get-VMNetworkAdapter A | measure).Count
Connect-VMNetworkAdapter A 'Default Switch' -Passthru | ft Name, SwitchName, Connected
Disconnect-VMNetworkAdapter A
(Get-VMNetworkAdapter A).Connected
