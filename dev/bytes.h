/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For chips with 8-bit registers: an access of any size is one byte access after another, lowest
 * address first, as an 8-bit bus does it.
 */
#ifndef DEV_BYTES_H
#define DEV_BYTES_H

#include "dev/dev.h"

typedef uint8_t dev_read_byte_fn(void *self, unsigned offset);
typedef void dev_write_byte_fn(void *self, unsigned offset, uint8_t value);

static inline void dev_access_bytes(struct dev_access *access, void *self, dev_read_byte_fn *read,
				    dev_write_byte_fn *write)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < access->size; i++) {
		unsigned offset = (unsigned)access->offset + i;

		if (access->is_write)
			write(self, offset, (uint8_t)(access->value >> 8 * i));
		else
			value |= (uint64_t)read(self, offset) << 8 * i;
	}
	if (!access->is_write)
		access->value = value;
}

#endif
