/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input from a file descriptor: read on the event loop, pushed to the console's front in the
 * amounts that it takes. While it takes nothing, nothing is read, unless there is a filter.
 */
#ifndef CONSOLE_SOURCE_H
#define CONSOLE_SOURCE_H

#include "console/console.h"

#include <uv.h>

struct source;

struct source_hooks {
	/*
	 * Changes bytes in place before they are pushed; the new length. Input is read for it
	 * whatever the front takes, and what there is no room for behind it is lost. NULL: none.
	 */
	size_t (*filter)(void *self, uint8_t *bytes, size_t len);
	/* The end of input, once for each descriptor; may open another. NULL: none. */
	void (*ended)(void *self);
	void *self;
};

/* On the loop's thread, as all but source_continue. */
int source_create(struct source **out, uv_loop_t *loop, struct console *console,
		  const struct source_hooks *hooks);
void source_destroy(struct source *source); /* frees itself on the loop; accepts NULL */

/* Reads from fd, which is the caller's to close once it has `ended` or after source_destroy. */
int source_open(struct source *source, int fd);

void source_continue(struct source *source); /* the front has room again. Any thread */

#endif
