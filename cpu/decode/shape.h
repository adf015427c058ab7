/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the translator asks of an encoding beside struct insn: its parts, what kinds of operands it
 * has, and which general registers it reads and writes. The same for all instructions that differ
 * in displacements and immediates only, but for encoding.imm.
 */
#ifndef CPU_DECODE_SHAPE_H
#define CPU_DECODE_SHAPE_H

#include <Zydis/Zydis.h>

#include "cpu/decode/encoding.h"

enum operand_kind {
	OPERAND_NONE,
	OPERAND_GENERAL, /* a general register or a part of one */
	OPERAND_CONTROL, /* a control register */
	OPERAND_SEGMENT, /* a segment register */
	OPERAND_SPECIAL, /* any other register */
	OPERAND_MEMORY,
	OPERAND_IMMEDIATE, /* relative ones of branches are, too */
};

enum shape_flags {
	SHAPE_MOVABLE = BIT(0), /* `encoding` is valid: encoding_take_apart */
	SHAPE_FAR = BIT(1),     /* a far branch */
	SHAPE_SAME = BIT(2),    /* operands 0 and 1 are one register */
	SHAPE_WRITES = BIT(3),  /* it writes its memory operand; the first one, if it has two */
	/* RSP is one of the operands in the manual's syntax, or the base of one. */
	SHAPE_NAMES_RSP = BIT(4),
	SHAPE_RSP_BASE = BIT(5),
	/*
	 * The r/m operand (the reg operand) is one of R8 to R11, and of 8 bytes if it is written:
	 * it may be worked on in memory.
	 */
	SHAPE_HOME_RM = BIT(6),
	SHAPE_HOME_REG = BIT(7),
};

struct shape {
	struct encoding encoding;
	uint8_t flags;         /* enum shape_flags */
	uint8_t opcode;        /* as it is, whatever encoding.opcode has become */
	uint8_t kind[2];       /* enum operand_kind of operands 0 and 1 */
	uint8_t first;         /* the number of operand 0 if it is a general register */
	uint8_t first_bytes;   /* the size of operand 0 */
	uint8_t operand_bytes; /* the operand size: 2, 4 or 8 */
	uint8_t isa_class;     /* enum isa_class */
	/* Sets of general registers: written at all, implicitly or not; operands from 1 on. */
	uint16_t written, sources;
};

void shape_take(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		const uint8_t *bytes, struct shape *out);

static inline bool shape_is_register(const struct shape *shape, unsigned operand)
{
	return shape->kind[operand] >= OPERAND_GENERAL && shape->kind[operand] <= OPERAND_SPECIAL;
}

#endif
