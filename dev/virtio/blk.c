/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: a disk with several request queues. A few I/O threads serve all queues, each with
 * one request at a time from the ring to the answer, so as many requests are in flight as there
 * are threads. Requests that are in flight at once have no order, as the specification says.
 *
 * Source: VIRTIO 1.2, "Block Device".
 */
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#define THREADS            4
#define CLASS_STORAGE      0x010000
#define SEGMENTS_MAX       (VIRTQ_CHAIN_MAX - 2) /* header and status are segments too */
#define RANGES_MAX         16                    /* of one discard or write-zeroes request */
#define TRANSFER_BYTES_MAX (256 * MIB)           /* keeps a reset from waiting long */
#define RANGE_SECTORS_MAX  (GIB / BLOCK_SECTOR_BYTES)
#define HEADER_BYTES       sizeof(struct virtio_blk_outhdr)
#define RANGE_BYTES        sizeof(struct virtio_blk_discard_write_zeroes)
#define STATUS_BYTES       1

struct virtio_blk {
	struct virtio_device virtio;
	struct virtio_blk_config config;
	const struct block *disk;
	char serial[VIRTIO_BLK_ID_BYTES];
	struct worker *worker;
};

/* A request off the ring: its header checked, its data still in guest memory. */
struct request {
	struct virtio_blk *blk;
	struct virtq *queue;
	struct virtq_chain chain;
	struct virtio_blk_outhdr header;
	uint64_t out_bytes, in_bytes; /* data, without header and status */
	struct iovec iov[VIRTQ_CHAIN_MAX];
};

static uint8_t status_of(int ret)
{
	if (!ret)
		return VIRTIO_BLK_S_OK;
	return ret == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Whether these sectors are on the disk; the offset in bytes then. */
static bool find_sectors(const struct block *disk, uint64_t sector, uint64_t bytes,
			 uint64_t *offset)
{
	uint64_t sectors = disk->size_bytes / BLOCK_SECTOR_BYTES;

	if (bytes % BLOCK_SECTOR_BYTES || sector > sectors ||
	    bytes / BLOCK_SECTOR_BYTES > sectors - sector)
		return false;
	*offset = sector * BLOCK_SECTOR_BYTES;
	return true;
}

static int do_read(struct request *r)
{
	const struct block *disk = r->blk->disk;
	unsigned count = virtq_slice_writable(&r->chain, 0, r->in_bytes, r->iov);
	uint64_t offset;
	int ret;

	if (r->in_bytes > TRANSFER_BYTES_MAX ||
	    !find_sectors(disk, r->header.sector, r->in_bytes, &offset))
		return -EINVAL;
	ret = disk->ops->read(disk->self, offset, r->iov, count);
	virtq_written(r->queue, r->iov, count);
	return ret;
}

static int do_write(struct request *r)
{
	const struct block *disk = r->blk->disk;
	unsigned count = virtq_slice_readable(&r->chain, HEADER_BYTES, r->out_bytes, r->iov);
	uint64_t offset;

	if (disk->readonly || r->out_bytes > TRANSFER_BYTES_MAX ||
	    !find_sectors(disk, r->header.sector, r->out_bytes, &offset))
		return -EINVAL;
	return disk->ops->write(disk->self, offset, r->iov, count);
}

static int do_flush(struct request *r)
{
	return r->blk->disk->readonly ? 0 : r->blk->disk->ops->flush(r->blk->disk->self);
}

static int do_get_id(struct request *r)
{
	uint64_t bytes = MIN(r->in_bytes, sizeof(r->blk->serial));

	virtq_write(r->queue, &r->chain, 0, r->blk->serial, bytes);
	return 0;
}

static int discard_range(const struct block *disk,
			 const struct virtio_blk_discard_write_zeroes *range, bool zero)
{
	uint32_t known = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint64_t bytes = (uint64_t)range->num_sectors * BLOCK_SECTOR_BYTES, offset;

	if (range->flags & ~known)
		return -EOPNOTSUPP;
	if (range->num_sectors > RANGE_SECTORS_MAX ||
	    !find_sectors(disk, range->sector, bytes, &offset))
		return -EINVAL;
	return disk->ops->discard(disk->self, offset, bytes, zero);
}

static int discard(struct request *r, bool zero)
{
	struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
	uint64_t count = r->out_bytes / RANGE_BYTES;
	int ret = 0;

	if (r->blk->disk->readonly || r->out_bytes % RANGE_BYTES || !count || count > RANGES_MAX)
		return -EINVAL;
	virtq_read(&r->chain, HEADER_BYTES, ranges, r->out_bytes);
	for (uint64_t i = 0; i < count && !ret; i++)
		ret = discard_range(r->blk->disk, &ranges[i], zero);
	return ret;
}

static int do_discard(struct request *r)
{
	return discard(r, false);
}

static int do_write_zeroes(struct request *r)
{
	return discard(r, true);
}

static int execute(struct request *r)
{
	static const struct {
		uint32_t type;
		int (*fn)(struct request *r);
	} requests[] = {
		{ VIRTIO_BLK_T_IN, do_read },
		{ VIRTIO_BLK_T_OUT, do_write },
		{ VIRTIO_BLK_T_FLUSH, do_flush },
		{ VIRTIO_BLK_T_GET_ID, do_get_id },
		{ VIRTIO_BLK_T_DISCARD, do_discard },
		{ VIRTIO_BLK_T_WRITE_ZEROES, do_write_zeroes },
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].type == r->header.type)
			return requests[i].fn(r);
	}
	return -EOPNOTSUPP;
}

