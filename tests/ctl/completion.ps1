# Completion: cmdlets, parameters, values, names, all from the table and the store
New-VM Demo | Out-Null
New-VM 'Demo two' | Out-Null
New-VMSwitch Net -SwitchType Private | Out-Null
TabExpansion2 'set-vmp'
TabExpansion2 'Get-VM | Set-VMPro'
TabExpansion2 'Set-VMProcessor Demo -Max'
TabExpansion2 'Set-VMProcessor Demo -Expose'
TabExpansion2 'Set-VMProcessor Demo –Eng'
TabExpansion2 'Set-VMProcessor Demo -Engine '
TabExpansion2 'Set-VMProcessor Demo -ExposeVirtualizationExtensions '
TabExpansion2 'Set-VMNetworkAdapter Demo -MacAddressSpoofing O'
TabExpansion2 'Start-VM '
TabExpansion2 'Start-VM -Name "x", d'
TabExpansion2 'Connect-VMNetworkAdapter Demo -SwitchName '
TabExpansion2 'Nothing-Known -x'
TabExpansion2 '$x = (Get-VMHo'
