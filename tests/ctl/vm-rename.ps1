# Objects keep their identity: a rename in a pipeline loses nothing
New-VM A | Out-Null
New-VM B | Out-Null
Get-VM A | Rename-VM -NewName C -Passthru | Set-VM -Notes 'was A' -Passthru | Select Name, Notes
Rename-VM B C
Rename-VM B 'B*'
Get-VM | foreach Name
