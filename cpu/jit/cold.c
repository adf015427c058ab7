/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways out of translated code: handlers, slow ways, jumps to other blocks.
 */
#include "cpu/jit/cold.h"

#include "cpu/decode/decode.h"
#include "cpu/jit/cache.h"
#include "cpu/jit/dispatch.h"
#include "cpu/jit/shared.h"
#include "cpu/jit/stretch.h"

/* --- putting off ---------------------------------------------------------------------------------
 */

/* NULL where there is no room: the translation has failed. */
static struct cold *put_off(struct gen *g, enum cold_kind kind, struct emit_jump from)
{
	struct cold *cold = &g->cold[g->colds];

	if (g->colds == COLD_MAX) {
		g->e.failed = true;
		return NULL;
	}
	g->colds++;
	*cold = (struct cold){ .kind = (uint8_t)kind,
			       .from = from,
			       .insn = g->insn,
			       .where = g->where,
			       .ahead = g->groups.ahead,
			       .tlb_class = (uint8_t)g->tlb_class,
			       .spares = (uint8_t)base_in_r11(g),
			       .is_vector = g->ready != 0 };
	return cold;
}

/* Whether a group that R11 had is looked for behind the instruction, there or in its anchor. */
static bool is_wanted(const struct gen *g, unsigned group)
{
	return group != BASE_NONE && g->bases.group[group].last > g->n &&
	       (g->groups.r11 == group || (g->bases.kept & 1u << group));
}

/* What R11 must be behind the instruction. */
static unsigned wanted_r11(const struct gen *g)
{
	unsigned r11 = g->groups.r11;

	return r11 < JIT_ANCHORS && g->bases.group[r11].last <= g->n ? R11_FREE : r11;
}

/* Whether it comes back to where it is said to already. */
static bool has_place(const struct cold *cold)
{
	return cold->kind == COLD_FIT || cold->kind == COLD_WAY_FIT || cold->kind == COLD_STRETCH;
}

void cold_set_back(struct gen *g, unsigned first)
{
	for (unsigned i = first; i < g->colds; i++) {
		if (has_place(&g->cold[i]))
			continue;
		g->cold[i].back = g->e.at;
		g->cold[i].loads_flags = (g->where & IN_HOST) && g->live_after;
		g->cold[i].r11 = (uint8_t)wanted_r11(g);
		if (!is_wanted(g, g->cold[i].spares))
			g->cold[i].spares = BASE_NONE;
		g->cold[i].ahead_after = g->groups.ahead;
	}
}

/* --- handlers ------------------------------------------------------------------------------------
 */

/* R9 = what says to a way out where something in the arena is. */
static void emit_place(struct gen *g, const void *in_arena)
{
	emit_mov_ri(&g->e, R9, (uint64_t)((const uint8_t *)in_arena - g->jit->arena));
}

static void emit_handler_last(struct gen *g, const struct insn *insn)
{
	emit_place(g, insn);
	emit_jmp_to(&g->e, g->jit->thunk[THUNK_HANDLER_LAST]);
}

static void emit_handler(struct gen *g, const struct insn *insn, enum jit_thunk thunk)
{
	emit_place(g, insn);
	emit_call_to(&g->e, g->jit->thunk[thunk]);
}

void gen_handler(struct gen *g)
{
	gen_settle_stack(g);
	gen_flags_store(g);
	if (g->is_last) {
		emit_handler_last(g, g->insn);
		return;
	}
	gen_take_r11(g);
	emit_handler(g, g->insn, THUNK_HANDLER);
	g->where = IN_STATUS;
	g->ready = 0;
}

void gen_slow_if(struct gen *g, enum emit_condition cc)
{
	put_off(g, g->is_last ? COLD_LAST : COLD_SLOW, emit_jcc(&g->e, cc, false));
}

void gen_slow_vector_if(struct gen *g, enum emit_condition cc)
{
	struct cold *cold = put_off(g, COLD_SLOW, emit_jcc(&g->e, cc, false));

	if (cold)
		cold->is_vector = true;
}

