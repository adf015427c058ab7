/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks, shared by all vCPUs of a VM.
 *
 * A block is a run of instructions in one page (or one instruction that crosses into a second
 * page), keyed by the guest-physical address of its first byte and the code mode, so every address
 * space that maps the page shares it. Each vCPU has a jump cache in front, from linear address and
 * TLB bank to block.
 *
 * A page that holds blocks is watched (vm/memory.h). A write to it drops the blocks that it
 * overlaps, found by a map of 64-byte granules. A dropped block's memory is reused only when the
 * whole cache is emptied with the world stopped, so whoever still runs it can finish.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/insn.h"

#define BLOCK_MAX_INSNS 48

struct block {
	gpa_t gpa;         /* of the first byte */
	gpa_t second_page; /* page of the tail of a crossing instruction, or NO_PAGE */
	struct block *hash_next;
	struct block *page_next[2]; /* the other blocks of the first and of the second page */
	uint16_t count;             /* instructions, with the terminator where there is one */
	uint16_t length;            /* bytes of code */
	uint8_t mode;               /* enum cpu_mode */
	bool is_chained; /* ends in a direct branch or none: what follows is known by its RIP */
	bool is_valid;   /* atomic */
	/* Blocks in the same page that were found to follow, not jumping and jumping; atomic. */
	struct block *successor[2];
	struct insn insn[];
};

#define NO_PAGE (~0ull)

struct block_cache;

int block_cache_create(struct block_cache **out, struct soft *soft);
void block_cache_destroy(struct block_cache *cache); /* accepts NULL */

int jump_cache_create(struct cpu *cpu); /* sets cpu->jumps; -ENOMEM */
void jump_cache_destroy(struct cpu *cpu);

/*
 * The block at CS:RIP of this vCPU, decoded if need be. Raises what fetching its first instruction
 * raises. Valid until the vCPU's next look-up.
 */
struct block *block_lookup(struct cpu *cpu);

/* block_successor where the link is not there yet: looks up and links. */
struct block *block_link_successor(struct cpu *cpu, struct block **link);

/*
 * The block that follows `block`, all of which this vCPU has just run from RIP `from`; NULL where
 * only block_lookup can tell. Nothing but the block was executed in between, so its page maps as it
 * did, and only successors in the same page are linked. 64-bit mode only.
 */
static inline struct block *block_successor(struct cpu *cpu, struct block *block, uint64_t from)
{
	struct block **link = &block->successor[cpu->rip != from + block->length];
	struct block *next = __atomic_load_n(link, __ATOMIC_ACQUIRE);

	if (!block->is_chained || (cpu->rip ^ from) >> PAGE_BITS)
		return NULL;
	if (likely(next && __atomic_load_n(&next->is_valid, __ATOMIC_ACQUIRE)))
		return next;
	return block_link_successor(cpu, link);
}

/* RAM changed (memory_written_fn; self = the cache). Any thread. */
void block_cache_written(void *self, gpa_t gpa, uint64_t len);

#endif
