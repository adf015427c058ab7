/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encodings that a class of instructions has, found by decoding everything that could be one,
 * and random instances of them.
 */
#ifndef TESTS_INSN_FORM_H
#define TESTS_INSN_FORM_H

#include <Zydis/Zydis.h>

#include "cpu/soft.h"
#include "tests/insn/random.h"

/* Whether an instruction belongs to the class. */
typedef bool form_accepts_fn(const ZydisDecodedInstruction *zydis,
			     const ZydisDecodedOperand *operands);

struct form_table;

/* An instance: one instruction. */
struct instance {
	uint8_t bytes[15];
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* All forms for code of `mode_bits` (32 or 64) that `soft`'s CPU model offers. NULL: no memory. */
struct form_table *form_table_create(const struct soft *soft, unsigned mode_bits,
				     form_accepts_fn *accepts);
void form_table_destroy(struct form_table *table);

unsigned form_count(const struct form_table *table);
unsigned form_mnemonics(const struct form_table *table);

/* A random instance of a random form of a random mnemonic. */
void form_instantiate(const struct form_table *table, struct random *r, struct instance *out);

/* After bytes were changed that do not change what it is (displacement). */
void form_decode(const struct form_table *table, struct instance *instance);

#endif
