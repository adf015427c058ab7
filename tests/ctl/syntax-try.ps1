# try, catch, finally and throw
try { Get-VM Nope -ErrorAction Stop; 'not here' } catch { "caught: $_" } finally { 'at last' }
try { Get-VM Nope; 'goes on' } catch { 'not here' }
try { NoSuchCommand } catch { $_.FullyQualifiedErrorId }
try { Get-VM -Frobnicate 1 } catch { $_.Exception.Message }
try { throw 'out of', 'luck' } catch { "caught: $($_.Exception.Message)" }
try { 'fine' } finally { 'cleaned up' }
try
{
	try { throw 'inner' } finally { 'inner finally' }
}
catch
{
	"outer: $_"
	try { throw 'second' } catch { "then: $_" }
	"still: $_"
}
'a', 'b' | ForEach-Object { try { throw $_ } catch { "item $_" } }
try { 'a', 'b' | ForEach-Object { NoSuchCommand; 'not here' } } catch { 'stopped' }
$ErrorActionPreference = 'Stop'
try { Get-VM Nope } catch { 'by preference' }
$Error.Count -gt 5
try { throw 'again' } catch { try { throw } catch { "rethrown: $_" } }
try { throw 'uncaught' } finally { 'before the end' }
'not here'
