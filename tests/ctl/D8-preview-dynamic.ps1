# D8, A9: the preview refuses to start a nesting VM with dynamic memory, the documented policy starts it; so do load options
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
Set-VMProcessor A -Engine Soft -ExposeVirtualizationExtensions $true
Set-VMMemory A -DynamicMemoryEnabled $true
Set-VMHost -NestingPolicy Preview
Start-VM A
Set-VMHost -NestingPolicy Documented -HypervisorLoadOptions OFFERNESTEDVIRT=FALSE
Start-VM A
Set-VMHost -HypervisorLoadOptions ''
Start-VM A -Passthru | ft Name, State
