/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block into host code: which flags live where, its entries, its instructions one after the
 * other, and away from them what is rarely run. One pass, no intermediate form.
 *
 * An entry begins with an instruction that a single store can make a CALL or a JMP, for when the
 * block is dropped or replaced (cpu/jit/cache.c).
 */
#include "cpu/jit/translate.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"

static struct host_mem poll_field(void)
{
	return mem_cpu(offsetof(struct cpu, poll));
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
 *
 * Where flags matter before the block, it has two entries: for those that are in cpu->status and
 * for those in the host's. The block has them where its first instruction that touches them wants
 * them; the other entry moves them there.
 */

/* Whether the first of its instructions that needs flags or destroys the host's needs them. */
static bool wants_host_flags(const struct gen *g)
{
	for (unsigned n = 0; n < g->block->count; n++) {
		const struct insn *insn = &g->block->insn[n];

		if (is_terminator(insn))
			break;
		if (!gen_row_of(g->jit, insn))
			return false;
		if (insn->status_read || insn->status_written)
			return true;
		if ((insn->flags & INSN_MEM) || insn->mnemonic == ZYDIS_MNEMONIC_CALL ||
		    insn->mnemonic == ZYDIS_MNEMONIC_RET || insn->mnemonic == ZYDIS_MNEMONIC_PUSH ||
		    insn->mnemonic == ZYDIS_MNEMONIC_POP)
			return false;
	}
	return true;
}

/* The first one's last byte is right before a multiple of what is patched at once. */
static void emit_entries(struct gen *g)
{
	struct jit_code *code = g->block->jit;
	struct emitter *e = &g->e;
	bool in_host = wants_host_flags(g);

	emit_align(e, sizeof(uint64_t), sizeof(uint64_t) - EMIT_PATCHED_BYTES);
	*(in_host ? &code->entry : &code->flags_entry) = e->at;
	emit_call_to(e, in_host ? g->jit->load_status : g->jit->store_status);
	emit_patchable(e);
	*(in_host ? &code->flags_entry : &code->entry) = e->at;
	g->where = in_host ? IN_HOST : IN_STATUS;
}

static void emit_entry(struct gen *g)
{
	emit_patchable(&g->e);
	g->block->jit->entry = g->block->jit->flags_entry = g->e.at;
	g->where = 0;
}

/* --- attention ---------------------------------------------------------------------------------
 *
 * No loop may run without looking for it. Branches that are looked up look themselves. Of the
 * others some block in each loop ends with a jump to where it begins or before, so those look. That
 * destroys R11, on which jit_bail relies.
 */

static bool ends_backward(const struct gen *g)
{
	const struct insn *insn = &g->block->insn[g->block->count - 1];

	return (insn->flags & INSN_DIRECT_BRANCH) && insn->next + insn->imm <= 0;
}

struct poll {
	struct emit_jump from;
	const uint8_t *back; /* NULL: the block does not look */
	bool has_host_flags;
};

static struct poll emit_poll(struct gen *g)
{
	struct poll poll = { .has_host_flags = g->where == IN_HOST };
	struct emit_jump none;

