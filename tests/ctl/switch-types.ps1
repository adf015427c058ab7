# G16: the types of switches change; the host's adapter comes and goes with them
New-VMSwitch S -SwitchType Private | Out-Null
Get-VMNetworkAdapter -ManagementOS
Set-VMSwitch S -SwitchType Internal -Notes here -Passthru | fl Name, SwitchType, AllowManagementOS, Notes
Get-VMNetworkAdapter -ManagementOS
Get-NetAdapter 'vEthernet (S)' | New-NetIPAddress -IPAddress 192.168.77.1 -PrefixLength 24 | fl IPAddress
Get-VMSwitch S | Set-VMSwitch -Notes there -Passthru | fl SwitchType, Notes
(Get-NetIPAddress -InterfaceAlias 'vEthernet (S)').IPAddress
Set-VMSwitch S -SwitchType External
Set-VMSwitch S -NetAdapterName no-such-card
Set-VMSwitch S -NetAdapterName 'vEthernet (S)'
Set-VMSwitch S -AllowManagementOS $false
Set-VMSwitch S -SwitchType Private
Get-NetAdapter 'vEthernet (S)'
Set-VMSwitch 'Default Switch' -SwitchType Private
Get-VMSwitch S
