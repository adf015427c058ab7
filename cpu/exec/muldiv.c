/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiplication and division. The host does both; what would make it raise #DE is found first, so
 * that the host never does. SDM2: "MUL", "IMUL", "DIV", "IDIV", "AAM", "AAD".
 */
#include "cpu/exec/template.h"

/* IMUL with a register destination. */
ALWAYS_INLINE uint64_t op_imul(uint64_t a, uint64_t b, unsigned size, uint16_t *status)
{
	uint16_t s = *status;

	switch (size) {
		HOST_OP2_SIZE(2, FLAGS_LOAD, "imul", "w", "+&a")
		HOST_OP2_SIZE(4, FLAGS_LOAD, "imul", "k", "+&a")
		HOST_OP2_SIZE(8, FLAGS_LOAD, "imul", "q", "+&a")
	}
	*status = s;
	return a;
}

#define IMUL_HANDLERS(size)                                                                       \
	static void imul_rr_##size(struct cpu *cpu, const struct insn *insn)                      \
	{                                                                                         \
		reg_write(cpu, insn->dst, size,                                                   \
			  op_imul(reg_read(cpu, insn->dst, size), reg_read(cpu, insn->src, size), \
				  size, &cpu->status));                                           \
	}                                                                                         \
	static void imul_rm_##size(struct cpu *cpu, const struct insn *insn)                      \
	{                                                                                         \
		uint64_t b = load_operand(cpu, insn, size);                                       \
		reg_write(cpu, insn->dst, size,                                                   \
			  op_imul(reg_read(cpu, insn->dst, size), b, size, &cpu->status));        \
	}                                                                                         \
	static void imul_rri_##size(struct cpu *cpu, const struct insn *insn)                     \
	{                                                                                         \
		reg_write(cpu, insn->dst, size,                                                   \
			  op_imul(reg_read(cpu, insn->src, size), (uint64_t)insn->imm, size,      \
				  &cpu->status));                                                 \
	}                                                                                         \
	static void imul_rmi_##size(struct cpu *cpu, const struct insn *insn)                     \
	{                                                                                         \
		uint64_t a = load_operand(cpu, insn, size);                                       \
		reg_write(cpu, insn->dst, size,                                                   \
			  op_imul(a, (uint64_t)insn->imm, size, &cpu->status));                   \
	}

IMUL_HANDLERS(2)
IMUL_HANDLERS(4)
IMUL_HANDLERS(8)

/*
 * The one-operand forms work on all of RAX and RDX, so that the host decides what becomes of their
 * upper halves.
 */
struct accumulator {
	uint64_t low, high;
	uint16_t status;
};

#define ACCUMULATE_SIZE(bytes, text, modifier)                                           \
	case bytes:                                                                      \
		__asm__(FLAGS_LOAD "movq %[low], %%rax\n\t" text " %" modifier "[b]\n\t" \
				   "movq %%rax, %[low]" FLAGS_SAVE                       \
			: "+&a"(s), [low] "+&r"(acc->low), "+&d"(acc->high)              \
			: [b] "r"(b)                                                     \
			: "cc");                                                         \
		break;

#define ACCUMULATE_OP(name, text)                                            \
	static void name(struct accumulator *acc, uint64_t b, unsigned size) \
	{                                                                    \
		uint64_t s = acc->status;                                    \
		switch (size) {                                              \
			ACCUMULATE_SIZE(1, text, "b")                        \
			ACCUMULATE_SIZE(2, text, "w")                        \
			ACCUMULATE_SIZE(4, text, "k")                        \
			ACCUMULATE_SIZE(8, text, "q")                        \
		}                                                            \
		acc->status = (uint16_t)s;                                   \
	}

ACCUMULATE_OP(op_mul, "mul")
ACCUMULATE_OP(op_imul_wide, "imul")
ACCUMULATE_OP(op_div, "div")
ACCUMULATE_OP(op_idiv, "idiv")

typedef void accumulate_fn(struct accumulator *acc, uint64_t b, unsigned size);

