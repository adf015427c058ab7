# I8: -AsJob gives a row with Id, Name and State; what the cmdlet gave comes with Receive-Job
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
$job = Start-VM A -Passthru -AsJob
$job | ft Id, Name, State, HasMoreData
Start-VM Nope -AsJob -ErrorAction SilentlyContinue
Get-Job | ft Id, State, Command
$job | Wait-Job | Receive-Job | ft Name, State
Receive-Job 1
Get-Job 1 | fl Id, HasMoreData
Stop-VM A -TurnOff -AsJob | Out-Null
Receive-Job 9
Remove-Job 1
(Get-Job).Count
(Get-VM A).State
Remove-Job 2 -WhatIf
Remove-Job 2 -Confirm
Remove-Job 9
Get-Job 2 -Timeout 3
Get-Job | ft Id, State
