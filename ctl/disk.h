/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of VMs, for the cmdlets that make VMs. */
#ifndef CTL_DISK_H
#define CTL_DISK_H

#include "ctl/machine.h"

/*
 * Attaches a file (an absolute path) at the first free place of the VM's usual controller: an entry
 * {ControllerType, ControllerNumber, ControllerLocation, Path} of HardDrives. -1 after call_error.
 */
int disk_attach(struct call *call, struct machine *machine, const char *path);

#endif
