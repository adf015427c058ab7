/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing run of bytes of a bounded size, to build firmware tables in. An append that does not
 * fit changes nothing and marks the blob as full; whoever finishes it asks once.
 */
#ifndef BOOT_BLOB_H
#define BOOT_BLOB_H

#include "lib/base.h"

struct blob {
	uint8_t *bytes; /* borrowed */
	size_t len, size;
	bool full;
};

static inline void blob_append(struct blob *blob, const void *bytes, size_t len)
{
	if (len > blob->size - blob->len) {
		blob->full = true;
		return;
	}
	memcpy(blob->bytes + blob->len, bytes, len);
	blob->len += len;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static inline void blob_number(struct blob *blob, uint64_t value, unsigned bytes)
{
	blob_append(blob, &value, bytes);
}

static inline void blob_text(struct blob *blob, const char *text) /* without its NUL */
{
	blob_append(blob, text, strlen(text));
}

static inline void blob_align(struct blob *blob, size_t power_of_two)
{
	while (blob->len % power_of_two && !blob->full)
		blob_number(blob, 0, 1);
}

/* Overwrites what was appended before; outside of that nothing happens. */
static inline void blob_patch(struct blob *blob, size_t at, uint64_t value, unsigned bytes)
{
	if (at <= blob->len && bytes <= blob->len - at)
		store_le(blob->bytes + at, value, bytes);
}

/* The byte that, added to [start, start + len), makes it sum up to zero. */
static inline uint8_t blob_checksum(const struct blob *blob, size_t start, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = start; i < start + len && i < blob->len; i++)
		sum = (uint8_t)(sum + blob->bytes[i]);
	return (uint8_t)-sum;
}

#endif
