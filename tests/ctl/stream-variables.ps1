# -ErrorVariable, -WarningVariable, -InformationVariable and -OutVariable keep what a cmdlet reported; + appends
Get-VM Nope -ErrorAction SilentlyContinue -ErrorVariable wrong
Get-VM None -ea SilentlyContinue -ev +wrong
$wrong.Count
$wrong | fl Message, Command
Get-VM Nope -ea Ignore -ev ignored
$ignored.Count
Write-Warning careful -wv said -WarningAction SilentlyContinue
Write-Warning again -WarningVariable +said
"$said"
Write-Host hello -InformationVariable heard
"$heard"
New-VM A -OutVariable made | Out-Null
New-VM B -ov +made | Out-Null
$made | ft Name
Get-VM A -PipelineVariable one
