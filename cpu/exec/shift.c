/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates. The host masks counts and leaves flags alone as the guest's processor would;
 * flags that are undefined are what the host makes of the guest's.
 * SDM2: "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD".
 */
#include "cpu/exec/template.h"

#define SHIFT_SIZE(bytes, text, modifier)                                    \
	case bytes:                                                          \
		__asm__(FLAGS_LOAD text " %%cl, %" modifier "[a]" FLAGS_SAVE \
			: [a] "+&r"(a), "+&a"(s)                             \
			: "c"(count)                                         \
			: "cc");                                             \
		break;

#define SHIFT_OP(name, text)                                                                     \
	ALWAYS_INLINE uint64_t name(uint64_t a, uint64_t count, unsigned size, uint16_t *status) \
	{                                                                                        \
		uint16_t s = *status;                                                            \
		switch (size) {                                                                  \
			SHIFT_SIZE(1, text, "b")                                                 \
			SHIFT_SIZE(2, text, "w")                                                 \
			SHIFT_SIZE(4, text, "k")                                                 \
			SHIFT_SIZE(8, text, "q")                                                 \
		}                                                                                \
		*status = s;                                                                     \
		return a;                                                                        \
	}

SHIFT_OP(op_shl, "shl")
SHIFT_OP(op_shr, "shr")
SHIFT_OP(op_sar, "sar")
SHIFT_OP(op_rol, "rol")
SHIFT_OP(op_ror, "ror")
SHIFT_OP(op_rcl, "rcl")
SHIFT_OP(op_rcr, "rcr")

ALWAYS_INLINE void shift_register(struct cpu *cpu, const struct insn *insn, unsigned size,
				  op2_fn *op, uint64_t count)
{
	reg_write(cpu, insn->dst, size,
		  op(reg_read(cpu, insn->dst, size), count, size, &cpu->status));
}

ALWAYS_INLINE void shift_memory(struct cpu *cpu, const struct insn *insn, unsigned size, op2_fn *op,
				uint64_t count)
{
	struct rmw rmw;
	uint64_t value = rmw_begin(cpu, insn, size, &rmw);

	rmw_end(cpu, size, &rmw, op(value, count, size, &cpu->status));
}

/* The count is an immediate (1 too) or CL. */
#define SHIFT_HANDLERS(op, size)                                             \
	static void op##_ri_##size(struct cpu *cpu, const struct insn *insn) \
	{                                                                    \
		shift_register(cpu, insn, size, op, (uint64_t)insn->imm);    \
	}                                                                    \
	static void op##_rc_##size(struct cpu *cpu, const struct insn *insn) \
	{                                                                    \
		shift_register(cpu, insn, size, op, cpu->gpr[RCX]);          \
	}                                                                    \
	static void op##_mi_##size(struct cpu *cpu, const struct insn *insn) \
	{                                                                    \
		shift_memory(cpu, insn, size, op, (uint64_t)insn->imm);      \
	}                                                                    \
	static void op##_mc_##size(struct cpu *cpu, const struct insn *insn) \
	{                                                                    \
		shift_memory(cpu, insn, size, op, cpu->gpr[RCX]);            \
	}

#define SHIFT_ROW(op, form)                                                        \
	{                                                                          \
		op##_##form##_1, op##_##form##_2, op##_##form##_4, op##_##form##_8 \
	}

/* [is memory][is CL][size] */
#define SHIFT(op)                                            \
	SHIFT_HANDLERS(op, 1)                                \
	SHIFT_HANDLERS(op, 2)                                \
	SHIFT_HANDLERS(op, 4)                                \
	SHIFT_HANDLERS(op, 8)                                \
	static insn_fn *const op##_handlers[2][2][SIZES] = { \
		{ SHIFT_ROW(op, ri), SHIFT_ROW(op, rc) },    \
		{ SHIFT_ROW(op, mi), SHIFT_ROW(op, mc) },    \
	};

