/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues as the device sees them: the only code that reads or writes a ring.
 *
 * The ring belongs to a hostile guest. Each descriptor is fetched once, checked, and turned into
 * an iovec of host pointers; a ring or a chain that breaks the rules marks the queue broken, and
 * it yields nothing more until it is reset. A chain has at most VIRTQ_CHAIN_MAX segments, which
 * also ends loops.
 *
 * Threads: pop, unpop and push take the queue's lock, a leaf; the owner sees to it that no chain
 * is in use across virtq_reset.
 *
 * Source: VIRTIO 1.2, "Split Virtqueues".
 */
#ifndef DEV_VIRTIO_QUEUE_H
#define DEV_VIRTIO_QUEUE_H

#include "vm/memory.h"

#include <pthread.h>
#include <sys/uio.h>

#define VIRTQ_SIZE_MAX  256 /* the largest size that a device offers */
#define VIRTQ_CHAIN_MAX 256 /* segments of a chain, indirect ones included */

struct virtq {
	struct memory *memory;
	pthread_mutex_t lock;
	/* What the driver programs; constant while enabled. */
	uint16_t size;
	gpa_t desc, avail, used;
	/* Set by virtq_start. */
	bool is_enabled; /* written with the lock held, may be read without. Atomic */
	bool is_broken;
	bool has_indirect, has_event_idx;
	const uint8_t *desc_ring, *avail_ring;
	uint8_t *used_ring;
	uint16_t next_avail; /* the next entry to take, as a free-running index */
	uint16_t next_used;
	uint16_t signalled_used; /* next_used when the driver was last told */
};

/* One chain: the segments to read first, then those to write. Segments of length 0 are left out. */
struct virtq_chain {
	uint16_t head;
	unsigned readable, writable; /* segments */
	uint64_t readable_bytes, writable_bytes;
	struct iovec iov[VIRTQ_CHAIN_MAX];
};

/* What goes back to the driver for a chain. */
struct virtq_used {
	uint16_t head;
	uint32_t written_bytes;
};

void virtq_init(struct virtq *q, struct memory *memory);
void virtq_finish(struct virtq *q);

/* Back to disabled, with size and addresses as given and zero. */
void virtq_reset(struct virtq *q, uint16_t size);

/*
 * Enables the queue at the addresses that were programmed. -EINVAL for a size that is no power of
 * two up to VIRTQ_SIZE_MAX or an address that is not aligned, -EFAULT where a ring is not all in
 * RAM: the queue is broken then.
 */
int virtq_start(struct virtq *q, bool has_indirect, bool has_event_idx);

/*
 * Takes the next chain: 1, or 0 where there is none (the driver will notify of the next one), or
 * -EINVAL where the ring or the chain is bad: the queue is broken from then on.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *chain);

/* Puts the last `count` chains back, so that pop yields them again. */
void virtq_unpop(struct virtq *q, unsigned count);

/* Whether there is nothing to pop. A hint: takes no lock. */
bool virtq_is_empty(const struct virtq *q);

/* Hands chains back, all at once. True: the driver wants an interrupt. */
bool virtq_push(struct virtq *q, const struct virtq_used *used, unsigned count);

/* Copy from the readable or to the writable bytes of a chain, from `offset` on; how many. */
size_t virtq_read(const struct virtq_chain *chain, uint64_t offset, void *buf, size_t bytes);
size_t virtq_write(struct virtq *q, const struct virtq_chain *chain, uint64_t offset,
		   const void *buf, size_t bytes);

/*
 * The segments that make up [offset, offset + bytes) of the readable or the writable part, for
 * I/O straight into guest memory. Returns their number; iov has room for VIRTQ_CHAIN_MAX.
 */
unsigned virtq_slice_readable(const struct virtq_chain *chain, uint64_t offset, uint64_t bytes,
			      struct iovec *iov);
unsigned virtq_slice_writable(const struct virtq_chain *chain, uint64_t offset, uint64_t bytes,
			      struct iovec *iov);

/* Says that I/O filled these segments. virtq_write does so itself. */
void virtq_written(struct virtq *q, const struct iovec *iov, unsigned count);

#endif
