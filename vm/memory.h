/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: anonymous memory of this process, mapped once, and the one door to it.
 *
 * The mapping is linear in guest-physical addresses: host pointer = base + gpa for all RAM. RAM
 * lies in at most three ranges: [0, 640 KiB), [768 KiB, top of low memory), and what does not fit
 * under the PCI hole from 4 GiB up. What lies between is reserved address space without access.
 *
 * A machine whose memory can grow has a fourth range, empty at first, that the guest's firmware
 * tables do not mention: memory_grow makes it larger, never smaller, in a few steps at most.
 *
 * Who writes to guest memory other than by memory_write (a vCPU, or I/O straight into memory_at's
 * pointer) says so with memory_written, so that stale translations of code there are dropped.
 */
#ifndef VM_MEMORY_H
#define VM_MEMORY_H

#include "lib/error.h"
#include "vm/addr.h"

#define MEMORY_LOW_TOP    0xc0000000ull  /* RAM below the PCI hole ends here at the latest */
#define MEMORY_HIGH_BASE  0x100000000ull /* and goes on here */
#define MEMORY_VGA_BASE   0xa0000ull     /* the hole of old graphics adapters: not RAM */
#define MEMORY_VGA_TOP    0xc0000ull
#define MEMORY_MAX_RANGES 4
#define MEMORY_GROW_ALIGN (2 * GIB)   /* where growth begins: large blocks of guests fit it */
#define MEMORY_GROW_STEP  (128 * MIB) /* and at least so much is added at a time */
#define MEMORY_GROW_STEPS 32          /* of equal size, up to all of it */

struct memory_range {
	gpa_t base;
	uint64_t size_bytes;
};

/*
 * Called after bytes that lie in a watched page changed. Whether that was of any concern: there is
 * more than these bytes in a page. Any thread.
 */
typedef bool memory_written_fn(void *self, gpa_t gpa, uint64_t len);

/* Called before [gpa, gpa + len) becomes RAM. Main thread. -errno: it does not. */
typedef int memory_grown_fn(void *self, gpa_t gpa, uint64_t len);

struct memory {
	uint8_t *base;       /* host address of guest-physical 0 */
	uint64_t size_bytes; /* RAM in all, but for growth */
	gpa_t top;           /* the end of that */
	gpa_t end; /* of all that can ever be RAM: pages below have an entry in `watched` */
	struct memory_range range[MEMORY_MAX_RANGES];
	unsigned ranges;
	/* One byte a page, non-zero where someone wants to hear of writes. Atomic access only. */
	uint8_t *watched;
	memory_written_fn *on_written; /* set once, before the first vCPU runs */
	void *on_written_self;
	memory_grown_fn *on_grown; /* for an engine that maps RAM by itself; NULL: none */
	void *on_grown_self;
	struct memory_range *growth; /* one of the ranges, whose size changes atomically; or NULL */
	uint64_t growth_max_bytes, growth_step_bytes;
	void *reserved; /* what `base` lies in, with room to align it */
};

/*
 * Creates guest memory of `size_bytes` (a multiple of 1 MiB, at least 2 MiB), all zero.
 * -EINVAL for a bad size, -ENOMEM where the host refuses; err says why.
 */
int memory_create(struct memory **out, uint64_t size_bytes, struct error *err);

/*
 * The same with room for growth_bytes (rounded down to what steps allow; less than a step: none).
 * Where the host does not give that many addresses, -ENOMEM.
 */
int memory_create_growing(struct memory **out, uint64_t size_bytes, uint64_t growth_bytes,
			  struct error *err);
void memory_destroy(struct memory *mem); /* accepts NULL */

/*
 * Sees to it that the first `bytes` of the growing range are RAM; there may be more. Main thread,
 * also while vCPUs run. -ERANGE beyond its end, or -errno; nothing has changed then.
 */
int memory_grow(struct memory *mem, uint64_t bytes);

/* Whether [gpa, gpa + len) is RAM, all of it. len 0 is true only where gpa is RAM. */
bool memory_is_ram(const struct memory *mem, gpa_t gpa, uint64_t len);

/* Host pointer to [gpa, gpa + len), or NULL unless all of it is RAM. Valid until memory_destroy. */
void *memory_at(const struct memory *mem, gpa_t gpa, uint64_t len);

/* Copies. -EFAULT, and nothing copied, unless all of the range is RAM. */
int memory_read(const struct memory *mem, gpa_t gpa, void *buf, uint64_t len);
int memory_write(struct memory *mem, gpa_t gpa, const void *buf, uint64_t len);

/*
 * Gives the host back what holds [gpa, gpa + len), whole pages: they read as zero from now on and
 * take memory again when they are written. Pointers into them stay good. -EFAULT, and nothing
 * changed, unless all of the range is RAM and aligned to pages.
 */
int memory_release(struct memory *mem, gpa_t gpa, uint64_t len);

/*
 * Says that RAM in [gpa, gpa + len) was written through a pointer. Cheap where no page is watched.
 * Whether on_written found that of any concern.
 */
bool memory_written(struct memory *mem, gpa_t gpa, uint64_t len);

#endif
