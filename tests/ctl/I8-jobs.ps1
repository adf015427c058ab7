# I8: -AsJob gives a row with Id, Name and State and goes on meanwhile; what the cmdlet gave comes with Receive-Job
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
$job = Start-VM A -Passthru -AsJob
$job | ft Id, Name, Command
Start-VM Nope -AsJob | Out-Null
Wait-Job 2 | ft Id, State, HasMoreData, Command
$job | Wait-Job | Receive-Job | ft Name, State
$job.State
Receive-Job 1
Get-Job 1 | fl Id, HasMoreData
Receive-Job 2
(Receive-Job 2).Count
Stop-VM A -TurnOff -AsJob | Receive-Job -Wait
Receive-Job 9
Remove-Job 1
(Get-Job).Count
(Get-VM A).State
Remove-Job 2 -WhatIf
Remove-Job 2 -Confirm
Remove-Job 9
Get-Job 2 -Timeout 3
Get-Job | ft Id, State
Start-VM A -WhatIf -AsJob
Start-VM A
$long = Stop-VM A -AsJob
Wait-Job 4 -Timeout 0
Remove-Job 4
$long.State
Stop-Job 4 -PassThru | ft Id, State
$long.State
Remove-Job 4
$more = Stop-VM A -AsJob
Remove-Job $more -Force
(Get-Job).Count
(Get-VM A).State
