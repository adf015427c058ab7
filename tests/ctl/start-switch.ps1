# Starting a VM starts its switches; where one is missing: one message; the default switch needs nothing
New-VMSwitch Net -SwitchType Private | Out-Null
New-VM A 32MB -KernelPath $env:HALT -SwitchName Net | Set-VMProcessor -Engine Soft
New-VM B 32MB -KernelPath $env:HALT -SwitchName 'Default Switch' | Set-VMProcessor -Engine Soft
Start-VM A, B
Stop-VM * -TurnOff
$vms = "$((Get-VMHost).VirtualMachinePath)/vms/$((Get-VM A).VMId).json"
$a = Get-VM A
'{"Id": "' + $a.VMId + '", "Name": "A", "Processor": {"Engine": "Soft"}, "Memory": {"Startup": 33554432}, "NetworkAdapters": [{"Name": "N", "SwitchName": "Gone"}]}' | Out-File $vms
Start-VM A, B
Get-VM | ft Name, State
