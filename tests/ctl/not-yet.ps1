# What this version does not have says so, with exit status 1
New-VM A | Out-Null
Save-VM A
Get-VM A | Checkpoint-VM -SnapshotName x
Get-VMCheckpoint -VMName A
Move-VM A otherhost
Get-Command Save-VM | fl Name, Available
