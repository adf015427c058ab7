# H7, A2, A7, A9: the status names each fault of host and VMs; the preview's list is stricter
New-VM Bad | Out-Null
New-VM Good | Out-Null
Set-VMMemory Bad -DynamicMemoryEnabled $true
Set-VMProcessor Good -ExposeVirtualizationExtensions $true
Get-NestedVirtStatus.ps1 | where { $_.Name } | fl
Get-NestedVirtStatus | where { $_.Computer } | fl HostNestedSupport, HypervisorLoadOptions*, VbsRunning
Set-VMHost -HypervisorLoadOptions OFFERNESTEDVIRT=FALSE -VirtualizationBasedSecurity $true
Get-NestedVirtStatus | where { $_.Computer } | fl HostNestedSupport, HypervisorLoadOptions*, VbsRunning
Set-VMHost -HypervisorLoadOptions '' -Passthru | fl NestingPolicy, HypervisorLoadOptions, VirtualizationBasedSecurity
Get-NestedVirtStatus | where { $_.Computer } | fl HostNestedSupport, VbsRunning
Set-VMHost -NestingPolicy Preview
Get-NestedVirtStatus | where { $_.Computer } | fl HostNestedSupport, VbsRunning
Set-VMHost -NestingPolicy Strict
