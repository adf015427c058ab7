# H1, H10, seed line 10: a VM that is set up needs nothing and is not asked about; after Enable with all Y the status is YES
New-VM "DemoVM" | Out-Null
~/Enable-NestedVm.ps1 -VmName "DemoVM"
./Enable-NestedVm.ps1 -vm DemoVM
(Get-NestedVirtStatus.ps1 | where SupportsNesting -ne $null).SupportsNesting
