# H8, H9: the status without VMs has the host's part only, waits for no key where nobody is, and has no colours in a pipe
(Get-NestedVirtStatus.ps1 | where { $_.Name }).Count
