/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues: see queue.h.
 *
 * Suppression of notifications (EVENT_IDX): avail_event follows next_avail at each pop, so the
 * driver notifies of whatever comes after the chain that was taken last; the fence in has_avail
 * pairs with the driver's between publishing and looking at avail_event. Without EVENT_IDX we ask
 * for every notification.
 */
#include "dev/virtio/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>

#define DESC_BYTES      sizeof(struct vring_desc)
#define USED_ELEM_BYTES sizeof(struct vring_used_elem)
#define AVAIL_RING      offsetof(struct vring_avail, ring)
#define USED_RING       offsetof(struct vring_used, ring)
#define STEPS_MAX       (VIRTQ_CHAIN_MAX + 1) /* into an indirect table is a step too */
#define INDEX_BYTES     2
#define USED_EVENT(q)   (AVAIL_RING + INDEX_BYTES * (q)->size)
#define AVAIL_EVENT(q)  (USED_RING + USED_ELEM_BYTES * (q)->size)

/* Fetched exactly once, whatever the guest does meanwhile. */
struct __attribute__((packed)) unaligned64 {
	uint64_t value;
};

static uint64_t fetch64(const uint8_t *p)
{
	return ((const volatile struct unaligned64 *)(const void *)p)->value;
}

static uint16_t fetch16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void publish16(uint8_t *p, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)p, value, __ATOMIC_RELEASE);
}

static struct vring_desc fetch_descriptor(const uint8_t *table, unsigned index)
{
	const uint8_t *p = table + index * DESC_BYTES;
	uint64_t low = fetch64(p), high = fetch64(p + 8);

	return (struct vring_desc){
		.addr = low,
		.len = bits(high, 31, 0),
		.flags = bits(high, 47, 32),
		.next = bits(high, 63, 48),
	};
}

void virtq_init(struct virtq *q, struct memory *memory)
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	q->memory = memory;
}

void virtq_finish(struct virtq *q)
{
	pthread_mutex_destroy(&q->lock);
}

void virtq_reset(struct virtq *q, uint16_t size)
{
	pthread_mutex_lock(&q->lock);
	__atomic_store_n(&q->is_enabled, false, __ATOMIC_RELAXED);
	q->is_broken = false;
	q->size = size;
	q->desc = q->avail = q->used = 0;
	q->next_avail = q->next_used = q->signalled_used = 0;
	pthread_mutex_unlock(&q->lock);
}

static void *find_ring(const struct virtq *q, gpa_t gpa, uint64_t bytes, unsigned alignment)
{
	return gpa % alignment ? NULL : memory_at(q->memory, gpa, bytes);
}

static int find_rings(struct virtq *q)
{
	if (!q->size || q->size > VIRTQ_SIZE_MAX || (q->size & (q->size - 1)))
		return -EINVAL;
	q->desc_ring = find_ring(q, q->desc, q->size * DESC_BYTES, VRING_DESC_ALIGN_SIZE);
	q->avail_ring = find_ring(q, q->avail, USED_EVENT(q) + INDEX_BYTES, VRING_AVAIL_ALIGN_SIZE);
	q->used_ring = find_ring(q, q->used, AVAIL_EVENT(q) + INDEX_BYTES, VRING_USED_ALIGN_SIZE);
	return q->desc_ring && q->avail_ring && q->used_ring ? 0 : -EFAULT;
}

int virtq_start(struct virtq *q, bool has_indirect, bool has_event_idx)
{
	int ret;

	pthread_mutex_lock(&q->lock);
	q->has_indirect = has_indirect;
	q->has_event_idx = has_event_idx;
	ret = find_rings(q);
	q->is_broken = ret != 0;
	if (!ret)
		__atomic_store_n(&q->is_enabled, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&q->lock);
	return ret;
}

/* Chains */

static int add_segment(const struct virtq *q, struct virtq_chain *chain,
		       const struct vring_desc *desc)
{
	unsigned count = chain->readable + chain->writable;
	struct iovec *iov = &chain->iov[count];
	bool is_write = desc->flags & VRING_DESC_F_WRITE;

	if (!is_write && chain->writable_bytes)
		return -EINVAL; /* what is read comes first */
	if (!desc->len)
		return 0;
	if (count == VIRTQ_CHAIN_MAX)
		return -EINVAL;
	iov->iov_base = memory_at(q->memory, desc->addr, desc->len);
	iov->iov_len = desc->len;
	if (!iov->iov_base)
		return -EINVAL;
	if (is_write) {
		chain->writable++;
		chain->writable_bytes += desc->len;
	} else {
		chain->readable++;
		chain->readable_bytes += desc->len;
	}
	return 0;
}

/* A table of descriptors: the queue's own, or one that an indirect descriptor names. */
struct table {
	const uint8_t *base;
	unsigned entries;
	bool is_indirect;
};

static int enter_indirect(const struct virtq *q, struct table *table, const struct vring_desc *desc)
{
	if (!q->has_indirect || table->is_indirect || (desc->flags & VRING_DESC_F_NEXT) ||
	    !desc->len || desc->len % DESC_BYTES)
		return -EINVAL;
	table->base = memory_at(q->memory, desc->addr, desc->len);
	table->entries = desc->len / DESC_BYTES;
	table->is_indirect = true;
	return table->base ? 0 : -EINVAL;
}

static int walk(const struct virtq *q, struct virtq_chain *chain)
{
	struct table table = { .base = q->desc_ring, .entries = q->size };
	unsigned index = chain->head;

	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		struct vring_desc desc;

		if (index >= table.entries)
			return -EINVAL;
		desc = fetch_descriptor(table.base, index);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (enter_indirect(q, &table, &desc))
				return -EINVAL;
			index = 0;
			continue;
		}
		if (add_segment(q, chain, &desc))
			return -EINVAL;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		index = desc.next;
	}
	return -EINVAL;
}