void cold_load_r11(struct gen *g, unsigned r11)
{
	if (r11 == R11_STACK)
		gen_load_delta_to(g, R11);
	else if (r11 != R11_FREE)
		base_load(g, r11);
}

static void emit_slow(struct gen *g, const struct cold *cold)
{
	gen_shift_stack(g, cold->ahead);
	if (cold->spares != BASE_NONE)
		base_keep(g, cold->spares);
	emit_handler(g, cold->insn, cold->is_vector ? THUNK_HANDLER_VECTOR : THUNK_HANDLER);
	if (cold->loads_flags)
		emit_call_to(&g->e, g->jit->load_status);
	gen_shift_stack(g, -cold->ahead_after);
	cold_load_r11(g, cold->r11);
	emit_jmp_to(&g->e, cold->back);
}

void cold_fit(struct gen *g, struct emit_jump from, const uint8_t *again, uint64_t range)
{
	struct cold *cold = put_off(g, COLD_FIT, from);

	if (!cold)
		return;
	cold->back = again;
	cold->range = range;
}

/* What R11 must be where the check is entered again. */
static unsigned r11_before(const struct gen *g, unsigned dst)
{
	unsigned r11 = g->groups.r11;

	if (dst == R11 || (r11 < JIT_ANCHORS && g->bases.group[r11].last < g->n))
		return R11_FREE;
	return r11;
}

void cold_stretch(struct gen *g, struct emit_jump from, const uint8_t *again, uint64_t range,
		  unsigned dst, unsigned n)
{
	struct cold *cold = put_off(g, COLD_STRETCH, from);

	if (!cold)
		return;
	cold->back = g->e.at;
	cold->again = again;
	cold->range = range;
	cold->dst = (uint8_t)dst;
	cold->stretch = (uint8_t)n;
	cold->r11 = (uint8_t)r11_before(g, dst);
	if (cold->spares != cold->r11)
		cold->spares = BASE_NONE;
}

/* What stands for the jump. */
static void emit_link(struct gen *g, struct jit_link *link)
{
	emit_call_to(&g->e, link->keeps_flags ? g->jit->storing_thunk[THUNK_LINK]
					      : g->jit->thunk[THUNK_LINK]);
	link->from = jit_executable(g->jit, g->e.at);
}

void cold_way(struct gen *g)
{
	struct cold *cold = put_off(g, COLD_WAY, (struct emit_jump){ NULL, 0 });

	if (!cold)
		return;
	cold->code = g->e.at;
	cold->is_last = g->is_last;
}

void cold_way_fit(struct gen *g, const uint8_t *again, uint64_t range)
{
	struct cold *cold = put_off(g, COLD_WAY_FIT, (struct emit_jump){ NULL, 0 });

	if (!cold)
		return;
	cold->code = g->e.at;
	cold->back = again;
	cold->range = range;
}

static struct jit_way *add_way(struct gen *g, const struct cold *cold)
{
	struct jit *jit = g->jit;
	uint32_t n = jit->next_way + g->ways++;
	size_t chunk = way_chunk((size_t)(cold->code - jit->writable));

	/* Where the one before is in another chunk, or in the region before. */
	if (n % jit->size.ways == 0 ||
	    way_chunk((size_t)(jit->ways[n - 1].from - jit->executable)) != chunk)
		jit->first_way[chunk] = n;
	jit->ways[n] = (struct jit_way){ .from = jit_executable(jit, cold->code) };
	return &jit->ways[n];
}

static uint16_t field_of_anchor(unsigned group)
{
	return (uint16_t)(offsetof(struct cpu, jit.anchor) + group * sizeof(uint64_t));
}

/* R11 = nothing of meaning, at times. */
static uint16_t field_of_r11(const struct gen *g, const struct cold *cold)
{
	if (cold->r11 == R11_FREE)
		return offsetof(struct cpu, gpr);
	if (cold->r11 != R11_STACK)
		return field_of_anchor(cold->r11);
	return (uint16_t)group_delta_field(g, cold->tlb_class);
}

