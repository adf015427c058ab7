/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Near branches of 64-bit mode and MODE_FLAT. Direct ones in the page are linked, those out of it
 * go where the vCPU remembers, indirect ones find their target's code in the cache of branches;
 * what is not there, and targets that are not canonical, go the slow way, so they move RSP only
 * when they know where they go.
 */
#include "cpu/jit/gen.h"

static int32_t word(const struct gen *g)
{
	return (int32_t)g->word;
}

/* From the start of the page. */
static int64_t next_offset(const struct gen *g)
{
	return (int64_t)g->page_offset + g->insn->next;
}

static int64_t target_offset(const struct gen *g)
{
	return next_offset(g) + g->insn->imm;
}

static bool is_direct(const struct gen *g)
{
	return g->insn->flags & INSN_DIRECT_BRANCH;
}

/* Near and of the mode's own size; and no displacement that the arithmetic here cannot do. */
static bool is_plain(const struct gen *g)
{
	if (g->insn->size != g->word || (g->shape->flags & SHAPE_FAR))
		return false;
	return !is_direct(g) || target_offset(g) == (int32_t)target_offset(g);
}

bool gen_jcc(struct gen *g)
{
	if (!is_plain(g))
		return false;
	gen_flags_load(g);
	gen_jump_if(g, g->shape->opcode & 15, target_offset(g));
	gen_jump_else(g, next_offset(g));
	return true;
}

/* R9 = the target of an indirect branch. Flags are spared. */
static bool load_target(struct gen *g)
{
	struct host_mem mem;

	gen_flags_spare(g);
	if (!(g->insn->flags & INSN_MEM)) {
		gen_sum(g, R9, g->insn->dst / REG_OFFSET(1), 0);
		return true;
	}
	if (!gen_check_operand(g, word(g), false, &mem))
		return false;
	emit_mov_rm(&g->e, g->word, R9, mem);
	return true;
}

bool gen_jmp(struct gen *g)
{
	if (g->insn->flags & INSN_FOLDED)
		return true;
	if (!is_plain(g))
		return false;
	if (is_direct(g)) {
		gen_jump(g, target_offset(g));
		return true;
	}
	if (!load_target(g))
		return false;
	gen_lookup(g);
	gen_go(g);
	return true;
}

/* The stack is checked in any case before anything else of a CALL is done. */
static void reach_stack(struct gen *g, int32_t offset, bool is_write)
{
	if (gen_is_grouped(g)) {
		gen_reach_stack(g);
		return;
	}
	emit_lea(&g->e, g->word, R9, mem_at(HOST_RSP_HOME, offset));
	gen_check(g, g->word, is_write);
}

/* Pushes the address behind the instruction, after reach_stack with nothing in between. */
static void push_return(struct gen *g)
{
	if (gen_is_grouped(g)) {
		gen_linear(g, R9, next_offset(g));
		emit_mov_mr(&g->e, g->word, gen_on_stack(g, -word(g)), R9);
	} else {
		emit_lea(&g->e, 8, R9, gen_checked(0));
		gen_linear(g, R10, next_offset(g));
		emit_mov_mr(&g->e, g->word, mem_at(R9, 0), R10);
	}
	gen_move_stack(g, -word(g));
}

/* R9 is the target, R11 its code. */
static void push_and_go(struct gen *g)
{
	gen_linear(g, R10, next_offset(g));
	gen_enter_page(g);
	gen_load_delta_to(g, R9);
	gen_move_stack(g, -word(g));
	gen_settle_stack(g);
	emit_mov_mr(&g->e, g->word, mem_index(HOST_RSP_HOME, R9, 0, 0), R10);
	emit_jmp_r(&g->e, R11);
}

/* R9 is the target. It is kept in memory over a push whose check needs R9 and R10. */
static void call_found(struct gen *g)
{
	struct host_mem kept = mem_cpu(offsetof(struct cpu, jit.scratch));

	gen_lookup(g);
	if (gen_is_grouped(g)) {
		push_and_go(g);
		return;
	}
	emit_mov_mr(&g->e, 8, kept, R9);
	reach_stack(g, -word(g), true);
	push_return(g);
	gen_settle_stack(g);
	emit_mov_rm(&g->e, 8, R9, kept);
	gen_go(g);
}

bool gen_call(struct gen *g)
{
	if (!is_plain(g))
		return false;
	if (gen_is_grouped(g))
		gen_reach_stack(g);
	else
		gen_flags_spare(g);
	if (!is_direct(g)) {
		gen_flags_spare(g);
		if (!load_target(g))
			return false;
		call_found(g);
	} else {
		reach_stack(g, -word(g), true);
		push_return(g);
		gen_settle_stack(g);
		gen_jump(g, target_offset(g));
	}
	return true;
}

bool gen_ret(struct gen *g)
{
	int32_t released =
		word(g) +
		(g->shape->kind[0] == OPERAND_IMMEDIATE ? (int32_t)(g->insn->imm & 0xffff) : 0);

	if (g->shape->operand_bytes != g->word || (g->shape->flags & SHAPE_FAR))
		return false;
	gen_flags_spare(g);
	reach_stack(g, 0, false);
	emit_mov_rm(&g->e, g->word, R9, gen_is_grouped(g) ? gen_on_stack(g, 0) : gen_checked(0));
	gen_lookup(g);
	gen_move_stack(g, released);
	gen_settle_stack(g);
	gen_go(g);
	return true;
}
