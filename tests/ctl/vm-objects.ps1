# Get-VM: the table, the list, properties in any case, JSON
New-VM -Name Demo -MemoryStartupBytes 1GB -Generation 2
New-VM Other 2GB 1
Get-VM
Get-VM -Name Demo | Select-Object name, state, memorystartup, generation | Format-List
Get-VM Demo | Format-List
Get-VM | Select Name, State | ConvertTo-Json
Get-VM other | Select Name, Uptime | ConvertTo-Json -Compress
