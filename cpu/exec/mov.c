/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves between general registers, memory and immediates, with and without extension or condition.
 * SDM2: "MOV", "MOVZX", "MOVSX/MOVSXD", "LEA", "CMOVcc", "SETcc", "BSWAP", "MOVBE", "CBW", "CWD",
 * "XLAT". Segment, control and debug registers are elsewhere.
 */
#include "cpu/exec/template.h"

/* MOV */
#define MOV_HANDLERS(size)                                                       \
	static void mov_rr_##size(struct cpu *cpu, const struct insn *insn)      \
	{                                                                        \
		reg_write(cpu, insn->dst, size, reg_read(cpu, insn->src, size)); \
	}                                                                        \
	static void mov_ri_##size(struct cpu *cpu, const struct insn *insn)      \
	{                                                                        \
		reg_write(cpu, insn->dst, size, (uint64_t)insn->imm);            \
	}                                                                        \
	static void mov_rm_##size(struct cpu *cpu, const struct insn *insn)      \
	{                                                                        \
		reg_write(cpu, insn->dst, size, load_operand(cpu, insn, size));  \
	}                                                                        \
	static void mov_mr_##size(struct cpu *cpu, const struct insn *insn)      \
	{                                                                        \
		store_operand(cpu, insn, size, reg_read(cpu, insn->src, size));  \
	}                                                                        \
	static void mov_mi_##size(struct cpu *cpu, const struct insn *insn)      \
	{                                                                        \
		store_operand(cpu, insn, size, (uint64_t)insn->imm);             \
	}

MOV_HANDLERS(1)
MOV_HANDLERS(2)
MOV_HANDLERS(4)
MOV_HANDLERS(8)

/* An immediate of 8 bytes. */
static void mov_wide(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 8, (uint64_t)insn->disp);
}

static bool is_general(const ZydisDecodedOperand *operand)
{
	ZydisRegisterClass class = operand->type == ZYDIS_OPERAND_TYPE_REGISTER
					   ? ZydisRegisterGetClass(operand->reg.value)
					   : ZYDIS_REGCLASS_GPR64;

	return class >= ZYDIS_REGCLASS_GPR8 && class <= ZYDIS_REGCLASS_GPR64;
}

insn_fn *mov_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		    struct insn *insn)
{
	static insn_fn *const handlers[FORMS][SIZES] = {
		[FORM_RR] = { mov_rr_1, mov_rr_2, mov_rr_4, mov_rr_8 },
		[FORM_RI] = { mov_ri_1, mov_ri_2, mov_ri_4, mov_ri_8 },
		[FORM_RM] = { mov_rm_1, mov_rm_2, mov_rm_4, mov_rm_8 },
		[FORM_MR] = { mov_mr_1, mov_mr_2, mov_mr_4, mov_mr_8 },
		[FORM_MI] = { mov_mi_1, mov_mi_2, mov_mi_4, mov_mi_8 },
	};

	if (!is_general(&operands[0]) || !is_general(&operands[1])) {
		insn_fn *segment = far_select_mov(zydis, operands, insn);

		return segment ? segment : control_select_mov(zydis, operands, insn);
	}
	if (insn->flags & INSN_WIDE)
		return mov_wide;
	return handlers[operands_form(operands)][size_index(insn->size)];
}

/* MOVZX, MOVSX, MOVSXD: extend(value) with the type of the source. */
#define EXTEND_HANDLERS(name, type, src_bytes, dst_bytes)                                         \
	static void name##_rr_##src_bytes##_##dst_bytes(struct cpu *cpu, const struct insn *insn) \
	{                                                                                         \
		reg_write(cpu, insn->dst, dst_bytes,                                              \
			  (uint64_t)(type)reg_read(cpu, insn->src, src_bytes));                   \
	}                                                                                         \
	static void name##_rm_##src_bytes##_##dst_bytes(struct cpu *cpu, const struct insn *insn) \
	{                                                                                         \
		reg_write(cpu, insn->dst, dst_bytes,                                              \
			  (uint64_t)(type)load_operand(cpu, insn, src_bytes));                    \
	}

