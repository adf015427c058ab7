# I1, I2, I3, I7: not running, unknown, no agent in the guest, no target: each its own error, others go on
New-VM Off | Out-Null
New-VM NoAgent 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
Invoke-Command -VMName Off { ls }
Invoke-Command -VMName Nope -ScriptBlock { ls }
Start-VM NoAgent
Invoke-Command -VMName Off, NoAgent { ls }
Invoke-Command { ls }
Wait-VM Off
Wait-VM NoAgent -Timeout 0
Copy-VMFile Off /etc/hostname /tmp/x -FileSource Host
vmconnect localhost Off
vmconnect otherhost Off
Stop-VM NoAgent -TurnOff
