/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's memory settings, for the cmdlets that change them: Set-VMMemory, Set-VM, New-VM. */
#ifndef CTL_VMMEMORY_H
#define CTL_VMMEMORY_H

#include "ctl/machine.h"

#define VMMEMORY_STARTUP_BYTES (512 * MIB) /* of a new VM */

/* The settings of a new VM: an object for its definition. */
json_t *vmmemory_create(int64_t startup_bytes);

/*
 * Changes settings of the VM's definition to those in `wish`, which has some of the members
 * DynamicMemoryEnabled, Startup, Minimum, Maximum, Buffer, Priority, and checks the whole, also
 * against the VM's state: what may change while it runs changes there too. -1 after call_error.
 */
int vmmemory_change(struct call *call, struct machine *machine, const json_t *wish);

/* Whether a size can be a VM's; -1 after call_error. */
int vmmemory_check_size(struct call *call, const char *parameter, int64_t bytes);

#endif
