/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single bits and bit scans. SDM2: "BT", "BTC", "BTR", "BTS", "BSF", "BSR".
 */
#include "cpu/exec/template.h"

#define BIT_OP(name, text)                                                            \
	static uint64_t name(uint64_t a, uint64_t b, unsigned size, uint16_t *status) \
	{                                                                             \
		uint16_t s = *status;                                                 \
		switch (size) {                                                       \
			HOST_OP2_SIZE(2, FLAGS_LOAD, text, "w", "+&a")                \
			HOST_OP2_SIZE(4, FLAGS_LOAD, text, "k", "+&a")                \
			HOST_OP2_SIZE(8, FLAGS_LOAD, text, "q", "+&a")                \
		}                                                                     \
		*status = s;                                                          \
		return a;                                                             \
	}

BIT_OP(op_bt, "bt")
BIT_OP(op_bts, "bts")
BIT_OP(op_btr, "btr")
BIT_OP(op_btc, "btc")

/* b is below the operand's bits, so the host stays within it. */
#define LOCKED_BIT_SIZE(bytes, type, text)                                 \
	case bytes:                                                        \
		__asm__ volatile(FLAGS_LOAD "lock " text ", %0" FLAGS_SAVE \
				 : "+m"(*(type *)host), "+&a"(s)           \
				 : [b] "r"(b)                              \
				 : "cc", "memory");                        \
		break;

#define LOCKED_BIT_OP(name, text)                                                 \
	static void name(void *host, uint64_t b, unsigned size, uint16_t *status) \
	{                                                                         \
		uint16_t s = *status;                                             \
		switch (size) {                                                   \
			LOCKED_BIT_SIZE(2, uint16_t, text "w %w[b]")              \
			LOCKED_BIT_SIZE(4, uint32_t, text "l %k[b]")              \
			LOCKED_BIT_SIZE(8, uint64_t, text "q %q[b]")              \
		}                                                                 \
		*status = s;                                                      \
	}

LOCKED_BIT_OP(locked_bts, "bts")
LOCKED_BIT_OP(locked_btr, "btr")
LOCKED_BIT_OP(locked_btc, "btc")

typedef void locked_bit_fn(void *host, uint64_t b, unsigned size, uint16_t *status);

/*
 * In memory, a bit number in a register is signed and reaches beyond the operand; an immediate does
 * not. *bit becomes the number within the unit of `size` bytes at the address that is returned.
 */
static gva_t bit_linear(struct cpu *cpu, const struct insn *insn, bool is_imm_form, bool is_write,
			uint64_t *bit)
{
	unsigned unused = 64 - 8 * insn->size;
	uint64_t ea = insn_ea(cpu, insn);

	if (is_imm_form) {
		*bit = (uint64_t)insn->imm;
	} else {
		*bit = reg_read(cpu, insn->src, insn->size);
		ea += (uint64_t)((int64_t)(*bit << unused) >> unused >> 3) & -(uint64_t)insn->size;
	}
	*bit &= 8 * insn->size - 1;
	return segment_linear(cpu, insn->seg, ea & size_mask(insn->addr_size), insn->size,
			      is_write);
}

ALWAYS_INLINE void bit_register(struct cpu *cpu, const struct insn *insn, op2_fn *op, bool writes,
				uint64_t b)
{
	uint64_t a = op(reg_read(cpu, insn->dst, insn->size), b, insn->size, &cpu->status);

	if (writes)
		reg_write(cpu, insn->dst, insn->size, a);
}

static void bit_load(struct cpu *cpu, const struct insn *insn, bool is_imm_form)
{
	uint64_t bit;
	gva_t addr = bit_linear(cpu, insn, is_imm_form, false, &bit);

	op_bt(mmu_load(cpu, addr, insn->size, insn->seg), bit, insn->size, &cpu->status);
}

