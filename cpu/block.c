/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks: its life, building blocks and looking them up. See cpu/block.h for
 * what it promises and cpu/block_cache.h for how.
 */
#include "cpu/block_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "cpu/block_decode.h"
#include "cpu/mmu/mmu.h"
#include "cpu/world.h"
#include "lib/huge.h"

#define JUMP_CACHE_BYTES (offsetof(struct jump_cache, scratch) + BLOCK_SCRATCH_BYTES)

int block_cache_create(struct block_cache **out, struct soft *soft)
{
	struct memory *mem = soft->config.memory;
	struct block_cache *cache = huge_map(sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->soft = soft;
	pthread_mutex_init(&cache->lock, NULL);
	cache->page = calloc(mem->end / PAGE_BYTES, sizeof(*cache->page));
	cache->arena = huge_map(block_arena_bytes(&soft->config));
	cache->region_bytes =
		align_down(block_arena_bytes(&soft->config) / BLOCK_REGIONS, BLOCK_ALIGN);
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
	huge_unmap(cache->arena, block_arena_bytes(&cache->soft->config));
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
				 block_granules(first, PAGE_BYTES - 1), __ATOMIC_SEQ_CST);
}

static void settle_granules(struct block_cache *cache, gpa_t page, uint64_t before,
			    const struct block *block)
{
	unsigned first, last;

	if (page == NO_PAGE)
		return;
	if (block && block_extent(block, page, &first, &last))
		before |= block_granules(first, last);
	__atomic_store_n(&cache->page[page / PAGE_BYTES].granules, before, __ATOMIC_RELEASE);
}

static void link_to_page(struct block_cache *cache, struct block *block, gpa_t page)
{
	struct code_page *code = &cache->page[page / PAGE_BYTES];

	*block_page_link(block, page) = code->blocks;
	code->blocks = block;
}

static void publish(struct block_cache *cache, struct block *block)
{
	struct block **bucket = &cache->bucket[block_hash(block->gpa, block->flavor)];

	block->is_valid = true;
	block->region = cache->region % BLOCK_REGIONS;
	link_to_page(cache, block, align_down(block->gpa, PAGE_BYTES));
	if (block->second_page != NO_PAGE)
		link_to_page(cache, block, block->second_page);
	block->hash_next = *bucket;
	__atomic_store_n(bucket, block, __ATOMIC_RELEASE);
	cache->used_bytes[block->region] += block->units * (size_t)BLOCK_ALIGN;
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
	block->insn[0] = (struct insn){ .exec = insn_exec_of(exec_fetch_ud),
					.length = 1,
					.next = 1,
					.page_offset = (uint16_t)(cpu->rip % PAGE_BYTES) };
	return block;
}

/* One of an instruction that goes on where its own page begins: it is in no list twice. */
static struct block *decode_alone(struct cpu *cpu, gpa_t gpa)
{
	struct block_cache *cache = cpu->soft->blocks;
	struct block *block;

	pthread_mutex_lock(&cache->lock);
	block = block_decode(cpu, &cpu->jumps->scratch, gpa, align_down(gpa, PAGE_BYTES));
	pthread_mutex_unlock(&cache->lock);
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

/* The block that another vCPU has built meanwhile, or NULL. The lock is held. */
static struct block *find_built(const struct cpu *cpu, gpa_t gpa, gpa_t second)
{
	unsigned flavor = block_flavor(cpu);
	struct block *block = cpu->soft->blocks->bucket[block_hash(gpa, flavor)];

	while (block &&
	       (block->gpa != gpa || block->flavor != flavor || block->second_page != second))
		block = block->hash_next;
	return block;
}

/*
 * Decodes and publishes the block at the region's free end if both pages are still watched: a write
 * may have dropped their last block since, or another vCPU may have filled the region. NULL: not
 * (then try again), or *is_wrong says that a second page is needed, or none. There are no two of
 * one block, so what comes in the place of a dropped one is made later: cpu/block_evict.c.
 */
static struct block *try_build(struct cpu *cpu, gpa_t gpa, gpa_t second, bool *is_wrong)
{
	struct block_cache *cache = cpu->soft->blocks;
	gpa_t first = align_down(gpa, PAGE_BYTES);
	struct block *block;

