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
	/*
	 * The machine ends: a host that does not answer may keep requests waiting for some seconds
	 * from now on, and then they fail. Does not wait itself. NULL: none waits for others.
	 */
	void (*hurry)(void *self);
	void (*close)(void *self);
};

struct block {
	const struct block_ops *ops; /* NULL: not open */
	void *self;
	uint64_t size_bytes;
	bool readonly; /* write and discard must not be called */
};

static inline void block_hurry(struct block *block)
{
	if (block->ops && block->ops->hurry)
		block->ops->hurry(block->self);
}

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

/*
 * An image in a format that qemu-nbd (package qemu-utils) knows by the name `format`: it runs as a
 * child, one for each disk, and ends with this process, however that ends. It locks the image. If
 * it goes away before, every request fails with -EIO from then on, and one message on standard
 * error says so.
 */
int block_image_open(struct block *out, const char *path, const char *format, bool readonly,
		     struct error *err);

/*
 * By the end of its name: .qcow2, .vhdx, .vhd, .vmdk and .vdi are images, everything else is raw.
 * Never by its content, which is the guest's: one with a raw disk could write a header into it
 * that names any file of the host.
 */
int block_open(struct block *out, const char *path, bool readonly, struct error *err);

/* Bytes in the process's own memory, zero at first, gone on close: for tests. -ENOMEM. */
int block_null_open(struct block *out, uint64_t size_bytes);

#endif
