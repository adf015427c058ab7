/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between the machine and a device model.
 *
 * A device is an opaque `self`, an ops table for its life, and one access function for each range
 * that the board maps for it on vm/bus.h. Threads: accesses come from any vCPU thread at any time,
 * timers from the clock's thread, back ends from the loop's thread; each device has a lock of its
 * own. A device calls down (irq, memory, timers) with its lock held or not as it likes; what a back
 * end wants is in its seam's header. Nothing calls back into a device from under another device's
 * lock except irq lines, which must never lead back into the device that raised them.
 *
 * The guest is hostile: whatever the offset, size and value, an access never fails, asserts or
 * reaches memory outside the guest's. What hardware does not define reads as zero and ignores
 * writes.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "lib/base.h"

/* One access to a device's own range. */
struct dev_access {
	uint64_t offset; /* from the start of the range that was mapped; offset + size is inside it
			  */
	uint64_t value;  /* in: what is written, zero-extended. out: what is read */
	uint8_t size;    /* bytes: 1, 2, 4 or 8 (8 on MMIO only) */
	bool is_write;
};

typedef void dev_access_fn(void *self, struct dev_access *access);

struct dev_ops {
	const char *name;            /* "hpet", "virtio-blk": for messages */
	void (*reset)(void *self);   /* to the state after power-on; all vCPUs are stopped */
	void (*destroy)(void *self); /* frees self; threads and timers of the VM have stopped */
};

#endif
