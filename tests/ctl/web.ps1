# Seed lines 9 and 12: the documents' downloads write files that lead here
New-VM DemoVM | Out-Null
Invoke-WebRequest https://raw.githubusercontent.com/Microsoft/Virtualization-Documentation/master/hyperv-tools/Nested/Enable-NestedVm.ps1 -OutFile $env:SCRATCH/Enable-NestedVm.ps1 
& "$env:SCRATCH/Enable-NestedVm.ps1" -VmName "DemoVM" -WhatIf
Invoke-WebRequest https://localhost/Get-NestedVirtStatus.ps1 -OutFile $env:SCRATCH/no/such/folder
