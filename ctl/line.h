/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines over a stream socket under a time limit, and the clock of such limits: what the control
 * socket and the guest agent have in common.
 */
#ifndef CTL_LINE_H
#define CTL_LINE_H

#include "ctl/text.h"
#include "lib/base.h"

/* Milliseconds of a clock that only runs forward. */
int64_t line_now_ms(void);

/* Waits until there is something to read: -ETIMEDOUT after `until_ms` of line_now_ms. */
int line_wait(int fd, int64_t until_ms);

/* Sends all of it: 0 or -errno. */
int line_send(int fd, const void *bytes, size_t len);

/*
 * Appends one line, with its end, to `line`; what follows it stays in the socket. -ETIMEDOUT;
 * -EPIPE where the other side went away; -EMSGSIZE for one of more than about max_bytes.
 */
int line_read(int fd, struct text *line, size_t max_bytes, int timeout_ms);

#endif
