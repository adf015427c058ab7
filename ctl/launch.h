/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A definition becomes a process: the command line of `nidus run`, as a child (ctl/child.h). */
#ifndef CTL_LAUNCH_H
#define CTL_LAUNCH_H

#include "ctl/machine.h"

/*
 * Starts the VM's process and returns once it answers; machine->process is what it says then.
 * -errno with its own words, or with what kept it from starting; nothing runs then. The VM is off,
 * which the caller's lock (child_lock) keeps so.
 */
int launch_start(struct call *call, struct machine *machine, struct error *err);

#endif
