# Typographic dashes and quotes are plain ones, except between quotes
New-VM –Name “A–B” | Out-Null
New-VM —Name ‘don’’t’ | Out-Null
Get-VM | foreach Name
Get-VM "A–B" | foreach name
