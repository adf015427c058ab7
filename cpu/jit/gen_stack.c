/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PUSH, POP, PUSHF and LEAVE of words: 8 bytes in 64-bit mode, 4 in MODE_FLAT, where whatever moves
 * RSP clears its upper half. RSP moves last, at times far behind (cpu/jit/rsp.c).
 */
#include "cpu/jit/gen.h"

#include "cpu/flags.h"

static int32_t word(const struct gen *g)
{
	return (int32_t)g->word;
}

/* Not of the operand size that is not the mode's. */
static bool is_of_words(const struct gen *g)
{
	return g->shape->operand_bytes == g->word;
}

static unsigned operand_register(const struct gen *g)
{
	return g->insn->dst / REG_OFFSET(1);
}

static bool is_register(const struct gen *g)
{
	return g->shape->kind[0] == OPERAND_GENERAL;
}

static bool is_immediate(const struct gen *g)
{
	return g->shape->kind[0] == OPERAND_IMMEDIATE;
}

/* *mem = the word at RSP + offset, after its check. */
static void reach_word(struct gen *g, int32_t offset, bool is_write, struct host_mem *mem)
{
	if (gen_is_grouped(g)) {
		gen_reach_stack(g);
		*mem = gen_on_stack(g, offset);
		return;
	}
	gen_flags_spare(g);
	emit_lea(&g->e, g->word, R9, mem_at(HOST_RSP_HOME, offset));
	gen_check(g, g->word, is_write);
	*mem = gen_checked(0);
}

static void push_register(struct gen *g)
{
	unsigned n = operand_register(g), from = gen_pinned(n);
	struct host_mem mem;

	reach_word(g, -word(g), true, &mem);
	if (gen_is_homed(n)) {
		if (gen_is_grouped(g)) {
			from = R9;
		} else {
			from = R11;
			gen_take_r11(g);
		}
		gen_read(g, from, n);
	}
	emit_mov_mr(&g->e, g->word, mem, from);
	gen_move_stack(g, -word(g));
}

static void push_immediate(struct gen *g)
{
	struct host_mem mem;

	reach_word(g, -word(g), true, &mem);
	emit_mov_mi(&g->e, g->word, mem, (int32_t)g->insn->imm);
	gen_move_stack(g, -word(g));
}

/* Both checks come before the store. The stack's comes first where it needs R9. */
static bool push_memory(struct gen *g)
{
	struct host_mem mem;

	gen_flags_spare(g);
	if (gen_is_grouped(g)) {
		gen_reach_stack(g);
		if (!gen_check_operand(g, word(g), false, &mem))
			return false;
		emit_mov_rm(&g->e, g->word, R9, mem);
		emit_mov_mr(&g->e, g->word, gen_on_stack(g, -word(g)), R9);
	} else {
		if (!gen_check_operand(g, word(g), false, &mem))
			return false;
		gen_take_r11(g);
		emit_mov_rm(&g->e, g->word, R11, mem);
		reach_word(g, -word(g), true, &mem);
		emit_mov_mr(&g->e, g->word, mem, R11);
	}
	gen_move_stack(g, -word(g));
	return true;
}

bool gen_push(struct gen *g)
{
	if (!is_of_words(g))
		return false;
	if (g->insn->flags & INSN_MEM)
		return push_memory(g);
	if (is_immediate(g))
		push_immediate(g);
	else if (is_register(g))
		push_register(g);
	else
		return false;
	return true;
}

bool gen_pop(struct gen *g)
{
	unsigned n = operand_register(g);
	struct host_mem mem;

	if (!is_of_words(g) || !is_register(g))
		return false;
	reach_word(g, 0, false, &mem);
	if (n == RSP) {
		emit_mov_rm(&g->e, g->word, HOST_RSP_HOME, mem);
		return true;
	}
	if (gen_is_homed(n)) {
		emit_mov_rm(&g->e, 8, R9, mem);
		gen_write(g, n, R9);
	} else {
		emit_mov_rm(&g->e, g->word, gen_pinned(n), mem);
	}
	gen_move_stack(g, word(g));
	return true;
}

bool gen_leave(struct gen *g)
{
	if (!is_of_words(g))
		return false;
	gen_flags_spare(g);
	emit_mov_rr(&g->e, g->word, R9, RBP);
	gen_check(g, g->word, false);
	emit_lea(&g->e, g->word, HOST_RSP_HOME, mem_at(RBP, word(g)));
	emit_mov_rm(&g->e, g->word, RBP, gen_checked(0));
	return true;
}

/* `to` = the status flags, which are in cpu->status, as RFLAGS has them. */
static void read_status(struct gen *g, unsigned to, unsigned scratch)
{
	emit_movzx_rm(&g->e, 2, to, mem_cpu(offsetof(struct cpu, status)));
	emit_mov_rr(&g->e, 4, scratch, to);
	emit_shift_ri(&g->e, SHIFT_SHR, 4, to, 8);
	emit_alu_ri(&g->e, ALU_AND, 4, to, RFLAGS_STATUS & 0xff);
	emit_alu_ri(&g->e, ALU_AND, 4, scratch, STATUS_OF);
	emit_shift_ri(&g->e, SHIFT_SHL, 4, scratch, 11);
	emit_alu_rr(&g->e, ALU_OR, 4, to, scratch);
}

bool gen_pushf(struct gen *g)
{
	unsigned value = R9, scratch = R10;
	struct host_mem mem;

	if (!is_of_words(g))
		return false;
	gen_flags_spare(g);
	reach_word(g, -word(g), true, &mem);
	if (!gen_is_grouped(g)) {
		emit_lea(&g->e, 8, R9, mem);
		mem = mem_at(R9, 0);
		value = R11;
		gen_take_r11(g);
	}
	read_status(g, value, scratch);
	emit_alu_rm(&g->e, ALU_OR, 4, value, mem_cpu(offsetof(struct cpu, rflags)));
	emit_alu_ri(&g->e, ALU_AND, 4, value, (int32_t) ~(RFLAGS_VM | RFLAGS_RF));
	emit_mov_mr(&g->e, g->word, mem, value);
	gen_move_stack(g, -word(g));
	return true;
}
