# Strings, variables, arrays, hash tables, numbers
$name = 'x'
"a $name $($name + 'y') `$name ""q"" $name.Length"
'a $name ''q'''
"tab`tend"
4GB; 1.5kb; 0x10; 1e3; -3
"{0} has {1:N1}, {2,5}|{3,-4}|" -f 'it', 1.25, 7, 'l'
@(1, 2, 3).Count
(1, 2, 3)[-1]
$h = @{ A = 1; 'B c' = "two" }
$h.A; $h['B c']
'a', 'b' -join '+'
'A' -eq 'a'; 'abc' -like 'A*'; 2 -in 1, 2; 1, 2, 3 -gt 1; -not $true; 'x' -match '^X$'
1 + 2 * 3; 7 / 2; 6 / 2; 7 % 4; (1 + 2) * 3
a"b c"d
$env:NOT_SET -eq $null
