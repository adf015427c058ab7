# G10, G16, seed line 4: switches; an internal one has the host on it
New-VMSwitch -Name VmNAT -SwitchType Internal
New-VMSwitch Closed -SwitchType Private -Notes 'guests only' | fl Name, SwitchType, Notes
Get-VMSwitch
Get-VMSwitch -SwitchType Private, External
Get-VMNetworkAdapter -ManagementOS
Get-NetAdapter "vEthernet (VmNat)" | ft Name, InterfaceDescription, ifIndex, Status, LinkSpeed
Get-NetAdapter 'vEthernet (Closed)'
New-VMSwitch vmnat -SwitchType Internal
New-VMSwitch 'Default Switch' -SwitchType Internal
New-VMSwitch X -SwitchType NAT
New-VMSwitch X -NetAdapterName no-such-card
New-VMSwitch X
Remove-VMSwitch VmNAT
Remove-VMSwitch VmNAT, Nope -Force
Remove-VMSwitch 'Default Switch' -Force
Get-VMSwitch | foreach Name
