# A placeholder of the documents is answered by a message that says so
Set-VMProcessor -VMName <VMName> -ExposeVirtualizationExtensions $true