static void accumulate(struct cpu *cpu, accumulate_fn *op, uint64_t b, unsigned size)
{
	struct accumulator acc = { cpu->gpr[RAX], cpu->gpr[RDX], cpu->status };

	op(&acc, b, size);
	cpu->gpr[RAX] = acc.low;
	cpu->gpr[RDX] = acc.high;
	cpu->status = acc.status;
}

void muldiv_mul(struct cpu *cpu, const struct insn *insn)
{
	accumulate(cpu, op_mul, read_rm(cpu, insn, insn->dst, insn->size), insn->size);
}

static void imul_wide(struct cpu *cpu, const struct insn *insn)
{
	accumulate(cpu, op_imul_wide, read_rm(cpu, insn, insn->dst, insn->size), insn->size);
}

insn_fn *muldiv_select_imul(const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *operands, struct insn *insn)
{
	static insn_fn *const handlers[2][2][3] = {
		{ { imul_rr_2, imul_rr_4, imul_rr_8 }, { imul_rm_2, imul_rm_4, imul_rm_8 } },
		{ { imul_rri_2, imul_rri_4, imul_rri_8 }, { imul_rmi_2, imul_rmi_4, imul_rmi_8 } },
	};
	unsigned operand_count = zydis->operand_count_visible;

	if (operand_count == 1)
		return imul_wide;
	return handlers[operand_count == 3][is_mem(&operands[1])][size_index(insn->size) - 1];
}

/* The dividend: AX for a division of bytes, else rDX:rAX. */
static unsigned __int128 dividend(const struct cpu *cpu, unsigned size)
{
	uint64_t mask = size_mask(size);

	if (size == 1)
		return (uint16_t)cpu->gpr[RAX];
	return (unsigned __int128)(cpu->gpr[RDX] & mask) << (8 * size) | (cpu->gpr[RAX] & mask);
}

static __int128 sign_extend(unsigned __int128 value, unsigned bytes)
{
	unsigned shift = 128 - 8 * bytes;

	return (__int128)(value << shift) >> shift;
}

static unsigned __int128 magnitude(__int128 value)
{
	return value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
}

static bool div_faults(const struct cpu *cpu, uint64_t divisor, unsigned size)
{
	return divisor == 0 || dividend(cpu, size) / divisor > size_mask(size);
}

static bool idiv_faults(const struct cpu *cpu, uint64_t divisor, unsigned size)
{
	__int128 n = sign_extend(dividend(cpu, size), 2 * size), d = sign_extend(divisor, size);
	uint64_t most = size_mask(size) >> 1;

	if (d == 0)
		return true;
	return magnitude(n) / magnitude(d) > ((n < 0) != (d < 0) ? most + 1 : most);
}

void muldiv_div(struct cpu *cpu, const struct insn *insn)
{
	uint64_t divisor = read_rm(cpu, insn, insn->dst, insn->size);

	if (div_faults(cpu, divisor, insn->size))
		cpu_raise(cpu, EXC_DE);
	accumulate(cpu, op_div, divisor, insn->size);
}

void muldiv_idiv(struct cpu *cpu, const struct insn *insn)
{
	uint64_t divisor = read_rm(cpu, insn, insn->dst, insn->size);

	if (idiv_faults(cpu, divisor, insn->size))
		cpu_raise(cpu, EXC_DE);
	accumulate(cpu, op_idiv, divisor, insn->size);
}

/* AAM and AAD do not exist in 64-bit mode, so not on the host. */
void muldiv_aam(struct cpu *cpu, const struct insn *insn)
{
	uint8_t al = (uint8_t)cpu->gpr[RAX], base = (uint8_t)insn->imm;

	if (base == 0)
		cpu_raise(cpu, EXC_DE);
	reg_write(cpu, REG_OFFSET(RAX), 2, (uint64_t)(al / base) << 8 | al % base);
	set_status_of_al(cpu);
}

void muldiv_aad(struct cpu *cpu, const struct insn *insn)
{
	uint8_t al = (uint8_t)cpu->gpr[RAX], ah = (uint8_t)(cpu->gpr[RAX] >> 8);

	al = (uint8_t)(al + ah * (uint8_t)insn->imm);
	reg_write(cpu, REG_OFFSET(RAX), 2, al);
	set_status_of_al(cpu);
}
