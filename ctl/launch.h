/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A definition becomes a process: the command line of `nidus run`, in RUN/ID as its folder, with
 * its log there and nobody's terminal. It outlives the command that started it.
 *
 * Files in RUN/ID: control (the control socket), console (the serial port), agent (the guest
 * agent's port), log (what the process says), lock (held while somebody starts or stops it).
 */
#ifndef CTL_LAUNCH_H
#define CTL_LAUNCH_H

#include "ctl/machine.h"

/*
 * Starts the VM's process and returns once it answers. -errno with its own words, or with what kept
 * it from starting; nothing runs then. The VM is off, which the caller's lock (launch_lock) keeps
 * so.
 */
int launch_start(struct call *call, struct machine *machine, struct error *err);

/* One command at a time may start or stop a VM. A descriptor for launch_unlock, or -errno. */
int launch_lock(struct store *store, const char *id, struct error *err);
void launch_unlock(int lock);

#endif
