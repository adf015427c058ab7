/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-modify-write instructions that are atomic: those with LOCK, XCHG with memory, and the
 * exchanging ones with and without LOCK. The host's LOCK instructions do them on guest memory.
 * SDM2: "LOCK", "XADD", "XCHG", "CMPXCHG", "CMPXCHG8B/CMPXCHG16B".
 */
#include "cpu/exec/template.h"

/* Runs `lock text` of `size` bytes on *host. */
typedef void atomic_fn(void *host, uint64_t b, unsigned size, uint16_t *status);

#define LOCKED_SIZE(bytes, type, operands)                       \
	case bytes:                                              \
		__asm__ volatile(operands FLAGS_SAVE             \
				 : "+m"(*(type *)host), "+&a"(s) \
				 : [b] "r"(b)                    \
				 : "cc", "memory");              \
		break;

#define LOCKED_OP2(name, prepare, text)                                              \
	static void name(void *host, uint64_t b, unsigned size, uint16_t *status)    \
	{                                                                            \
		uint16_t s = *status;                                                \
		switch (size) {                                                      \
			LOCKED_SIZE(1, uint8_t, prepare "lock " text "b %b[b], %0")  \
			LOCKED_SIZE(2, uint16_t, prepare "lock " text "w %w[b], %0") \
			LOCKED_SIZE(4, uint32_t, prepare "lock " text "l %k[b], %0") \
			LOCKED_SIZE(8, uint64_t, prepare "lock " text "q %q[b], %0") \
		}                                                                    \
		*status = s;                                                         \
	}

#define LOCKED_OP1(name, text)                                                    \
	static void name(void *host, uint64_t b, unsigned size, uint16_t *status) \
	{                                                                         \
		uint16_t s = *status;                                             \
		switch (size) {                                                   \
			LOCKED_SIZE(1, uint8_t, FLAGS_LOAD "lock " text "b %0")   \
			LOCKED_SIZE(2, uint16_t, FLAGS_LOAD "lock " text "w %0")  \
			LOCKED_SIZE(4, uint32_t, FLAGS_LOAD "lock " text "l %0")  \
			LOCKED_SIZE(8, uint64_t, FLAGS_LOAD "lock " text "q %0")  \
		}                                                                 \
		*status = s;                                                      \
	}

LOCKED_OP2(locked_add, "", "add")
LOCKED_OP2(locked_sub, "", "sub")
LOCKED_OP2(locked_and, "", "and")
LOCKED_OP2(locked_or, "", "or")
LOCKED_OP2(locked_xor, "", "xor")
LOCKED_OP2(locked_adc, CARRY_LOAD, "adc")
LOCKED_OP2(locked_sbb, CARRY_LOAD, "sbb")
LOCKED_OP1(locked_inc, "inc")
LOCKED_OP1(locked_dec, "dec")
LOCKED_OP1(locked_neg, "neg")
LOCKED_OP1(locked_not, "not")

ALWAYS_INLINE void run_locked(struct cpu *cpu, const struct insn *insn, atomic_fn *op, uint64_t b)
{
	gva_t addr;
	void *host = atomic_begin(cpu, insn, insn->size, &addr);

	op(host, b, insn->size, &cpu->status);
	mmu_rmw_done(cpu, addr, insn->size, host);
}

#define LOCKED_HANDLERS(op)                                                      \
	static void op##_mr(struct cpu *cpu, const struct insn *insn)            \
	{                                                                        \
		run_locked(cpu, insn, op, reg_read(cpu, insn->src, insn->size)); \
	}                                                                        \
	static void op##_mi(struct cpu *cpu, const struct insn *insn)            \
	{                                                                        \
		run_locked(cpu, insn, op, (uint64_t)insn->imm);                  \
	}

LOCKED_HANDLERS(locked_add)
LOCKED_HANDLERS(locked_sub)
LOCKED_HANDLERS(locked_and)
LOCKED_HANDLERS(locked_or)
LOCKED_HANDLERS(locked_xor)
LOCKED_HANDLERS(locked_adc)
LOCKED_HANDLERS(locked_sbb)
LOCKED_HANDLERS(locked_inc)
LOCKED_HANDLERS(locked_dec)
LOCKED_HANDLERS(locked_neg)
LOCKED_HANDLERS(locked_not)

