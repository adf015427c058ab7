/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal on standard input: into raw mode and back.
 */
#ifndef CONSOLE_TTY_H
#define CONSOLE_TTY_H

#include "lib/base.h"

#include <termios.h>

/* Raw mode where standard input is a terminal and we are in its foreground. Says whether it is. */
bool tty_enter_raw(struct termios *saved);
void tty_restore(const struct termios *saved);

/*
 * For a signal handler, which knows no saved mode: takes a terminal that is in raw mode back to one
 * in which a shell can be used.
 */
void tty_make_sane(void);

#endif
