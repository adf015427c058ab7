# Remove-VM asks, Enter is yes; A is yes to all
'A', 'B', 'C' | New-VM | Out-Null
Remove-VM A
Remove-VM B, C
Get-VM
