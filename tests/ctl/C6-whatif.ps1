# C6: -WhatIf says what it would do and does nothing; -Verbose says what it does
New-VM DemoVM | Out-Null
Set-VMProcessor DemoVM -ExposeVirtualizationExtensions $true -WhatIf
(Get-VMProcessor DemoVM).ExposeVirtualizationExtensions
Set-VMProcessor DemoVM -ExposeVirtualizationExtensions $true -Verbose
