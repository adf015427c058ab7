/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks: see cpu/block.h for what it promises.
 *
 * Look-up takes no lock: buckets are atomic pointers, and a block that is unlinked keeps its own
 * hash_next. Decoding and dropping hold `lock`. A page is watched before its bytes are read and the
 * write tags of all vCPUs are poisoned in between, so no write can slip through unseen.
 */
#include "cpu/block.h"

#include <errno.h>
#include <stdlib.h>

#include "cpu/block_decode.h"
#include "cpu/jit/jit.h"
#include "cpu/mmu/mmu.h"
#include "cpu/soft.h"
#include "cpu/world.h"
#include "lib/huge.h"

#define ARENA_BYTES   (128 * MIB)
#define HASH_BUCKETS  (1u << 17)
#define JUMP_ENTRIES  16384u
#define GRANULE_BYTES 64
#define SCRATCH_INSNS 2

struct code_page {
	uint64_t granules; /* atomic: bit n covers bytes 64n to 64n+63 */
	struct block *blocks;
};

struct block_cache {
	struct soft *soft;
	pthread_mutex_t lock;
	struct block *bucket[HASH_BUCKETS]; /* atomic */
	struct code_page *page;             /* by guest-physical page number */
	uint8_t *arena;
	size_t used_bytes;
	uint64_t emptied; /* how often; changes only with the world stopped */
	uint64_t drops;
};

struct jump {
	gva_t addr;
	uint64_t key; /* see jump_key */
	struct block *block;
};

struct jump_cache {
	struct jump jump[JUMP_ENTRIES];
	/* For code outside RAM, decoded anew each time: one instruction, allocated behind. */
	struct block scratch;
};

#define JUMP_CACHE_BYTES (sizeof(struct jump_cache) + SCRATCH_INSNS * sizeof(struct insn))

