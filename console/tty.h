/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal on standard input: into raw mode and back.
 */
#ifndef CONSOLE_TTY_H
#define CONSOLE_TTY_H

#include "lib/base.h"

/* Raw mode where standard input is a terminal and we are in its foreground. Says whether it is. */
bool tty_enter_raw(void);

/* Back to what it was; no effect where it was left alone. May be called in a signal handler. */
void tty_restore(void);

#endif
