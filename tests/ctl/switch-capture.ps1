# Captures and drops of switches: where there are none, and what is refused
New-VMSwitch Net -SwitchType Private | Out-Null
New-VM A 32MB -KernelPath $env:HALT -SwitchName Net | Set-VMProcessor -Engine Soft
Stop-VMSwitchCapture Net
Start-VM A
Get-VMNetworkAdapter A | fl SwitchName, Status, SentPackets, ReceivedPackets, SentDropped
Get-VMSwitchDrop
Get-VMSwitchDrop Net -VMName A* -Newest 3
Get-VMSwitchDrop Nope
Get-VMSwitchDrop -VMName B
Start-VMSwitchCapture Net "$env:SCRATCH/x.pcap" -VMName A
Stop-VMSwitchCapture Net
Get-VMSwitch Net | Start-VMSwitchCapture -Path "$env:SCRATCH/y.pcap" -WhatIf
Stop-VMSwitchCapture Net
Start-VMSwitchCapture Net "$env:SCRATCH/none/x.pcap"
Start-VMSwitchCapture Net "$env:SCRATCH/x.pcap" -VMName B
Start-VMSwitchCapture Net "$env:SCRATCH/x.pcap" -VMName A -VMNetworkAdapterName other
Start-VMSwitchCapture 'Default Switch' "$env:SCRATCH/x.pcap"
Connect-VMNetworkAdapter A 'Default Switch'
Get-VMNetworkAdapter A | fl SwitchName, Status, SentPackets
Start-VMSwitchCapture Net "$env:SCRATCH/x.pcap" -VMName A
