# Disks of VMs: placed, shown, moved, removed
$d = $env:SCRATCH
New-VM A -NewVHDPath $d/new.raw -NewVHDSizeBytes 4MB -Generation 2 | ft Name
New-VHD $d/two.raw, $d/three.raw 4MB | Out-Null
New-VM B -VHDPath $d/two.raw | Out-Null
Add-VMHardDiskDrive A -Path $d/two.raw
Add-VMHardDiskDrive B SCSI 1 5 $d/three.raw -Passthru
Get-VMHardDiskDrive *
(Get-VM A).HardDrives.Path
Add-VMHardDiskDrive B -Path $d/three.raw
Add-VMHardDiskDrive B -Path $d/none.raw
Add-VMHardDiskDrive B IDE 0 0 $d/new.raw
Set-VMHardDiskDrive B IDE 0 0 -Path $d/new.raw -Passthru | ft Path
Get-VMHardDiskDrive B | where ControllerType -eq SCSI | Remove-VMHardDiskDrive
Remove-VMHardDiskDrive B IDE 1 1
Get-VMHardDiskDrive B
New-VM C -VHDPath $d/none.raw
New-VM C -NewVHDPath $d/new.raw -NewVHDSizeBytes 4MB
New-VM C -NewVHDPath $d/c.raw
Get-VM | foreach Name
