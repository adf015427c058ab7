# B3: Update-VMVersion asks, and Force answers
New-VM A -Version 8.0 | Out-Null
Update-VMVersion A
Update-VMVersion A -Force -Passthru
