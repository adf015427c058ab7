/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions of a class, each run natively on the host, in the interpreter and translated, from
 * the same random state; what they leave is compared: registers, flags (but for undefined ones),
 * vector and x87 state, MXCSR, memory, and the exception raised.
 *
 * Cases come from a seed that is printed; NIDUS_SEED=... repeats them. A difference is printed with
 * the instruction, its input and both outputs.
 */
#ifndef TESTS_INSN_CHECK_H
#define TESTS_INSN_CHECK_H

#include "tests/insn/form.h"
#include "tests/insn/sequence.h"

struct insn_class {
	const char *name;
	unsigned mode_bits; /* 32 or 64 */
	unsigned cases;
	form_accepts_fn *accepts;
	unsigned before; /* instructions before the tested one: up to so many (sequence.h) */
};

enum insn_result { INSN_EQUAL, INSN_DIFFERENT, INSN_CANNOT_RUN };

/* Runs the class's cases and prints one line of counts. */
enum insn_result insn_check(const struct insn_class *class);

#endif