	pthread_mutex_lock(&cache->lock);
	block = find_built(cpu, gpa, second);
	if (!block && is_watched(cpu, first) && is_watched(cpu, second) &&
	    block_cache_has_room(cache)) {
		uint64_t before = claim_granules(cache, first, gpa - first);
		uint64_t second_before = claim_granules(cache, second, 0);

		block = (struct block *)(void *)(block_region_start(cache, cache->region) +
						 cache->used_bytes[cache->region]);
		block = block_decode(cpu, block, gpa, second);
		*is_wrong = !block;
		if (block)
			publish(cache, block);
		cpu->stats.count[STAT_DECODED] += block != NULL;
		settle_granules(cache, first, before, block);
		settle_granules(cache, second, second_before, block);
	}
	pthread_mutex_unlock(&cache->lock);
	return block;
}

/* The block once it has been tried with the right number of pages. Its code may change meanwhile.
 */
static struct block *build(struct cpu *cpu, gva_t addr, gpa_t gpa)
{
	gpa_t first = align_down(gpa, PAGE_BYTES), second = NO_PAGE;
	struct block *block;

	for (;;) {
		bool is_wrong = false;

		if (!block_cache_has_room(cpu->soft->blocks))
			block_cache_make_room(cpu);
		watch_page(cpu, first);
		if (second != NO_PAGE)
			watch_page(cpu, second);
		block = second == first ? decode_alone(cpu, gpa)
					: try_build(cpu, gpa, second, &is_wrong);
		if (block)
			return block;
		if (second != NO_PAGE && (is_wrong || second == first)) {
			second = NO_PAGE;
		} else if (is_wrong) {
			second = align_down(
				mmu_fetch(cpu, align_down(addr, PAGE_BYTES) + PAGE_BYTES),
				PAGE_BYTES);
			if (!is_code_ram(cpu, second))
				return scratch_block(cpu);
		}
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
	struct block *block = __atomic_load_n(&cache->bucket[block_hash(gpa, block_flavor(cpu))],
					      __ATOMIC_ACQUIRE);

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

	return &cpu->jumps->jump[(addr ^ addr >> PAGE_BITS ^ bank) % BLOCK_JUMP_ENTRIES];
}

static inline bool is_hit(const struct cpu *cpu, const struct jump *jump, gva_t addr)
{
	return jump->addr == addr &&
	       (jump->key == block_key(cpu, cpu->tlb->generation) ||
		jump->key == block_key(cpu, cpu->tlb->global_generation)) &&
	       __atomic_load_n(&jump->block->is_valid, __ATOMIC_ACQUIRE);
}

void block_expect(const struct cpu *cpu)
{
	__builtin_prefetch(jump_slot(cpu, cpu->rip));
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

struct block *block_find_near(struct cpu *cpu, const struct block *from)
{
	gpa_t gpa = align_down(from->gpa, PAGE_BYTES) + cpu->rip % PAGE_BYTES;
	struct block *block = find(cpu, cpu->rip, gpa);

	return block ? block : build(cpu, cpu->rip, gpa);
}

struct block *block_link_successor(struct cpu *cpu, const struct block *block, struct block **link)
{
	uint64_t epoch = block_epoch(cpu);
	struct block *next = block_find_near(cpu, block);

	/* Looking up may have evicted the block, and the link with it; and what the next page is
	 * differs between address spaces. */
	if (epoch == block_epoch(cpu) && next != &cpu->jumps->scratch &&
	    next->second_page == NO_PAGE)
		__atomic_store_n(link, next, __ATOMIC_RELEASE);
	return next;
}
