/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM as an object, for cmdlets with -Passthru. */
#ifndef CTL_VM_H
#define CTL_VM_H

#include "ctl/machine.h"

/* What Get-VM gives: a VirtualMachine, with the names and the order of Hyper-V's properties. */
json_t *vm_object(struct machine *machine);

#endif
