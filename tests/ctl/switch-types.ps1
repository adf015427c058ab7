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
netsh interface ip add dnsserver 'vEthernet (S)' 192.168.77.254
Set-VMNetworkAdapter -ManagementOS -Name S -MacAddressSpoofing On
Set-VMSwitch S -SwitchType Private
Set-VMSwitch S -SwitchType Internal
(Get-VMNetworkAdapter -ManagementOS).MacAddressSpoofing
Set-VMSwitch S -SwitchType Private
New-VMSwitch T -NetAdapterName a, b
New-VMSwitch T -SwitchType Private -EnableIov $true | fl Name
Get-NetAdapter 'vEthernet (S)'
Set-VMSwitch 'Default Switch' -SwitchType Private
Get-VMSwitch S