#define EXTEND_SOURCE(name, type, src_bytes)      \
	EXTEND_HANDLERS(name, type, src_bytes, 2) \
	EXTEND_HANDLERS(name, type, src_bytes, 4) \
	EXTEND_HANDLERS(name, type, src_bytes, 8)

#define EXTEND_ROW(name, form, src_bytes)                                         \
	{                                                                         \
		name##_##form##_##src_bytes##_2, name##_##form##_##src_bytes##_4, \
			name##_##form##_##src_bytes##_8                           \
	}

EXTEND_SOURCE(movzx, uint8_t, 1)
EXTEND_SOURCE(movzx, uint16_t, 2)
EXTEND_SOURCE(movsx, int8_t, 1)
EXTEND_SOURCE(movsx, int16_t, 2)
EXTEND_SOURCE(movsx, int32_t, 4)

/* MOVSXD without REX.W moves 32 (or 16) bits as they are: a source as wide as the destination. */
insn_fn *mov_select_extend(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	static insn_fn *const zero[2][2][3] = {
		{ EXTEND_ROW(movzx, rr, 1), EXTEND_ROW(movzx, rr, 2) },
		{ EXTEND_ROW(movzx, rm, 1), EXTEND_ROW(movzx, rm, 2) },
	};
	static insn_fn *const sign[2][3][3] = {
		{ EXTEND_ROW(movsx, rr, 1), EXTEND_ROW(movsx, rr, 2), EXTEND_ROW(movsx, rr, 4) },
		{ EXTEND_ROW(movsx, rm, 1), EXTEND_ROW(movsx, rm, 2), EXTEND_ROW(movsx, rm, 4) },
	};
	bool mem = is_mem(&operands[1]);
	unsigned from = size_index(insn->src_size), to = size_index(insn->size) - 1;

	if (zydis->mnemonic == ZYDIS_MNEMONIC_MOVZX)
		return zero[mem][from][to];
	return sign[mem][from][to];
}

/* LEA */
static void lea_2(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 2, insn_ea(cpu, insn));
}

static void lea_4(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 4, insn_ea(cpu, insn));
}

static void lea_8(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 8, insn_ea(cpu, insn));
}

ALWAYS_INLINE uint64_t flat_ea(struct cpu *cpu, const struct insn *insn)
{
	return *(uint64_t *)reg_at(cpu, insn->base) +
	       (*(uint64_t *)reg_at(cpu, insn->index) << insn->scale_log2) + (uint64_t)insn->disp;
}

static void lea_flat_4(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 4, flat_ea(cpu, insn));
}

static void lea_flat_8(struct cpu *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->dst, 8, flat_ea(cpu, insn));
}

insn_fn *mov_select_lea(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			struct insn *insn)
{
	bool is_flat = insn->addr_size == 8;

	(void)zydis;
	(void)operands;
	if (insn->size == 2)
		return lea_2;
	if (insn->size == 4)
		return is_flat ? lea_flat_4 : lea_4;
	return is_flat ? lea_flat_8 : lea_8;
}

/* CMOVcc: memory is read, and the upper half of a 32-bit destination cleared, in any case. */
#define CMOV_HANDLERS(cc, size)                                                        \
	static void cmov_rr_##size##_##cc(struct cpu *cpu, const struct insn *insn)    \
	{                                                                              \
		unsigned from = status_meets(cpu->status, cc) ? insn->src : insn->dst; \
		reg_write(cpu, insn->dst, size, reg_read(cpu, from, size));            \
	}                                                                              \
	static void cmov_rm_##size##_##cc(struct cpu *cpu, const struct insn *insn)    \
	{                                                                              \
		uint64_t value = load_operand(cpu, insn, size);                        \
		if (!status_meets(cpu->status, cc))                                    \
			value = reg_read(cpu, insn->dst, size);                        \
		reg_write(cpu, insn->dst, size, value);                                \
	}

