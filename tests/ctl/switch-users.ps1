# Adapters follow their switch's new name; a switch in use stays, one without users takes its name along
New-VMSwitch Net -SwitchType Internal | Out-Null
New-VM A 32MB -KernelPath $env:HALT -SwitchName Net | Set-VMProcessor -Engine Soft
Rename-VMSwitch Net Other
(Get-VMNetworkAdapter A).SwitchName
Start-VM A
Remove-VMSwitch Other -Force
Stop-VM A -TurnOff
Remove-VMSwitch Other -Force
(Get-VMNetworkAdapter A).SwitchName
