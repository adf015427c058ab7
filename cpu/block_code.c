/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks and their host code: what cpu/jit asks of the cache of blocks, which knows whether a block
 * that somebody has looked up is still there. All of it under the cache's lock.
 */
#include "cpu/block_cache.h"

#include "cpu/jit/jit.h"

/* How often a sample must find a block's code to have it made anew. */
#define SAMPLES_MAX 2

enum block_state block_translate(struct cpu *cpu, struct block *block)
{
	struct block_cache *cache = cpu->soft->blocks;
	enum block_state state = BLOCK_INTERPRETED;

	if (block == &cpu->jumps->scratch)
		return BLOCK_INTERPRETED;
	if (!jit_has_room(cpu->soft->jit, block->region) && block->region == cache->region) {
		block_cache_make_room(cpu);
		return BLOCK_GONE;
	}
	pthread_mutex_lock(&cache->lock);
	if (block->is_valid && !block->code) {
		if (jit_has_room(cpu->soft->jit, block->region)) {
			jit_translate(cpu->soft->jit, block, cache->arena);
		} else {
			block_drop(cache, block);
			cache->stats.blocks_made_later++;
			state = BLOCK_GONE;
		}
	}
	if (block->code)
		state = BLOCK_TRANSLATED;
	pthread_mutex_unlock(&cache->lock);
	return state;
}

/* What jumps to the block's code of before within its page goes to that of now. */
static void relink_jumps(struct block_cache *cache, const struct jit_code *before,
			 const struct block *block)
{
	gpa_t page = align_down(block->gpa, PAGE_BYTES);

	for (struct block *b = cache->page[page / PAGE_BYTES].blocks; b;
	     b = *block_page_link(b, page))
		for (unsigned i = 0; i < JIT_LINKS && b->code; i++)
			jit_relink(&b->jit->link[i], before, block);
}

/* Makes its code anew, other than it was: what block->jit says has been changed since `before`. */
static void translate_anew(struct block_cache *cache, const struct jit_code *before,
			   struct block *block)
{
	const uint8_t *code = block->code;

	jit_unlink_all(cache->soft->jit, before);
	jit_translate(cache->soft->jit, block, cache->arena);
	if (block->code == code) {
		*block->jit = *before; /* it cannot be */
		return;
	}
	jit_replace(before, block->jit);
	if (block->jit->is_linked)
		relink_jumps(cache, before, block);
}

static bool *simpler(struct jit_code *code, enum block_simpler how)
{
	return how == BLOCK_NO_GROUPS ? &code->is_ungrouped : &code->has_no_stretches;
}

void block_simplify(struct cpu *cpu, struct block *block, enum block_simpler how)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (block->is_valid && block->code && !*simpler(block->jit, how) &&
	    jit_has_room(cache->soft->jit, block->region)) {
		struct jit_code before = *block->jit;

		*simpler(block->jit, how) = *simpler(&before, how) = true;
		translate_anew(cache, &before, block);
	}
	pthread_mutex_unlock(&cache->lock);
}

/* Where its region has no room, it is made again in another one, as a new block. */
static void make_inline(struct block_cache *cache, struct block *block)
{
	struct jit_code before = *block->jit;

	if (jit_has_room(cache->soft->jit, block->region)) {
		block->jit->is_compact = before.is_compact = false;
		translate_anew(cache, &before, block);
	} else if (block->region != cache->region) {
		block_drop(cache, block);
		cache->stats.blocks_made_later++;
	}
}

void block_sample(struct cpu *cpu, struct block *block)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (block->is_valid && block->code && block->jit->is_compact &&
	    ++block->jit->samples >= SAMPLES_MAX)
		make_inline(cache, block);
	pthread_mutex_unlock(&cache->lock);
}

const uint8_t *block_cache_arena(const struct block_cache *cache)
{
	return cache->arena;
}

const struct block_cache_stats *block_cache_get_stats(const struct block_cache *cache)
{
	return &cache->stats;
}

uint64_t block_epoch(const struct cpu *cpu)
{
	return cpu->soft->blocks->epoch;
}

void block_publish_code(struct cpu *cpu, uint64_t epoch, const struct block *target,
			const uint8_t **to)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (epoch == cache->epoch && target->is_valid && target->code)
		__atomic_store_n(to, target->code, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&cache->lock);
}

unsigned block_link_target(struct cpu *cpu, const struct block *source, const uint8_t *from)
{
	struct block_cache *cache = cpu->soft->blocks;
	const struct jit_link *link;
	unsigned target;

	/* Another vCPU may be making other code of the block. */
	pthread_mutex_lock(&cache->lock);
	link = jit_find_link(source, from);
	if (!link)
		link = jit_find_same_link(cpu->soft->jit, source, from);
	target = link->target;
	pthread_mutex_unlock(&cache->lock);
	return target;
}

void block_patch_link(struct cpu *cpu, uint64_t epoch, const struct block *source,
		      const uint8_t *from, struct block *target)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	/* An entry of a dropped block may be where its jump was; of an evicted one nothing is left.
	 */
	if (epoch == cache->epoch && source->is_valid && target->is_valid && target->code) {
		const struct jit_link *link = jit_find_link(source, from);

		if (link) {
			target->jit->is_linked = true;
			jit_patch_link(link, target);
		}
	}
	pthread_mutex_unlock(&cache->lock);
}

/*
 * A block that reads no flags has one entry, wherever they are; one that does cannot be entered by
 * that.
 */
static bool has_same_entries(const struct jit_code *before, const struct jit_code *now)
{
	return before->flags_entry != before->entry || now->flags_entry == now->entry;
}

void block_redirect(struct cpu *cpu, uint64_t epoch, const struct block *before, struct block *now)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (epoch == cache->epoch && !before->is_valid && now->is_valid &&
	    before->gpa == now->gpa && before->flavor == now->flavor &&
	    before->second_page == NO_PAGE && now->second_page == NO_PAGE &&
	    has_same_entries(before->jit, now->jit)) {
		now->jit->is_linked |= before->jit->is_linked;
		jit_replace(before->jit, now->jit);
	}
	pthread_mutex_unlock(&cache->lock);
}
