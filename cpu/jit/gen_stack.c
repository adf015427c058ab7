/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PUSH, POP and LEAVE of 8 bytes in 64-bit mode. RSP moves last.
 */
#include "cpu/jit/gen.h"

#define WORD 8

static unsigned operand_register(const struct gen *g)
{
	return g->insn->dst / REG_OFFSET(1);
}

static bool is_register(const struct gen *g)
{
	return g->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(g->operands[0].reg.value) == ZYDIS_REGCLASS_GPR64;
}

static bool is_immediate(const struct gen *g)
{
	return g->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* What is pushed or popped is at gen_checked(0) then. */
static void check_stack(struct gen *g, int32_t offset, bool is_write)
{
	gen_flags_spare(g);
	emit_lea(&g->e, 8, R9, mem_at(HOST_RSP_HOME, offset));
	gen_check(g, WORD, is_write);
}

static void move_stack(struct gen *g, int32_t bytes)
{
	emit_lea(&g->e, 8, HOST_RSP_HOME, mem_at(HOST_RSP_HOME, bytes));
}

static void push_memory(struct gen *g)
{
	gen_check(g, WORD, false);
	emit_mov_rm(&g->e, 8, R11, gen_checked(0));
}

bool gen_push(struct gen *g)
{
	unsigned n = operand_register(g), from = R11;

	if (g->zydis.operand_width != 64)
		return false;
	gen_flags_spare(g);
	if (g->insn->flags & INSN_MEM) {
		if (!gen_address(g))
			return false;
		push_memory(g);
	} else if (!is_register(g) && !is_immediate(g)) {
		return false;
	}
	check_stack(g, -WORD, true);
	if (is_immediate(g)) {
		emit_mov_mi(&g->e, 8, gen_checked(0), (int32_t)g->insn->imm);
	} else {
		if (is_register(g) && gen_is_homed(n))
			gen_read(g, R11, n);
		else if (is_register(g))
			from = gen_pinned(n);
		emit_mov_mr(&g->e, 8, gen_checked(0), from);
	}
	move_stack(g, -WORD);
	return true;
}

bool gen_pop(struct gen *g)
{
	unsigned n = operand_register(g);

	if (g->zydis.operand_width != 64 || !is_register(g))
		return false;
	check_stack(g, 0, false);
	if (n == RSP) {
		emit_mov_rm(&g->e, 8, HOST_RSP_HOME, gen_checked(0));
		return true;
	}
	move_stack(g, WORD);
	if (gen_is_homed(n)) {
		emit_mov_rm(&g->e, 8, R11, gen_checked(0));
		gen_write(g, n, R11);
	} else {
		emit_mov_rm(&g->e, 8, gen_pinned(n), gen_checked(0));
	}
	return true;
}

bool gen_leave(struct gen *g)
{
	if (g->zydis.operand_width != 64)
		return false;
	gen_flags_spare(g);
	emit_mov_rr(&g->e, 8, R9, RBP);
	gen_check(g, WORD, false);
	emit_lea(&g->e, 8, HOST_RSP_HOME, mem_at(RBP, WORD));
	emit_mov_rm(&g->e, 8, RBP, gen_checked(0));
	return true;
}
