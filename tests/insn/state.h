/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random state for an instruction to start from, such that its memory operands lie where there is
 * memory, nearly always.
 */
#ifndef TESTS_INSN_STATE_H
#define TESTS_INSN_STATE_H

#include "tests/insn/form.h"
#include "tests/insn/native.h"

/* All of the data pages. */
void state_fill(struct random *r, uint8_t *data);

/*
 * Registers and the memory around the operands (in `data`, NATIVE_DATA's bytes). The instance's
 * displacement may be changed: decode it anew.
 */
void state_randomize(struct random *r, struct instance *instance, unsigned mode_bits,
		     struct registers *regs, uint8_t *data);

#endif
