/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages in a row: see cpu/jit/stretch.h.
 */
#include "cpu/jit/stretch.h"

#include <x86intrin.h>

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"
#include "cpu/jit/dispatch.h"
#include "cpu/mmu/mmu.h"

#define PATIENCE_MIN 64u
#define PATIENCE_MAX 1024u

/* It does not pay to miss, or to learn, more often than that, so many times in a row. */
#define MISS_CYCLES_MIN  50u
#define LEARN_CYCLES_MIN 4000u
#define HOPELESS         4

/* --- emitting ------------------------------------------------------------------------------------
 */

/* As far as one block can tell. */
static bool is_loop(const struct gen *g)
{
	const struct insn *last = &g->block->insn[g->block->count - 1];

	return (last->flags & INSN_DIRECT_BRANCH) && last->next + last->imm <= 0;
}

bool stretch_is_for(const struct gen *g)
{
	return g->word == 8 && !g->is_compact && !g->block->jit->has_no_stretches &&
	       (g->tlb_class == TLB_USER ? is_loop(g) : g->block->jit->is_tight);
}

static struct host_mem stretch_field(const struct gen *g, bool writes, unsigned n, size_t field)
{
	return mem_cpu(offsetof(struct cpu, jit.stretch[g->tlb_class][writes][n]) + field);
}

void stretch_check(struct gen *g, unsigned dst, uint64_t range)
{
	bool writes = range & GROUP_WRITES;
	unsigned n = g->jit->stretches[writes]++ % JIT_STRETCHES;
	struct emitter *e = &g->e;
	const uint8_t *again = e->at;
	struct emit_jump from;

	gen_sum(g, R9, group_register(range), (int32_t)range);
	emit_alu_rm(e, ALU_SUB, 8, R9,
		    stretch_field(g, writes, n, offsetof(struct jit_stretch, start)));
	emit_alu_rm(e, ALU_CMP, 8, R9,
		    stretch_field(g, writes, n, offsetof(struct jit_stretch, limit)));
	from = emit_jcc(e, COND_A, false);
	emit_mov_rm(e, 8, dst, stretch_field(g, writes, n, offsetof(struct jit_stretch, addend)));
	cold_stretch(g, from, again, range, dst, n);
}

/* C is about to run: what R11 alone has is kept. */
static void emit_way_to_c(struct gen *g, const struct cold *cold, const struct jit_fit *fit,
			  const uint8_t *to)
{
	if (cold->spares != BASE_NONE)
		base_keep(g, cold->spares);
	emit_mov_ri(&g->e, R10, (uint64_t)((const uint8_t *)fit - (const uint8_t *)g->jit->fits));
	emit_jmp_to(&g->e, to);
}

/* Where the check is entered when C has run. */
static const uint8_t *emit_again(struct gen *g, const struct cold *cold)
{
	const uint8_t *start = g->e.at;

	if (cold->r11 == R11_FREE)
		return cold->again;
	cold_load_r11(g, cold->r11);
	emit_jmp_to(&g->e, cold->again);
	return start;
}

void stretch_emit(struct gen *g, const struct cold *cold)
{
	bool writes = cold->range & GROUP_WRITES;
	struct emitter *e = &g->e;
	struct emit_jump impatient, failed;
	const uint8_t *again;
	const struct jit_fit *fit;

	emit_alu_rm(e, ALU_ADD, 8, R9,
		    stretch_field(g, writes, cold->stretch, offsetof(struct jit_stretch, start)));
	emit_alu_mi(e, ALU_SUB, 4,
		    stretch_field(g, writes, cold->stretch, offsetof(struct jit_stretch, patience)),
		    1);
	impatient = emit_jcc(e, COND_E, true);
	gen_probe(g, R9, group_bytes(cold->range), writes);
	failed = emit_jcc(e, COND_A, true);
	gen_addend(g, cold->dst, writes);
	emit_jmp_to(e, cold->back);
	again = emit_again(g, cold);
	fit = cold_note_fit(g, cold, again);
	emit_land(e, impatient);
	emit_way_to_c(g, cold, fit, g->jit->learn);
	emit_land(e, failed);
	emit_way_to_c(g, cold, fit, g->jit->fit);
}

