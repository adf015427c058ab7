/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded blocks, shared by all vCPUs of a VM.
 *
 * A block is a run of instructions in one page (or one instruction that crosses into a second
 * page), keyed by the guest-physical address of its first byte and its flavor, so every address
 * space that maps the page shares it. The flavor is the code mode, the class of TLB tags, and
 * whether its host code has groups of accesses. Each vCPU has a jump cache in front, from linear
 * address and TLB bank to block.
 *
 * A page that holds blocks is watched (vm/memory.h). A write to it drops the blocks that it
 * overlaps, found by a map of 64-byte granules.
 *
 * Memory for blocks, and that for their code, is a ring of regions. When the one that is being
 * filled is full, the oldest is evicted, with the world stopped: its blocks are gone, and nothing
 * knows of them any more. A dropped block's memory is not reused before that, so whoever still runs
 * it can finish.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/insn.h"

#define BLOCK_MAX_INSNS 48
#define BLOCK_MAX_BYTES (BLOCK_MAX_INSNS * INSN_MAX_BYTES) /* of its instructions */
#define BLOCK_REGIONS   8

/* How config.code_cache_bytes are divided: code takes less than half of what its blocks do. */
static inline size_t block_arena_bytes(const struct engine_config *config)
{
	return config->code_cache_bytes / 3 * 2;
}

static inline size_t block_code_bytes(const struct engine_config *config)
{
	return config->code_cache_bytes / 3;
}

/*
 * A direct jump forward over no more than this goes on in its block (INSN_FOLDED). What it jumps
 * over counts as the block's where code is written to.
 */
#define BLOCK_FOLD_BYTES 127

/* A direct jump of translated code, to a block of its own page. */
struct jit_link {
	uint8_t *site; /* Jcc: its displacement, emit_patch; JMP: itself, emit_patch_jmp */
	/* Where the call returns to that stands for it as long as it is not linked: of a JMP in
	 * its place, of a Jcc elsewhere. In the executable mapping. */
	const uint8_t *from;
	uint16_t target; /* offset in the page */
	bool is_conditional;
	bool keeps_flags; /* it leaves them in the host's, not in cpu->status */
};

#define JIT_LINKS 2 /* a block ends once: where its last instruction jumps to, and behind it */

/* Host code of a block: cpu/jit. Addresses are those of the writable mapping. */
struct jit_code {
	uint8_t *entry;       /* flags in cpu->status */
	uint8_t *flags_entry; /* flags in the host's; the same where no flag matters */
	struct jit_link link[JIT_LINKS];
	/* How often a group of accesses could not be made as one, since the host's TSC was that
	 * (its bits from MISFITS_TSC_SHIFT on), and what came of it. */
	uint16_t misfits;
	uint32_t misfits_since;
	bool is_ungrouped, has_no_stretches;
	bool is_linked; /* jumps of its page have been made to go to it */
	/* It calls what all blocks share (cpu/jit/compact.h), and was found in it so often. */
	bool is_compact;
	uint8_t samples;
};

/* Half a line of the host's cache has all that look-ups read. */
struct block {
	gpa_t gpa; /* of the first byte */
	struct block *hash_next;
	const uint8_t *code;    /* atomic: where host code for it is entered, or NULL */
	uint8_t flavor;         /* block_flavor */
	bool is_valid;          /* atomic */
	uint8_t region : 3;     /* where its memory is */
	uint8_t is_chained : 1; /* ends in a direct branch or none: what follows is known by RIP */
	uint8_t check : 2;      /* --engine check: how it is compared, cpu/jit/check.c */
	uint8_t runs;           /* as decoded, roughly, while there is no code */
	uint8_t count;          /* instructions, with the terminator where there is one */
	uint8_t units;          /* of BLOCK_ALIGN bytes: the memory that it takes */
	uint16_t length;        /* bytes that it depends on; with what folded jumps jump over */
	struct jit_code *jit;   /* where there is code */
	/* Blocks in the same page that were found to follow, not jumping and jumping; atomic. */
	struct block *successor[2];
	struct block *page_next[2]; /* the other blocks of the first and of the second page */
	gpa_t second_page;          /* page of the tail of a crossing instruction, or NO_PAGE */
	struct insn insn[];         /* and behind the last one, their encodings */
};

#define NO_PAGE (~0ull)

#define BLOCK_ALIGN 32

_Static_assert(offsetof(struct block, jit) <= BLOCK_ALIGN, "what look-ups read");
_Static_assert(BLOCK_REGIONS <= 8, "struct block has 3 bits for them");

/* The encodings of its instructions, one behind the other: what was decoded. */
static inline const uint8_t *block_text(const struct block *block)
{
	return (const uint8_t *)&block->insn[block->count];
}

static inline struct block *block_of_insn(const struct insn *insn)
{
	while (insn->start)
		insn--;
	return container_of(insn, struct block, insn[0]);
}

/* The encoding of an instruction of a block. */
const uint8_t *block_insn_bytes(const struct insn *insn);

struct block_cache;

/* Where all blocks are, in less than 2 GiB. */
const uint8_t *block_cache_arena(const struct block_cache *cache);

