/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of translated code and of what lies beside it, in as many regions as that of blocks
 * has (cpu/block.h): code is in the region of its block, and goes with it. In a region main paths
 * and ways out are apart, and each grows only until the region is emptied: so what is found by the
 * address of code is in its order. Private to cpu/jit.
 */
#ifndef CPU_JIT_REGION_H
#define CPU_JIT_REGION_H

#include "cpu/block.h"
#include "cpu/jit/translate.h"

/* Neither part of a block's code is longer. */
#define REGION_BLOCK_BYTES (16 * KIB)

/* What a region has at most: bytes, and rows of the tables. */
struct region_size {
	size_t hot_bytes, cold_bytes;
	uint32_t sites, fits, fars, starts, ways;
};

struct jit_region {
	struct code_room hot, cold; /* what is free */
	/* How many rows it has in each table, from its number times the most that it may have. */
	uint32_t sites, starts; /* atomic */
	uint32_t fits, fars, ways, codes;
};

/* Where the two parts of a block's code begin, in the code cache, in the order of that. */
struct jit_start {
	uint32_t hot, cold;
	uint32_t block; /* its distance from the arena */
};

/* Maps memory for `bytes` of code, and the tables. false: there is none; region_destroy then. */
bool region_create(struct jit *jit, size_t bytes);
void region_destroy(struct jit *jit);

/* What all blocks share is there, up to jit->shared_end: the rest becomes regions. */
void region_divide(struct jit *jit);

/* Nothing of it is in use any more. */
void region_empty(struct jit *jit, unsigned region);

/* For any block. */
bool region_has_room(const struct jit *jit, unsigned region);

/* The block's code has been put behind what was there: jit_caller finds the block by it. */
void region_add_start(struct jit *jit, const struct jit_region *before, const struct block *block);

/* The region of an address in the executable mapping, or BLOCK_REGIONS. */
unsigned region_of(const struct jit *jit, const uint8_t *code);

/* Whether the jump with that displacement, in the writable mapping, leads into the region. */
bool region_is_target(const struct jit *jit, const uint8_t *displacement, unsigned region);

/* Memory for a table beside the code, as it comes to be used. NULL: none. */
void *region_map_table(size_t bytes);
void region_unmap_table(void *table, size_t bytes); /* accepts NULL */

#endif
