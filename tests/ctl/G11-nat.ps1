# G11, G14, seed line 5: one NAT network for a host, with the documents' own dashes and quotes; removing it leaves the switch
New-VMSwitch -Name VmNAT -SwitchType Internal
New-NetNat –Name LocalNAT –InternalIPInterfaceAddressPrefix “192.168.100.0/24”
New-NetNat Second -InternalIPInterfaceAddressPrefix 10.0.0.0/8
New-NetNat Second -InternalIPInterfaceAddressPrefix 192.168.0.0/16
New-NetNat LocalNAT -InternalIPInterfaceAddressPrefix 10.0.0.0/8
New-NetNat Second -InternalIPInterfaceAddressPrefix 10.0.0.1/8
New-NetNat Second -InternalIPInterfaceAddressPrefix 10.0.0.1
New-NetNat Second -InternalIPInterfaceAddressPrefix a/8
New-NetNat Second
Get-NetNat Nope
Remove-NetNat LocalNAT
Get-NetNat | Remove-NetNat -Confirm:$false
Get-NetNat
Get-VMSwitch VmNAT
