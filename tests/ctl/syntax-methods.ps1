# Methods of strings, and here-strings
$name = '  Demo VM  '
$name.Trim() + '|' + $name.TrimStart() + '|' + $name.TrimEnd() + '|'
'demo'.ToUpper() + 'DEMO'.ToLower()
'DemoVM'.StartsWith('Demo'), 'DemoVM'.EndsWith('demo'), 'DemoVM'.Contains('oV')
'a,b;c'.Split(',;') -join '-'
'2001:db8::1'.Replace(':', '.')
'DemoVM'.Substring(4), 'DemoVM'.Substring(0, 4), 'DemoVM'.IndexOf('VM'), 'x'.IndexOf('VM')
"[$('ab'.PadLeft(4))][$('ab'.PadRight(4))]"
(4GB).ToString().Length
New-VM $name.Trim().Replace(' ', '') | ft Name
Get-VM | foreach { $_.Name.ToLower() }
'x'.Frobnicate()
'x'.Substring(2)
'x'.Replace('', 'y')
'x'.Trim('a', 'b')
$null.Trim()
@"
Name: $($name.Trim())
"quoted" 'too', a tab`t, a dollar `$name
"@
@'
As it is: $name "x" `t
  '@ not at the start
'@
$text = @"
"@
$text.Length
Write-Output @'
an argument
'@ | foreach { "got: $_" }
