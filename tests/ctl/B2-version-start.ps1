# B2, A4: nesting needs version 8.0, with AMD's extensions 9.3; the start says so, and updating helps
New-VM A 32MB -KernelPath $env:HALT -Version 7.0 | Out-Null
Set-VMProcessor A -Engine Soft -ExposeVirtualizationExtensions $true
Start-VM A
Set-VMProcessor A -ExposeVirtualizationExtensions $false
Start-VM A
Stop-VM A -TurnOff
Set-VMProcessor A -ExposeVirtualizationExtensions $true
Update-VMVersion A -Confirm:$false
Start-VM A -Passthru | ft Name, State, Version
New-VM B 32MB -KernelPath $env:HALT -Version 9.0 | Out-Null
Set-VMProcessor B -Engine Soft -Vendor AMD -ExposeVirtualizationExtensions $true
Start-VM B
