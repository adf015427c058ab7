# D9: the preview refuses to resize a running VM with nested virtualization on
New-VM A 64MB -KernelPath $env:HALT | Out-Null
Set-VMProcessor A -Engine Soft -ExposeVirtualizationExtensions $true
Set-VMHost -NestingPolicy Preview
Start-VM A
Set-VMMemory A -StartupBytes 32MB
Stop-VM A -TurnOff
Set-VMMemory A -StartupBytes 32MB -Passthru
