# autostart: what AutomaticStartAction says, after AutomaticStartDelay; what has less of an effect says so
'Now', 'Later', 'Never' | foreach { New-VM $_ 32MB -KernelPath $env:HALT | Set-VMProcessor -Engine Soft }
Set-VM Now, Later -AutomaticStartAction Start
Set-VM Later -AutomaticStartDelay 1
Set-VM Never -AutomaticStartAction StartIfRunning -AutomaticStopAction ShutDown
autostart
Get-VM | ft Name, State, AutomaticStartAction, AutomaticStartDelay
autostart
Set-VM Never -AutomaticStartAction Nothing -AutomaticStopAction TurnOff
