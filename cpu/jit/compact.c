/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions that compact code calls, and the calls: see cpu/jit/compact.h.
 */
#include "cpu/jit/compact.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"
#include "cpu/jit/translate.h"

#define STATUS_INSNS 6 /* of a function that moves status flags */

/* --- the functions -------------------------------------------------------------------------------
 */

/* Counts the call. */
struct sampling {
	struct emit_jump is_due;
	const uint8_t *back;
};

static struct sampling begin_sampled(struct emitter *e)
{
	struct sampling sampling;

	emit_alu_mi(e, ALU_SUB, 8, mem_cpu(offsetof(struct cpu, jit.patience)), 1);
	sampling.is_due = emit_jcc(e, COND_S, true);
	sampling.back = e->at;
	return sampling;
}

static void end_sampled(const struct jit *jit, struct emitter *e, const struct sampling *sampling)
{
	emit_land(e, sampling->is_due);
	emit_call_to(e, jit->thunk[THUNK_SAMPLE]);
	emit_jmp_to(e, sampling->back);
}

static const uint8_t *emit_check(struct gen *g, unsigned bytes, bool is_write)
{
	struct emitter *e = &g->e;
	const uint8_t *start = e->at;
	struct sampling sampling = begin_sampled(e);
	struct emit_jump fails;

	gen_probe(g, R9, bytes, is_write);
	fails = emit_jcc(e, COND_A, true);
	gen_host_page(g);
	emit_ret(e);
	g->jit->compact.check_insns = gen_count_insns(g->jit, start, e->at);
	end_sampled(g->jit, e, &sampling);
	emit_land(e, fails);
	emit_jmp_to(e, g->jit->thunk[THUNK_SLOW]);
	return start;
}

static const uint8_t *emit_check_of_stack(struct gen *g, unsigned bytes)
{
	struct emitter *e = &g->e;
	const uint8_t *start = e->at;
	struct sampling sampling = begin_sampled(e);
	struct emit_jump fails = gen_probe_stack(g, bytes);

	gen_load_delta_to(g, R11);
	emit_ret(e);
	g->jit->compact.stack_insns = gen_count_insns(g->jit, start, e->at);
	end_sampled(g->jit, e, &sampling);
	emit_land(e, fails);
	emit_jmp_to(e, g->jit->thunk[THUNK_MISFIT]);
	return start;
}

static const uint8_t *emit_check_of_base(struct gen *g, bool is_write, bool is_by_address,
					 unsigned bytes)
{
	struct emitter *e = &g->e;
	const uint8_t *start = e->at;
	struct sampling sampling = begin_sampled(e);
	struct emit_jump fails;

	gen_probe(g, R9, bytes, is_write);
	fails = emit_jcc(e, COND_A, true);
	base_take(g, is_by_address, is_write);
	emit_ret(e);
	g->jit->compact.base_insns = gen_count_insns(g->jit, start, e->at);
	end_sampled(g->jit, e, &sampling);
	emit_land(e, fails);
	emit_jmp_to(e, g->jit->thunk[THUNK_MISFIT]);
	return start;
}

/* Of one class of tags, for reading or writing. */
static void emit_checks(struct gen *g, bool is_write)
{
	struct compact_code *compact = &g->jit->compact;
	unsigned tags = g->tlb_class, bytes;

	for (unsigned i = 0; i < COMPACT_SIZES; i++)
		compact->check[tags][is_write][i] = emit_check(g, 1u << i, is_write);
	for (unsigned i = 0; i < ARRAY_SIZE(compact->base[0][0][0]); i++) {
		bytes = (i + 1) * COMPACT_RANGE_BYTES;
		compact->base[tags][is_write][0][i] = emit_check_of_base(g, is_write, false, bytes);
		compact->base[tags][is_write][1][i] = emit_check_of_base(g, is_write, true, bytes);
	}
}

static bool is_flat(const struct gen *g)
{
	return g->word == 4;
}

static void emit_checks_of_stack(struct gen *g)
{
	struct compact_code *compact = &g->jit->compact;

	for (unsigned i = 0; i < ARRAY_SIZE(compact->stack[0][0]); i++)
		compact->stack[is_flat(g)][g->tlb_class][i] =
			emit_check_of_stack(g, (i + 1) * COMPACT_RANGE_BYTES);
}

void compact_emit_shared(struct jit *jit, struct emitter *e)
{
	struct gen *g = &jit->gen;

	*g = (struct gen){ .jit = jit, .e = *e, .word = 8 };
	g->e.pushed_bytes = sizeof(void *); /* all of them are called */
	for (unsigned tags = 0; tags < TLB_CLASSES; tags++) {
		g->tlb_class = tags;
		emit_checks(g, false);
		emit_checks(g, true);
		emit_checks_of_stack(g);
		g->word = 4;
		emit_checks_of_stack(g);
		g->word = 8;
	}
	*e = g->e;
}

/* --- the calls -----------------------------------------------------------------------------------
 */

static void call_sampled(struct gen *g, const uint8_t *function, unsigned insns)
{
	emit_call_to(&g->e, function);
	g->shared_insns += insns;
	g->has_shared = true;
}

bool compact_check(struct gen *g, unsigned bytes, bool is_write)
{
	const struct compact_code *compact = &g->jit->compact;

	if (!g->is_compact || bytes > 1u << (COMPACT_SIZES - 1) || (bytes & (bytes - 1)))
		return false;
	call_sampled(g, compact->check[g->tlb_class][is_write][__builtin_ctz(bytes)],
		     compact->check_insns);
	cold_way(g);
	return true;
}

static bool call_for_status(struct gen *g, const uint8_t *function)
{
	if (!g->is_compact)
		return false;
	emit_call_to(&g->e, function);
	g->shared_insns += STATUS_INSNS;
	return true;
}

bool compact_store_status(struct gen *g)
{
	return call_for_status(g, g->jit->store_status);
}

bool compact_load_status(struct gen *g)
{
	return call_for_status(g, g->jit->load_status);
}

unsigned compact_range(const struct gen *g, unsigned bytes)
{
	return g->is_compact ? (unsigned)align_up(bytes, COMPACT_RANGE_BYTES) : bytes;
}

static unsigned range_index(uint64_t range)
{
	return group_bytes(range) / COMPACT_RANGE_BYTES - 1;
}

bool compact_probe_stack(struct gen *g, const uint8_t *again, uint64_t range)
{
	const struct compact_code *compact = &g->jit->compact;

	if (!g->is_compact)
		return false;
	call_sampled(g, compact->stack[is_flat(g)][g->tlb_class][range_index(range)],
		     compact->stack_insns);
	cold_way_fit(g, again, range);
	return true;
}

bool compact_probe_base(struct gen *g, bool is_by_address, const uint8_t *again, uint64_t range)
{
	const struct compact_code *compact = &g->jit->compact;
	bool is_write = range & GROUP_WRITES;

	if (!g->is_compact)
		return false;
	call_sampled(g, compact->base[g->tlb_class][is_write][is_by_address][range_index(range)],
		     compact->base_insns);
	cold_way_fit(g, again, range);
	return true;
}
