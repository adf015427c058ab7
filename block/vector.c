/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zeros for back ends whose host makes none by itself: see block/vector.h. */
#include "block/vector.h"

#include <errno.h>
#include <stdlib.h>

#define ZEROS_BYTES (64 * KIB) /* written at a time */

int vector_write_zeros(vector_write_fn *write, void *self, uint64_t offset, uint64_t bytes)
{
	uint8_t *zeros = calloc(1, ZEROS_BYTES);
	int ret = zeros ? 0 : -ENOMEM;

	while (bytes && !ret) {
		struct iovec iov = { zeros, MIN(bytes, ZEROS_BYTES) };

		ret = write(self, offset, &iov, 1);
		offset += iov.iov_len;
		bytes -= iov.iov_len;
	}
	free(zeros);
	return ret;
}
