/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses relative to one register that are checked together.
 *
 * While a register moves by constants only, the accesses relative to it, without an index, are to
 * one range of bytes. The first one looks the whole range up; the others are plain. What it found
 * is in R11 until that is used for something else, and then in cpu->jit.anchor: what to add to the
 * register for a host address, or, where the register has no host register of its own and in
 * MODE_FLAT, the host address of the range. What happens to a range that does not fit is what
 * happens to one of the stack (cpu/jit/group.h).
 */
#ifndef CPU_JIT_BASE_H
#define CPU_JIT_BASE_H

#include "cpu/block.h"

struct gen;

#define BASE_NONE      0xff
#define BASE_MAX_BYTES 128 /* of a range, so that few cross pages */

struct base_group {
	uint8_t reg;
	uint8_t uses;
	bool writes;
	uint8_t last;      /* the last instruction that uses it */
	int32_t low, high; /* relative to the register as it is when the group begins */
};

struct bases {
	struct base_group group[JIT_ANCHORS];
	uint8_t of[BLOCK_MAX_INSNS + 1];    /* the group of an instruction's memory operand */
	int32_t moved[BLOCK_MAX_INSNS + 1]; /* the register before it, from the group's start */
	uint8_t count;
	uint32_t checked;   /* the set of groups that have been */
	uint32_t kept;      /* those that the anchor has */
	bool has_stretches; /* what is checked is, and be it one access: cpu/jit/stretch.h */
};

/* Finds the groups of g->block, whose instructions are decoded. */
void base_find(struct gen *g);

/* R11 is about to be something else: keeps what it has of a group that will be wanted. */
void base_spare(struct gen *g);
/* The group that R11 alone has, or BASE_NONE. */
unsigned base_in_r11(const struct gen *g);
/* R11 = what a group is reached by, of what gen_probe has found for R9. */
void base_take(struct gen *g, bool is_by_address, bool writes);
/* Between R11 and a group's anchor; nothing else. */
void base_keep(struct gen *g, unsigned group);
void base_load(struct gen *g, unsigned group);

#endif
