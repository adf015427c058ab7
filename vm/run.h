/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands `nidus run`, a VM process from its command line to its exit status, and `nidus
 * engines`, which says which engines could run such a VM here.
 */
#ifndef VM_RUN_H
#define VM_RUN_H

#include <stdio.h>

/* arguments after "run"; the result is the process's exit status. */
int run_command(int argc, char *const argv[]);

/*
 * Takes the options of `nidus run`. Prints a line for each engine: "NAME: Available", or "NAME: Not
 * available: " and the reason. Tries them, which may take a second.
 */
int engines_command(int argc, char *const argv[]);
void engines_help(FILE *out);

#endif
