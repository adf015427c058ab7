/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RSP while it moves by constants: code adds them up and moves HOST_RSP_HOME once, before
 * what needs it there. A prologue of six pushes has one LEA, not six in a chain. Ways out of code
 * in between move it before they leave, and back when they return (struct cold). In MODE_FLAT,
 * where RSP could wrap or lose its upper half on the way, that is so between accesses of a group
 * only.
 */
#include "cpu/jit/cache.h"
#include "cpu/jit/gen.h"

/* All its stack accesses are by gen_on_stack, whose check is behind us. */
static bool is_reached(const struct gen *g)
{
	return gen_is_grouped(g) && g->groups.checked == g->groups.of[g->n];
}

void gen_move_stack(struct gen *g, int32_t bytes)
{
	g->groups.ahead += bytes;
	if (g->word == 4 && !is_reached(g))
		gen_settle_stack(g);
}

void gen_settle_stack(struct gen *g)
{
	gen_shift_stack(g, g->groups.ahead);
	g->groups.ahead = 0;
}

void gen_shift_stack(struct gen *g, int32_t bytes)
{
	if (bytes)
		emit_lea(&g->e, g->word, HOST_RSP_HOME, mem_at(HOST_RSP_HOME, bytes));
}

static bool is_rsp(ZydisRegister reg)
{
	return gen_is_general(reg) && gen_register_number(reg) == RSP;
}

/* As a register, not as the base of a memory operand. */
static bool names_rsp(const struct decoded *d)
{
	for (unsigned i = 0; i < d->zydis.operand_count_visible; i++)
		if (gen_is_register(&d->operands[i]) && is_rsp(d->operands[i].reg.value))
			return true;
	return false;
}

static bool has_rsp_in_address(const struct decoded *d)
{
	for (unsigned i = 0; i < d->zydis.operand_count_visible; i++)
		if (d->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    is_rsp(d->operands[i].mem.base))
			return true;
	return false;
}

bool gen_is_stack_move(const struct gen *g)
{
	int32_t by;

	return group_is_move(g, g->insn, &g->jit->decoded[g->n], &by) &&
	       !(g->insn->status_written && g->live_after);
}

static bool is_copied(const struct gen_row *row)
{
	return gen_row_is_general(row) && row->gen != gen_hosted && !row->may_fault;
}

bool gen_stack_may_wait(const struct gen *g)
{
	const struct gen_row *row = gen_row_of(g->jit, g->insn);
	const struct decoded *d = &g->jit->decoded[g->n];

	if (!row || !g->insn->length || (g->insn->flags & INSN_HOSTED))
		return false;
	if (row->gen == gen_push || row->gen == gen_pop || row->gen == gen_call ||
	    row->gen == gen_ret)
		return is_reached(g) && !names_rsp(d) && !has_rsp_in_address(d);
	if (gen_is_stack_move(g) || row->gen == gen_nop)
		return true;
	if (names_rsp(d) || gen_is_based(g))
		return false;
	return (is_copied(row) && is_reached(g)) ||
	       ((is_copied(row) || row->gen == gen_lea) && !has_rsp_in_address(d));
}
