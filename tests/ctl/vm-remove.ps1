# Remove-VM asks; nobody there is no
New-VM A | Out-Null
New-VM B | Out-Null
Remove-VM A
Remove-VM A -Force
Remove-VM B -Confirm:$false
Get-VM
