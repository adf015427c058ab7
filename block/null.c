/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in the process's own memory, for tests.
 */
#include "block/block.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct null_block {
	pthread_mutex_t lock;
	uint8_t bytes[];
};

static int null_read(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	struct null_block *disk = self;

	pthread_mutex_lock(&disk->lock);
	for (unsigned i = 0; i < count; offset += iov[i++].iov_len)
		memcpy(iov[i].iov_base, disk->bytes + offset, iov[i].iov_len);
	pthread_mutex_unlock(&disk->lock);
	return 0;
}

static int null_write(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	struct null_block *disk = self;

	pthread_mutex_lock(&disk->lock);
	for (unsigned i = 0; i < count; offset += iov[i++].iov_len)
		memcpy(disk->bytes + offset, iov[i].iov_base, iov[i].iov_len);
	pthread_mutex_unlock(&disk->lock);
	return 0;
}

static int null_flush(void *self)
{
	(void)self;
	return 0;
}

static int null_discard(void *self, uint64_t offset, uint64_t bytes, bool zero)
{
	struct null_block *disk = self;

	if (!zero)
		return 0;
	pthread_mutex_lock(&disk->lock);
	memset(disk->bytes + offset, 0, bytes);
	pthread_mutex_unlock(&disk->lock);
	return 0;
}

static void null_close(void *self)
{
	struct null_block *disk = self;

	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static const struct block_ops null_ops = {
	.read = null_read,
	.write = null_write,
	.flush = null_flush,
	.discard = null_discard,
	.close = null_close,
};

int block_null_open(struct block *out, uint64_t size_bytes)
{
	struct null_block *disk = calloc(1, sizeof(*disk) + size_bytes);

	if (!disk)
		return -ENOMEM;
	pthread_mutex_init(&disk->lock, NULL);
	*out = (struct block){ .ops = &null_ops, .self = disk, .size_bytes = size_bytes };
	return 0;
}
