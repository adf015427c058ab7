/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shapes of encodings: see cpu/decode/shape.h.
 */
#include "cpu/decode/shape.h"

#include "cpu/cpu.h"
#include "cpu/decode/isa.h"

static bool is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class >= ZYDIS_REGCLASS_GPR8 && class <= ZYDIS_REGCLASS_GPR64;
}

/* The number of a general register or of the one that it is part of. */
static unsigned number_of(ZydisRegister reg)
{
	return (unsigned)ZydisRegisterGetId(
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
}

static bool is_rsp(ZydisRegister reg)
{
	return is_general(reg) && number_of(reg) == RSP;
}

static enum operand_kind kind_of_register(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8 ... ZYDIS_REGCLASS_GPR64:
		return OPERAND_GENERAL;
	case ZYDIS_REGCLASS_CONTROL:
		return OPERAND_CONTROL;
	case ZYDIS_REGCLASS_SEGMENT:
		return OPERAND_SEGMENT;
	default:
		return OPERAND_SPECIAL;
	}
}

static enum operand_kind kind_of(const ZydisDecodedOperand *operand)
{
	switch (operand->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return kind_of_register(operand->reg.value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return OPERAND_MEMORY;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return OPERAND_IMMEDIATE;
	default:
		return OPERAND_NONE;
	}
}

static void take_register(const ZydisDecodedOperand *operand, unsigned n, bool is_visible,
			  struct shape *out)
{
	bool is_written = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	unsigned reg = number_of(operand->reg.value);
	bool may_stay_home = reg >= R8 && reg <= R11 && (operand->size == 64 || !is_written);

	out->written |= (uint16_t)(is_written << reg);
	if (n && is_visible)
		out->sources |= (uint16_t)(1u << reg);
	if (reg == RSP && is_visible)
		out->flags |= SHAPE_NAMES_RSP;
	if (may_stay_home && operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
		out->flags |= SHAPE_HOME_RM;
	if (may_stay_home && operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
		out->flags |= SHAPE_HOME_REG;
}

static void take_memory(const ZydisDecodedOperand *operand, bool is_first, bool is_visible,
			struct shape *out)
{
	if (is_first && (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		out->flags |= SHAPE_WRITES;
	if (is_visible && is_rsp(operand->mem.base))
		out->flags |= SHAPE_RSP_BASE;
}

static void take_operands(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			  struct shape *out)
{
	unsigned memories = 0;

	for (unsigned n = 0; n < zydis->operand_count; n++) {
		enum operand_kind kind = kind_of(&operands[n]);
		bool is_visible = n < zydis->operand_count_visible;

		if (n < ARRAY_SIZE(out->kind))
			out->kind[n] = kind;
		if (kind == OPERAND_GENERAL)
			take_register(&operands[n], n, is_visible, out);
		else if (kind == OPERAND_MEMORY)
			take_memory(&operands[n], !memories++, is_visible, out);
	}
}

/* What there is to say of the first operands. */
static void take_first(const ZydisDecodedOperand *operands, struct shape *out)
{
	out->first_bytes = (uint8_t)(operands[0].size / 8);
	if (out->kind[0] == OPERAND_GENERAL)
		out->first = (uint8_t)number_of(operands[0].reg.value);
	if (shape_is_register(out, 0) && shape_is_register(out, 1) &&
	    operands[0].reg.value == operands[1].reg.value)
		out->flags |= SHAPE_SAME;
}

void shape_take(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		const uint8_t *bytes, struct shape *out)
{
	memset(out, 0, sizeof(*out));
	if (encoding_take_apart(zydis, operands, bytes, &out->encoding))
		out->flags |= SHAPE_MOVABLE;
	if (zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		out->flags |= SHAPE_FAR;
	out->opcode = zydis->opcode;
	out->operand_bytes = zydis->operand_width / 8;
	out->isa_class = (uint8_t)isa_class_of(zydis);
	take_operands(zydis, operands, out);
	if (zydis->operand_count)
		take_first(operands, out);
}
