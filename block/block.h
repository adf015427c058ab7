/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between a disk controller and what holds the disk's bytes on the host.
 *
 * Calls are synchronous and may take as long as the host's storage takes: controllers make them on
 * I/O threads, several at once; an implementation needs no order between calls in flight. Offsets
 * and lengths are in bytes, whole 512-byte sectors, and inside the disk: the controller checks.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include "lib/error.h"

#include <sys/uio.h>

#define BLOCK_SECTOR_BYTES 512

struct block_ops {
	/* All of the bytes of the vector, or -errno. count is at most IOV_MAX. */
	int (*read)(void *self, uint64_t offset, const struct iovec *iov, unsigned count);
	int (*write)(void *self, uint64_t offset, const struct iovec *iov, unsigned count);
	int (*flush)(void *self); /* what was written before is on stable storage */
	/* The range's bytes are no longer needed; with `zero` they read as zeros afterwards. */
	int (*discard)(void *self, uint64_t offset, uint64_t bytes, bool zero);
	void (*close)(void *self);
};

struct block {
	const struct block_ops *ops; /* NULL: not open */
	void *self;
	uint64_t size_bytes;
	bool readonly; /* write and discard must not be called */
};

static inline void block_close(struct block *block)
{
	if (block->ops)
		block->ops->close(block->self);
	block->ops = NULL;
}

/*
 * A regular file or a block device, byte for byte. It stays locked against others of us: shared
 * for `readonly`, exclusive otherwise. err names the disk and the reason: missing, unreadable, a
 * directory, empty or not a multiple of 512 bytes, in use.
 */
int block_raw_open(struct block *out, const char *path, bool readonly, struct error *err);

/* Bytes in the process's own memory, zero at first, gone on close: for tests. -ENOMEM. */
int block_null_open(struct block *out, uint64_t size_bytes);

#endif
