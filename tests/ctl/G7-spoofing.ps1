# G1, G7, seed line 3: spoofing is off on a new adapter; the documents' pipeline covers all adapters of the VM
New-VM DemoVM | Out-Null
Add-VMNetworkAdapter DemoVM -Name second
(Get-VMNetworkAdapter DemoVM).MacAddressSpoofing
Get-VMNetworkAdapter -VMName DemoVM | Set-VMNetworkAdapter -MacAddressSpoofing On
Get-VMNetworkAdapter DemoVM | ft Name, MacAddressSpoofing
Set-VMNetworkAdapter DemoVM -Name second -Mac off -Passthru | ft Name, MacAddressSpoofing
