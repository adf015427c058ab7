/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room for new blocks: the oldest region's blocks are evicted. With the world stopped, so nobody
 * runs any block or its code; what remains is to find all that leads to those of the region.
 * Entries of dropped blocks that lead to another one (block_redirect) need no search: that was made
 * later, so it is evicted later.
 */
#include "cpu/block_cache.h"

#include "cpu/jit/jit.h"
#include "cpu/world.h"

bool block_cache_has_room(const struct block_cache *cache)
{
	unsigned region = cache->region;
	size_t used = __atomic_load_n(&cache->used_bytes[region], __ATOMIC_RELAXED);

	return jit_has_room(cache->soft->jit, region) &&
	       cache->region_bytes - used >= align_up(BLOCK_MOST_BYTES, BLOCK_ALIGN);
}

static bool is_in(const struct block_cache *cache, const struct block *block, unsigned region)
{
	uintptr_t offset = (uintptr_t)block - (uintptr_t)block_region_start(cache, region);

	return offset < cache->region_bytes;
}

/* A block that stays leads to the region no more. */
static void leave_region(struct block_cache *cache, struct block *block, unsigned region)
{
	for (unsigned i = 0; i < ARRAY_SIZE(block->successor); i++)
		if (is_in(cache, block->successor[i], region))
			block->successor[i] = NULL;
	if (cache->soft->jit)
		jit_leave_region(cache->soft->jit, block, region);
}

/*
 * Takes all blocks of the region out of the page's list. What links to a block, or has it as its
 * successor, is in its page. In one pass for each page: a guest can make its list as long as the
 * cache is large.
 */
static void clean_page(struct block_cache *cache, gpa_t page, unsigned region)
{
	struct code_page *code = &cache->page[page / PAGE_BYTES];
	struct block **link = &code->blocks, *block;

	if (code->cleaned == cache->epoch)
		return;
	code->cleaned = cache->epoch;
	while ((block = *link)) {
		struct block **next = block_page_link(block, page);

		if (is_in(cache, block, region)) {
			*link = *next;
		} else {
			leave_region(cache, block, region);
			link = next;
		}
	}
	block_recount_page(cache, page);
}

/* Those that have been dropped, too, may still be linked to. */
static void forget_blocks(struct block_cache *cache, unsigned region)
{
	uint8_t *at = block_region_start(cache, region), *end = at + cache->used_bytes[region];

	while (at < end) {
		struct block *block = (struct block *)(void *)at;

		if (block->is_valid) {
			cache->stats.blocks_evicted++;
			block_unlink_from_bucket(cache, block);
		}
		clean_page(cache, align_down(block->gpa, PAGE_BYTES), region);
		if (block->second_page != NO_PAGE)
			clean_page(cache, block->second_page, region);
		at += block->units * (size_t)BLOCK_ALIGN;
	}
}

static void forget_jumps(const struct block_cache *cache, struct jump_cache *jumps, unsigned region)
{
	for (unsigned i = 0; i < BLOCK_JUMP_ENTRIES; i++)
		if (is_in(cache, jumps->jump[i].block, region))
			jumps->jump[i] = (struct jump){ 0 };
}

static void evict(struct block_cache *cache, unsigned region)
{
	struct soft *soft = cache->soft;

	cache->epoch++;
	cache->stats.regions_evicted++;
	forget_blocks(cache, region);
	for (unsigned i = 0; i < soft->config.vcpus; i++)
		if (soft->cpu[i])
			forget_jumps(cache, soft->cpu[i]->jumps, region);
	if (soft->jit)
		jit_evict(soft, region);
	cache->used_bytes[region] = 0;
}

void block_cache_make_room(struct cpu *cpu)
{
	struct block_cache *cache = cpu->soft->blocks;

	world_stop(cpu);
	if (!block_cache_has_room(cache)) {
		pthread_mutex_lock(&cache->lock);
		cache->region = (cache->region + 1) % BLOCK_REGIONS;
		if (cache->used_bytes[cache->region])
			evict(cache, cache->region);
		pthread_mutex_unlock(&cache->lock);
	}
	world_start(cpu);
}
