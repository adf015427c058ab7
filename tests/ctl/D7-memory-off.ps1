# D7, D10: while the VM is off all memory settings are accepted with nesting on, in any order
New-VM A | Out-Null
Set-VMProcessor A -ExposeVirtualizationExtensions $true
Set-VMMemory A -DynamicMemoryEnabled $true -MinimumBytes 256MB -StartupBytes 1GB -MaximumBytes 2GB -Buffer 30 -Priority 70
Get-VMMemory A
Set-VM A -StaticMemory -MemoryStartupBytes 4GB
Get-VM A | Get-VMMemory | Format-List
