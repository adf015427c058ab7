/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command `nidus run`: a VM process from its command line to its exit status. */
#ifndef VM_RUN_H
#define VM_RUN_H

/* arguments after "run"; the result is the process's exit status. */
int run_command(int argc, char *const argv[]);

#endif
