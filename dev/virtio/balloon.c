/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: the driver gives pages up and takes them back, as many as the target asks for,
 * and says now and then how much memory the guest could spare. Pages that are given up go back to
 * the host on an I/O thread; what the guest writes there nevertheless takes memory again, so a
 * page needs nothing done when it is taken back. Nothing here trusts the numbers of the driver: a
 * page outside RAM is passed over, and what it says it holds is only shown.
 *
 * Source: VIRTIO 1.2, "Traditional Memory Balloon Device".
 */
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#define CLASS_OTHER    0x00ff00
#define PFNS_AT_A_TIME 256
#define PFNS_MAX       (64 * KIB) /* of one chain; no driver gives as many, and a reset waits for it */
#define STATS_MAX      64         /* of one chain */
#define PAGES(bytes)   ((uint32_t)MIN((bytes) / PAGE_BYTES, (uint64_t)UINT32_MAX))
#define PFN_BYTES      sizeof(uint32_t)
#define STAT_BYTES     sizeof(struct virtio_balloon_stat)

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUES };

struct virtio_balloon {
	struct virtio_device virtio;
	struct worker *worker;               /* inflates and deflates */
	struct virtio_balloon_config config; /* Atomic */
	pthread_mutex_t lock; /* held while a chain of statistics is in use; guards what follows */
	bool has_stats;       /* the driver waits to be asked, with this chain: */
	struct virtq_used stats;
	unsigned samples;
	uint64_t available_bytes, sample_held_bytes;
};

/* --- pages --- */

/* Neighbours, in either order, go back to the host at once. */
struct run {
	uint64_t first, count; /* pages */
};

static void release(struct virtio_balloon *balloon, struct run *run)
{
	if (run->count) /* a host that cannot take them keeps the guest running all the same */
		memory_release(balloon->virtio.memory, run->first * PAGE_BYTES,
			       run->count * PAGE_BYTES);
	run->count = 0;
}

static void add_page(struct virtio_balloon *balloon, struct run *run, uint64_t page)
{
	if (!memory_is_ram(balloon->virtio.memory, page * PAGE_BYTES, PAGE_BYTES))
		return;
	if (run->count && page == run->first + run->count) {
		run->count++;
	} else if (run->count && page + 1 == run->first) {
		run->first = page;
		run->count++;
	} else {
		release(balloon, run);
		*run = (struct run){ page, 1 };
	}
}

static void take_pages(struct virtio_balloon *balloon, const struct virtq_chain *chain)
{
	uint64_t bytes = MIN(chain->readable_bytes / PFN_BYTES, PFNS_MAX) * PFN_BYTES;
	struct run run = { 0, 0 };
	uint32_t pfn[PFNS_AT_A_TIME];

	for (uint64_t at = 0; at < bytes; at += sizeof(pfn)) {
		size_t got = virtq_read(chain, at, pfn, MIN(sizeof(pfn), bytes - at));

		for (size_t i = 0; i < got / PFN_BYTES; i++)
			add_page(balloon, &run, pfn[i]);
	}
	release(balloon, &run);
}

static bool move_pages(void *self)
{
	struct virtio_balloon *balloon = self;
	struct virtq_chain chain;
	unsigned queue = QUEUE_INFLATE;

	if (virtio_pop(&balloon->virtio, QUEUE_INFLATE, &chain))
		take_pages(balloon, &chain);
	else if (virtio_pop(&balloon->virtio, QUEUE_DEFLATE, &chain))
		queue = QUEUE_DEFLATE;
	else
		return false;
	virtio_push_one(&balloon->virtio, queue, &chain, 0);
	return true;
}

/* --- statistics --- */

static uint64_t held_bytes(struct virtio_balloon *balloon)
{
	uint64_t pages = __atomic_load_n(&balloon->config.actual, __ATOMIC_RELAXED);

	return MIN(pages * PAGE_BYTES, balloon->virtio.memory->size_bytes);
}

static void read_stats(struct virtio_balloon *balloon, const struct virtq_chain *chain)
{
	struct virtio_balloon_stat stat;

	for (unsigned i = 0; i < STATS_MAX; i++) {
		if (virtq_read(chain, i * STAT_BYTES, &stat, STAT_BYTES) < STAT_BYTES)
			return;
		if (stat.tag != VIRTIO_BALLOON_S_AVAIL)
			continue;
		balloon->available_bytes = MIN(stat.val, balloon->virtio.memory->size_bytes);
		balloon->sample_held_bytes = held_bytes(balloon);
		balloon->samples++;
	}
}

static void give_stats_back(struct virtio_balloon *balloon)
{
	if (balloon->has_stats)
		virtio_push(&balloon->virtio, QUEUE_STATS, &balloon->stats, 1);
	balloon->has_stats = false;
}