insn_fn *atomic_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		       struct insn *insn)
{
	static const struct {
		uint16_t mnemonic;
		insn_fn *from_register, *from_immediate;
	} table[] = {
		{ ZYDIS_MNEMONIC_ADD, locked_add_mr, locked_add_mi },
		{ ZYDIS_MNEMONIC_SUB, locked_sub_mr, locked_sub_mi },
		{ ZYDIS_MNEMONIC_AND, locked_and_mr, locked_and_mi },
		{ ZYDIS_MNEMONIC_OR, locked_or_mr, locked_or_mi },
		{ ZYDIS_MNEMONIC_XOR, locked_xor_mr, locked_xor_mi },
		{ ZYDIS_MNEMONIC_ADC, locked_adc_mr, locked_adc_mi },
		{ ZYDIS_MNEMONIC_SBB, locked_sbb_mr, locked_sbb_mi },
		{ ZYDIS_MNEMONIC_INC, locked_inc_mr, locked_inc_mi },
		{ ZYDIS_MNEMONIC_DEC, locked_dec_mr, locked_dec_mi },
		{ ZYDIS_MNEMONIC_NEG, locked_neg_mr, locked_neg_mi },
		{ ZYDIS_MNEMONIC_NOT, locked_not_mr, locked_not_mi },
	};
	bool has_imm = zydis->operand_count_visible > 1 && is_imm(&operands[1]);

	(void)insn;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].mnemonic == zydis->mnemonic)
			return has_imm ? table[i].from_immediate : table[i].from_register;
	return NULL;
}

/* XADD and XCHG: what was in the destination goes to the source register. */
#define EXCHANGE_SIZE(bytes, type, text)                                                        \
	case bytes:                                                                             \
		__asm__ volatile(text                                                           \
				 : "+m"(*(type *)host), [b] "+r"(b), "+&a"(s)::"cc", "memory"); \
		break;

static uint64_t locked_xadd(void *host, uint64_t b, unsigned size, uint16_t *status)
{
	uint16_t s = *status;

	switch (size) {
		EXCHANGE_SIZE(1, uint8_t, "lock xaddb %b[b], %0" FLAGS_SAVE)
		EXCHANGE_SIZE(2, uint16_t, "lock xaddw %w[b], %0" FLAGS_SAVE)
		EXCHANGE_SIZE(4, uint32_t, "lock xaddl %k[b], %0" FLAGS_SAVE)
		EXCHANGE_SIZE(8, uint64_t, "lock xaddq %q[b], %0" FLAGS_SAVE)
	}
	*status = s;
	return b;
}

static uint64_t locked_xchg(void *host, uint64_t b, unsigned size, uint16_t *status)
{
	uint16_t s = *status;

	switch (size) {
		EXCHANGE_SIZE(1, uint8_t, "xchgb %b[b], %0")
		EXCHANGE_SIZE(2, uint16_t, "xchgw %w[b], %0")
		EXCHANGE_SIZE(4, uint32_t, "xchgl %k[b], %0")
		EXCHANGE_SIZE(8, uint64_t, "xchgq %q[b], %0")
	}
	*status = s;
	return b;
}

typedef uint64_t exchange_fn(void *host, uint64_t b, unsigned size, uint16_t *status);

/* The register of an exchange with memory is operand 1, or operand 0 of XCHG reg, mem. */
static void run_exchange(struct cpu *cpu, const struct insn *insn, exchange_fn *op)
{
	unsigned reg = insn->mem_operand ? insn->dst : insn->src;
	unsigned size = insn->size;
	gva_t addr;
	void *host = atomic_begin(cpu, insn, size, &addr);
	uint64_t old = op(host, reg_read(cpu, reg, size), size, &cpu->status);

	reg_write(cpu, reg, size, old);
	mmu_rmw_done(cpu, addr, size, host);
}

void atomic_xadd(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	uint64_t sum, old;

	if (insn->flags & INSN_MEM) {
		run_exchange(cpu, insn, locked_xadd);
		return;
	}
	sum = reg_read(cpu, insn->dst, size);
	old = locked_xadd(&sum, reg_read(cpu, insn->src, size), size, &cpu->status);
	reg_write(cpu, insn->src, size, old);
	reg_write(cpu, insn->dst, size, sum);
}

void atomic_xchg(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	uint64_t a, b;

	if (insn->flags & INSN_MEM) {
		run_exchange(cpu, insn, locked_xchg);
		return;
	}
	a = reg_read(cpu, insn->dst, size);
	b = reg_read(cpu, insn->src, size);
	reg_write(cpu, insn->dst, size, b);
	reg_write(cpu, insn->src, size, a);
}

/*
 * CMPXCHG on *host; *rax as the host leaves it. A mismatch writes memory too: the host does that,
 * and mmu_rmw_begin has checked for it.
 */
#define CMPXCHG_SIZE(bytes, type, text)                                           \
	case bytes:                                                               \
		__asm__ volatile(text "\n\tmovq %%rax, %[out]" FLAGS_SAVE         \
				 : "+m"(*(type *)host), [out] "=&r"(out), "+a"(a) \
				 : [b] "r"(b)                                     \
				 : "cc", "memory");                               \
		break;

