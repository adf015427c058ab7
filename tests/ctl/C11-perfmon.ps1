# C11: performance monitoring beside nesting needs version 9.3
New-VM Old -Version 9.0 | Out-Null
New-VM New -Version 9.3 | Out-Null
Set-VMProcessor Old, New -Perfmon pmu, lbr -ExposeVirtualizationExtensions $true
Set-VMProcessor New -Perfmon ipt
Set-VMProcessor New -Perfmon @() -Passthru | Format-List VMName, Perfmon
