# While a VM runs, what a frame may carry changes, addresses and the number of adapters do not
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
Start-VM A
Set-VMNetworkAdapter A -MacAddressSpoofing On -DhcpGuard On -Passthru | ft Name, MacAddressSpoofing, DhcpGuard, Status
Set-VMNetworkAdapter A -StaticMacAddress 001122334455
Add-VMNetworkAdapter A
Remove-VMNetworkAdapter A
(Get-VMNetworkAdapter A | measure).Count
