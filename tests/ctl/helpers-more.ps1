# Group-Object, Measure-Object, Out-String, Out-Host, Write-Error, Get-Help
'b', 'a', 'bc' | Group-Object Length | Format-Table Count, Name
1, 2, 6 | Measure-Object -Sum -Average -Minimum -Maximum | Format-List Count, Average, Sum, Maximum, Minimum
('x', 'y' | Out-String).Length
'shown' | Out-Host
Write-Error 'not well'
Get-Help Wait-VM
