# B1, B4: versions of this host; others are refused
Get-VMHostSupportedVersion
(New-VM A).Version
(New-VM B -Version 8.0).Version
New-VM C -Version 5.0