static void note_way(struct gen *g, const struct cold *cold)
{
	struct jit_way *way = add_way(g, cold);

	way->insn = cold->insn;
	way->on = jit_executable(g->jit, cold->back);
	way->ahead = cold->ahead;
	way->ahead_after = cold->ahead_after;
	way->r11 = field_of_r11(g, cold);
	if (cold->spares != BASE_NONE)
		way->spares = field_of_anchor(cold->spares);
	way->flags =
		(uint8_t)((cold->is_last ? WAY_LAST : 0) | (cold->loads_flags ? WAY_FLAGS : 0) |
			  (cold->is_vector ? WAY_VECTOR : 0));
}

struct jit_fit *cold_note_fit(struct gen *g, const struct cold *cold, const uint8_t *again)
{
	struct jit *jit = g->jit;
	struct jit_fit *fit = &jit->fits[jit->next_fit + g->fits++];
	bool is_linked = gen_is_linked((int64_t)g->page_offset + cold->insn->start);

	*fit = (struct jit_fit){
		.crossing = jit_executable(jit, is_linked ? jit->cross : jit->misfit),
		.check = jit_executable(jit, again),
		/* The vector registers are not live any more then: the code cannot go on. */
		.range = cold->range | (cold->is_vector ? GROUP_GIVE_UP : 0),
		.insn = cold->insn,
		.stretch = cold->stretch,
	};
	return fit;
}

static void emit_fit(struct gen *g, const struct cold *cold)
{
	const struct jit_fit *fit = cold_note_fit(g, cold, cold->back);

	emit_mov_ri(&g->e, R10, (uint64_t)((const uint8_t *)fit - (const uint8_t *)g->jit->fits));
	emit_jmp_to(&g->e, g->jit->fit);
}

/* --- jumps ---------------------------------------------------------------------------------------
 */

void gen_linear(struct gen *g, unsigned dst, int64_t target)
{
	emit_mov_rm(&g->e, 8, dst, mem_cpu(offsetof(struct cpu, jit.code_page)));
	emit_lea(&g->e, 8, dst, mem_at(dst, (int32_t)target));
}

/*
 * Not shared by blocks: the host predicts where an indirect jump goes by the jumps before it, and
 * more of those than needed make it forget. With a function for this `indirect` of guestbench took
 * 1.6 times as long.
 */
void gen_lookup_as(struct gen *g, unsigned class)
{
	struct emitter *e = &g->e;

	gen_take_r11(g);
	emit_movzx_rr(e, 2, R10, R9);
	emit_shift_ri(e, SHIFT_SHL, 4, R10, BRANCH_ENTRY_BITS);
	emit_alu_rm(e, ALU_ADD, 8, R10, mem_cpu(offsetof(struct cpu, jit.branches)));
	emit_mov_rm(e, 8, R11, shared_mark(class));
	emit_alu_rr(e, ALU_XOR, 8, R11, R9);
	emit_alu_rm(e, ALU_CMP, 8, R11, mem_at(R10, offsetof(struct branch_entry, tag)));
	gen_slow_if(g, COND_NE);
	shared_poll(e);
	gen_slow_if(g, COND_NE);
	emit_mov_rm(e, 8, R11, mem_at(R10, offsetof(struct branch_entry, code)));
}

void gen_lookup(struct gen *g)
{
	gen_lookup_as(g, g->tlb_class);
}

void gen_enter_page(struct gen *g)
{
	emit_alu_ri(&g->e, ALU_AND, 8, R9, (int32_t)PAGE_MASK);
	emit_mov_mr(&g->e, 8, mem_cpu(offsetof(struct cpu, jit.code_page)), R9);
}

void gen_go(struct gen *g)
{
	gen_enter_page(g);
	emit_jmp_r(&g->e, R11);
}

bool gen_is_linked(int64_t target)
{
	return target >= 0 && target + INSN_MAX_BYTES <= (int64_t)PAGE_BYTES;
}

static struct jit_link *begin_link(struct gen *g, int64_t target)
{
	struct jit_link *link = &g->block->jit->link[g->links++];

