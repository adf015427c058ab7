/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of instructions, a section for each file of cpu/exec.
 *
 * EXEC names the one handler of all encodings, SELECT the function that chooses among several. The
 * forms with ENDS_BLOCK are for instructions that always end their block.
 */
#include "cpu/decode/table.h"

#include "cpu/exec/exec.h"

// clang-format off
#define EXEC(name, handler)             { ZYDIS_MNEMONIC_##name, 0, handler, NULL }
#define EXEC_ENDS_BLOCK(name, handler)  { ZYDIS_MNEMONIC_##name, INSN_ENDS_BLOCK, handler, NULL }
#define SELECT(name, select)            { ZYDIS_MNEMONIC_##name, 0, NULL, select }
#define SELECT_ENDS_BLOCK(name, select) { ZYDIS_MNEMONIC_##name, INSN_ENDS_BLOCK, NULL, select }

static const struct insn_row rows[] = {
	/* alu.c */

	/* mov.c */

	/* shift.c */

	/* muldiv.c */

	/* branch.c */

	/* stack.c */

	/* string.c */

	/* bit.c */

	/* bcd.c */

	/* flag.c */
	EXEC_ENDS_BLOCK(UD0, flag_undefined),
	EXEC_ENDS_BLOCK(UD1, flag_undefined),
	EXEC_ENDS_BLOCK(UD2, flag_undefined),

	/* far.c: far transfers, segment registers */

	/* system.c, io.c */

	/* vector.c: host-run instructions */
};
// clang-format on

void insn_rows_index(struct decoder *decoder)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		decoder->row[rows[i].mnemonic] = &rows[i];
}

const struct insn_row *insn_row_find(const struct decoder *decoder, unsigned mnemonic)
{
	return decoder->row[mnemonic];
}
