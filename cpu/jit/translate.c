/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block into host code: which flags live where, its entries, its instructions one after the
 * other, and behind them what is rarely run. One pass, no intermediate form.
 *
 * Entries are aligned and begin with an instruction of 8 bytes or more, so that a single store can
 * make them jumps when the block is dropped (cpu/jit/cache.c).
 */
#include "cpu/jit/translate.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"

#define ENTRY_ALIGN 8

static struct host_mem attention(void)
{
	return mem_gs(offsetof(struct cpu, attention));
}

/* --- liveness ----------------------------------------------------------------------------------
 */

static bool is_terminator(const struct insn *insn)
{
	return !insn->length;
}

/*
 * Status flags that matter before an instruction when `after` do behind it. Handlers may read any;
 * what a translated instruction reads is known.
 */
static unsigned live_before(const struct jit *jit, const struct insn *insn, unsigned after)
{
	const struct gen_row *row = gen_row_of(jit, insn);

	if (is_terminator(insn))
		return after;
	if (!row)
		return STATUS_ALL;
	return (after & ~gen_flags_set(insn, row)) | insn->status_read;
}

/* live[n] is what matters before instruction n. What follows the block may read all of them. */
static void find_live(const struct jit *jit, const struct block *block, uint8_t *live)
{
	live[block->count] = STATUS_ALL;
	for (unsigned n = block->count; n-- > 0;)
		live[n] = (uint8_t)live_before(jit, &block->insn[n], live[n + 1]);
}

/* --- entries -----------------------------------------------------------------------------------
 */

/* Returns where the jump out is. */
static struct emit_jump emit_poll(struct gen *g)
{
	emit_alu_mi(&g->e, ALU_CMP, 4, attention(), 0);
	return emit_jcc(&g->e, COND_NE, false);
}

static void emit_poll_way_out(struct gen *g, struct emit_jump from, const uint8_t *back)
{
	emit_land(&g->e, from);
	emit_mov_ri(&g->e, R9, g->page_offset);
	emit_call_m(&g->e, cold_thunk(THUNK_POLL));
	emit_jmp_to(&g->e, back);
}

/* Both entries' ways to the block that takes this one's place. */
static void emit_bails(struct gen *g, bool has_flags_entry)
{
	struct jit_code *code = &g->block->jit;

	code->flags_bail = g->e.at;
	if (has_flags_entry) {
		g->where = IN_HOST;
		g->live_before = STATUS_ALL;
		gen_flags_store(g);
	}
	code->bail = g->e.at;
	emit_mov_ri(&g->e, R9, g->page_offset);
	emit_jmp_m(&g->e, cold_thunk(THUNK_BAIL));
}

/* No flag is read before it is written: the entry may destroy them. */
static void emit_entry(struct gen *g, struct emit_jump *poll, const uint8_t **polled)
{
	struct jit_code *code = &g->block->jit;

	emit_align(&g->e, ENTRY_ALIGN);
	code->entry = code->flags_entry = code->loop_entry = g->e.at;
	*poll = emit_poll(g);
	*polled = g->e.at;
	g->where = 0;
}

static void emit_entries(struct gen *g, struct emit_jump *poll, const uint8_t **polled)
{
	struct jit_code *code = &g->block->jit;

	emit_align(&g->e, ENTRY_ALIGN);
	code->loop_entry = g->e.at;
	emit_nops(&g->e, ENTRY_ALIGN);
	g->where = IN_HOST;
	gen_flags_store(g);
	emit_align(&g->e, ENTRY_ALIGN);
	code->entry = g->e.at;
	*poll = emit_poll(g);
	*polled = g->e.at;
	g->where = IN_STATUS;
	gen_flags_load(g);
	emit_align(&g->e, ENTRY_ALIGN);
	code->flags_entry = g->e.at;
	emit_nops(&g->e, ENTRY_ALIGN);
	g->where = IN_HOST;
}

/* --- instructions ------------------------------------------------------------------------------
 */

/* Of instructions that may be translated; what cannot be decoded never comes to be executed. */
static void decode(struct gen *g)
{
	struct decoded *d = g->jit->decoded;

	for (unsigned n = 0; n < g->block->count; n++, d++) {
		const struct insn *insn = &g->block->insn[n];

		if (!gen_row_of(g->jit, insn) ||
		    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->jit->zydis, insn->bytes, insn->length,
							 &d->zydis, d->operands)))
			memset(d, 0, sizeof(*d));
	}
}

/* By its own emitter; false, with nothing changed: it has none that can. */
static bool emit_natively(struct gen *g)
{
	uint8_t *at = g->e.at;
	unsigned colds = g->colds, links = g->links, where = g->where;
	unsigned sites = g->sites, ready = g->ready;
	unsigned checked = g->groups.checked, has_delta = g->groups.has_delta;

	g->row = gen_row_of(g->jit, g->insn);
	if (g->row) {
		g->zydis = g->jit->decoded[g->n].zydis;
		memcpy(g->operands, g->jit->decoded[g->n].operands, sizeof(g->operands));
		if (g->row->gen(g))
			return true;
	}
	g->e.at = at;
	g->colds = colds;
	g->links = links;
	g->sites = sites;
	g->ready = (uint8_t)ready;
	g->where = (uint8_t)where;
	g->groups.checked = (uint8_t)checked;
	g->groups.has_delta = has_delta;
	return false;
}

static void emit_insn(struct gen *g, unsigned n, const uint8_t *live)
{
	unsigned first_cold = g->colds;

	g->n = n;
	g->insn = &g->block->insn[n];
	g->is_last = n + 1u == g->block->count;
	g->live_before = live[n];
	g->live_after = live[n + 1];
	if (is_terminator(g->insn))
		gen_jump(g, (int64_t)g->page_offset + g->insn->start);
	else if (!emit_natively(g))
		gen_handler(g);
	cold_set_back(g, first_cold);
}

uint8_t *gen_block(struct jit *jit, struct block *block, uint8_t *start, uint8_t *end)
{
	struct gen *g = &jit->gen;
	uint8_t live[BLOCK_MAX_INSNS + 2];
	struct emit_jump poll;
	const uint8_t *polled;
	bool has_flags_entry;

	*g = (struct gen){ .jit = jit,
			   .block = block,
			   .page_offset = (unsigned)(block->gpa % PAGE_BYTES),
			   .tlb_class = block->flavor >> BLOCK_CLASS_SHIFT };
	emit_init(&g->e, start, end);
	find_live(jit, block, live);
	decode(g);
	group_find(g);
	has_flags_entry = live[0];
	g->live_before = g->live_after = live[0];
	if (has_flags_entry)
		emit_entries(g, &poll, &polled);
	else
		emit_entry(g, &poll, &polled);
	for (unsigned n = 0; n < block->count; n++)
		emit_insn(g, n, live);
	emit_poll_way_out(g, poll, polled);
	cold_emit(g);
	emit_bails(g, has_flags_entry);
	return g->e.failed ? NULL : g->e.at;
}
