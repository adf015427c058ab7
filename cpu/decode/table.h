/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of instructions: one row a mnemonic, from which decode takes the handler. A mnemonic
 * without a row is #UD.
 */
#ifndef CPU_DECODE_TABLE_H
#define CPU_DECODE_TABLE_H

#include <Zydis/Zydis.h>

#include "cpu/decode/decode.h"

/*
 * Chooses the handler for one encoding where the row has several: by operand sizes and forms. insn
 * is filled already (operands, sizes, flags) and may be adjusted. NULL: #UD.
 */
typedef insn_fn *insn_select_fn(const ZydisDecodedInstruction *zydis,
				const ZydisDecodedOperand *operands, struct insn *insn);

struct insn_row {
	uint16_t mnemonic;      /* ZydisMnemonic */
	uint16_t flags;         /* INSN_ENDS_BLOCK where it always does */
	insn_fn *exec;          /* the handler for all encodings, */
	insn_select_fn *select; /* or who chooses it */
};

/* Private to cpu/decode. */
struct decoder {
	struct soft *soft;
	ZydisDecoder zydis[MODES];
	const struct insn_row *row[ZYDIS_MNEMONIC_MAX_VALUE + 1];
};

/* decode_insn, and what Zydis says, if *is_valid. Private to cpu/decode. */
unsigned decode_with_zydis(const struct decoder *decoder, enum cpu_mode mode, const uint8_t *bytes,
			   unsigned avail, unsigned start, struct insn *out,
			   ZydisDecodedInstruction *zydis, ZydisDecodedOperand *operands,
			   bool *is_valid);

/* Fills decoder->row from the table. */
void insn_rows_index(struct decoder *decoder);

/* NULL: no such row. Constant time. */
const struct insn_row *insn_row_find(const struct decoder *decoder, unsigned mnemonic);

#endif
