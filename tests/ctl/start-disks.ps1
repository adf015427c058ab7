# Starting a VM whose disk is missing, no image, or an image: one message, or it runs
$d = $env:SCRATCH
New-VM A 32MB -KernelPath $env:HALT -NewVHDPath $d/a.vhdx -NewVHDSizeBytes 4MB | Set-VMProcessor -Engine Soft
Start-VM A -Passthru | ft Name, State
Stop-VM A -TurnOff
Get-VMHardDiskDrive A | Remove-VMHardDiskDrive
New-VHD $d/a.raw 4MB | Out-Null
Add-VMHardDiskDrive A -Path $d/a.raw
Convert-VHD $d/a.raw $d/b.raw -DeleteSource
Start-VM A
Set-VMHardDiskDrive A IDE 0 0 -Path $d/b.raw
Start-VM A -Passthru | ft Name, State
New-VM B 32MB -KernelPath $env:HALT -VHDPath $d/b.raw | Set-VMProcessor -Engine Soft
Start-VM B
'no image' | Out-File $d/no.qcow2
Set-VMHardDiskDrive B IDE 0 0 -Path $d/no.qcow2
Start-VM B
