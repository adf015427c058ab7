# C6: -Confirm asks
New-VM DemoVM | Out-Null
Set-VMProcessor DemoVM -ExposeVirtualizationExtensions $true -Confirm
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
Set-VMProcessor DemoVM -ExposeVirtualizationExtensions $true -Confirm
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