static void bit_change(struct cpu *cpu, const struct insn *insn, op2_fn *op, locked_bit_fn *locked,
		       bool is_imm_form)
{
	unsigned size = insn->size;
	uint64_t bit;
	gva_t addr = bit_linear(cpu, insn, is_imm_form, true, &bit);
	void *host = mmu_rmw_begin(cpu, addr, size, insn->seg);

	if (insn->flags & INSN_LOCK)
		locked(host, bit, size, &cpu->status);
	else
		store_le(host, op(load_le(host, size), bit, size, &cpu->status), size);
	mmu_rmw_done(cpu, addr, size, host);
}

#define BIT_HANDLERS(name, op, locked)                                                   \
	static void name##_rr(struct cpu *cpu, const struct insn *insn)                  \
	{                                                                                \
		bit_register(cpu, insn, op, true, reg_read(cpu, insn->src, insn->size)); \
	}                                                                                \
	static void name##_ri(struct cpu *cpu, const struct insn *insn)                  \
	{                                                                                \
		bit_register(cpu, insn, op, true, (uint64_t)insn->imm);                  \
	}                                                                                \
	static void name##_mr(struct cpu *cpu, const struct insn *insn)                  \
	{                                                                                \
		bit_change(cpu, insn, op, locked, false);                                \
	}                                                                                \
	static void name##_mi(struct cpu *cpu, const struct insn *insn)                  \
	{                                                                                \
		bit_change(cpu, insn, op, locked, true);                                 \
	}

BIT_HANDLERS(bts, op_bts, locked_bts)
BIT_HANDLERS(btr, op_btr, locked_btr)
BIT_HANDLERS(btc, op_btc, locked_btc)

static void bt_rr(struct cpu *cpu, const struct insn *insn)
{
	bit_register(cpu, insn, op_bt, false, reg_read(cpu, insn->src, insn->size));
}

static void bt_ri(struct cpu *cpu, const struct insn *insn)
{
	bit_register(cpu, insn, op_bt, false, (uint64_t)insn->imm);
}

static void bt_mr(struct cpu *cpu, const struct insn *insn)
{
	bit_load(cpu, insn, false);
}

static void bt_mi(struct cpu *cpu, const struct insn *insn)
{
	bit_load(cpu, insn, true);
}

insn_fn *bit_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		    struct insn *insn)
{
	static insn_fn *const handlers[][2][2] = {
		{ { bt_rr, bt_ri }, { bt_mr, bt_mi } },
		{ { bts_rr, bts_ri }, { bts_mr, bts_mi } },
		{ { btr_rr, btr_ri }, { btr_mr, btr_mi } },
		{ { btc_rr, btc_ri }, { btc_mr, btc_mi } },
	};
	unsigned op = zydis->mnemonic == ZYDIS_MNEMONIC_BT    ? 0
		      : zydis->mnemonic == ZYDIS_MNEMONIC_BTS ? 1
		      : zydis->mnemonic == ZYDIS_MNEMONIC_BTR ? 2
							      : 3;

	(void)insn;
	return handlers[op][is_mem(&operands[0])][is_imm(&operands[1])];
}

/* A source of zero leaves the destination as the host leaves it: all 64 bits take part. */
#define SCAN_SIZE(bytes, text, modifier)                                                 \
	case bytes:                                                                      \
		__asm__(FLAGS_LOAD text " %" modifier "[b], %" modifier "[a]" FLAGS_SAVE \
			: [a] "+&r"(a), "+&a"(s)                                         \
			: [b] "r"(b)                                                     \
			: "cc");                                                         \
		break;

#define SCAN(name, text)                                                \
	void name(struct cpu *cpu, const struct insn *insn)             \
	{                                                               \
		uint64_t b = read_rm(cpu, insn, insn->src, insn->size); \
		uint64_t a = reg_read(cpu, insn->dst, 8);               \
		uint16_t s = cpu->status;                               \
		switch (insn->size) {                                   \
			SCAN_SIZE(2, text, "w")                         \
			SCAN_SIZE(4, text, "k")                         \
			SCAN_SIZE(8, text, "q")                         \
		}                                                       \
		reg_write(cpu, insn->dst, 8, a);                        \
		cpu->status = s;                                        \
	}

SCAN(bit_bsf, "bsf")
SCAN(bit_bsr, "bsr")