/* --- learning ------------------------------------------------------------------------------------
 */

/* One that is longer stays. */
static void learn(struct cpu *cpu, struct jit_stretch *stretch, gva_t addr, bool writes)
{
	struct mmu_row row;

	if (mmu_find_row(cpu, addr, writes, &row) &&
	    row.end - row.start - BASE_MAX_BYTES >= stretch->limit) {
		stretch->start = row.start;
		stretch->limit = row.end - row.start - BASE_MAX_BYTES;
		stretch->addend = row.addend;
		stretch->wait = PATIENCE_MIN / 2;
		cpu->jit.learned[cpu->tlb_class][writes] |=
			BIT(stretch - cpu->jit.stretch[cpu->tlb_class][writes]);
	}
	stretch->wait = MIN(2 * stretch->wait, PATIENCE_MAX);
	stretch->patience = stretch->wait;
}

static bool is_hopeless(struct jit_stretch *stretch)
{
	uint64_t now = __rdtsc(), cycles = now - stretch->since;
	bool is_bad =
		cycles < LEARN_CYCLES_MIN || cycles < (uint64_t)stretch->wait * MISS_CYCLES_MIN;

	stretch->since = now;
	stretch->bad = is_bad ? (uint8_t)(stretch->bad + 1) : 0;
	return stretch->bad >= HOPELESS;
}

const void *stretch_learn(struct cpu *cpu, const struct jit_fit *fit)
{
	bool writes = fit->range & GROUP_WRITES;
	struct jit_stretch *stretch = &cpu->jit.stretch[cpu->tlb_class][writes][fit->stretch];
	bool gives_up = is_hopeless(stretch);

	if (gives_up) {
		stretch->bad = 0;
		block_simplify(cpu, block_of_insn(fit->insn), BLOCK_NO_STRETCHES);
	}
	learn(cpu, stretch, cpu->gpr[group_register(fit->range)] + (uint64_t)(int32_t)fit->range,
	      writes);
	if (!gives_up && !(fit->range & GROUP_GIVE_UP))
		return fit->check;
	jit_interpret_rest(cpu, fit->insn);
	return jit_next(cpu);
}

static void forget(const struct cpu_jit *jit, struct jit_stretch *stretch)
{
	stretch->start = jit->no_stack_page;
	stretch->limit = 0;
	stretch->addend = (uint64_t)(uintptr_t)jit->no_stack - jit->no_stack_page;
}

void jit_forget_stretches(struct cpu *cpu, unsigned who)
{
	struct cpu_jit *jit = &cpu->jit;

	for (unsigned writes = 0; writes < 2; writes++) {
		for (uint64_t set = jit->learned[who][writes]; set; set &= set - 1)
			forget(jit, &jit->stretch[who][writes][__builtin_ctzll(set)]);
		jit->learned[who][writes] = 0;
	}
}

static bool is_in_stretch(const struct cpu_jit *jit, unsigned who, bool writes, gva_t page)
{
	for (uint64_t set = jit->learned[who][writes]; set; set &= set - 1) {
		const struct jit_stretch *stretch =
			&jit->stretch[who][writes][__builtin_ctzll(set)];

		if (page - stretch->start <= stretch->limit)
			return true;
	}
	return false;
}

static bool remembers(const struct cpu_jit *jit, gva_t page)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (jit->stack[who].page == page || jit->flat_stack[who].page == page ||
		    is_in_stretch(jit, who, false, page) || is_in_stretch(jit, who, true, page))
			return true;
	return false;
}

void jit_forget_page(struct cpu *cpu, gva_t page)
{
	if (remembers(&cpu->jit, page))
		jit_forget_stack(cpu);
}

void jit_prepare_stretches(struct cpu *cpu)
{
	struct cpu_jit *jit = &cpu->jit;

	for (unsigned who = 0; who < TLB_CLASSES; who++) {
		for (unsigned n = 0; n < JIT_STRETCHES; n++)
			jit->stretch[who][false][n] = jit->stretch[who][true][n] =
				(struct jit_stretch){ .patience = PATIENCE_MIN,
						      .wait = PATIENCE_MIN };
		jit->learned[who][false] = jit->learned[who][true] = ~0ull;
		jit_forget_stretches(cpu, who);
	}
}
