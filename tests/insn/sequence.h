/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An instruction with others before it, which leave its operands in memory where they are: what
 * one instruction needs of another - flags, vector registers that are live - is tested so.
 */
#ifndef TESTS_INSN_SEQUENCE_H
#define TESTS_INSN_SEQUENCE_H

#include "tests/insn/form.h"

#define SEQUENCE_MAX       6  /* instructions */
#define SEQUENCE_MAX_BYTES 44 /* what has room before NATIVE_TARGET */

struct sequence {
	struct instance insn[SEQUENCE_MAX]; /* in order; the last one is the tested one */
	unsigned count;
	uint8_t bytes[SEQUENCE_MAX_BYTES];
	unsigned length;
	/* RFLAGS bits: undefined after all of it, and those that any of it writes. */
	uint64_t undefined, written;
};

/*
 * `last` with up to `before` instructions before it: none a branch, with memory operands that are
 * next to that of `last` or none; they write no register which `last` addresses memory with, but
 * may add to its base, and RSP neither. No instruction reads a flag that one before it left
 * undefined.
 */
void sequence_make(const struct form_table *forms, struct random *r, const struct instance *last,
		   unsigned before, struct sequence *out);

#endif
