# What keeps a VM from starting is said once, and others start
'A', 'B' | New-VM -MemoryStartupBytes 32MB -KernelPath $env:HALT | Out-Null
Set-VM A -KernelPath /nowhere/kernel
Set-VMProcessor * -Engine Soft
Start-VM *
Get-VM | ft Name, State, Status
