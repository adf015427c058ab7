# C1, C5: extensions are off in a new VM, on after Set-VMProcessor, which prints nothing
New-VM DemoVM | Out-Null
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
Set-VMProcessor -VMName DemoVM -ExposeVirtualizationExtensions $true
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
