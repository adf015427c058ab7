# C2: extensions can be switched off again
New-VM DemoVM | Out-Null
Set-VMProcessor -VMName DemoVM -ExposeVirtualizationExtensions $true
Set-VMProcessor -VMName DemoVM -ExposeVirtualizationExtensions $false
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
