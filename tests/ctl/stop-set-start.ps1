# The chain of the documents: stop, set, start with -Passthru
New-VM A 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft
Start-VM A
Stop-VM A -TurnOff -Passthru | Set-VM -ProcessorCount 2 -Passthru | Start-VM -Passthru | ft Name, State, ProcessorCount
