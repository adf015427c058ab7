# The script ends in the middle of a foreach
'not reached'
foreach (