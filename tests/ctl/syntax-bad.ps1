# A script that is wrong runs not at all
'not reached'
Get-VM | | Out-Null