static void locked_cmpxchg(void *host, uint64_t b, unsigned size, uint64_t *rax, uint16_t *status)
{
	uint64_t a = *rax, out = 0;

	switch (size) {
		CMPXCHG_SIZE(1, uint8_t, "lock cmpxchgb %b[b], %0")
		CMPXCHG_SIZE(2, uint16_t, "lock cmpxchgw %w[b], %0")
		CMPXCHG_SIZE(4, uint32_t, "lock cmpxchgl %k[b], %0")
		CMPXCHG_SIZE(8, uint64_t, "lock cmpxchgq %q[b], %0")
	}
	*rax = out;
	*status = (uint16_t)a;
}

static void cmpxchg_memory(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	gva_t addr;
	void *host = atomic_begin(cpu, insn, size, &addr);

	locked_cmpxchg(host, reg_read(cpu, insn->src, size), size, &cpu->gpr[RAX], &cpu->status);
	mmu_rmw_done(cpu, addr, size, host);
}

#define CMPXCHG_REGISTER_SIZE(bytes, text)                                 \
	case bytes:                                                        \
		__asm__ volatile(text "\n\tmovq %%rax, %[out]" FLAGS_SAVE  \
				 : [d] "+&r"(d), [out] "=&r"(out), "+a"(a) \
				 : [b] "r"(b)                              \
				 : "cc");                                  \
		break;

/*
 * The destination may be AH and the like, or part of RAX itself. Hosts differ in what a mismatch of
 * 32 bits does to the upper half: they see all 64 bits.
 */
static void cmpxchg_register(struct cpu *cpu, const struct insn *insn)
{
	unsigned width = insn->size == 4 ? 8 : insn->size;
	uint64_t d = reg_read(cpu, insn->dst, width);
	uint64_t b = reg_read(cpu, insn->src, insn->size);
	uint64_t a = cpu->gpr[RAX], out = 0;

	switch (insn->size) {
		CMPXCHG_REGISTER_SIZE(1, "cmpxchgb %b[b], %b[d]")
		CMPXCHG_REGISTER_SIZE(2, "cmpxchgw %w[b], %w[d]")
		CMPXCHG_REGISTER_SIZE(4, "cmpxchgl %k[b], %k[d]")
		CMPXCHG_REGISTER_SIZE(8, "cmpxchgq %q[b], %q[d]")
	}
	cpu->status = (uint16_t)a;
	reg_write(cpu, insn->dst, width, d);
	if (!(cpu->status & STATUS_ZF))
		cpu->gpr[RAX] = out;
}

void atomic_cmpxchg(struct cpu *cpu, const struct insn *insn)
{
	if (insn->flags & INSN_MEM)
		cmpxchg_memory(cpu, insn);
	else
		cmpxchg_register(cpu, insn);
}

static void set_zero_flag(struct cpu *cpu, bool is_set)
{
	cpu->status = (uint16_t)((cpu->status & ~STATUS_ZF) | (is_set ? STATUS_ZF : 0));
}

void atomic_cmpxchg8b(struct cpu *cpu, const struct insn *insn)
{
	uint32_t a = (uint32_t)cpu->gpr[RAX], d = (uint32_t)cpu->gpr[RDX];
	bool is_equal;
	gva_t addr;
	void *host = atomic_begin(cpu, insn, 8, &addr);

	__asm__ volatile("lock cmpxchg8b %0"
			 : "+m"(*(uint64_t *)host), "+a"(a), "+d"(d), "=@ccz"(is_equal)
			 : "b"((uint32_t)cpu->gpr[RBX]), "c"((uint32_t)cpu->gpr[RCX])
			 : "memory");
	set_zero_flag(cpu, is_equal);
	if (!is_equal) {
		cpu->gpr[RAX] = a;
		cpu->gpr[RDX] = d;
	}
	mmu_rmw_done(cpu, addr, 8, host);
}

void atomic_cmpxchg16b(struct cpu *cpu, const struct insn *insn)
{
	gva_t addr = insn_linear(cpu, insn, 16, true);
	uint64_t a = cpu->gpr[RAX], d = cpu->gpr[RDX];
	bool is_equal;
	void *host;

	if (addr % 16)
		cpu_raise_code(cpu, EXC_GP, 0);
	host = mmu_rmw_begin(cpu, addr, 16, insn->seg);
	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(*(unsigned __int128 *)host), "+a"(a), "+d"(d), "=@ccz"(is_equal)
			 : "b"(cpu->gpr[RBX]), "c"(cpu->gpr[RCX])
			 : "memory");
	set_zero_flag(cpu, is_equal);
	cpu->gpr[RAX] = a;
	cpu->gpr[RDX] = d;
	mmu_rmw_done(cpu, addr, 16, host);
}
