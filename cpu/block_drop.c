/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks go that a write to guest memory overlaps, found by the page's map of granules.
 */
#include "cpu/block_cache.h"

#include "cpu/jit/jit.h"

bool block_extent(const struct block *block, gpa_t page, unsigned *first, unsigned *last)
{
	unsigned offset = block->gpa % PAGE_BYTES;

	if (page == align_down(block->gpa, PAGE_BYTES)) {
		*first = offset;
		*last = MIN(offset + block->length, PAGE_BYTES) - 1;
		return true;
	}
	if (page == block->second_page) {
		*first = 0;
		*last = offset + block->length - PAGE_BYTES - 1;
		return true;
	}
	return false;
}

/* ---- dropping blocks; the lock is held ---- */

void block_unlink_from_bucket(struct block_cache *cache, struct block *block)
{
	struct block **link = &cache->bucket[block_hash(block->gpa, block->flavor)];

	while (*link != block)
		link = &(*link)->hash_next;
	__atomic_store_n(link, block->hash_next, __ATOMIC_RELEASE);
}

static void unlink_from_page(struct block_cache *cache, struct block *block, gpa_t page)
{
	struct block **link = &cache->page[page / PAGE_BYTES].blocks;

	while (*link != block)
		link = block_page_link(*link, page);
	*link = *block_page_link(block, page);
}

/* The blocks that the page still has cover these. */
static void settle_page(struct block_cache *cache, gpa_t page, uint64_t granules)
{
	struct code_page *code = &cache->page[page / PAGE_BYTES];

	__atomic_store_n(&code->granules, granules, __ATOMIC_RELEASE);
	if (!code->blocks)
		__atomic_store_n(&cache->soft->config.memory->watched[page / PAGE_BYTES], 0,
				 __ATOMIC_SEQ_CST);
}

void block_recount_page(struct block_cache *cache, gpa_t page)
{
	uint64_t granules = 0;
	unsigned first, last;

	for (struct block *b = cache->page[page / PAGE_BYTES].blocks; b;
	     b = *block_page_link(b, page))
		if (block_extent(b, page, &first, &last))
			granules |= block_granules(first, last);
	settle_page(cache, page, granules);
}

/* Drops a block that has been taken out of the list of `page` already. */
static void drop_block(struct block_cache *cache, struct block *block, gpa_t page)
{
	gpa_t first = align_down(block->gpa, PAGE_BYTES);
	gpa_t other = page == first ? block->second_page : first;

	__atomic_store_n(&block->is_valid, false, __ATOMIC_RELEASE);
	jit_block_dropped(cache->soft->jit, block);
	block_unlink_from_bucket(cache, block);
	if (other == NO_PAGE)
		return;
	unlink_from_page(cache, block, other);
	block_recount_page(cache, other);
}

static bool starts_in(const struct block *block, gpa_t page)
{
	return align_down(block->gpa, PAGE_BYTES) == page;
}

/*
 * A block that reads no flags is jumped to with the flags wherever they are, which may not do for
 * what comes in its place. So jumps to it are linked anew when it is dropped: whoever comes by one
 * nevertheless is on its way already (jit_bail).
 */
static bool is_to_be_unlinked(const struct block *block, gpa_t page)
{
	return block->code && block->jit->is_linked &&
	       block->jit->flags_entry == block->jit->entry && starts_in(block, page);
}

struct offsets {
	uint64_t map[PAGE_BYTES / 64];
};

/* Takes back jumps of these blocks to where one of `gone` is. */
static void unlink_jumps_of(struct block_cache *cache, struct block *blocks, gpa_t page,
			    const struct offsets *gone)
{
	for (struct block *b = blocks; b; b = *block_page_link(b, page))
		for (unsigned i = 0; i < JIT_LINKS && b->code && starts_in(b, page); i++) {
			const struct jit_link *link = &b->jit->link[i];

			if (link->site && (gone->map[link->target / 64] >> link->target % 64 & 1))
				jit_unlink(cache->soft->jit, link);
		}
}

/* `dropped` are out of the page's list, and in one of their own, by the same links. */
static void unlink_jumps(struct block_cache *cache, struct block *dropped, gpa_t page)
{
	struct offsets gone = { { 0 } };
	bool is_any = false;

	for (struct block *b = dropped; b; b = *block_page_link(b, page))
		if (is_to_be_unlinked(b, page)) {
			unsigned offset = b->gpa % PAGE_BYTES;

			gone.map[offset / 64] |= BIT(offset % 64);
			is_any = true;
		}
	if (!is_any)
		return;
	unlink_jumps_of(cache, cache->page[page / PAGE_BYTES].blocks, page, &gone);
	unlink_jumps_of(cache, dropped, page, &gone);
}

/* The same of what is dropped: jumps first, since the entries become calls. */
static void drop_blocks(struct block_cache *cache, struct block *dropped, gpa_t page)
{
	unlink_jumps(cache, dropped, page);
	while (dropped) {
		struct block *block = dropped;

		dropped = *block_page_link(block, page);
		drop_block(cache, block, page);
	}
}

/* Where it does not, its granules are added. */
static bool overlaps(const struct block *block, gpa_t page, unsigned first, unsigned last,
		     uint64_t *granules)
{
	unsigned from, to;

	if (!block_extent(block, page, &from, &to))
		return false;
	if (from <= last && to >= first)
		return true;
	*granules |= block_granules(from, to);
	return false;
}

/*
 * Drops the blocks that overlap bytes [first, last] of the page, in one pass over its list: a guest
 * can make that as long as the cache is large.
 */
static void drop_range(struct block_cache *cache, gpa_t page, unsigned first, unsigned last)
{
	struct block **link = &cache->page[page / PAGE_BYTES].blocks, *block, *dropped = NULL;
	uint64_t granules = 0;

	while ((block = *link)) {
		struct block **next = block_page_link(block, page);

		if (!overlaps(block, page, first, last, &granules)) {
			link = next;
			continue;
		}
		*link = *next;
		*next = dropped;
		dropped = block;
		cache->stats.drops++;
	}
	drop_blocks(cache, dropped, page);
	settle_page(cache, page, granules);
}

void block_drop(struct block_cache *cache, struct block *block)
{
	gpa_t page = align_down(block->gpa, PAGE_BYTES);

	unlink_from_page(cache, block, page);
	*block_page_link(block, page) = NULL;
	drop_blocks(cache, block, page);
	block_recount_page(cache, page);
}

bool block_cache_written(void *self, gpa_t gpa, uint64_t len)
{
	struct block_cache *cache = self;
	gpa_t end = gpa + len;
	bool is_code = false;

	while (gpa < end) {
		gpa_t page = align_down(gpa, PAGE_BYTES);
		unsigned first = gpa - page, last = MIN(end - page, PAGE_BYTES) - 1;
		const struct code_page *code = &cache->page[page / PAGE_BYTES];

		if (__atomic_load_n(&code->granules, __ATOMIC_SEQ_CST) &
		    block_granules(first, last)) {
			pthread_mutex_lock(&cache->lock);
			drop_range(cache, page, first, last);
			pthread_mutex_unlock(&cache->lock);
			is_code = true;
		}
		gpa = page + PAGE_BYTES;
	}
	return is_code;
}
