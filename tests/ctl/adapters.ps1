# Adapters: added, shown, connected, renamed, removed
New-VM A -SwitchName 'default switch' | Out-Null
Get-VMNetworkAdapter A
New-VMSwitch -Name Net -SwitchType Private
Connect-VMNetworkAdapter A -SwitchName net -Passthru | ft Name, SwitchName, Connected
Add-VMNetworkAdapter A -Name Fixed -StaticMacAddress 00-11-22-33-44-5e -SwitchName Net -Passthru
Get-VM A | Get-VMNetworkAdapter -Name Fix* | Disconnect-VMNetworkAdapter -Passthru | fl Name, SwitchName, Connected, DynamicMacAddressEnabled
Get-VMNetworkAdapter A Fixed | Rename-VMNetworkAdapter -NewName Renamed -Passthru | ft Name, MacAddress
Set-VMNetworkAdapter A -Name Renamed -DynamicMacAddress -Passthru | ft Name, MacAddress, DynamicMacAddressEnabled
Get-VMNetworkAdapter A | fl
Get-VM A | fl NetworkAdapters
Remove-VMNetworkAdapter A -Name Renamed
Get-VMNetworkAdapter A
