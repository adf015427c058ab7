# D6: when the hypervisor in the VM has stopped, here at a key on vmconnect's console, its limits of memory change again
New-VM A 64MB -KernelPath $env:VMXON | Out-Null
Set-VMMemory A -DynamicMemoryEnabled $true -MinimumBytes 32MB -MaximumBytes 128MB
Set-VMProcessor A -Engine Soft -ExposeVirtualizationExtensions $true
Start-VM A
foreach ($i in 1, 2, 3, 4, 5, 6, 7, 8) { if (-not (Get-VM A).NestedHypervisorActive) { Start-Sleep 1 } }
Set-VMMemory A -MaximumBytes 256MB
vmconnect localhost A
foreach ($i in 1, 2, 3, 4, 5, 6, 7, 8) { if ((Get-VM A).NestedHypervisorActive) { Start-Sleep 1 } }
(Get-VM A).NestedHypervisorActive
Set-VMMemory A -MaximumBytes 256MB -Passthru
