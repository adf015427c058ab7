# C8: an unknown VM is an error, a pattern expands, a pattern that fits none is no error
New-VM Demo1 | Out-Null
New-VM Demo2 | Out-Null
Set-VMProcessor Nope -Count 2
Set-VMProcessor Demo*, Nix* -Count 2 -Passthru
