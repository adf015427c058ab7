# C3: extensions and all that belongs to them change only while the VM is off; it is not harmed
New-VM A 32MB -KernelPath $env:HALT | Out-Null
Set-VMProcessor A -Engine Soft
Start-VM A
Set-VMProcessor A -ExposeVirtualizationExtensions $true
Set-VMProcessor A -ExposeVirtualizationExtensions $false
Set-VMProcessor A -Count 2 -Reserve 10
Set-VMProcessor A -Reserve 20
Suspend-VM A
Set-VMProcessor A -ExposeVirtualizationExtensions $true
Set-VMMemory A -DynamicMemoryEnabled $true
Remove-VM A -Force
Update-VMVersion A -Force
Get-VMProcessor A | fl Exp*, Count, Reserve
Get-VM A | ft Name, State
Rename-VM A B
Stop-VM B -TurnOff
