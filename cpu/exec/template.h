/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the integer handlers are made from. Each hot handler is an always_inline template with its
 * operand size and form as constants, so that what runs has neither a switch nor a call.
 *
 * An operation of one or two operands is an op1_fn or op2_fn: it runs the host's own instruction on
 * values and takes its flags. HOST_OP1 and HOST_OP2 write such functions.
 */
#ifndef CPU_EXEC_TEMPLATE_H
#define CPU_EXEC_TEMPLATE_H

#include "cpu/exec/exec.h"
#include "cpu/flags.h"
#include "cpu/segment.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Where the operands of a two-operand instruction lie: register, memory, immediate. */
enum form { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI, FORMS };
enum { SIZES = 4 }; /* 1, 2, 4, 8 bytes */

static inline unsigned size_index(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

static inline bool is_mem(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static inline bool is_imm(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

static inline enum form operands_form(const ZydisDecodedOperand *operands)
{
	if (is_mem(&operands[0]))
		return is_imm(&operands[1]) ? FORM_MI : FORM_MR;
	if (is_imm(&operands[1]))
		return FORM_RI;
	return is_mem(&operands[1]) ? FORM_RM : FORM_RR;
}

typedef uint64_t op1_fn(uint64_t a, unsigned size, uint16_t *status);
typedef uint64_t op2_fn(uint64_t a, uint64_t b, unsigned size, uint16_t *status);

/* CF from the guest's, for instructions that need no other flag of before. */
#define CARRY_LOAD "btw $8, %%ax\n\t"

#define HOST_OP1_SIZE(bytes, prepare, text, modifier)               \
	case bytes:                                                 \
		__asm__(prepare text " %" modifier "[a]" FLAGS_SAVE \
			: [a] "+r"(a), "+a"(s)                      \
			:                                           \
			: "cc");                                    \
		break;

#define HOST_OP1(name, prepare, text)                                            \
	ALWAYS_INLINE uint64_t name(uint64_t a, unsigned size, uint16_t *status) \
	{                                                                        \
		uint16_t s = *status;                                            \
		switch (size) {                                                  \
			HOST_OP1_SIZE(1, prepare, text, "b")                     \
			HOST_OP1_SIZE(2, prepare, text, "w")                     \
			HOST_OP1_SIZE(4, prepare, text, "k")                     \
			HOST_OP1_SIZE(8, prepare, text, "q")                     \
		}                                                                \
		*status = s;                                                     \
		return a;                                                        \
	}

#define HOST_OP2_SIZE(bytes, prepare, text, modifier, status_constraint)              \
	case bytes:                                                                   \
		__asm__(prepare text " %" modifier "[b], %" modifier "[a]" FLAGS_SAVE \
			: [a] "+r"(a), status_constraint(s)                           \
			: [b] "r"(b)                                                  \
			: "cc");                                                      \
		break;

#define HOST_OP2_WITH(name, prepare, text, status_constraint)                                \
	ALWAYS_INLINE uint64_t name(uint64_t a, uint64_t b, unsigned size, uint16_t *status) \
	{                                                                                    \
		uint16_t s = *status;                                                        \
		switch (size) {                                                              \
			HOST_OP2_SIZE(1, prepare, text, "b", status_constraint)              \
			HOST_OP2_SIZE(2, prepare, text, "w", status_constraint)              \
			HOST_OP2_SIZE(4, prepare, text, "k", status_constraint)              \
			HOST_OP2_SIZE(8, prepare, text, "q", status_constraint)              \
		}                                                                            \
		*status = s;                                                                 \
		return a;                                                                    \
	}

/* Flags in do not matter; flags in matter as far as `prepare` loads them. */
#define HOST_OP2(name, text)                HOST_OP2_WITH(name, "", text, "=a")
#define HOST_OP2_FLAGS(name, prepare, text) HOST_OP2_WITH(name, prepare, text, "+&a")

/* Decimal instructions: SF, ZF and PF of AL, the others zero. */
static inline void set_status_of_al(struct cpu *cpu)
{
	uint16_t s;

	__asm__("testb %b[al], %b[al]" FLAGS_SAVE : "=a"(s) : [al] "r"(cpu->gpr[RAX]) : "cc");
	cpu->status = s;
}

/* The memory operand's value. */
ALWAYS_INLINE uint64_t load_operand(struct cpu *cpu, const struct insn *insn, unsigned size)
{
	return mmu_load(cpu, insn_linear(cpu, insn, size, false), size, insn->seg);
}

ALWAYS_INLINE void store_operand(struct cpu *cpu, const struct insn *insn, unsigned size,
				 uint64_t value)
{
	mmu_store(cpu, insn_linear(cpu, insn, size, true), size, value, insn->seg);
}

/*
 * A register or memory operand by run-time tests, for instructions that are not hot. `reg` is where
 * it would be as a register.
 */
static inline uint64_t read_rm(struct cpu *cpu, const struct insn *insn, unsigned reg,
			       unsigned size)
{
	return insn->flags & INSN_MEM ? load_operand(cpu, insn, size) : reg_read(cpu, reg, size);
}

static inline void write_rm(struct cpu *cpu, const struct insn *insn, unsigned reg, unsigned size,
			    uint64_t value)
{
	if (insn->flags & INSN_MEM)
		store_operand(cpu, insn, size, value);
	else
		reg_write(cpu, reg, size, value);
}

/*
 * A read-modify-write of the memory operand. begin raises every fault, as a write does, and returns
 * the value; no fault may come before end.
 */
struct rmw {
	gva_t addr;
	void *host;
	bool is_fast;
};

ALWAYS_INLINE uint64_t rmw_begin(struct cpu *cpu, const struct insn *insn, unsigned size,
				 struct rmw *rmw)
{
	rmw->addr = insn_linear(cpu, insn, size, true);
	rmw->host = mmu_fast(cpu, rmw->addr, size, true);
	rmw->is_fast = rmw->host != NULL;
	if (unlikely(!rmw->is_fast))
		rmw->host = mmu_rmw_begin(cpu, rmw->addr, size, insn->seg);
	return load_le(rmw->host, size);
}

ALWAYS_INLINE void rmw_end(struct cpu *cpu, unsigned size, const struct rmw *rmw, uint64_t value)
{
	store_le(rmw->host, value, size);
	if (unlikely(!rmw->is_fast))
		mmu_rmw_done(cpu, rmw->addr, size, rmw->host);
}

/* The same for an atomic one: the host's LOCK is used on what begin returns. */
static inline void *atomic_begin(struct cpu *cpu, const struct insn *insn, unsigned size,
				 gva_t *addr)
{
	*addr = insn_linear(cpu, insn, size, true);
	return mmu_rmw_begin(cpu, *addr, size, insn->seg);
}

/* Condition `cc` of Jcc, SETcc and CMOVcc (the low four bits of their opcodes). */
ALWAYS_INLINE bool status_meets(uint16_t status, unsigned cc)
{
	bool less = (status >> 15) != (status & STATUS_OF);
	bool met = false;

	switch (cc >> 1) {
	case 0:
		met = status & STATUS_OF;
		break;
	case 1:
		met = status & STATUS_CF;
		break;
	case 2:
		met = status & STATUS_ZF;
		break;
	case 3:
		met = status & (STATUS_CF | STATUS_ZF);
		break;
	case 4:
		met = status & STATUS_SF;
		break;
	case 5:
		met = status & STATUS_PF;
		break;
	case 6:
		met = less;
		break;
	case 7:
		met = less || (status & STATUS_ZF);
		break;
	}
	return met != (cc & 1);
}

/* X(cc, ...) for each condition. */
#define FOR_EACH_CONDITION(X, ...) \
	X(0, __VA_ARGS__)          \
	X(1, __VA_ARGS__)          \
	X(2, __VA_ARGS__)          \
	X(3, __VA_ARGS__)          \
	X(4, __VA_ARGS__)          \
	X(5, __VA_ARGS__)          \
	X(6, __VA_ARGS__)          \
	X(7, __VA_ARGS__)          \
	X(8, __VA_ARGS__)          \
	X(9, __VA_ARGS__)          \
	X(10, __VA_ARGS__)         \
	X(11, __VA_ARGS__)         \
	X(12, __VA_ARGS__)         \
	X(13, __VA_ARGS__)         \
	X(14, __VA_ARGS__)         \
	X(15, __VA_ARGS__)

#endif
