/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one block's code to the next: what thunks call. Private to cpu/jit.
 */
#ifndef CPU_JIT_DISPATCH_H
#define CPU_JIT_DISPATCH_H

#include "cpu/block.h"

/*
 * A vCPU's cache of indirect branches, from linear address to code. An entry holds while its tag is
 * the address with cpu->jit.mark of the class of tags XORed in. The mark is a random function of
 * the generation of the address space's code look-ups (mmu_fetch) and the block flavor. So one
 * comparison sees to all, also for addresses that are not canonical: a guest that wanted another
 * one's entry, or one of another privilege, would have to guess the difference of two marks.
 */
struct branch_entry {
	uint64_t tag;
	const uint8_t *code; /* expects the flags in cpu->status */
	gva_t addr;
	/* Guest-physical page and flavor of the block: while `addr` leads there, the entry can be
	 * brought up to date. 0: that does not say all. */
	uint64_t place;
};

#define BRANCH_ENTRIES    65536u /* code takes the lower half of 4 bytes */
#define BRANCH_ENTRY_BITS 5

_Static_assert(sizeof(struct branch_entry) == 1 << BRANCH_ENTRY_BITS, "translated code scales");

/* Translated code computes the same: cpu/jit/cold.c. */
static inline unsigned branch_slot(gva_t addr)
{
	return (uint16_t)addr;
}

/*
 * A direct jump that leaves the page: jit->fars. Where it leads, each vCPU knows for itself, at the
 * same index of cpu->jit.far; what it knows holds for a page and a mark as above.
 */
struct jit_far {
	const struct insn *insn;
	int32_t target; /* from the page's start */
};

struct far_target {
	uint64_t tag; /* cpu->jit.code_page ^ mark */
	gva_t to;     /* cpu->jit.code_page is that then */
	const uint8_t *code;
	uint64_t unused;
};

#define FAR_BITS 5

_Static_assert(sizeof(struct far_target) == 1 << FAR_BITS, "translated code scales");

struct jit_way;

/* Sets what depends on RIP, mode and address space. Before code is entered from C. */
void jit_arrive(struct cpu *cpu);

/*
 * The code at RIP, to be entered with the flags in cpu->status; all registers are in *cpu. NULL:
 * the run loop must go on. Raises what fetching raises.
 */
const void *jit_next(struct cpu *cpu);

/*
 * The same where the code of a block is void, an entry of which has called: `back` is behind it,
 * and `r11` is R11. Whoever finds code by looking it up goes there by R11, with the flags in
 * cpu->status. Direct jumps to a block are taken back before its entries are made calls; so who
 * comes by one has jumped before that, and runs the block as it was.
 */
const void *jit_bail(struct cpu *cpu, const uint8_t *back, const uint8_t *r11);

/*
 * The same for the target of a direct jump out of the page, which is done but for RIP; remembers
 * where it leads. A target that is not canonical raises #GP, with the jump undone.
 */
const void *jit_far(struct cpu *cpu, struct far_target *known);

/* The same for the target of the struct jit_link that has `from`; patches the jump. */
const void *jit_link(struct cpu *cpu, const uint8_t *from);

/*
 * The vector registers are about to be loaded from *cpu: what cpu->vector.ready is then. Upper
 * halves that are zero must be so in the host's own way, since legacy SSE instructions wait for
 * those that are not to be merged: several times slower.
 */
uint8_t jit_prepare_vectors(struct cpu *cpu);

/*
 * A group of accesses, for where its check fails (cpu/jit/group.h). Kept beside the code cache, in
 * jit->fits, so that the code there can be short.
 */
struct jit_fit {
	/* Atomic: to go to if the range crosses into another page. That is code of the same
	 * instructions without groups, once it is known. */
	const uint8_t *crossing;
	const uint8_t *check; /* which has failed */
	uint64_t range;       /* group_pack */
	const struct insn *insn;
	uint8_t stretch; /* cpu/jit/stretch.h: which one the check asks, if it does */
};

/*
 * The group does not fit what is known. Returns the check where it does now; else the block has
 * been interpreted from the group's instruction on, and it is jit_next. Raises what the instruction
 * raises.
 */
const void *jit_fit(struct cpu *cpu, const struct jit_fit *fit);

/* The same for a group whose check is shared code, called from before `back`. */
const void *jit_misfit(struct cpu *cpu, const uint8_t *back);

/*
 * What the call of shared code belongs to that returns to `back`; and before the instruction is
 * done in another way: R11 is `r11`, which may have to be kept.
 */
const struct jit_way *jit_find_way(const struct cpu *cpu, const uint8_t *back);
const struct jit_way *jit_take_way(struct cpu *cpu, const uint8_t *back, uint64_t r11);

/* Shared code was called from before `back`, and it was the turn of this call to be looked at. */
void jit_sample(struct cpu *cpu, const uint8_t *back);

/* From `insn`, at which cpu->jit.code_page is valid, to the end of its block. */
void jit_interpret_rest(struct cpu *cpu, const struct insn *insn);

/* The group crosses into another page: the same for the code without groups. */
const void *jit_cross(struct cpu *cpu, struct jit_fit *fit);

#endif
