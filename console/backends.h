/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a character device can be plugged into on the host.
 *
 * All run on the given loop, on whose thread create and destroy are called; after destroy the loop
 * must run until its handles are closed. Errors carry a text that names the path.
 */
#ifndef CONSOLE_BACKENDS_H
#define CONSOLE_BACKENDS_H

#include "console/console.h"
#include "lib/error.h"

#include <uv.h>

/* Who hears of a key that was typed after Ctrl-]; on the loop's thread. */
struct console_keys {
	void (*pressed)(void *self, char key);
	void *self;
};

/*
 * Standard input and output. A terminal is in raw mode while the back end lives; destroy takes it
 * back to what it was, and a fault of ours to what a shell can use. In a terminal Ctrl-] is
 * special: the key after it goes to `keys`, a second Ctrl-] to the guest.
 */
int console_stdio_create(struct console **out, uv_loop_t *loop, const struct console_keys *keys,
			 struct error *err);

/* Output to a file, which is made or emptied. No input. */
int console_file_create(struct console **out, uv_loop_t *loop, const char *path, struct error *err);

/*
 * A listening socket, removed again by destroy. One client at a time; output while there is none is
 * lost. -EADDRINUSE where the path exists.
 */
int console_unix_create(struct console **out, uv_loop_t *loop, const char *path, struct error *err);

#endif
