# Comments, continued lines, several statements in a line, splatting, if and foreach
<# a comment
of lines #> New-VM A | # another
	Out-Null; New-VM `
	B | Out-Null # the end
$wanted = @{ Name = 'A'; Notes = 'splat' }
Set-VM @wanted
Get-VM | Where-Object Notes -eq splat | % Name
foreach ($vm in Get-VM) {
	if ($vm.Notes) { "$($vm.Name) has notes" }
	elseif ($vm.Name -eq 'nobody') { 'nobody' }
	else { "$($vm.Name) has none" }
}
