/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command `nidus switch`: the process of one virtual switch. */
#ifndef SWITCH_RUN_H
#define SWITCH_RUN_H

#include <stdio.h>

/* Arguments behind the command's name; the exit status. */
int switch_command(int argc, char *const argv[]);

void switch_help(FILE *out);

#endif
