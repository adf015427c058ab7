# VLANs of adapters: access, trunk, untagged; what is refused
New-VM A | Out-Null
Add-VMNetworkAdapter A -Name second
Get-VMNetworkAdapterVlan A
Set-VMNetworkAdapterVlan -VMName A -Access -VlanId 7
Set-VMNetworkAdapterVlan A -VMNetworkAdapterName second -Trunk -AllowedVlanIdList '200, 1-3,3-5 6' -NativeVlanId 10
Get-VMNetworkAdapterVlan
Get-VMNetworkAdapter A second | Get-VMNetworkAdapterVlan | fl
Get-VMNetworkAdapter A | Set-VMNetworkAdapterVlan -Untagged -Passthru
Set-VMNetworkAdapterVlan A -Trunk -AllowedVlanIdList 10,20-21 -NativeVlanId 0 -Passthru
Set-VMNetworkAdapterVlan A -Access
Set-VMNetworkAdapterVlan A -Access -VlanId 0
Set-VMNetworkAdapterVlan A -Access -VlanId 4095
Set-VMNetworkAdapterVlan A -VlanId 5
Set-VMNetworkAdapterVlan A -Access -Trunk -VlanId 5
Set-VMNetworkAdapterVlan A -Untagged -VlanId 5
Set-VMNetworkAdapterVlan A -Access -VlanId 5 -NativeVlanId 1
Set-VMNetworkAdapterVlan A -Trunk -AllowedVlanIdList 1-100
foreach ($list in '', ',', '0', '1-', '-1', '5-4', '4095', '99999999999', '1;2', 'a') { Set-VMNetworkAdapterVlan A -Trunk -AllowedVlanIdList $list -NativeVlanId 0 }
Set-VMNetworkAdapterVlan A -VMNetworkAdapterName third -Untagged
Get-VMNetworkAdapterVlan A -VMNetworkAdapterName s*
