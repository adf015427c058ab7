/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses to the stack that are checked together.
 *
 * While RSP moves by constants only, all accesses relative to it are to one range of bytes. The
 * first one checks all of it against what the vCPU knows of its stack (struct jit_stack: the page
 * that it was last in, if that may be read and written); the others are plain. What becomes of a
 * range that does not fit, struct jit_fit says (cpu/jit/dispatch.h): one that crosses into another
 * page goes on in code without groups, a block of another flavor; one whose page is no plain memory
 * has the rest of its block interpreted, and a block to which that happens often is translated anew
 * without groups.
 */
#ifndef CPU_JIT_GROUP_H
#define CPU_JIT_GROUP_H

#include "cpu/block.h"
#include "cpu/jit/emit.h"

struct gen;
struct shape;

#define GROUP_NONE      0xff
#define GROUP_MAX_BYTES 512 /* of the stack, so that few ranges cross pages */

/* What keeps every sum of a block's moves and displacements from overflow. */
#define GROUP_MOVE_MAX_BYTES  4096      /* a register is elsewhere after more */
#define GROUP_REACH_MAX_BYTES (1 << 29) /* an access further off is in no group */

/*
 * In MODE_FLAT an address is RSP's and a displacement's sum cut to 4 bytes, while code adds all 8.
 * The same comes of it, and RSP never wraps while a group lasts, as a group's page is far from both
 * ends (struct jit_stack, flat_stack) and RSP is always near it.
 */
#define GROUP_FLAT_REACH_MAX_BYTES 4096
#define GROUP_FLAT_MARGIN_BYTES    (8 * GROUP_FLAT_REACH_MAX_BYTES)

_Static_assert(2ll * (GROUP_REACH_MAX_BYTES + BLOCK_MAX_INSNS * GROUP_MOVE_MAX_BYTES) < INT32_MAX,
	       "no difference of two places overflows either");

/* Bytes relative to RSP as it is when the group begins. */
struct stack_group {
	int32_t low, high;
};

struct groups {
	struct stack_group group[BLOCK_MAX_INSNS + 1];
	uint8_t of[BLOCK_MAX_INSNS + 1];    /* the group of an instruction, or GROUP_NONE */
	uint8_t early[BLOCK_MAX_INSNS + 1]; /* the group to be checked before it, or GROUP_NONE */
	int32_t moved[BLOCK_MAX_INSNS + 1]; /* RSP before the instruction, from the group's start */
	uint8_t count;
	uint8_t checked; /* the group that has been, or GROUP_NONE */
	uint8_t r11;     /* what R11 is: see below */
	int32_t ahead;   /* guest RSP is HOST_RSP_HOME + this: cpu/jit/rsp.c */
};

/*
 * Finds the groups of g->block, whose instructions are decoded. live[n]: the flags that matter
 * before instruction n. A check destroys the host's, so it comes before the group's first access if
 * that spares them.
 */
void group_find(struct gen *g, const uint8_t *live);

/* Whether the instruction moves RSP by a constant, of no more than GROUP_MOVE_MAX_BYTES, and does
 * nothing else but set flags: *by. */
bool group_is_move(const struct gen *g, const struct insn *insn, const struct shape *shape,
		   int32_t *by);

/* The check of a range alone: R9, its address, becomes nothing of meaning. Jumps if it fails. */
struct emit_jump gen_probe_stack(struct gen *g, unsigned bytes);

/* Where struct cpu has what code of this mode and class of tags adds to an address of its stack. */
size_t group_delta_field(const struct gen *g, unsigned tlb_class);

/*
 * What R11 is between instructions: the delta of the stack, what a group of cpu/jit/base.h is
 * reached by (its number), or nothing.
 */
#define R11_FREE  0xff
#define R11_STACK 0xfe

/*
 * The range of a group as code gives it to jit_fit: where it is from the register as it is now, its
 * length, the register, whether there are writes, and whether the first access is one. GIVE_UP: not
 * to try again.
 */
#define GROUP_BYTES_SHIFT  32
#define GROUP_REG_SHIFT    48
#define GROUP_WRITES       BIT(52)
#define GROUP_WRITES_FIRST BIT(53)
#define GROUP_GIVE_UP      BIT(63)

static inline unsigned group_bytes(uint64_t range)
{
	return bits(range, GROUP_REG_SHIFT - 1, GROUP_BYTES_SHIFT);
}

static inline unsigned group_register(uint64_t range)
{
	return bits(range, GROUP_REG_SHIFT + 3, GROUP_REG_SHIFT);
}

static inline uint64_t group_pack(int32_t offset, uint32_t bytes, unsigned reg, uint64_t writes)
{
	return (uint64_t)reg << GROUP_REG_SHIFT | writes | (uint64_t)bytes << GROUP_BYTES_SHIFT |
	       (uint32_t)offset;
}

#endif
