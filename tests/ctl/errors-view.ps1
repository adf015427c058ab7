# The long form of errors, $Error, $?, ErrorAction
$ErrorView = 'NormalView'
Get-VM Nope
$?
Get-VM Nope2 -ErrorAction SilentlyContinue
Get-VM Nope3 -ErrorAction Ignore
$Error.Message
Get-VM Nope -ErrorAction Stop
'not reached'
