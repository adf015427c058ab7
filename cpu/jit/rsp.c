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

bool gen_is_stack_move(const struct gen *g)
{
	int32_t by;

	return group_is_move(g, g->insn, g->shape, &by) &&
	       !(g->insn->status_written && g->live_after);
}

static bool is_copied(const struct gen_row *row)
{
	return gen_row_is_general(row) && row->gen != gen_hosted && !row->may_fault;
}

bool gen_stack_may_wait(const struct gen *g)
{
	const struct gen_row *row = gen_row_of(g->jit, g->insn);

	if (!row || !g->insn->length || (g->insn->flags & INSN_HOSTED))
		return false;
	if (row->gen == gen_push || row->gen == gen_pop || row->gen == gen_call ||
	    row->gen == gen_ret)
		return is_reached(g) && !(g->shape->flags & (SHAPE_NAMES_RSP | SHAPE_RSP_BASE));
	if (gen_is_stack_move(g) || row->gen == gen_nop)
		return true;
	if ((g->shape->flags & SHAPE_NAMES_RSP) || gen_is_based(g))
		return false;
	return (is_copied(row) && is_reached(g)) ||
	       ((is_copied(row) || row->gen == gen_lea) && !(g->shape->flags & SHAPE_RSP_BASE));
}