#define CMOV_ENTRY(cc, prefix) prefix##_##cc,

FOR_EACH_CONDITION(CMOV_HANDLERS, 2)
FOR_EACH_CONDITION(CMOV_HANDLERS, 4)
FOR_EACH_CONDITION(CMOV_HANDLERS, 8)

insn_fn *mov_select_cmov(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			 struct insn *insn)
{
	static insn_fn *const handlers[2][3][16] = {
		{ { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rr_2) },
		  { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rr_4) },
		  { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rr_8) } },
		{ { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rm_2) },
		  { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rm_4) },
		  { FOR_EACH_CONDITION(CMOV_ENTRY, cmov_rm_8) } },
	};

	return handlers[is_mem(&operands[1])][size_index(insn->size) - 1][zydis->opcode & 15];
}

/* SETcc */
#define SET_HANDLERS(cc, ...)                                                \
	static void set_r_##cc(struct cpu *cpu, const struct insn *insn)     \
	{                                                                    \
		reg_write(cpu, insn->dst, 1, status_meets(cpu->status, cc)); \
	}                                                                    \
	static void set_m_##cc(struct cpu *cpu, const struct insn *insn)     \
	{                                                                    \
		store_operand(cpu, insn, 1, status_meets(cpu->status, cc));  \
	}

#define SET_ENTRY(cc, prefix) prefix##_##cc,

FOR_EACH_CONDITION(SET_HANDLERS, )

insn_fn *mov_select_set(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			struct insn *insn)
{
	static insn_fn *const handlers[2][16] = {
		{ FOR_EACH_CONDITION(SET_ENTRY, set_r) },
		{ FOR_EACH_CONDITION(SET_ENTRY, set_m) },
	};

	(void)insn;
	return handlers[is_mem(&operands[0])][zydis->opcode & 15];
}

/* BSWAP of 16 bits is undefined: processors clear the register's low half. */
void mov_bswap(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = reg_read(cpu, insn->dst, insn->size);

	if (insn->size == 8)
		value = __builtin_bswap64(value);
	else
		value = insn->size == 4 ? __builtin_bswap32((uint32_t)value) : 0;
	reg_write(cpu, insn->dst, insn->size, value);
}

void mov_movbe(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	bool is_load = insn->mem_operand == 1;
	uint64_t value = is_load ? load_operand(cpu, insn, size) : reg_read(cpu, insn->src, size);

	value = __builtin_bswap64(value) >> (64 - 8 * size);
	if (is_load)
		reg_write(cpu, insn->dst, size, value);
	else
		store_operand(cpu, insn, size, value);
}

/* CBW and its kin: the accumulator's low half extended into all of it. */
void mov_cbw(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RAX), 2, (uint64_t)(int8_t)cpu->gpr[RAX]);
}

void mov_cwde(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RAX), 4, (uint64_t)(int16_t)cpu->gpr[RAX]);
}

void mov_cdqe(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->gpr[RAX] = (uint64_t)(int32_t)cpu->gpr[RAX];
}

/* CWD and its kin: the accumulator's sign into all of rDX. */
void mov_cwd(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RDX), 2, (uint64_t)((int16_t)cpu->gpr[RAX] >> 15));
}

void mov_cdq(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RDX), 4, (uint64_t)((int32_t)cpu->gpr[RAX] >> 31));
}

void mov_cqo(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->gpr[RDX] = (uint64_t)((int64_t)cpu->gpr[RAX] >> 63);
}

void mov_xlat(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ea = (cpu->gpr[RBX] + (uint8_t)cpu->gpr[RAX]) & size_mask(insn->addr_size);
	gva_t addr = segment_linear(cpu, insn->seg, ea, 1, false);

	reg_write(cpu, REG_OFFSET(RAX), 1, mmu_load(cpu, addr, 1, insn->seg));
}
