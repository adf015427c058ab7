# Set-VMMemory on running VMs: what may change, in which direction, and what says why not
New-VM A 64MB -KernelPath $env:HALT | Out-Null
New-VM B 64MB -KernelPath $env:HALT | Out-Null
Set-VMMemory B -DynamicMemoryEnabled $true -MinimumBytes 32MB -MaximumBytes 128MB
Set-VMProcessor * -Engine Soft
Start-VM *
Set-VMMemory A -StartupBytes 128MB
Set-VMMemory A -StartupBytes 32MB
Set-VMMemory A -DynamicMemoryEnabled $true
Set-VMMemory A -Priority 80 -DynamicMemoryEnabled $false
Set-VMMemory B -StartupBytes 32MB
Set-VMMemory B -MinimumBytes 64MB
Set-VMMemory B -MaximumBytes 64MB
Set-VMMemory B -MinimumBytes 34MB -MaximumBytes 256MB
Set-VMMemory B -MaximumBytes 256MB -Buffer 50
Set-VM B -MemoryMaximumBytes 512MB
Suspend-VM A
Set-VMMemory A -StartupBytes 32MB
Get-VMMemory A, B | fl VMName, DynamicMemoryEnabled, Minimum, Startup, Maximum, Buffer, Priority
(Get-VM B).MemoryAssigned