SHIFT(op_shl)
SHIFT(op_shr)
SHIFT(op_sar)
SHIFT(op_rol)
SHIFT(op_ror)
SHIFT(op_rcl)
SHIFT(op_rcr)

insn_fn *shift_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		      struct insn *insn)
{
	static const struct {
		uint16_t mnemonic;
		insn_fn *const (*handlers)[2][SIZES];
	} table[] = {
		{ ZYDIS_MNEMONIC_SHL, op_shl_handlers }, { ZYDIS_MNEMONIC_SHR, op_shr_handlers },
		{ ZYDIS_MNEMONIC_SAR, op_sar_handlers }, { ZYDIS_MNEMONIC_ROL, op_rol_handlers },
		{ ZYDIS_MNEMONIC_ROR, op_ror_handlers }, { ZYDIS_MNEMONIC_RCL, op_rcl_handlers },
		{ ZYDIS_MNEMONIC_RCR, op_rcr_handlers },
	};
	bool mem = is_mem(&operands[0]), by_cl = !is_imm(&operands[1]);

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].mnemonic == zydis->mnemonic)
			return table[i].handlers[mem][by_cl][size_index(insn->size)];
	return NULL;
}

/* SHLD, SHRD: bits of `b` are shifted in. */
#define DOUBLE_SIZE(bytes, text, modifier)                                                     \
	case bytes:                                                                            \
		__asm__(FLAGS_LOAD text " %%cl, %" modifier "[b], %" modifier "[a]" FLAGS_SAVE \
			: [a] "+&r"(a), "+&a"(s)                                               \
			: [b] "r"(b), "c"(count)                                               \
			: "cc");                                                               \
		break;

#define DOUBLE_OP(name, text)                                                       \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t count, unsigned size, \
			     uint16_t *status)                                      \
	{                                                                           \
		uint16_t s = *status;                                               \
		switch (size) {                                                     \
			DOUBLE_SIZE(2, text, "w")                                   \
			DOUBLE_SIZE(4, text, "k")                                   \
			DOUBLE_SIZE(8, text, "q")                                   \
		}                                                                   \
		*status = s;                                                        \
		return a;                                                           \
	}

DOUBLE_OP(op_shld, "shld")
DOUBLE_OP(op_shrd, "shrd")

typedef uint64_t double_fn(uint64_t a, uint64_t b, uint64_t count, unsigned size, uint16_t *status);

static void shift_double(struct cpu *cpu, const struct insn *insn, double_fn *op, uint64_t count)
{
	unsigned size = insn->size;
	uint64_t b = reg_read(cpu, insn->src, size);
	struct rmw rmw;

	if (insn->flags & INSN_MEM) {
		uint64_t a = rmw_begin(cpu, insn, size, &rmw);

		rmw_end(cpu, size, &rmw, op(a, b, count, size, &cpu->status));
	} else {
		uint64_t a = reg_read(cpu, insn->dst, size);

		reg_write(cpu, insn->dst, size, op(a, b, count, size, &cpu->status));
	}
}

static void shld_i(struct cpu *cpu, const struct insn *insn)
{
	shift_double(cpu, insn, op_shld, (uint64_t)insn->imm);
}

static void shld_c(struct cpu *cpu, const struct insn *insn)
{
	shift_double(cpu, insn, op_shld, cpu->gpr[RCX]);
}

static void shrd_i(struct cpu *cpu, const struct insn *insn)
{
	shift_double(cpu, insn, op_shrd, (uint64_t)insn->imm);
}

static void shrd_c(struct cpu *cpu, const struct insn *insn)
{
	shift_double(cpu, insn, op_shrd, cpu->gpr[RCX]);
}

insn_fn *shift_select_double(const ZydisDecodedInstruction *zydis,
			     const ZydisDecodedOperand *operands, struct insn *insn)
{
	(void)insn;
	if (zydis->mnemonic == ZYDIS_MNEMONIC_SHLD)
		return is_imm(&operands[2]) ? shld_i : shld_c;
	return is_imm(&operands[2]) ? shrd_i : shrd_c;
}