int block_cache_create(struct block_cache **out, struct soft *soft)
{
	struct memory *mem = soft->config.memory;
	struct block_cache *cache = huge_map(sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->soft = soft;
	pthread_mutex_init(&cache->lock, NULL);
	cache->page = calloc(mem->end / PAGE_BYTES, sizeof(*cache->page));
	cache->arena = huge_map(ARENA_BYTES);
	if (!cache->page || !cache->arena) {
		block_cache_destroy(cache);
		return -ENOMEM;
	}
	mem->on_written = block_cache_written;
	mem->on_written_self = cache;
	*out = cache;
	return 0;
}

void block_cache_destroy(struct block_cache *cache)
{
	if (!cache)
		return;
	huge_unmap(cache->arena, ARENA_BYTES);
	pthread_mutex_destroy(&cache->lock);
	free(cache->page);
	huge_unmap(cache, sizeof(*cache));
}

int jump_cache_create(struct cpu *cpu)
{
	cpu->jumps = huge_map(JUMP_CACHE_BYTES);
	return cpu->jumps ? 0 : -ENOMEM;
}

void jump_cache_destroy(struct cpu *cpu)
{
	huge_unmap(cpu->jumps, JUMP_CACHE_BYTES);
	cpu->jumps = NULL;
}

/* The granules that bytes [first, last] of a page touch. */
static uint64_t granules_of(unsigned first, unsigned last)
{
	return bits(~0ull, last / GRANULE_BYTES - first / GRANULE_BYTES, 0)
	       << (first / GRANULE_BYTES);
}

/* The bytes of `page` that the block covers: false where it covers none. */
static bool block_extent(const struct block *block, gpa_t page, unsigned *first, unsigned *last)
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

static struct block **page_link(struct block *block, gpa_t page)
{
	return &block->page_next[page != align_down(block->gpa, PAGE_BYTES)];
}

static unsigned hash(gpa_t gpa, unsigned flavor)
{
	return (unsigned)((gpa * 0x9e3779b97f4a7c15ull + flavor) >> 40) % HASH_BUCKETS;
}

/* ---- dropping blocks; the lock is held ---- */

static void unlink_from_bucket(struct block_cache *cache, struct block *block)
{
	struct block **link = &cache->bucket[hash(block->gpa, block->flavor)];

	while (*link != block)
		link = &(*link)->hash_next;
	__atomic_store_n(link, block->hash_next, __ATOMIC_RELEASE);
}

static void unlink_from_page(struct block_cache *cache, struct block *block, gpa_t page)
{
	struct block **link = &cache->page[page / PAGE_BYTES].blocks;

	while (*link != block)
		link = page_link(*link, page);
	*link = *page_link(block, page);
}

/* Blocks have gone from the page: what is left of its granules, and whether it is watched still. */
static void recount_page(struct block_cache *cache, gpa_t page)
{
	struct code_page *code = &cache->page[page / PAGE_BYTES];
	uint64_t granules = 0;
	unsigned first, last;

	for (struct block *b = code->blocks; b; b = *page_link(b, page))
		if (block_extent(b, page, &first, &last))
			granules |= granules_of(first, last);
	__atomic_store_n(&code->granules, granules, __ATOMIC_RELEASE);
	if (!code->blocks)
		__atomic_store_n(&cache->soft->config.memory->watched[page / PAGE_BYTES], 0,
				 __ATOMIC_SEQ_CST);
}

/* Drops a block that has been taken out of the list of `page` already. */
static void drop_block(struct block_cache *cache, struct block *block, gpa_t page)
{
	gpa_t first = align_down(block->gpa, PAGE_BYTES);
	gpa_t other = page == first ? block->second_page : first;

	__atomic_store_n(&block->is_valid, false, __ATOMIC_RELEASE);
	cache->drops++;
	jit_block_dropped(cache->soft->jit, block);
	unlink_from_bucket(cache, block);
	if (other == NO_PAGE)
		return;
	unlink_from_page(cache, block, other);
	recount_page(cache, other);
}

static bool is_in_range(const struct block *block, gpa_t page, unsigned first, unsigned last)
{
	unsigned from, to;

	return block_extent(block, page, &from, &to) && from <= last && to >= first;
}

static bool starts_in(const struct block *block, gpa_t page)
{
	return align_down(block->gpa, PAGE_BYTES) == page;
}

/*
 * A block that reads no flags is jumped to with the flags wherever they are, which may not do for
 * what comes in its place. So such jumps are linked anew when it is dropped.
 */
static void unlink_jumps(struct block_cache *cache, gpa_t page, unsigned first, unsigned last)
{
	struct block *blocks = cache->page[page / PAGE_BYTES].blocks;
	uint64_t gone[PAGE_BYTES / 64] = { 0 };
	bool is_any = false;

	for (struct block *b = blocks; b; b = *page_link(b, page)) {
		unsigned offset = b->gpa % PAGE_BYTES;

		if (!b->code || b->jit.flags_entry != b->jit.entry || !starts_in(b, page) ||
		    !is_in_range(b, page, first, last))
			continue;
		gone[offset / 64] |= BIT(offset % 64);
		is_any = true;
	}
	if (!is_any)
		return;
	for (struct block *b = blocks; b; b = *page_link(b, page))
		for (unsigned i = 0; i < JIT_LINKS && b->code && starts_in(b, page); i++) {
			const struct jit_link *link = &b->jit.link[i];

			if (link->keeps_flags && (gone[link->target / 64] >> link->target % 64 & 1))
				jit_unlink(cache->soft->jit, link);
		}
}

/*
 * Drops the blocks that overlap bytes [first, last] of the page, in one pass over its list: a guest
 * can make that as long as the cache is large.
 */
static void drop_range(struct block_cache *cache, gpa_t page, unsigned first, unsigned last)
{
	struct block **link = &cache->page[page / PAGE_BYTES].blocks, *block;

	unlink_jumps(cache, page, first, last);
	while ((block = *link)) {
		if (is_in_range(block, page, first, last)) {
			*link = *page_link(block, page);
			drop_block(cache, block, page);
		} else {
			link = page_link(block, page);
		}
	}
	recount_page(cache, page);
}

void block_cache_written(void *self, gpa_t gpa, uint64_t len)
{
	struct block_cache *cache = self;
	gpa_t end = gpa + len;

	while (gpa < end) {
		gpa_t page = align_down(gpa, PAGE_BYTES);
		unsigned first = gpa - page, last = MIN(end - page, PAGE_BYTES) - 1;
		const struct code_page *code = &cache->page[page / PAGE_BYTES];

		if (__atomic_load_n(&code->granules, __ATOMIC_SEQ_CST) & granules_of(first, last)) {
			pthread_mutex_lock(&cache->lock);
			drop_range(cache, page, first, last);
			pthread_mutex_unlock(&cache->lock);
		}
		gpa = page + PAGE_BYTES;
	}
}

/* Room for the largest block and its code. */
static bool has_room(const struct block_cache *cache)
{
	return jit_has_room(cache->soft->jit) &&
	       ARENA_BYTES - __atomic_load_n(&cache->used_bytes, __ATOMIC_RELAXED) >=
		       sizeof(struct block) + (BLOCK_MAX_INSNS + 2) * sizeof(struct insn);
}

/* Forgets everything, if that is still needed once the world has stopped. */
static void empty_cache(struct cpu *cpu)
{
	struct block_cache *cache = cpu->soft->blocks;
	struct memory *mem = cpu->soft->config.memory;

	world_stop(cpu);
	if (has_room(cache)) {
		world_start(cpu);
		return;
	}
	pthread_mutex_lock(&cache->lock);
	memset(cache->bucket, 0, sizeof(cache->bucket));
	for (uint64_t i = 0; i < mem->end / PAGE_BYTES; i++) {
		if (!cache->page[i].blocks)
			continue;
		cache->page[i] = (struct code_page){ 0 };
		__atomic_store_n(&mem->watched[i], 0, __ATOMIC_SEQ_CST);
	}
	cache->used_bytes = 0;
	cache->emptied++;
	if (cpu->soft->jit)
		jit_emptied(cpu);
	for (unsigned i = 0; i < cpu->soft->config.vcpus; i++)
		if (cpu->soft->cpu[i])
			memset(cpu->soft->cpu[i]->jumps->jump, 0,
			       sizeof(struct jump) * JUMP_ENTRIES);
	pthread_mutex_unlock(&cache->lock);
	world_start(cpu);
}

/* ---- building ---- */

/*
 * Who writes to a page of code looks at its granules without the lock. So they are claimed before
 * bytes are read for decoding: a writer that comes meanwhile waits, and drops the block. Returns
 * the page's granules as they were; settle_granules leaves those, and the block's.
 */
static uint64_t claim_granules(struct block_cache *cache, gpa_t page, unsigned first)
{
	if (page == NO_PAGE)
		return 0;
	return __atomic_fetch_or(&cache->page[page / PAGE_BYTES].granules,
				 granules_of(first, PAGE_BYTES - 1), __ATOMIC_SEQ_CST);
}

static void settle_granules(struct block_cache *cache, gpa_t page, uint64_t before,
			    const struct block *block)
{
	unsigned first, last;

	if (page == NO_PAGE)
		return;
	if (block && block_extent(block, page, &first, &last))
		before |= granules_of(first, last);
	__atomic_store_n(&cache->page[page / PAGE_BYTES].granules, before, __ATOMIC_RELEASE);
}

static void link_to_page(struct block_cache *cache, struct block *block, gpa_t page)
{
	struct code_page *code = &cache->page[page / PAGE_BYTES];

	*page_link(block, page) = code->blocks;
	code->blocks = block;
}

static void publish(struct block_cache *cache, struct block *block)
{
	struct block **bucket = &cache->bucket[hash(block->gpa, block->flavor)];

	block->is_valid = true;
	link_to_page(cache, block, align_down(block->gpa, PAGE_BYTES));
	if (block->second_page != NO_PAGE)
		link_to_page(cache, block, block->second_page);
	block->hash_next = *bucket;
	__atomic_store_n(bucket, block, __ATOMIC_RELEASE);
	cache->used_bytes = align_up(
		cache->used_bytes + sizeof(*block) + block->count * sizeof(struct insn), 64);
}

/* Makes sure that every write to the page is seen from now on. */
static void watch_page(struct cpu *cpu, gpa_t page)
{
	struct soft *soft = cpu->soft;
	uint8_t *watched = &soft->config.memory->watched[page / PAGE_BYTES];

	if (__atomic_load_n(watched, __ATOMIC_SEQ_CST))
		return;
	world_stop(cpu);
	__atomic_store_n(watched, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < soft->config.vcpus; i++)
		if (soft->cpu[i])
			mmu_poison_writes(soft->cpu[i], page);
	world_start(cpu);
}

static void exec_fetch_ud(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise(cpu, EXC_UD);
}

/* A block of code outside RAM: what floats on the bus is no instruction. */
static struct block *scratch_block(struct cpu *cpu)
{
	struct block *block = &cpu->jumps->scratch;

	*block = (struct block){ .count = 1, .length = 1, .is_valid = true };
	block->insn[0] = (struct insn){ .exec = exec_fetch_ud, .length = 1, .next = 1 };
	return block;
}

static bool is_code_ram(struct cpu *cpu, gpa_t gpa)
{
	return gpa / PAGE_BYTES * PAGE_BYTES != cpu->apic_page &&
	       memory_is_ram(cpu->soft->config.memory, gpa, 1);
}

static bool is_watched(struct cpu *cpu, gpa_t page)
{
	return page == NO_PAGE ||
	       __atomic_load_n(&cpu->soft->config.memory->watched[page / PAGE_BYTES],
			       __ATOMIC_SEQ_CST);
}

/*
 * Decodes and publishes the block at the arena's free end if both pages are still watched: a write
 * may have dropped their last block since, or another vCPU may have emptied the cache. NULL: not
 * (then try again), or *is_crossing says that a second page is needed.
 */
static struct block *try_build(struct cpu *cpu, gpa_t gpa, gpa_t second, bool *is_crossing)
{
	struct block_cache *cache = cpu->soft->blocks;
	gpa_t first = align_down(gpa, PAGE_BYTES);
	struct block *block = NULL;

	pthread_mutex_lock(&cache->lock);
	if (is_watched(cpu, first) && is_watched(cpu, second) && has_room(cache)) {
		uint64_t before = claim_granules(cache, first, gpa - first);
		uint64_t second_before = claim_granules(cache, second, 0);

		block = (struct block *)(void *)(cache->arena + cache->used_bytes);
		block = block_decode(cpu, block, gpa, second);
		*is_crossing = !block;
		if (block)
			publish(cache, block);
		cpu->stats.count[STAT_DECODED] += block != NULL;
		settle_granules(cache, first, before, block);
		settle_granules(cache, second, second_before, block);
	}
	pthread_mutex_unlock(&cache->lock);
	return block;
}

static struct block *build(struct cpu *cpu, gva_t addr, gpa_t gpa)
{
	gpa_t second = NO_PAGE;

	for (;;) {
		bool is_crossing = false;
		struct block *block;

		if (!has_room(cpu->soft->blocks))
			empty_cache(cpu);
		watch_page(cpu, align_down(gpa, PAGE_BYTES));
		if (second != NO_PAGE)
			watch_page(cpu, second);
		block = try_build(cpu, gpa, second, &is_crossing);
		if (block)
			return block;
		if (!is_crossing)
			continue;
		second = align_down(mmu_fetch(cpu, align_down(addr, PAGE_BYTES) + PAGE_BYTES),
				    PAGE_BYTES);
		if (!is_code_ram(cpu, second))
			return scratch_block(cpu);
		if (second == align_down(gpa, PAGE_BYTES))
			return block_decode(cpu, &cpu->jumps->scratch, gpa, second);
	}
}

/* ---- look-up ---- */

/* A block whose instruction crosses pages is the right one only if the second page maps as then. */
static bool is_same_second_page(struct cpu *cpu, const struct block *block, gva_t addr)
{
	return block->second_page == NO_PAGE ||
	       block->second_page ==
		       align_down(mmu_fetch(cpu, align_down(addr, PAGE_BYTES) + PAGE_BYTES),
				  PAGE_BYTES);
}

static struct block *find(struct cpu *cpu, gva_t addr, gpa_t gpa)
{
	struct block_cache *cache = cpu->soft->blocks;
	struct block *block =
		__atomic_load_n(&cache->bucket[hash(gpa, block_flavor(cpu))], __ATOMIC_ACQUIRE);

	for (; block; block = __atomic_load_n(&block->hash_next, __ATOMIC_ACQUIRE))
		if (block->gpa == gpa && block->flavor == block_flavor(cpu) &&
		    is_same_second_page(cpu, block, addr))
			return block;
	return NULL;
}

/* *generation: as block_find has it, 0 as long as nothing is said. */
static struct block *lookup_slow(struct cpu *cpu, gva_t addr, uint64_t *generation)
{
	gpa_t gpa = mmu_fetch(cpu, addr);
	uint64_t first = mmu_fetch_generation(cpu, addr);
	struct block *block;

	if (!is_code_ram(cpu, gpa))
		return scratch_block(cpu);
	block = find(cpu, addr, gpa);
	if (!block)
		block = build(cpu, addr, gpa);
	/* One of two pages that is global and the other not: no one generation stands for both. */
	if (block != &cpu->jumps->scratch &&
	    (block->second_page == NO_PAGE ||
	     mmu_fetch_generation(cpu, addr + PAGE_BYTES) == first))
		*generation = first;
	return block;
}

/* Where the upper half has global pages, address spaces share its entries. */
static inline struct jump *jump_slot(const struct cpu *cpu, gva_t addr)
{
	uintptr_t bank = (int64_t)addr < 0 ? 0 : (uintptr_t)cpu->tlb >> PAGE_BITS;

	return &cpu->jumps->jump[(addr ^ addr >> PAGE_BITS ^ bank) % JUMP_ENTRIES];
}

static inline bool is_hit(const struct cpu *cpu, const struct jump *jump, gva_t addr)
{
	return jump->addr == addr &&
	       (jump->key == block_key(cpu, cpu->tlb->generation) ||
		jump->key == block_key(cpu, cpu->tlb->global_generation)) &&
	       __atomic_load_n(&jump->block->is_valid, __ATOMIC_ACQUIRE);
}

struct block *block_find(struct cpu *cpu, uint64_t *generation)
{
	gva_t addr = cpu->rip;
	struct block *block;
	struct jump *jump;

	if (cpu->mode != MODE_64)
		addr = (uint32_t)(cpu->seg[CS].base + cpu->rip);
	jump = jump_slot(cpu, addr);
	if (likely(is_hit(cpu, jump, addr))) {
		*generation = block_key_generation(jump->key);
		return jump->block;
	}
	*generation = 0;
	block = lookup_slow(cpu, addr, generation);
	if (*generation)
		*jump = (struct jump){ addr, block_key(cpu, *generation), block };
	return block;
}

struct block *block_link_successor(struct cpu *cpu, struct block **link)
{
	uint64_t emptied = cpu->soft->blocks->emptied;
	struct block *next = block_lookup(cpu);

	/* Looking up may have emptied the cache, and the link with it; and what the next page is
	 * differs between address spaces. */
	if (emptied == cpu->soft->blocks->emptied && next != &cpu->jumps->scratch &&
	    next->second_page == NO_PAGE)
		__atomic_store_n(link, next, __ATOMIC_RELEASE);
	return next;
}

/* ---- host code ---- */

enum block_state block_translate(struct cpu *cpu, struct block *block)
{
	struct block_cache *cache = cpu->soft->blocks;

	if (block == &cpu->jumps->scratch)
		return BLOCK_INTERPRETED;
	if (!has_room(cache)) {
		empty_cache(cpu);
		return BLOCK_GONE;
	}
	pthread_mutex_lock(&cache->lock);
	if (block->is_valid && !block->code)
		jit_translate(cpu->soft->jit, block, cache->arena);
	pthread_mutex_unlock(&cache->lock);
	return block->code ? BLOCK_TRANSLATED : BLOCK_INTERPRETED;
}

void block_ungroup(struct cpu *cpu, struct block *block)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (block->is_valid && block->code && !block->jit.is_ungrouped &&
	    jit_can_translate_anew(cache->soft->jit)) {
		struct jit_code before = block->jit;
		const uint8_t *code = block->code;

		jit_keep_links(cache->soft->jit, &before);
		block->jit.is_ungrouped = before.is_ungrouped = true;
		jit_translate(cache->soft->jit, block, cache->arena);
		if (block->code == code)
			block->jit = before; /* it cannot be */
		else
			jit_replace(&before, &block->jit);
	}
	pthread_mutex_unlock(&cache->lock);
}

