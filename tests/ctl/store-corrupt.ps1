# A corrupt definition: one clear message, and the other VMs are unaffected
'A', 'B' | New-VM -MemoryStartupBytes 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
$vms = "$((Get-VMHost).VirtualMachinePath)/vms"
'{ "Id": "x", ' | Out-File $vms/bad.json
'[]' | Out-File $vms/list.json
Get-VM | ft Name, State
Start-VM A -Passthru | ft Name, State
Set-VM B -Notes fine
Get-VM Nope
Stop-VM A -TurnOff
