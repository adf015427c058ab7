# H2, H3, H4: the plan has what is unmet only, in order; N changes nothing; extensions on though spoofing and memory are declined
New-VM DemoVM | Out-Null
Set-VMMemory DemoVM -DynamicMemoryEnabled $true
Enable-NestedVm.ps1 DemoVM
Get-VMProcessor DemoVM | fl ExposeVirtualizationExtensions
Enable-NestedVm.ps1 DemoVM
Get-VMProcessor DemoVM | fl ExposeVirtualizationExtensions
Get-VMMemory DemoVM | fl DynamicMemoryEnabled, Startup
Get-VMNetworkAdapter DemoVM | fl MacAddressSpoofing
Enable-NestedVm.ps1
Enable-NestedVm.ps1 Nobody
Enable-NestedVm.ps1 DemoVM -Force
Get-VMMemory DemoVM | fl Startup
