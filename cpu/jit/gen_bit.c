/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BT and its kin. With a register for the bit's number they reach beyond a memory operand: the
 * number is signed, and selects an operand before the bit in it.
 */
#include "cpu/jit/gen.h"

#define LOCK_PREFIX     0xf0
#define SIZE_PREFIX     0x66
#define REX_RB          0x45 /* the number is in R11, the address in R9 */
#define REX_W           0x08
#define OPCODE_MAP      0x0f
#define MODRM_R11_AT_R9 0x19

static bool writes_memory(const struct gen *g)
{
	return g->insn->mnemonic != ZYDIS_MNEMONIC_BT;
}

/* R9 = address of the operand that has the bit. Uses R10. */
static bool find_operand(struct gen *g)
{
	unsigned size = g->insn->size, unused = 64 - 8 * size;

	if (!gen_address(g))
		return false;
	gen_read(g, R10, g->insn->src / REG_OFFSET(1));
	if (unused)
		emit_shift_ri(&g->e, SHIFT_SHL, 8, R10, unused);
	emit_shift_ri(&g->e, SHIFT_SAR, 8, R10, unused + 3);
	emit_alu_ri(&g->e, ALU_AND, 8, R10, -(int32_t)size);
	emit_alu_rr(&g->e, ALU_ADD, 8, R9, R10);
	return true;
}

/* The instruction on the operand at R9, with the number in R11. */
static void emit_bit(struct gen *g)
{
	static const uint16_t opcodes[][2] = {
		{ ZYDIS_MNEMONIC_BT, 0xa3 },
		{ ZYDIS_MNEMONIC_BTS, 0xab },
		{ ZYDIS_MNEMONIC_BTR, 0xb3 },
		{ ZYDIS_MNEMONIC_BTC, 0xbb },
	};
	uint8_t bytes[8];
	unsigned len = 0;

	if (g->insn->flags & INSN_LOCK)
		bytes[len++] = LOCK_PREFIX;
	if (g->insn->size == 2)
		bytes[len++] = SIZE_PREFIX;
	bytes[len++] = REX_RB | (g->insn->size == 8 ? REX_W : 0);
	bytes[len++] = OPCODE_MAP;
	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++)
		if (opcodes[i][0] == g->insn->mnemonic)
			bytes[len++] = (uint8_t)opcodes[i][1];
	bytes[len++] = MODRM_R11_AT_R9;
	emit_bytes(&g->e, bytes, len);
}

static bool gen_bit_string(struct gen *g)
{
	unsigned size = g->insn->size;

	if (g->word != 8)
		return false;
	gen_flags_spare(g);
	if (!find_operand(g))
		return false;
	gen_check(g, size, writes_memory(g));
	emit_lea(&g->e, 8, R9, gen_checked(0));
	gen_take_r11(g);
	gen_read(g, R11, g->insn->src / REG_OFFSET(1));
	emit_alu_ri(&g->e, ALU_AND, 4, R11, (int32_t)(8 * size - 1));
	if (g->live_after & ~GEN_CF)
		gen_status_load(&g->e, R10);
	emit_bit(g);
	gen_flags_written(g);
	return true;
}

bool gen_bit(struct gen *g)
{
	bool is_string = (g->insn->flags & INSN_MEM) && g->shape->kind[1] == OPERAND_GENERAL;

	return is_string ? gen_bit_string(g) : gen_general(g);
}
