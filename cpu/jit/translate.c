/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block into host code: which flags live where, its entries, its instructions one after the
 * other, and away from them what is rarely run. One pass, no intermediate form.
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
		live[n] = jit->has_exact_flags
				  ? STATUS_ALL
				  : (uint8_t)live_before(jit, &block->insn[n], live[n + 1]);
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
	emit_call_to(&g->e, g->jit->thunk[THUNK_POLL]);
	emit_jmp_to(&g->e, back);
}

/* Both entries' ways to the block that takes this one's place. */
static void emit_bails(struct gen *g, bool has_flags_entry)
{
	struct jit_code *code = &g->block->jit;

	code->flags_bail = g->e.at;
	if (has_flags_entry) {
		emit_mov_ri(&g->e, R9, g->page_offset);
		emit_jmp_to(&g->e, g->jit->storing_thunk[THUNK_BAIL]);
	}
	code->bail = g->e.at;
	emit_mov_ri(&g->e, R9, g->page_offset);
	emit_jmp_to(&g->e, g->jit->thunk[THUNK_BAIL]);
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
	unsigned colds = g->colds, links = g->links, fars = g->fars, where = g->where;
	unsigned sites = g->sites, ready = g->ready;
	unsigned checked = g->groups.checked, r11 = g->groups.r11, based = g->bases.checked;

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
	g->fars = fars;
	g->sites = sites;
	g->ready = (uint8_t)ready;
	g->where = (uint8_t)where;
	g->groups.checked = (uint8_t)checked;
	g->groups.r11 = (uint8_t)r11;
	g->bases.checked = based;
	return false;
}

static void emit_insn(struct gen *g, unsigned n, const uint8_t *live)
{
	g->first_cold = g->colds;
	g->n = n;
	g->insn = &g->block->insn[n];
	g->is_last = n + 1u == g->block->count;
	g->live_before = live[n];
	g->live_after = live[n + 1];
	if (is_terminator(g->insn))
		gen_jump(g, (int64_t)g->page_offset + g->insn->start);
	else if (!emit_natively(g))
		gen_handler(g);
	cold_set_back(g, g->first_cold);
}

/* --- counting what is executed -------------------------------------------------------------------
 */

/* Adds a number to a statistic and leaves the flags alone. Returns where the number is to be put.
 */
static uint8_t *emit_count(struct gen *g, enum stat stat)
{
	struct host_mem count = mem_gs((int32_t)offsetof(struct cpu, stats.count[stat]));
	uint8_t *number;

	emit_mov_rm(&g->e, 8, R9, count);
	emit_lea(&g->e, 8, R9, mem_at(R9, INT32_MAX));
	number = g->e.at - sizeof(int32_t);
	emit_mov_mr(&g->e, 8, count, R9);
	return number;
}

/* Instructions from `code` to `end`. */
static unsigned count_insns(const struct jit *jit, const uint8_t *code, const uint8_t *end)
{
	ZydisDecodedInstruction insn;
	unsigned n = 0;

	while (code < end && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				     &jit->zydis, NULL, code, (size_t)(end - code), &insn))) {
		code += insn.length;
		n++;
	}
	return n;
}

/* The main path, counted where that is wanted. */
static void emit_insns(struct gen *g, const uint8_t *live)
{
	struct block *block = g->block;
	uint8_t *guest = NULL, *host = NULL;
	const uint8_t *start;

	if (g->jit->counts) {
		guest = emit_count(g, STAT_TRANSLATED);
		host = emit_count(g, STAT_TRANSLATED_HOST);
	}
	start = g->e.at;
	for (unsigned n = 0; n < block->count; n++)
		emit_insn(g, n, live);
	if (!guest || g->e.failed)
		return;
	store_le(guest, block->count - is_terminator(&block->insn[block->count - 1]), 4);
	store_le(host, count_insns(g->jit, start, g->e.at) + g->shared_insns, 4);
}

bool gen_block(struct jit *jit, struct block *block, struct code_room *hot, struct code_room *cold)
{
	struct gen *g = &jit->gen;
	uint8_t live[BLOCK_MAX_INSNS + 2];
	struct emit_jump poll;
	const uint8_t *polled;
	bool has_flags_entry;
	uint8_t *hot_end;

	*g = (struct gen){ .jit = jit,
			   .block = block,
			   .page_offset = (unsigned)(block->gpa % PAGE_BYTES),
			   .tlb_class = block->flavor >> BLOCK_CLASS_SHIFT & BLOCK_CLASS };
	emit_init(&g->e, hot->at, hot->end);
	find_live(jit, block, live);
	decode(g);
	group_find(g);
	base_find(g);
	has_flags_entry = live[0];
	g->live_before = g->live_after = live[0];
	if (has_flags_entry)
		emit_entries(g, &poll, &polled);
	else
		emit_entry(g, &poll, &polled);
	emit_insns(g, live);
	hot_end = g->e.at;
	emit_move(&g->e, cold->at, cold->end);
	emit_poll_way_out(g, poll, polled);
	cold_emit(g);
	emit_bails(g, has_flags_entry);
	if (g->e.failed)
		return false;
	hot->at = hot_end;
	cold->at = g->e.at;
	return true;
}
