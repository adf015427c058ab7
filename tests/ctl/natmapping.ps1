# ports of the host that lead behind a NAT; DHCP as an addition
Add-NetNatStaticMapping -NatName LocalNAT -Protocol TCP -ExternalIPAddress 0.0.0.0 -ExternalPort 8080 -InternalIPAddress 192.168.100.2 -InternalPort 80
New-NetNat –Name LocalNAT –InternalIPInterfaceAddressPrefix “192.168.100.0/24” | Out-Null
Add-NetNatStaticMapping -NatName "LocalNAT" -Protocol TCP -ExternalIPAddress 0.0.0.0/24 -ExternalPort 8080 -InternalIPAddress 192.168.100.2 -InternalPort 80
Add-NetNatStaticMapping LocalNAT -Protocol UDP -ExternalIPAddress 127.0.0.1 -ExternalPort 5353 -InternalIPAddress 192.168.100.3 | Format-Table StaticMappingID, Protocol, InternalPort
"what cannot be:"
Add-NetNatStaticMapping LocalNAT -Protocol TCP -ExternalIPAddress 0.0.0.0 -ExternalPort 8080 -InternalIPAddress 192.168.100.9
Add-NetNatStaticMapping LocalNAT -Protocol TCP -ExternalIPAddress 0.0.0.0 -ExternalPort 8081 -InternalIPAddress 192.168.7.2
Add-NetNatStaticMapping LocalNAT -Protocol TCP -ExternalIPAddress :: -ExternalPort 8081 -InternalIPAddress 192.168.100.2
Add-NetNatStaticMapping LocalNAT -Protocol TCP -ExternalIPAddress here -ExternalPort 8081 -InternalIPAddress 192.168.100.2
Add-NetNatStaticMapping LocalNAT -Protocol ICMP -ExternalIPAddress 0.0.0.0 -ExternalPort 1 -InternalIPAddress 192.168.100.2
Add-NetNatStaticMapping LocalNAT -Protocol TCP -ExternalIPAddress 0.0.0.0 -ExternalPort 0 -InternalIPAddress 192.168.100.2
"what there is:"
Get-NetNatStaticMapping | Format-Table StaticMappingID, NatName, ExternalPort
Remove-NetNatStaticMapping -StaticMappingID 0 -Confirm:$false
Get-NetNat | Get-NetNatStaticMapping | Format-Table StaticMappingID, NatName, ExternalPort
Get-NetNatStaticMapping LocalNAT | Remove-NetNatStaticMapping -Confirm:$false
Get-NetNatStaticMapping
"addresses by DHCP:"
Set-NetNat LocalNAT -Dhcp On -PassThru | Select-Object -ExpandProperty Dhcp
(Set-NetNat LocalNAT -Dhcp Off -PassThru).Dhcp
"one NAT for each family of addresses:"
New-NetNat LocalNAT6 -InternalIPInterfaceAddressPrefix fd00:100::/64 -Dhcp On | Format-Table Name, InternalIPInterfaceAddressPrefix, Dhcp
New-NetNat Another -InternalIPInterfaceAddressPrefix 10.0.0.0/8
