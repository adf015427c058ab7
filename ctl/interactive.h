/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shell at a terminal: line editing, history, completion. */
#ifndef CTL_INTERACTIVE_H
#define CTL_INTERACTIVE_H

#include "ctl/shell.h"

/* Reads and runs until `exit` or the end of input. */
void interactive_run(struct shell *shell);

#endif