/* How many chains the driver has made available. */
static uint16_t count_avail(const struct virtq *q)
{
	uint16_t index = fetch16(q->avail_ring + offsetof(struct vring_avail, idx));

	return index - __atomic_load_n(&q->next_avail, __ATOMIC_RELAXED);
}

static void ask_for_next(struct virtq *q)
{
	if (!q->has_event_idx)
		return;
	publish16(q->used_ring + AVAIL_EVENT(q), q->next_avail);
	memory_written(q->memory, q->used + AVAIL_EVENT(q), INDEX_BYTES);
}

/* 1: chains are there; 0: none; -EINVAL: more than the ring can hold. */
static int has_avail(const struct virtq *q)
{
	uint16_t count = count_avail(q);

	if (!count) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		count = count_avail(q);
	}
	if (count > q->size)
		return -EINVAL;
	return count > 0;
}

static int pop(struct virtq *q, struct virtq_chain *chain)
{
	int ret = has_avail(q);

	if (ret <= 0)
		return ret;
	chain->readable = chain->writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
	chain->head = fetch16(q->avail_ring + AVAIL_RING + INDEX_BYTES * (q->next_avail % q->size));
	ret = walk(q, chain);
	if (ret)
		return ret;
	__atomic_store_n(&q->next_avail, q->next_avail + 1, __ATOMIC_RELAXED);
	ask_for_next(q);
	return 1;
}

int virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
	int ret = 0;

	pthread_mutex_lock(&q->lock);
	if (q->is_broken)
		ret = -EINVAL;
	else if (q->is_enabled)
		ret = pop(q, chain);
	if (ret < 0)
		q->is_broken = true;
	pthread_mutex_unlock(&q->lock);
	return ret;
}

void virtq_unpop(struct virtq *q, unsigned count)
{
	pthread_mutex_lock(&q->lock);
	/* avail_event stays: the driver is past these */
	__atomic_store_n(&q->next_avail, q->next_avail - count, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
}

bool virtq_is_empty(const struct virtq *q)
{
	return !__atomic_load_n(&q->is_enabled, __ATOMIC_ACQUIRE) || !count_avail(q);
}

/* Used chains */

static void store_used(struct virtq *q, const struct virtq_used *used)
{
	uint64_t at = USED_RING + USED_ELEM_BYTES * (q->next_used % q->size);

	store_le(q->used_ring + at, used->head | (uint64_t)used->written_bytes << 32,
		 USED_ELEM_BYTES);
	memory_written(q->memory, q->used + at, USED_ELEM_BYTES);
	q->next_used++;
}

static bool wants_interrupt(struct virtq *q)
{
	uint16_t old = q->signalled_used;

	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the used index before the driver's wish */
	if (!q->has_event_idx)
		return !(fetch16(q->avail_ring) & VRING_AVAIL_F_NO_INTERRUPT);
	q->signalled_used = q->next_used;
	return vring_need_event(fetch16(q->avail_ring + USED_EVENT(q)), q->next_used, old);
}

bool virtq_push(struct virtq *q, const struct virtq_used *used, unsigned count)
{
	bool wanted = false;

	pthread_mutex_lock(&q->lock);
	if (q->is_enabled) {
		for (unsigned i = 0; i < count; i++)
			store_used(q, &used[i]);
		publish16(q->used_ring + offsetof(struct vring_used, idx), q->next_used);
		memory_written(q->memory, q->used + offsetof(struct vring_used, idx), INDEX_BYTES);
		wanted = wants_interrupt(q);
	}
	pthread_mutex_unlock(&q->lock);
	return wanted;
}

/* The bytes of a chain */

/* The segments of `in` that make up [offset, offset + bytes), as far as there are so many. */
static unsigned slice(const struct iovec *in, unsigned count, uint64_t offset, uint64_t bytes,
		      struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && bytes; i++) {
		uint64_t skipped = MIN(offset, in[i].iov_len);
		uint64_t taken = MIN(bytes, in[i].iov_len - skipped);

		offset -= skipped;
		bytes -= taken;
		if (taken)
			out[n++] = (struct iovec){ (uint8_t *)in[i].iov_base + skipped, taken };
	}
	return n;
}

unsigned virtq_slice_readable(const struct virtq_chain *chain, uint64_t offset, uint64_t bytes,
			      struct iovec *iov)
{
	return slice(chain->iov, chain->readable, offset, bytes, iov);
}

unsigned virtq_slice_writable(const struct virtq_chain *chain, uint64_t offset, uint64_t bytes,
			      struct iovec *iov)
{
	return slice(chain->iov + chain->readable, chain->writable, offset, bytes, iov);
}

size_t virtq_read(const struct virtq_chain *chain, uint64_t offset, void *buf, size_t bytes)
{
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned count = virtq_slice_readable(chain, offset, bytes, iov);
	uint8_t *at = buf;

	for (unsigned i = 0; i < count; i++) {
		memcpy(at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return at - (uint8_t *)buf;
}

size_t virtq_write(struct virtq *q, const struct virtq_chain *chain, uint64_t offset,
		   const void *buf, size_t bytes)
{
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned count = virtq_slice_writable(chain, offset, bytes, iov);
	const uint8_t *at = buf;

	for (unsigned i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	virtq_written(q, iov, count);
	return at - (const uint8_t *)buf;
}

void virtq_written(struct virtq *q, const struct iovec *iov, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memory_written(q->memory, (uint8_t *)iov[i].iov_base - q->memory->base,
			       iov[i].iov_len);
}
