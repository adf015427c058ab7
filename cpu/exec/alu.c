/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Integer arithmetic and logic of one and two operands.
 * SDM2: "ADD", "ADC", "SUB", "SBB", "AND", "OR", "XOR", "CMP", "TEST", "INC", "DEC", "NEG", "NOT".
 */
#include "cpu/exec/template.h"

HOST_OP2(op_add, "add")
HOST_OP2(op_sub, "sub")
HOST_OP2(op_cmp, "cmp")
HOST_OP2(op_and, "and")
HOST_OP2(op_or, "or")
HOST_OP2(op_xor, "xor")
HOST_OP2(op_test, "test")
HOST_OP2_FLAGS(op_adc, CARRY_LOAD, "adc")
HOST_OP2_FLAGS(op_sbb, CARRY_LOAD, "sbb")

HOST_OP1(op_inc, CARRY_LOAD, "inc")
HOST_OP1(op_dec, CARRY_LOAD, "dec")
HOST_OP1(op_neg, "", "neg")

ALWAYS_INLINE uint64_t op_not(uint64_t a, unsigned size, uint16_t *status)
{
	(void)size;
	(void)status;
	return ~a;
}

/* Two operands, the first a register. */
ALWAYS_INLINE void to_register(struct cpu *cpu, const struct insn *insn, unsigned size, op2_fn *op,
			       bool writes, uint64_t b)
{
	uint64_t result = op(reg_read(cpu, insn->dst, size), b, size, &cpu->status);

	if (writes)
		reg_write(cpu, insn->dst, size, result);
}

/* Two operands, the first in memory. */
ALWAYS_INLINE void to_memory(struct cpu *cpu, const struct insn *insn, unsigned size, op2_fn *op,
			     bool writes, uint64_t b)
{
	uint16_t status = cpu->status;
	struct rmw rmw;

	if (writes)
		rmw_end(cpu, size, &rmw, op(rmw_begin(cpu, insn, size, &rmw), b, size, &status));
	else
		op(load_operand(cpu, insn, size), b, size, &status);
	cpu->status = status;
}

#define OP2_HANDLERS(op, size, writes)                                                    \
	static void op##_rr_##size(struct cpu *cpu, const struct insn *insn)              \
	{                                                                                 \
		to_register(cpu, insn, size, op, writes, reg_read(cpu, insn->src, size)); \
	}                                                                                 \
	static void op##_ri_##size(struct cpu *cpu, const struct insn *insn)              \
	{                                                                                 \
		to_register(cpu, insn, size, op, writes, (uint64_t)insn->imm);            \
	}                                                                                 \
	static void op##_rm_##size(struct cpu *cpu, const struct insn *insn)              \
	{                                                                                 \
		to_register(cpu, insn, size, op, writes, load_operand(cpu, insn, size));  \
	}                                                                                 \
	static void op##_mr_##size(struct cpu *cpu, const struct insn *insn)              \
	{                                                                                 \
		to_memory(cpu, insn, size, op, writes, reg_read(cpu, insn->src, size));   \
	}                                                                                 \
	static void op##_mi_##size(struct cpu *cpu, const struct insn *insn)              \
	{                                                                                 \
		to_memory(cpu, insn, size, op, writes, (uint64_t)insn->imm);              \
	}

#define FORM_ROW(op, form)                                                         \
	{                                                                          \
		op##_##form##_1, op##_##form##_2, op##_##form##_4, op##_##form##_8 \
	}

#define OP2(op, writes)                                                     \
	OP2_HANDLERS(op, 1, writes)                                         \
	OP2_HANDLERS(op, 2, writes)                                         \
	OP2_HANDLERS(op, 4, writes)                                         \
	OP2_HANDLERS(op, 8, writes)                                         \
	static insn_fn *const op##_handlers[FORMS][SIZES] = {               \
		[FORM_RR] = FORM_ROW(op, rr), [FORM_RI] = FORM_ROW(op, ri), \
		[FORM_RM] = FORM_ROW(op, rm), [FORM_MR] = FORM_ROW(op, mr), \
		[FORM_MI] = FORM_ROW(op, mi),                               \
	};

OP2(op_add, true)
OP2(op_sub, true)
OP2(op_cmp, false)
OP2(op_and, true)
OP2(op_or, true)
OP2(op_xor, true)
OP2(op_test, false)
OP2(op_adc, true)
OP2(op_sbb, true)

insn_fn *alu_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		    struct insn *insn)
{
	static const struct {
		uint16_t mnemonic;
		insn_fn *const (*handlers)[SIZES];
	} table[] = {
		{ ZYDIS_MNEMONIC_ADD, op_add_handlers },   { ZYDIS_MNEMONIC_SUB, op_sub_handlers },
		{ ZYDIS_MNEMONIC_CMP, op_cmp_handlers },   { ZYDIS_MNEMONIC_AND, op_and_handlers },
		{ ZYDIS_MNEMONIC_OR, op_or_handlers },     { ZYDIS_MNEMONIC_XOR, op_xor_handlers },
		{ ZYDIS_MNEMONIC_TEST, op_test_handlers }, { ZYDIS_MNEMONIC_ADC, op_adc_handlers },
		{ ZYDIS_MNEMONIC_SBB, op_sbb_handlers },
	};

	if (insn->flags & INSN_LOCK)
		return atomic_select(zydis, operands, insn);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].mnemonic == zydis->mnemonic)
			return table[i].handlers[operands_form(operands)][size_index(insn->size)];
	return NULL;
}

/* One operand. */
#define OP1_HANDLERS(op, size)                                                                 \
	static void op##_r_##size(struct cpu *cpu, const struct insn *insn)                    \
	{                                                                                      \
		reg_write(cpu, insn->dst, size,                                                \
			  op(reg_read(cpu, insn->dst, size), size, &cpu->status));             \
	}                                                                                      \
	static void op##_m_##size(struct cpu *cpu, const struct insn *insn)                    \
	{                                                                                      \
		uint16_t status = cpu->status;                                                 \
		struct rmw rmw;                                                                \
		rmw_end(cpu, size, &rmw, op(rmw_begin(cpu, insn, size, &rmw), size, &status)); \
		cpu->status = status;                                                          \
	}

#define OP1(op)             \
	OP1_HANDLERS(op, 1) \
	OP1_HANDLERS(op, 2) \
	OP1_HANDLERS(op, 4) \
	OP1_HANDLERS(op, 8) \
	static insn_fn *const op##_handlers[2][SIZES] = { FORM_ROW(op, r), FORM_ROW(op, m) };

OP1(op_inc)
OP1(op_dec)
OP1(op_neg)
OP1(op_not)

insn_fn *alu_select_unary(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			  struct insn *insn)
{
	bool mem = is_mem(&operands[0]);
	unsigned size = size_index(insn->size);

	if (insn->flags & INSN_LOCK)
		return atomic_select(zydis, operands, insn);
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_INC:
		return op_inc_handlers[mem][size];
	case ZYDIS_MNEMONIC_DEC:
		return op_dec_handlers[mem][size];
	case ZYDIS_MNEMONIC_NEG:
		return op_neg_handlers[mem][size];
	default:
		return op_not_handlers[mem][size];
	}
}
