/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator: from decoded blocks to host code, seen from the run loop and the block cache.
 *
 * Host code hangs off the block that it was made from, so what is known of blocks - keys, sharing,
 * invalidation, when memory is reused - holds for it. A block is translated when it has been
 * interpreted some times. Code of one block jumps to that of the next by itself; it comes back to
 * the run loop when something asks for attention, when what follows has no code yet, or when an
 * instruction left its block.
 *
 * docs/jit.md has the rules of translated code; cpu/jit/translate.h is for its emitters.
 */
#ifndef CPU_JIT_JIT_H
#define CPU_JIT_JIT_H

#include "cpu/block.h"

struct decode_cache; /* cpu/decode/cache.h */
struct jit;

/* What translations were made, and what they have executed. */
struct jit_stats {
	uint64_t blocks, bytes_in, bytes_out;
	uint64_t compact, anew; /* of blocks: compact ones; those that had other code before */
	uint64_t bytes_hot;     /* of bytes_out, in main paths */
};

/* `config` is read here only, `decodes` used under the lock of blocks. -ENOMEM; -EPERM where the
 * host gives no executable memory. */
int jit_create(struct jit **out, const struct engine_config *config, struct decode_cache *decodes);
const struct jit_stats *jit_get_stats(const struct jit *jit);
void jit_destroy(struct jit *jit); /* accepts NULL */

int jit_cpu_create(struct cpu *cpu); /* -ENOMEM, or why there are no random numbers */
void jit_cpu_destroy(struct cpu *cpu);

/* Whether this vCPU's code can be translated as its mode is. */
static inline bool jit_can_run(const struct cpu *cpu)
{
	return cpu->jit.branches && cpu_is_plain(cpu);
}

/*
 * Says whether the vCPU can run the block at CS:RIP as host code. Counts how often it was asked and
 * translates the block when that is worth it. Between blocks.
 */
enum block_state jit_prepare(struct cpu *cpu, struct block *block);

/*
 * Runs the block at CS:RIP, of which jit_prepare has just said that it is translated, and what
 * follows it. On return all state is in *cpu, between two instructions. `generation` is
 * block_find's, or 0.
 */
void jit_run(struct cpu *cpu, struct block *block, uint64_t generation);

/*
 * The same where the vCPU remembers the code at CS:RIP, as it does of handlers of exceptions and
 * where they return to. false: it does not, and nothing was run. Raises what fetching raises.
 */
bool jit_resume(struct cpu *cpu);

/*
 * Translated code that branches to `rip` by way of the cache of branches goes back to C there;
 * RIP and address space are those that it will be entered with. Until jit_stop_nowhere.
 */
void jit_stop_at(struct cpu *cpu, uint64_t rip);
void jit_stop_nowhere(struct cpu *cpu);

/* --- for the block cache, with its lock held -----------------------------------------------------
 */

/* For the code of any block in the region (cpu/block.h); NULL: needs none. */
bool jit_has_room(const struct jit *jit, unsigned region);
/* Makes block->code, if it can; the block is in `arena` (block_cache_arena). */
void jit_translate(struct jit *jit, struct block *block, const uint8_t *arena);
/* A link of the block's code by its `from`. NULL: that is of code that it had before. */
const struct jit_link *jit_find_link(const struct block *block, const uint8_t *from);
/* The link of the block's code that leads where one of code that it had before leads. */
const struct jit_link *jit_find_same_link(const struct jit *jit, const struct block *block,
					  const uint8_t *from);
/* A block is about to get other code: whoever runs the one before looks where it jumps to. */
void jit_unlink_all(const struct jit *jit, const struct jit_code *code);
/* A jump to the code that `target` had before goes to what it has now. */
void jit_relink(const struct jit_link *link, const struct jit_code *before,
		const struct block *target);
/* Whoever enters the block by its code of before comes to the present one. */
void jit_replace(const struct jit_code *before, const struct jit_code *now);
/* Code of the block is not entered any more. */
void jit_block_dropped(const struct jit *jit, const struct block *block);
/* The region is about to be evicted: code of the block, in another one, does not go there any more.
 * With the world stopped, as below. */
void jit_leave_region(const struct jit *jit, const struct block *block, unsigned region);
/* After that for all blocks: nobody knows of the region's code any more, and it is free. */
void jit_evict(struct soft *soft, unsigned region);
void jit_patch_link(const struct jit_link *link, const struct block *target);
void jit_unlink(const struct jit *jit, const struct jit_link *link); /* as it was at first */

#endif
