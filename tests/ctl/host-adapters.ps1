# The host's adapters on switches have the settings of ports, by -ManagementOS
New-VMSwitch Net -SwitchType Internal | Out-Null
New-VMSwitch Closed -SwitchType Private | Out-Null
Get-NetAdapter 'vEthernet (Net)' | New-NetIPAddress -IPAddress 192.168.77.1 -PrefixLength 24 | Out-Null
Get-VMNetworkAdapter -ManagementOS | fl
Get-VMNetworkAdapterVlan -ManagementOS
Set-VMNetworkAdapter -ManagementOS -Name Net -MacAddressSpoofing On -PortMirroring Destination -Passthru | ft Name, MacAddressSpoofing, PortMirroringMode
Set-VMNetworkAdapterVlan -ManagementOS -VMNetworkAdapterName Net -Access -VlanId 5 -Passthru
Set-VMNetworkAdapter -ManagementOS -Name Closed -DhcpGuard On
Set-VMSwitch Net -SwitchType Private
Get-VMNetworkAdapter -ManagementOS
New-VM A | Out-Null
New-VM B | Out-Null
Set-VMNetworkAdapter A -StaticMacAddress 001122334455
Set-VMNetworkAdapter B -StaticMacAddress 00-11-22-33-44-55
