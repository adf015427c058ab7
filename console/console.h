/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between a character device (a serial port, a virtio console) and what it is plugged into
 * on the host (a terminal, a file, a socket, nothing).
 *
 * A back end embeds a `struct console` and fills in its ops; the device attaches itself as the
 * front. Neither side loses a byte: output is taken whole, input is pushed in the amounts that the
 * device has room for and the back end keeps the rest until it is asked for more.
 *
 * Locks: write and input_ready are called from any thread with no lock of the device held, so a
 * back end may hold a lock of its own while it pushes.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "lib/base.h"

struct console;

struct console_ops {
	const char *name; /* "null", "stdio": for messages */
	/* Takes all of `bytes`; may make the caller wait while a buffer is full. Any thread. */
	void (*write)(struct console *console, const uint8_t *bytes, size_t len);
	/*
	 * The front has room again after it took less than it was offered. Any thread; a back end
	 * that runs on an event loop wakes the loop and pushes from there. It must not push from
	 * inside this call.
	 */
	void (*input_ready)(struct console *console);
	/* The VM is ending: from now on write doesn't make its caller wait. Any thread. */
	void (*hurry)(struct console *console);
	void (*destroy)(struct console *console);
};

/* Takes as many of `bytes` as there is room for and says how many. */
typedef size_t console_input_fn(void *front, const uint8_t *bytes, size_t len);

struct console {
	const struct console_ops *ops;
	console_input_fn *input; /* NULL until a front is attached */
	void *front;
};

/* The device's side. Attach once, before the first vCPU and the event loop run. */
void console_attach(struct console *console, console_input_fn *input, void *front);
void console_write(struct console *console, const uint8_t *bytes, size_t len);
void console_input_ready(struct console *console);

/*
 * The back end's side: offers input; any thread, one at a time. The result is how many bytes were
 * taken; when that is less than len, input_ready follows once there is room. Takes nothing while no
 * front is attached.
 */
size_t console_push(struct console *console, const uint8_t *bytes, size_t len);

void console_hurry(struct console *console);
void console_destroy(struct console *console); /* accepts NULL */

/* A back end that swallows output and has no input. */
int console_null_create(struct console **out);

#endif
