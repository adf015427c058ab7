/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libnbd, loaded when there is an image, not linked: with its own libraries (TLS, XML, Unicode) it
 * has 43 MB and takes 5 ms to start, and few machines and no command of the management want it.
 * What the functions do stands in libnbd(3); `nbd->poll` here is nbd_poll there.
 */
#ifndef BLOCK_LIBNBD_H
#define BLOCK_LIBNBD_H

#include "lib/error.h"

#include <libnbd.h>

/* clang-format off */
#define LIBNBD_FUNCTIONS(F) \
	F(create) F(close) F(get_error) F(get_errno) F(poll) \
	F(set_pread_initialize) F(set_request_structured_replies) \
	F(aio_connect_socket) F(aio_is_connecting) F(aio_is_ready) F(aio_is_dead) F(aio_is_closed) \
	F(get_size) F(is_read_only) \
	F(aio_pread) F(aio_pwrite) F(aio_flush) F(aio_trim) F(aio_zero) F(aio_command_completed)
/* clang-format on */

struct libnbd {
#define LIBNBD_MEMBER(name) __typeof__(nbd_##name) *name;
	LIBNBD_FUNCTIONS(LIBNBD_MEMBER)
#undef LIBNBD_MEMBER
};

/* Finds them all; the library stays until the process ends. -ENOENT: it is not installed. */
int libnbd_load(struct libnbd *nbd, struct error *err);

#endif
