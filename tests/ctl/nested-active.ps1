# A hypervisor in the VM is seen where it is active, not where it is only allowed
New-VM A 32MB -KernelPath $env:VMXON | Out-Null
Set-VMProcessor A -Engine Soft -ExposeVirtualizationExtensions $true
(Get-VM A).NestedHypervisorActive
Start-VM A
foreach ($i in 1, 2, 3, 4, 5, 6, 7, 8) { if (-not (Get-VM A).NestedHypervisorActive) { Start-Sleep 1 } }
(Get-VM A).NestedHypervisorActive
Stop-VM A -TurnOff -Passthru | fl Name, NestedHypervisorActive
