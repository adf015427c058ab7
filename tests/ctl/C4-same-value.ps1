# C4: setting the value that is there already succeeds while the VM is off
New-VM DemoVM | Out-Null
Set-VMProcessor DemoVM -ExposeVirtualizationExtensions $false
Set-VMProcessor DemoVM -Expose 0 -Passthru
