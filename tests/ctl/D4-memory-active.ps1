# D4 D5: while a hypervisor runs in the VM, its memory cannot change
New-VM A 64MB -KernelPath $env:VMXON | Out-Null
New-VM B 64MB -KernelPath $env:VMXON | Out-Null
Set-VMMemory B -DynamicMemoryEnabled $true -MinimumBytes 32MB -MaximumBytes 128MB
Get-VM | Set-VMProcessor -Engine Soft -ExposeVirtualizationExtensions $true
Start-VM A, B
foreach ($i in 1, 2, 3, 4, 5, 6, 7, 8) { if ((Get-VM | Where-Object NestedHypervisorActive).Count -ne 2) { Start-Sleep 1 } }
Set-VMMemory A -StartupBytes 32MB
Set-VMMemory B -MaximumBytes 256MB
Set-VMMemory A -StartupBytes 64MB -Priority 80
Get-VM | fl Name, NestedHypervisorActive, MemoryAssigned
Get-VMMemory A, B | ft VMName, Startup, Maximum, Priority
