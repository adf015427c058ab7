/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compact code: checks of memory and moves of status flags as calls of functions that all blocks
 * share. Most blocks are run a few times; those that turn out to be hot are translated again with
 * all of it inline.
 *
 * The functions are what would be inline (gen_probe and its kin). One that fails knows by the
 * address that it would return to what it is for: struct jit_way, cpu/jit/cache.h. So nothing is
 * emitted for the slow way.
 *
 * No block counts how often it is run. Each call of a shared function is counted instead
 * (cpu->jit.patience), and with every so many-th one the block that it comes from is noted: a
 * sample of where time goes (jit_sample).
 */
#ifndef CPU_JIT_COMPACT_H
#define CPU_JIT_COMPACT_H

#include "cpu/jit/base.h"
#include "cpu/jit/emit.h"
#include "cpu/jit/group.h"
#include "cpu/mmu/mmu.h"

struct jit;
struct gen;

/* Calls of shared functions between two samples. */
#define COMPACT_PATIENCE 4096

#define COMPACT_SIZES       6 /* of accesses: 1 to 32 bytes */
#define COMPACT_RANGE_BYTES 8 /* of what the ranges of groups are multiples */

/* The functions, at the start of the code's memory. */
struct compact_code {
	const uint8_t *check[TLB_CLASSES][2][COMPACT_SIZES]; /* gen_check, by [is_write] */
	/* The checks of groups: of the stack, by [code is MODE_FLAT's], which leaves R11 as
	 * gen_reach_stack does, and of others, [is reached by address], where R11 is as base_take
	 * leaves it. */
	const uint8_t *stack[2][TLB_CLASSES][GROUP_MAX_BYTES / COMPACT_RANGE_BYTES];
	const uint8_t *base[TLB_CLASSES][2][2][BASE_MAX_BYTES / COMPACT_RANGE_BYTES];
	unsigned check_insns, stack_insns, base_insns; /* of their main paths */
};

/* Emits them. */
void compact_emit_shared(struct jit *jit, struct emitter *e);

/*
 * What gen_check, gen_status_store with R9, gen_status_load with R11 do, as a call. false: the
 * block is not compact, or there is no such function.
 */
bool compact_check(struct gen *g, unsigned bytes, bool is_write);
bool compact_store_status(struct gen *g);
bool compact_load_status(struct gen *g);

/* The length of the range that such a check has for a group. */
unsigned compact_range(const struct gen *g, unsigned bytes);
/*
 * The check of the range, whose first byte has its address in R9; to be done again at `again`. Then
 * R11 is what the group is reached by.
 */
bool compact_probe_stack(struct gen *g, const uint8_t *again, uint64_t range);
bool compact_probe_base(struct gen *g, bool is_by_address, const uint8_t *again, uint64_t range);

#endif
