/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks as its own files see it: block.c looks up and builds, block_drop.c
 * drops what is written to, block_evict.c makes room, block_code.c has what concerns host code,
 * block_decode.c decodes.
 *
 * Look-up takes no lock: buckets are atomic pointers, and a block that is unlinked keeps its own
 * hash_next. Decoding and dropping hold `lock`. A page is watched before its bytes are read and the
 * write tags of all vCPUs are poisoned in between, so no write can slip through unseen.
 */
#ifndef CPU_BLOCK_CACHE_H
#define CPU_BLOCK_CACHE_H

#include <pthread.h>

#include "cpu/block.h"
#include "cpu/soft.h"

#define BLOCK_HASH_BUCKETS  (1u << 17)
#define BLOCK_JUMP_ENTRIES  16384u
#define BLOCK_GRANULE_BYTES 64

struct code_page {
	uint64_t granules; /* atomic: bit n covers bytes 64n to 64n+63 */
	struct block *blocks;
	uint64_t cleaned; /* the last epoch at whose beginning it lost its blocks of a region */
};

struct block_cache {
	struct soft *soft;
	pthread_mutex_t lock;
	struct block *bucket[BLOCK_HASH_BUCKETS]; /* atomic */
	struct code_page *page;                   /* by guest-physical page number */
	uint8_t *arena;
	size_t region_bytes;
	size_t used_bytes[BLOCK_REGIONS];
	unsigned region; /* the one that is being filled; changes only with the world stopped */
	uint64_t epoch;  /* so does this: block_epoch */
	struct block_cache_stats stats;
};

struct jump {
	gva_t addr;
	uint64_t key; /* block_key */
	struct block *block;
};

struct jump_cache {
	struct jump jump[BLOCK_JUMP_ENTRIES];
	/* For code outside RAM, decoded anew each time: BLOCK_SCRATCH_BYTES. */
	struct block scratch;
};

/*
 * Blocks that begin near each other are looked for one after the other: those of 128 bytes have a
 * line of the host's cache in common, 8 buckets by 16 bytes.
 */
static inline unsigned block_hash(gpa_t gpa, unsigned flavor)
{
	uint64_t line = (gpa / 128 * 0x9e3779b97f4a7c15ull) >> 40;

	return (unsigned)(line * 8 + (gpa / 16 + flavor) % 8) % BLOCK_HASH_BUCKETS;
}

/* The link to the next block of `page`, one of the block's one or two. */
static inline struct block **block_page_link(struct block *block, gpa_t page)
{
	return &block->page_next[page != align_down(block->gpa, PAGE_BYTES)];
}

/* The granules that bytes [first, last] of a page touch. */
static inline uint64_t block_granules(unsigned first, unsigned last)
{
	return bits(~0ull, last / BLOCK_GRANULE_BYTES - first / BLOCK_GRANULE_BYTES, 0)
	       << (first / BLOCK_GRANULE_BYTES);
}

/* The bytes of `page` that the block covers: false where it covers none. */
bool block_extent(const struct block *block, gpa_t page, unsigned *first, unsigned *last);

static inline uint8_t *block_region_start(const struct block_cache *cache, unsigned region)
{
	return cache->arena + region * cache->region_bytes;
}

/* What a block of so many instructions takes, before it is aligned. */
static inline size_t block_bytes(unsigned insns, unsigned text_bytes)
{
	return sizeof(struct block) + insns * sizeof(struct insn) + text_bytes;
}

#define BLOCK_MOST_BYTES \
	(sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct insn) + BLOCK_MAX_BYTES)
#define BLOCK_SCRATCH_BYTES (sizeof(struct block) + 2 * sizeof(struct insn) + INSN_MAX_BYTES)

_Static_assert(BLOCK_MOST_BYTES / BLOCK_ALIGN < UINT8_MAX, "struct block.units");

/* Drops the block, as if its code had been written to. The lock is held. */
void block_drop(struct block_cache *cache, struct block *block);

/* What blocks the page still has, which has lost some: its granules, and whether it is watched. */
void block_recount_page(struct block_cache *cache, gpa_t page);

void block_unlink_from_bucket(struct block_cache *cache, struct block *block);

/* In the region that is being filled, for the largest block and its code. */
bool block_cache_has_room(const struct block_cache *cache);

/*
 * Begins to fill the next region, if there is still no room once the world has stopped. Any block
 * may be gone then. Between blocks.
 */
void block_cache_make_room(struct cpu *cpu);

#endif
