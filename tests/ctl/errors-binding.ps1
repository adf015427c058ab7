# The errors of parameter binding
New-VM A | Out-Null
Get-VM -Foo
Set-VMProcessor A -Max 3
Set-VMProcessor A -Count 1 -Count 2
Set-VMProcessor A -Count
Set-VMProcessor -Count 2
Set-VMProcessor A -Count two
Set-VMProcessor A -Reserve 101
Set-VMProcessor A -ExposeVirtualizationExtensions "true"
Set-VMProcessor A -Vendor Cyrix
Set-VMProcessor A B
Set-VMProcessor -VMName A -VM (Get-VM A) -Count 1
5 | Get-VMProcessor
Get-VM A | Get-VMHostSupportedVersion
Frobnicate-VM
New-VM --name B
