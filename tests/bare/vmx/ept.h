/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended page tables for bare images: the first 4 GiB one to one, in pages of 4 KiB where the
 * test's own data lies.
 */
#ifndef BARE_EPT_H
#define BARE_EPT_H

#include "tests/bare/vmx/vmx.h"

#define R  1ull
#define W  2ull
#define X  4ull
#define WB (6ull << 3)
#define PS (1ull << 7)
#define A  (1ull << 8)
#define D  (1ull << 9)
#define XU (1ull << 10)

#define EPTP_BITS  (6 | 3 << 3)
#define EPTP_FLAGS (1ull << 6)

struct ept {
	uint64_t *root, *level0;
	uint64_t base; /* of the 2 MiB that level0 maps */
};

/* The first 4 GiB, one to one; 4 KiB pages around `address`. */
static inline void ept_make(struct ept *ept, const void *address)
{
	uint64_t *level2 = page_alloc(), *level1;

	*ept = (struct ept){ .root = page_alloc(),
			     .level0 = page_alloc(),
			     .base = ADDRESS(address) & ~0x1fffffull };
	ept->root[0] = ADDRESS(level2) | R | W | X | XU;
	for (unsigned i = 0; i < 4; i++) {
		level1 = page_alloc();
		level2[i] = ADDRESS(level1) | R | W | X | XU;
		for (uint64_t j = 0; j < 512; j++)
			level1[j] = (i * 512 + j) << 21 | R | W | X | WB | PS;
		if (i == ept->base >> 30)
			level1[ept->base >> 21 & 511] = ADDRESS(ept->level0) | R | W | X | XU;
	}
	for (uint64_t i = 0; i < 512; i++)
		ept->level0[i] = (ept->base + i * 4096) | R | W | X | WB;
}

static inline uint64_t *ept_entry(const struct ept *ept, const void *address)
{
	return &ept->level0[(ADDRESS(address) - ept->base) >> 12 & 511];
}

static inline uint64_t ept_pointer(const struct ept *ept)
{
	return ADDRESS(ept->root) | EPTP_BITS;
}

#endif