int block_cache_create(struct block_cache **out, struct soft *soft);
void block_cache_destroy(struct block_cache *cache); /* accepts NULL */

int jump_cache_create(struct cpu *cpu); /* sets cpu->jumps; -ENOMEM */
void jump_cache_destroy(struct cpu *cpu);

/* In a flavor, beside the code mode. */
#define BLOCK_MODE        3u
#define BLOCK_CLASS_SHIFT 2
#define BLOCK_CLASS       3u
#define BLOCK_UNGROUPED   BIT(4) /* its code has no groups of accesses: cpu/jit/group.h */
#define BLOCK_FLAVOR_BITS 5

_Static_assert(MODES == BLOCK_MODE + 1, "a flavor has room for them");

static inline unsigned block_flavor(const struct cpu *cpu)
{
	return cpu->mode | (unsigned)cpu->tlb_class << BLOCK_CLASS_SHIFT |
	       (cpu->jit.wants_ungrouped ? BLOCK_UNGROUPED : 0);
}

/* A look-up holds while the generation of its page does, for the same flavor. */
static inline uint64_t block_key(const struct cpu *cpu, uint64_t generation)
{
	return generation << BLOCK_FLAVOR_BITS | block_flavor(cpu);
}

static inline uint64_t block_key_generation(uint64_t key)
{
	return key >> BLOCK_FLAVOR_BITS;
}

/*
 * The block at CS:RIP of this vCPU, decoded if need be. Raises what fetching its first instruction
 * raises. Valid until the vCPU's next look-up. *generation: that of mmu_fetch_generation on which
 * the answer depends; 0: it holds this once.
 */
struct block *block_find(struct cpu *cpu, uint64_t *generation);

/* block_find may follow: has the host fetch what it looks at first. Where cpu_is_plain. */
void block_expect(const struct cpu *cpu);

static inline struct block *block_lookup(struct cpu *cpu)
{
	uint64_t generation;

	return block_find(cpu, &generation);
}

/*
 * The same where CS:RIP is in the first page of `from`, which the vCPU is running or has just run:
 * without asking what the page is. Where cpu_is_plain.
 */
struct block *block_find_near(struct cpu *cpu, const struct block *from);

/* block_successor where the link is not there yet: looks up and links. */
struct block *block_link_successor(struct cpu *cpu, const struct block *block, struct block **link);

/*
 * The block that follows `block`, all of which this vCPU has just run from RIP `from`; NULL where
 * only block_lookup can tell. Nothing but the block was executed in between, so its page maps as it
 * did, and only successors in the same page are linked. Where cpu_is_plain.
 */
static inline struct block *block_successor(struct cpu *cpu, struct block *block, uint64_t from)
{
	struct block **link = &block->successor[cpu->rip != from + block->length];
	struct block *next = __atomic_load_n(link, __ATOMIC_ACQUIRE);

	if (!block->is_chained || (cpu->rip ^ from) >> PAGE_BITS)
		return NULL;
	if (likely(next && __atomic_load_n(&next->is_valid, __ATOMIC_ACQUIRE)))
		return next;
	return block_link_successor(cpu, block, link);
}

/* What block_translate says. */
enum block_state {
	BLOCK_INTERPRETED,
	BLOCK_TRANSLATED, /* block->code is there */
	BLOCK_GONE,       /* it may not be there any more: look again */
};

/* Makes host code for the block, between blocks. */
enum block_state block_translate(struct cpu *cpu, struct block *block);

/* Its host code is made anew, without groups of accesses, or without cpu/jit/stretch.h. */
enum block_simpler { BLOCK_NO_GROUPS, BLOCK_NO_STRETCHES };
void block_simplify(struct cpu *cpu, struct block *block, enum block_simpler how);

/* The block's code has been found running; if often, it is made anew, with everything inline. */
void block_sample(struct cpu *cpu, struct block *block);

/* Stores where the code of `target` is entered, if it is still there. */
void block_publish_code(struct cpu *cpu, uint64_t epoch, const struct block *target,
			const uint8_t **to);

/* Changes whenever a region is evicted: a block that was found before may be gone since. */
uint64_t block_epoch(const struct cpu *cpu);

/* Where in its page the jump of `source` leads that has this struct jit_link.from. */
unsigned block_link_target(struct cpu *cpu, const struct block *source, const uint8_t *from);

/* Makes that jump go to `target`, if both are still there and the jump is not of former code. */
void block_patch_link(struct cpu *cpu, uint64_t epoch, const struct block *source,
		      const uint8_t *from, struct block *target);

/* Whoever enters the code of a block that has been dropped comes to the one in its place at once,
 * if it is. */
void block_redirect(struct cpu *cpu, uint64_t epoch, const struct block *before, struct block *now);

struct block_cache_stats {
	uint64_t drops;             /* of blocks, because their code was written to */
	uint64_t regions_evicted;   /* to make room */
	uint64_t blocks_evicted;    /* with them */
	uint64_t blocks_made_later; /* dropped, since their region had no room for their code */
};

const struct block_cache_stats *block_cache_get_stats(const struct block_cache *cache);

/* RAM changed (memory_written_fn; self = the cache): true where there was code. Any thread. */
bool block_cache_written(void *self, gpa_t gpa, uint64_t len);

#endif