/* Without room for header and status there is no way to answer. */
static bool parse(struct request *r)
{
	if (r->chain.readable_bytes < HEADER_BYTES || r->chain.writable_bytes < STATUS_BYTES)
		return false;
	virtq_read(&r->chain, 0, &r->header, HEADER_BYTES);
	r->out_bytes = r->chain.readable_bytes - HEADER_BYTES;
	r->in_bytes = r->chain.writable_bytes - STATUS_BYTES;
	return true;
}

static void handle(struct request *r, unsigned queue)
{
	uint8_t status;

	if (!parse(r)) {
		virtio_fail(&r->blk->virtio);
		return;
	}
	status = status_of(execute(r));
	virtq_write(r->queue, &r->chain, r->in_bytes, &status, STATUS_BYTES);
	virtio_push_one(&r->blk->virtio, queue, &r->chain, r->chain.writable_bytes);
}

/* One request of any queue. */
static bool serve(void *self)
{
	struct virtio_blk *blk = self;
	struct request r;

	r.blk = blk;
	for (unsigned i = 0; i < blk->virtio.queues; i++) {
		r.queue = &blk->virtio.queue[i];
		if (!virtio_pop(&blk->virtio, i, &r.chain))
			continue;
		if (!virtq_is_empty(r.queue))
			worker_kick(blk->worker); /* for the others */
		handle(&r, i);
		return true;
	}
	return false;
}

static void blk_notify(void *self, unsigned queue)
{
	struct virtio_blk *blk = self;

	(void)queue;
	worker_kick(blk->worker);
}

static void blk_pause(void *self)
{
	struct virtio_blk *blk = self;

	worker_pause(blk->worker);
}

static void blk_resume(void *self)
{
	struct virtio_blk *blk = self;

	worker_resume(blk->worker);
}

static const struct virtio_ops blk_ops = {
	.notify = blk_notify,
	.pause = blk_pause,
	.resume = blk_resume,
};

static const struct virtio_kind blk_kind = {
	.type = VIRTIO_ID_BLOCK,
	.class_code = CLASS_STORAGE,
	.ops = &blk_ops,
};

static uint64_t list_features(const struct block *disk)
{
	uint64_t features = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_MQ);

	if (disk->readonly)
		return features | BIT(VIRTIO_BLK_F_RO);
	return features | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

static struct virtio_blk_config make_config(const struct block *disk, unsigned queues)
{
	return (struct virtio_blk_config){
		.capacity = disk->size_bytes / BLOCK_SECTOR_BYTES,
		.seg_max = SEGMENTS_MAX,
		.blk_size = BLOCK_SECTOR_BYTES,
		.num_queues = queues,
		.max_discard_sectors = RANGE_SECTORS_MAX,
		.max_discard_seg = RANGES_MAX,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = RANGE_SECTORS_MAX,
		.max_write_zeroes_seg = RANGES_MAX,
		.write_zeroes_may_unmap = 1,
	};
}

int virtio_blk_create(struct virtio_blk **out, const struct virtio_place *place,
		      const struct block *disk, unsigned queues, const char *serial)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	struct virtio_setup setup = {
		.kind = &blk_kind,
		.self = blk,
		.features = list_features(disk),
		.queues = MIN(MAX(queues, 1u), VIRTIO_BLK_QUEUES),
		.config_bytes = sizeof(blk->config),
	};
	int ret;

	if (!blk)
		return -ENOMEM;
	blk->disk = disk;
	blk->config = make_config(disk, setup.queues);
	memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
	setup.config = &blk->config;
	ret = worker_create(&blk->worker, "virtio-blk", THREADS, serve, blk);
	if (!ret)
		ret = virtio_init(&blk->virtio, place, &setup);
	if (ret) {
		worker_destroy(blk->worker);
		free(blk);
		return ret;
	}
	*out = blk;
	return 0;
}

static void blk_reset(void *self)
{
	struct virtio_blk *blk = self;

	virtio_reset(&blk->virtio);
}

static void blk_destroy(void *self)
{
	struct virtio_blk *blk = self;

	worker_destroy(blk->worker);
	virtio_finish(&blk->virtio);
	free(blk);
}

const struct dev_ops virtio_blk_dev_ops = {
	.name = "virtio-blk",
	.reset = blk_reset,
	.destroy = blk_destroy,
};
