/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of ours that outlives the command that started it: a VM's, a switch's. Its folder is
 * RUN/ID, its log is there, and it has nobody's terminal.
 *
 * Files in RUN/ID: control (the control socket), log (what the process says; locked
 * while it lives), lock (held while
 * somebody starts or stops it); of a VM also console (the serial port) and agent (the guest agent's
 * port), of a switch port (where VMs connect).
 */
#ifndef CTL_CHILD_H
#define CTL_CHILD_H

#include "ctl/store.h"

/*
 * Starts this program with these arguments (argv[0] included, ends with NULL), in RUN/ID as its
 * folder, and returns once it answers on its control socket. -errno with its own words, or with
 * what kept it from starting; nothing runs then. Nothing ran before, which the caller's lock
 * (child_lock) keeps so, but for a process whose starter was killed: that is taken for ours.
 */
int child_start(struct store *store, const char *id, char *const argv[], struct error *err);

/* One command at a time may start or stop it. A descriptor for child_unlock, or -errno. */
int child_lock(struct store *store, const char *id, struct error *err);
void child_unlock(int lock);

#endif