/* A few numbers: done on the vCPU's thread. A driver has one such chain; it waits for the next. */
static void take_stats(struct virtio_balloon *balloon)
{
	struct virtq_chain chain;

	pthread_mutex_lock(&balloon->lock);
	for (unsigned i = 0;
	     i < VIRTQ_SIZE_MAX && virtio_pop(&balloon->virtio, QUEUE_STATS, &chain); i++) {
		give_stats_back(balloon);
		read_stats(balloon, &chain);
		balloon->stats = (struct virtq_used){ chain.head, 0 };
		balloon->has_stats = true;
	}
	pthread_mutex_unlock(&balloon->lock);
}

void virtio_balloon_ask(struct virtio_balloon *balloon)
{
	pthread_mutex_lock(&balloon->lock);
	give_stats_back(balloon);
	pthread_mutex_unlock(&balloon->lock);
}

/* --- the target --- */

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes)
{
	uint32_t pages = PAGES(bytes);

	if (__atomic_exchange_n(&balloon->config.num_pages, pages, __ATOMIC_SEQ_CST) != pages)
		virtio_config_changed(&balloon->virtio);
}

void virtio_balloon_report(struct virtio_balloon *balloon, struct virtio_balloon_report *report)
{
	pthread_mutex_lock(&balloon->lock);
	*report = (struct virtio_balloon_report){
		.has_driver = virtio_is_live(&balloon->virtio),
		.held_bytes = held_bytes(balloon),
		.samples = balloon->samples,
		.available_bytes = balloon->available_bytes,
		.sample_held_bytes = balloon->sample_held_bytes,
	};
	pthread_mutex_unlock(&balloon->lock);
}

/* --- the device --- */

static void balloon_notify(void *self, unsigned queue)
{
	struct virtio_balloon *balloon = self;

	if (queue == QUEUE_STATS)
		take_stats(balloon);
	else
		worker_kick(balloon->worker);
}

static void balloon_pause(void *self)
{
	struct virtio_balloon *balloon = self;

	worker_pause(balloon->worker);
	pthread_mutex_lock(&balloon->lock);
}

static void balloon_resume(void *self)
{
	struct virtio_balloon *balloon = self;

	if (!virtio_is_live(&balloon->virtio)) { /* a driver that starts anew holds nothing */
		__atomic_store_n(&balloon->config.actual, 0, __ATOMIC_RELAXED);
		balloon->has_stats = false;
		balloon->samples = 0;
	}
	pthread_mutex_unlock(&balloon->lock);
	worker_resume(balloon->worker);
}

static void balloon_write_config(void *self, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_balloon *balloon = self;

	if (offset == offsetof(struct virtio_balloon_config, actual) && size == sizeof(uint32_t))
		__atomic_store_n(&balloon->config.actual, (uint32_t)value, __ATOMIC_RELAXED);
}

static const struct virtio_ops balloon_ops = {
	.notify = balloon_notify,
	.pause = balloon_pause,
	.resume = balloon_resume,
	.write_config = balloon_write_config,
};

static const struct virtio_kind balloon_kind = {
	.type = VIRTIO_ID_BALLOON,
	.class_code = CLASS_OTHER,
	.ops = &balloon_ops,
};

int virtio_balloon_create(struct virtio_balloon **out, const struct virtio_place *place,
			  bool gives_back)
{
	struct virtio_balloon *balloon = calloc(1, sizeof(*balloon));
	struct virtio_setup setup = {
		.kind = &balloon_kind,
		.self = balloon,
		.features = BIT(VIRTIO_BALLOON_F_STATS_VQ),
		.queues = QUEUES,
		.config_bytes = offsetof(struct virtio_balloon_config, actual) + sizeof(uint32_t),
	};
	int ret;

	if (!balloon)
		return -ENOMEM;
	setup.config = &balloon->config;
	if (gives_back)
		setup.features |= BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	pthread_mutex_init(&balloon->lock, NULL);
	ret = worker_create(&balloon->worker, "virtio-balloon", 1, move_pages, balloon);
	if (!ret)
		ret = virtio_init(&balloon->virtio, place, &setup);
	if (ret) {
		worker_destroy(balloon->worker);
		pthread_mutex_destroy(&balloon->lock);
		free(balloon);
		return ret;
	}
	*out = balloon;
	return 0;
}

static void balloon_reset(void *self)
{
	virtio_reset(&((struct virtio_balloon *)self)->virtio);
}

static void balloon_destroy(void *self)
{
	struct virtio_balloon *balloon = self;

	worker_destroy(balloon->worker);
	virtio_finish(&balloon->virtio);
	pthread_mutex_destroy(&balloon->lock);
	free(balloon);
}

const struct dev_ops virtio_balloon_dev_ops = {
	.name = "virtio-balloon",
	.reset = balloon_reset,
	.destroy = balloon_destroy,
};
