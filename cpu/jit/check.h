/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --engine check: every block that has host code runs twice from the same state, interpreted and
 * translated, and the run ends at the first difference in registers, flags, vectors, memory or
 * faults, with both states and the instruction.
 *
 * The interpreter goes first, and its writes to memory are recorded and taken back
 * (cpu/mmu/journal.h). Blocks that must not run twice - they reach devices, time, randomness or
 * change the processor's mode - are interpreted only. What a device wrote between the two runs may
 * make them differ, so a difference counts when it is there again and again.
 *
 * Code is run block by block: links between blocks, and what is known of flags beyond a block, are
 * left to other tests. One vCPU only: others would write in between.
 */
#ifndef CPU_JIT_CHECK_H
#define CPU_JIT_CHECK_H

#include "cpu/block.h"
#include "cpu/event.h"
#include "cpu/mmu/journal.h"

struct check;

int check_create(struct cpu *cpu); /* sets cpu->check and cpu->journal; -ENOMEM */
void check_destroy(struct cpu *cpu);

/*
 * Runs the block at CS:RIP, with all that belongs to it. Unwinds as a run of it does. After a
 * difference, which has been printed, ATTENTION_KICK is set and check_has_failed true.
 */
void check_block(struct cpu *cpu, struct block *block);

bool check_has_failed(const struct cpu *cpu);

/* --- between check.c and check_report.c ----------------------------------------------------------
 */

#define CHECK_RIP 17 /* in regs */

/* What the guest can see of a processor, as far as a block that is run twice can change it. */
struct check_state {
	uint64_t regs[18];
	uint16_t status;
	uint32_t rflags;
	uint8_t shadow;
	struct segment seg[SEGMENTS];
	uint64_t kernel_gs_base; /* SWAPGS */
	uint32_t mxcsr;
	struct vector_state vector;
};

/* Where a run has led to. */
struct check_outcome {
	enum unwind how;         /* 0: it did not unwind */
	const struct insn *insn; /* the instruction that has unwound, or NULL */
	bool is_whole;           /* all of the block was run */
	struct event fault;
	struct check_state state;
};

enum check_item {
	CHECK_SAME,
	CHECK_REGISTER, /* `index` is in regs */
	CHECK_STATUS,
	CHECK_RFLAGS,
	CHECK_SEGMENT,
	CHECK_MXCSR,
	CHECK_VECTOR, /* `index` is a register's */
	CHECK_X87,
	CHECK_UNWIND, /* the one faults, the other does not, or otherwise */
	CHECK_MEMORY,
	CHECK_STRAY, /* only the translation writes to linear address `index` */
};

struct check_difference {
	enum check_item item;
	uint64_t index;
	struct journal_mismatch memory; /* CHECK_MEMORY */
};

struct check_report {
	const struct block *block;
	struct check_difference difference;
	const struct check_state *start;
	const struct check_outcome *reference, *translation;
	int blamed; /* index of the instruction that last wrote what differs; -1: not known */
};

/* Prints all of it to stderr, with the block's instructions. */
void check_print(const struct check_report *report);

#endif
