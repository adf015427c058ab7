# C7: several VMs in one call, one running: the others change, one error
'A', 'B', 'C' | New-VM -MemoryStartupBytes 32MB | Out-Null
Set-VM B -KernelPath $env:HALT
Set-VMProcessor * -Engine Soft
Start-VM B
Get-VM | Set-VMProcessor -ExposeVirtualizationExtensions $true
Get-VMProcessor * | ft VMName, ExposeVirtualizationExtensions
