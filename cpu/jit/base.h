/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses relative to one register that are checked together.
 *
 * While a register moves by constants only, the accesses relative to it, without an index, are to
 * one range of bytes. The first one looks the whole range up and keeps its host address (cpu->
 * jit.anchor); the others are plain. What happens to a range that does not fit is what happens to
 * one of the stack (cpu/jit/group.h).
 */
#ifndef CPU_JIT_BASE_H
#define CPU_JIT_BASE_H

#include "cpu/block.h"

struct gen;

#define BASE_NONE 0xff

struct base_group {
	uint8_t reg;
	uint8_t uses;
	bool writes;
	int32_t low, high; /* relative to the register as it is when the group begins */
};

struct bases {
	struct base_group group[JIT_ANCHORS];
	uint8_t of[BLOCK_MAX_INSNS + 1];    /* the group of an instruction's memory operand */
	int32_t moved[BLOCK_MAX_INSNS + 1]; /* the register before it, from the group's start */
	uint8_t count;
	uint32_t checked; /* the set of groups that have been */
};

/* Finds the groups of g->block, whose instructions are decoded. */
void base_find(struct gen *g);

/* R11 = the host address of a group that has been checked. */
void base_load(struct gen *g, unsigned group);

#endif