	if (!ends_backward(g))
		return poll;
	if (poll.has_host_flags) {
		/* As flags and RCX are to be kept. */
		emit_mov_rr(&g->e, 8, R11, RCX);
		emit_movzx_rm(&g->e, 1, RCX, poll_field());
		none = emit_jrcxz(&g->e);
		poll.from = emit_jmp(&g->e, false);
		emit_land(&g->e, none);
		poll.back = g->e.at;
		emit_mov_rr(&g->e, 8, RCX, R11);
	} else {
		emit_movzx_rm(&g->e, 1, R11, poll_field());
		emit_test_rr(&g->e, 4, R11, R11);
		poll.from = emit_jcc(&g->e, COND_NE, false);
		poll.back = g->e.at;
	}
	return poll;
}

static void emit_poll_way_out(struct gen *g, const struct poll *poll)
{
	if (!poll->back)
		return;
	emit_land(&g->e, poll->from);
	if (poll->has_host_flags) {
		emit_mov_rr(&g->e, 8, RCX, R11);
		emit_call_to(&g->e, g->jit->store_status);
	}
	emit_mov_ri(&g->e, R9, g->page_offset);
	emit_call_to(&g->e, g->jit->thunk[THUNK_POLL]);
	if (poll->has_host_flags) {
		emit_call_to(&g->e, g->jit->load_status);
		emit_mov_rr(&g->e, 8, R11, RCX);
	}
	emit_jmp_to(&g->e, poll->back);
}

/* --- instructions ------------------------------------------------------------------------------
 */

/* Of instructions that may be translated; what cannot be decoded never comes to be executed. */
static void decode(struct gen *g)
{
	const uint8_t *bytes = block_text(g->block);
	struct shape *shape = g->jit->shapes;

	for (unsigned n = 0; n < g->block->count; n++, shape++) {
		const struct insn *insn = &g->block->insn[n];

		if (gen_row_of(g->jit, insn))
			decode_cache_shape(g->jit->decodes, gen_mode(g->block), bytes, insn->length,
					   shape);
		else
			memset(shape, 0, sizeof(*shape));
		bytes += insn->length;
	}
}

/* By its own emitter; false, with nothing changed: it has none that can. */
static bool emit_natively(struct gen *g)
{
	uint8_t *at = g->e.at;
	unsigned colds = g->colds, links = g->links, fars = g->fars, where = g->where;
	unsigned sites = g->sites, ready = g->ready, shared_insns = g->shared_insns;
	unsigned checked = g->groups.checked, r11 = g->groups.r11;
	unsigned based = g->bases.checked, kept = g->bases.kept;
	int32_t ahead = g->groups.ahead;

	g->row = gen_row_of(g->jit, g->insn);
	if (g->row && g->row->gen(g))
		return true;
	g->e.at = at;
	g->colds = colds;
	g->links = links;
	g->fars = fars;
	g->sites = sites;
	g->ready = (uint8_t)ready;
	g->shared_insns = shared_insns;
	g->where = (uint8_t)where;
	g->groups.checked = (uint8_t)checked;
	g->groups.r11 = (uint8_t)r11;
	g->groups.ahead = ahead;
	g->bases.checked = based;
	g->bases.kept = kept;
	return false;
}

static void emit_insn(struct gen *g, unsigned n, const uint8_t *live)
{
	g->first_cold = g->colds;
	g->n = n;
	g->insn = &g->block->insn[n];
	g->shape = &g->jit->shapes[n];
	g->is_last = n + 1u == g->block->count;
	g->live_before = live[n];
	g->live_after = live[n + 1];
	gen_check_early(g);
	if (!gen_stack_may_wait(g))
		gen_settle_stack(g);
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
	struct host_mem count = mem_cpu(offsetof(struct cpu, stats.count[stat]));
	uint8_t *number;

	emit_mov_rm(&g->e, 8, R9, count);
	emit_lea(&g->e, 8, R9, mem_at(R9, INT32_MAX));
	number = g->e.at - sizeof(int32_t);
	emit_mov_mr(&g->e, 8, count, R9);
	return number;
}

unsigned gen_count_insns(const struct jit *jit, const uint8_t *code, const uint8_t *end)
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

void gen_jump_else(struct gen *g, int64_t target)
{
	const unsigned shared = g->shared_insns;
	const uint8_t *start = g->e.at;
	uint8_t *number = NULL;
	unsigned insns;

	if (g->jit->counts)
		number = emit_count(g, STAT_TRANSLATED_HOST);
	g->counting_bytes += (unsigned)(g->e.at - start);
	g->apart_insns = gen_count_insns(g->jit, start, g->e.at);
	start = g->e.at;
	gen_jump(g, target);
	if (!number || g->e.failed)
		return;
	insns = gen_count_insns(g->jit, start, g->e.at);
	g->apart_insns += insns;
	store_le(number, insns + g->shared_insns - shared, 4);
	g->shared_insns = shared;
}

/* The main path, counted where that is wanted. */
static void emit_insns(struct gen *g, const uint8_t *live)
{
	struct block *block = g->block;
	uint8_t *guest = NULL, *host = NULL;
	const uint8_t *start;

	start = g->e.at;
	if (g->jit->counts) {
		guest = emit_count(g, STAT_TRANSLATED);
		host = emit_count(g, STAT_TRANSLATED_HOST);
	}
	g->counting_bytes = (unsigned)(g->e.at - start);
	start = g->e.at;
	for (unsigned n = 0; n < block->count; n++)
		emit_insn(g, n, live);
	if (!guest || g->e.failed)
		return;
	store_le(guest, block->count - is_terminator(&block->insn[block->count - 1]), 4);
	store_le(host, gen_count_insns(g->jit, start, g->e.at) + g->shared_insns - g->apart_insns,
		 4);
}

static void begin(struct gen *g, struct jit *jit, struct block *block)
{
	memset(g, 0, offsetof(struct gen, cold));
	g->jit = jit;
	g->block = block;
	g->is_compact = block->jit->is_compact;
	g->page_offset = (unsigned)(block->gpa % PAGE_BYTES);
	g->word = gen_mode(block) == MODE_64 ? 8 : 4;
	g->tlb_class = block->flavor >> BLOCK_CLASS_SHIFT & BLOCK_CLASS;
}

bool gen_block(struct jit *jit, struct block *block, struct code_room *hot, struct code_room *cold)
{
	struct gen *g = &jit->gen;
	uint8_t live[BLOCK_MAX_INSNS + 2];
	struct poll poll;
	uint8_t *hot_end;

	begin(g, jit, block);
	/* A loop is likely to be hot; user code's gets more than that when it is (stretch.h). */
	if (jit->tier == ENGINE_TIER_BOTH && g->tlb_class != TLB_USER && ends_backward(g))
		g->is_compact = false;
	emit_init(&g->e, hot->at, hot->end);
	find_live(jit, block, live);
	decode(g);
	group_find(g, live);
	base_find(g);
	if (live[0])
		emit_entries(g);
	else
		emit_entry(g);
	poll = emit_poll(g);
	emit_insns(g, live);
	hot_end = g->e.at;
	emit_move(&g->e, cold->at, cold->end);
	emit_poll_way_out(g, &poll);
	cold_emit(g);
	if (g->e.failed)
		return false;
	hot->at = hot_end;
	cold->at = g->e.at;
	return true;
}
