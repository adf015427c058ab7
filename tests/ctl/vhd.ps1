# Virtual hard disks: made, shown, resized, converted; errors
$d = $env:SCRATCH
New-VHD $d/a.vhdx 64MB | select VhdFormat, VhdType, Size, BlockSize | ft
New-VHD -Path $d/b.qcow2, $d/c.raw -SizeBytes 8MB -Fixed | ft VhdFormat, VhdType, Size
New-VHD $d/child.qcow2 -ParentPath $d/b.qcow2 -Differencing | ft VhdFormat, VhdType, Size, ParentPath
Resize-VHD $d/c.raw 16MB -Passthru | ft Size
Resize-VHD $d/c.raw 4MB -Passthru | ft Size
Convert-VHD $d/a.vhdx $d/e.vhd -Passthru | ft VhdFormat, Path
Convert-VHD $d/c.raw $d/f.vhdx -DeleteSource
Get-VHD $d/c.raw
"$d/f.vhdx" | Get-VHD | fl VhdFormat, Size
New-VHD $d/a.vhdx 1GB
New-VHD $d/x.txt 1GB
New-VHD $d/x.vhdx 100
New-VHD $d/no/such/x.vhdx 1GB
New-VHD $d/x.vhdx -ParentPath $d/a.vhdx
New-VHD $d/x.vhdx
