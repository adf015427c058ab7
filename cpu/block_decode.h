/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling a block with decoded instructions: private to cpu/block*.c.
 */
#ifndef CPU_BLOCK_DECODE_H
#define CPU_BLOCK_DECODE_H

#include "cpu/block.h"

/*
 * Decodes the code at gpa into *block, which has room for BLOCK_MAX_INSNS instructions (with a
 * second page: for one) and the terminator, and returns it. NULL where the first instruction needs
 * a second page and none (NO_PAGE) is given, or needs none and one is. The cache's lock is held.
 */
struct block *block_decode(struct cpu *cpu, struct block *block, gpa_t gpa, gpa_t second_page);

#endif
