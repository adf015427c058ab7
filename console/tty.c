/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal's mode: see console/tty.h. */
#include "console/tty.h"

#include <unistd.h>

static bool ours(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

bool tty_enter_raw(struct termios *saved)
{
	struct termios raw;

	if (!ours() || tcgetattr(STDIN_FILENO, saved))
		return false;
	raw = *saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* our own messages end in a bare line feed */
	return !tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
}

void tty_restore(const struct termios *saved)
{
	tcsetattr(STDIN_FILENO, TCSANOW, saved);
}

void tty_make_sane(void)
{
	struct termios mode;

	if (!ours() || tcgetattr(STDIN_FILENO, &mode) || mode.c_lflag & ICANON)
		return;
	mode.c_iflag |= ICRNL | IXON;
	mode.c_oflag |= OPOST | ONLCR;
	mode.c_lflag |= ICANON | ECHO | ISIG | IEXTEN;
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}
