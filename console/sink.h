/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output to a file descriptor from any thread: a buffer that the event loop empties as fast as the
 * descriptor takes it. Descriptors that are always ready (regular files) are written to directly.
 */
#ifndef CONSOLE_SINK_H
#define CONSOLE_SINK_H

#include "lib/base.h"

#include <uv.h>

struct sink;

/* Without a descriptor: drops what is written. On the loop's thread, as all but write and hurry. */
int sink_create(struct sink **out, uv_loop_t *loop);

/* Writes what is left, as far as the descriptor takes it in a second; frees itself on the loop. */
void sink_destroy(struct sink *sink); /* accepts NULL */

/* From now on output goes to fd, which is the sink's to close even on error. */
int sink_open(struct sink *sink, int fd);
void sink_close(struct sink *sink); /* drops what is buffered; no effect without a descriptor */

/* Takes all bytes; waits while the buffer is full. A descriptor that fails swallows the rest. */
void sink_write(struct sink *sink, const uint8_t *bytes, size_t len);
void sink_hurry(struct sink *sink); /* from now on write drops bytes instead of waiting */

#endif
