/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal's mode. This is the program's one piece of state at file scope: there is one
 * standard input in a process, and a signal handler that must restore it is given no pointer.
 */
#include "console/tty.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t is_raw;

bool tty_enter_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
	    tcgetattr(STDIN_FILENO, &saved))
		return false;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* our own messages end in a bare line feed */
	is_raw = 1;
	if (!tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw))
		return true;
	is_raw = 0;
	return false;
}

void tty_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = 0;
}
