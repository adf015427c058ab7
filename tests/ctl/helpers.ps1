# Where, Select, Sort, Group, Measure, ForEach and the formats
'b', 'a', 'C' | ForEach-Object { New-VM $_ 1GB } | Out-Null
Set-VM a -MemoryStartupBytes 2GB
Get-VM | Sort-Object Name -Descending | Select-Object -First 2 -ExpandProperty Name
Get-VM | sort MemoryStartup, Name | select -Last 1 | ft Name, MemoryStartup
Get-VM | where { $_.Name -like '[ab]' -and $_.State -eq 'Off' } | ft Name -HideTableHeaders
Get-VM | measure MemoryStartup -Sum -Maximum | fl Count, Sum, Maximum
Get-VM | group MemoryStartup | ft Count, Name
Get-VM | select Name, @{ Name = 'GB'; Expression = { $_.MemoryStartup / 1GB } }
Get-VM | select -First 1 | select Name* | ConvertTo-Json
(Get-VM).Count
'{"a": [1, 2], "b": null}' | ConvertFrom-Json | ConvertTo-Json -Compress
3, 1, 3 | Select-Object -Unique
