# Start-VM, Suspend-VM, Resume-VM, Restart-VM, Stop-VM -TurnOff: states, warnings, errors
New-VM A 32MB -KernelPath $env:HALT | Out-Null
Set-VMProcessor A -Engine Soft
Stop-VM A
Suspend-VM A
Resume-VM A
Restart-VM A -Force
Start-VM A -Passthru | ft Name, State
Start-VM A
Resume-VM A
Suspend-VM A -Passthru | ft Name, State, @{ n = 'MB'; e = { $_.MemoryAssigned / 1MB } }
Suspend-VM A
Start-VM A -Passthru | ft Name, State
Restart-VM A
Restart-VM A -Force -Passthru | ft Name, State
Stop-VM A -Timeout 0
Stop-VM A -Save
Stop-VM A -TurnOff -WhatIf
Stop-VM A -TurnOff -Passthru | ft Name, State, Status