const uint8_t *block_cache_arena(const struct block_cache *cache)
{
	return cache->arena;
}

uint64_t block_cache_drops(const struct block_cache *cache)
{
	return cache->drops;
}

uint64_t block_cache_emptied(const struct block_cache *cache)
{
	return cache->emptied;
}

uint64_t block_epoch(const struct cpu *cpu)
{
	return cpu->soft->blocks->emptied;
}

void block_publish_code(struct cpu *cpu, uint64_t epoch, const struct block *target,
			const uint8_t **to)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (epoch == cache->emptied && target->is_valid && target->code)
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
		link = jit_find_replaced(cpu->soft->jit, from);
	target = link->target;
	pthread_mutex_unlock(&cache->lock);
	return target;
}

void block_patch_link(struct cpu *cpu, uint64_t epoch, const struct block *source,
		      const uint8_t *from, const struct block *target)
{
	struct block_cache *cache = cpu->soft->blocks;
	const struct jit_link *link;

	pthread_mutex_lock(&cache->lock);
	link = jit_find_link(source, from);
	/* An entry of a dropped block may be where its jump was. */
	if (epoch == cache->emptied && source->is_valid && target->is_valid && link)
		jit_patch_link(link, target);
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

void block_redirect(struct cpu *cpu, uint64_t epoch, const struct block *before,
		    const struct block *now)
{
	struct block_cache *cache = cpu->soft->blocks;

	pthread_mutex_lock(&cache->lock);
	if (epoch == cache->emptied && !before->is_valid && now->is_valid &&
	    before->gpa == now->gpa && before->flavor == now->flavor &&
	    before->second_page == NO_PAGE && now->second_page == NO_PAGE &&
	    has_same_entries(&before->jit, &now->jit))
		jit_replace(&before->jit, &now->jit);
	pthread_mutex_unlock(&cache->lock);
}
