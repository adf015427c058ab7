/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: anonymous memory of this process, mapped once, and the one door to it.
 *
 * The mapping is linear in guest-physical addresses: host pointer = base + gpa for all RAM. RAM
 * lies in at most three ranges: [0, 640 KiB), [768 KiB, top of low memory), and what does not fit
 * under the PCI hole from 4 GiB up. What lies between is reserved address space without access.
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
#define MEMORY_MAX_RANGES 3

struct memory_range {
	gpa_t base;
	uint64_t size_bytes;
};

/* Called after bytes that lie in a watched page changed. Any thread. */
typedef void memory_written_fn(void *self, gpa_t gpa, uint64_t len);

struct memory {
	uint8_t *base;       /* host address of guest-physical 0 */
	uint64_t size_bytes; /* RAM in all */
	gpa_t top;           /* end of the last range: pages below it have an entry in `watched` */
	struct memory_range range[MEMORY_MAX_RANGES];
	unsigned ranges;
	/* One byte a page, non-zero where someone wants to hear of writes. Atomic access only. */
	uint8_t *watched;
	memory_written_fn *on_written; /* set once, before the first vCPU runs */
	void *on_written_self;
	void *reserved; /* what `base` lies in, with room to align it */
};

/*
 * Creates guest memory of `size_bytes` (a multiple of 1 MiB, at least 2 MiB), all zero.
 * -EINVAL for a bad size, -ENOMEM where the host refuses; err says why.
 */
int memory_create(struct memory **out, uint64_t size_bytes, struct error *err);
void memory_destroy(struct memory *mem); /* accepts NULL */

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

/* Says that RAM in [gpa, gpa + len) was written through a pointer. Cheap where no page is watched.
 */
void memory_written(struct memory *mem, gpa_t gpa, uint64_t len);

#endif
