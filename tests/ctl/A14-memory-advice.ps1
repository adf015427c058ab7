# A14: less than 4 GB is advised against, exactly 4 GB is enough
New-VM Little -MemoryStartupBytes 4094MB | Out-Null
New-VM Enough -MemoryStartupBytes 4GB | Out-Null
Enable-NestedVm.ps1 Little
Enable-NestedVm.ps1 Enough
