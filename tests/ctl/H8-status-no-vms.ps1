# H8: the status without VMs has the host's part only, and waits for no key where nobody is
(Get-NestedVirtStatus.ps1 | where { $_.Name }).Count
