# Set-VMMemory refuses what cannot be
New-VM A | Out-Null
Set-VMMemory A -StartupBytes 513MB
Set-VMMemory A -StartupBytes 3000000001
Set-VMMemory A -StartupBytes 16MB
Set-VMMemory A -DynamicMemoryEnabled $true -MinimumBytes 1GB -MaximumBytes 512MB
Set-VMMemory A -Buffer 3
Set-VMMemory A -DynamicMemoryEnabled "true"
Get-VMMemory A
