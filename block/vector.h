/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors of bytes on their way: the host may take or give less than it is asked for at a time. */
#ifndef BLOCK_VECTOR_H
#define BLOCK_VECTOR_H

#include "lib/base.h"

#include <sys/uio.h>

/* Drops `done` bytes from the front of iov[*first] to iov[count - 1]. */
static inline void vector_advance(struct iovec *iov, unsigned *first, unsigned count, uint64_t done)
{
	while (*first < count && done >= iov[*first].iov_len)
		done -= iov[(*first)++].iov_len;
	if (done) {
		iov[*first].iov_base = (uint8_t *)iov[*first].iov_base + done;
		iov[*first].iov_len -= done;
	}
}

/* As struct block_ops has it. */
typedef int vector_write_fn(void *self, uint64_t offset, const struct iovec *iov, unsigned count);

/* Writes zeros, where the host makes none by itself. -ENOMEM, or what write says. */
int vector_write_zeros(vector_write_fn *write, void *self, uint64_t offset, uint64_t bytes);

#endif