	*link = (struct jit_link){ .target = (uint16_t)target, .keeps_flags = g->where & IN_HOST };
	return link;
}

/*
 * A loop has a jump back in it, and that one looks for attention. In 4 GiB it may have come round
 * by jumps forward.
 */
static bool may_be_back(const struct gen *g, int64_t target)
{
	return g->word != 8 || target <= (int64_t)g->page_offset + g->insn->start;
}

static void jump_far(struct gen *g, int64_t target)
{
	bool polls = may_be_back(g, target);
	uint32_t n = g->jit->next_far + g->fars++;

	gen_flags_store(g);
	g->jit->fars[n] = (struct jit_far){ g->insn, (int32_t)target };
	emit_mov_ri(&g->e, R10, n << FAR_BITS);
	emit_call_to(&g->e, g->jit->far[g->tlb_class][polls]);
	emit_jmp_r(&g->e, R11);
	g->shared_insns += SHARED_FAR_INSNS + (polls ? SHARED_FAR_POLL_INSNS : 0);
}

void gen_jump(struct gen *g, int64_t target)
{
	struct jit_link *link;

	if (!gen_is_linked(target)) {
		jump_far(g, target);
		return;
	}
	link = begin_link(g, target);
	emit_patchable(&g->e);
	link->site = g->e.at;
	emit_link(g, link);
}

void gen_jump_if(struct gen *g, enum emit_condition cc, int64_t target)
{
	bool is_linked = gen_is_linked(target);
	struct jit_link *link = is_linked ? begin_link(g, target) : NULL;
	struct emit_jump from =
		is_linked ? emit_jcc_patchable(&g->e, cc) : emit_jcc(&g->e, cc, false);
	struct cold *cold = put_off(g, is_linked ? COLD_LINK : COLD_FAR, from);

	if (link) {
		link->is_conditional = true;
		link->site = from.at;
	}
	if (cold) {
		cold->link = link;
		cold->target = (int32_t)target;
	}
}

/* --- all of it -----------------------------------------------------------------------------------
 */

/* Several checks of one instruction have one slow way. */
static bool is_same_way(const struct cold *a, const struct cold *b)
{
	return a->kind == b->kind && a->insn == b->insn && a->back == b->back &&
	       a->is_vector == b->is_vector && a->spares == b->spares && a->ahead == b->ahead &&
	       a->ahead_after == b->ahead_after && (a->kind == COLD_SLOW || a->kind == COLD_LAST);
}

/* One may put off another. */
void cold_emit(struct gen *g)
{
	for (unsigned i = 0; i < g->colds && !g->e.failed; i++) {
		struct cold cold = g->cold[i];

		if (cold.kind == COLD_WAY) {
			note_way(g, &cold);
			continue;
		}
		if (cold.kind == COLD_WAY_FIT) {
			add_way(g, &cold)->fit = cold_note_fit(g, &cold, cold.back);
			continue;
		}
		if (i && is_same_way(&cold, &g->cold[i - 1])) {
			g->cold[i].code = g->cold[i - 1].code;
			emit_land_at(&g->e, cold.from, g->cold[i].code);
			continue;
		}
		g->cold[i].code = g->e.at;
		g->insn = cold.insn;
		g->where = cold.where;
		g->tlb_class = cold.tlb_class;
		g->live_before = g->live_after = STATUS_ALL;
		g->is_last = cold.kind != COLD_SLOW;
		emit_land(&g->e, cold.from);
		switch ((enum cold_kind)cold.kind) {
		case COLD_SLOW:
			emit_slow(g, &cold);
			break;
		case COLD_LAST:
			gen_shift_stack(g, cold.ahead);
			emit_handler_last(g, cold.insn);
			break;
		case COLD_FAR:
			jump_far(g, cold.target);
			break;
		case COLD_FIT:
			emit_fit(g, &cold);
			break;
		case COLD_STRETCH:
			stretch_emit(g, &cold);
			break;
		case COLD_LINK:
			emit_link(g, cold.link);
			break;
		case COLD_WAY:
		case COLD_WAY_FIT:
			break;
		}
	}
}
