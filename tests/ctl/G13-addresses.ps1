# G12, G13, seed lines 6 and 8: addresses and name servers of adapters on switches
New-VMSwitch -Name VmNAT -SwitchType Internal | Out-Null
Get-NetAdapter "vEthernet (VmNat)" | New-NetIPAddress -IPAddress 192.168.100.1 -AddressFamily IPv4 -PrefixLength 24
New-NetIPAddress 192.168.100.1 -InterfaceAlias 'vEthernet (VmNAT)' -PrefixLength 24
New-NetIPAddress 192.168.100.9 -InterfaceIndex 1001 -PrefixLength 24 -DefaultGateway 192.168.100.254 | select -First 1 | ft IPAddress, PrefixLength
New-NetIPAddress 10.0.0.1 -ifAlias 'vEthernet (VmNAT)' -PrefixLength 8 -DefaultGateway 10.0.0.254
New-NetIPAddress 10.0.0.1 -ifAlias 'vEthernet (VmNAT)' -PrefixLength 8 -DefaultGateway 11.0.0.254
New-NetIPAddress fd00::1 -ifAlias 'vEthernet (VmNAT)' -AddressFamily IPv4
New-NetIPAddress 300.0.0.1 -ifAlias 'vEthernet (VmNAT)'
New-NetIPAddress 10.0.0.1 -ifAlias 'vEthernet (VmNAT)' -PrefixLength 33
New-NetIPAddress fd00::1 -ifAlias nobody
Get-NetIPAddress | ft IPAddress, InterfaceAlias, PrefixLength
Netsh interface ip add dnsserver “vEthernet (VmNAT)” address=8.8.8.8
netsh int ip add dns name="vEthernet (VmNAT)" 1.1.1.1
netsh int ip add dns "vEthernet (None)" 1.1.1.1
netsh int ip add dns "vEthernet (VmNAT)" eight
netsh int ip frob
Remove-NetIPAddress 192.168.100.9
Remove-NetIPAddress 192.168.100.9 -Confirm:$false
Get-NetIPAddress | foreach IPAddress
Get-NetIPAddress 1.2.3.4
