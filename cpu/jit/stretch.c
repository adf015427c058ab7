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

#define PATIENCE_MIN 16u
#define PATIENCE_MAX 4096u

/* It does not pay to miss, or to learn, more often than that, so many times in a row. */
#define MISS_CYCLES_MIN  50u
#define LEARN_CYCLES_MIN 4000u
#define HOPELESS         8

/* --- emitting ------------------------------------------------------------------------------------
 */

/* A loop, as far as one block can tell. */
bool stretch_is_for(const struct gen *g)
{
	const struct insn *last = &g->block->insn[g->block->count - 1];

	return g->tlb_class == TLB_USER && g->word == 8 && !g->is_compact &&
	       !g->block->jit->has_no_stretches && (last->flags & INSN_DIRECT_BRANCH) &&
	       last->next + last->imm <= 0;
}

static struct host_mem stretch_field(bool writes, unsigned n, size_t field)
{
	return mem_cpu(offsetof(struct cpu, jit.stretch[writes][n]) + field);
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
		    stretch_field(writes, n, offsetof(struct jit_stretch, start)));
	emit_alu_rm(e, ALU_CMP, 8, R9,
		    stretch_field(writes, n, offsetof(struct jit_stretch, limit)));
	from = emit_jcc(e, COND_A, false);
	emit_mov_rm(e, 8, dst, stretch_field(writes, n, offsetof(struct jit_stretch, addend)));
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
		    stretch_field(writes, cold->stretch, offsetof(struct jit_stretch, start)));
	emit_alu_mi(e, ALU_SUB, 4,
		    stretch_field(writes, cold->stretch, offsetof(struct jit_stretch, patience)),
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

static const struct tlb_way *way_of(const struct cpu *cpu, gva_t page, bool writes)
{
	return &cpu->tlb->way[TLB_USER][writes][(page >> PAGE_BITS) % TLB_ENTRIES];
}

static bool is_like(const struct tlb_way *way, gva_t page, uint64_t addend)
{
	return way->tag == page && way->addend == addend;
}

/* The pages around one that the TLB has. */
static struct jit_stretch find_stretch(const struct cpu *cpu, gva_t page, bool writes)
{
	uint64_t addend = way_of(cpu, page, writes)->addend;
	gva_t low = page, end = page + PAGE_BYTES;
	unsigned pages = 1;

	for (; pages < TLB_ENTRIES; pages++, low -= PAGE_BYTES)
		if (!is_like(way_of(cpu, low - PAGE_BYTES, writes), low - PAGE_BYTES, addend))
			break;
	for (; pages < TLB_ENTRIES; pages++, end += PAGE_BYTES)
		if (!is_like(way_of(cpu, end, writes), end, addend))
			break;
	return (struct jit_stretch){
		.start = low,
		.limit = end - low - BASE_MAX_BYTES,
		.addend = addend,
		.patience = PATIENCE_MIN,
	};
}

/* One that is longer stays. */
static void learn(struct cpu *cpu, struct jit_stretch *stretch, gva_t addr, bool writes)
{
	gva_t page = addr & PAGE_MASK;
	struct jit_stretch found;

	if (way_of(cpu, page, writes)->tag == page) {
		found = find_stretch(cpu, page, writes);
		if (found.limit >= stretch->limit) {
			stretch->start = found.start;
			stretch->limit = found.limit;
			stretch->addend = found.addend;
			stretch->wait = PATIENCE_MIN / 2;
			cpu->jit.has_stretches = true;
		}
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
	struct jit_stretch *stretch = &cpu->jit.stretch[writes][fit->stretch];
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

void jit_forget_stretches(struct cpu *cpu)
{
	struct cpu_jit *jit = &cpu->jit;

	for (unsigned i = 0; i < 2 * JIT_STRETCHES; i++) {
		struct jit_stretch *stretch = &jit->stretch[i / JIT_STRETCHES][i % JIT_STRETCHES];

		stretch->start = jit->no_stack_page;
		stretch->limit = 0;
		stretch->addend = (uint64_t)(uintptr_t)jit->no_stack - jit->no_stack_page;
	}
	jit->has_stretches = false;
}

static bool remembers(const struct cpu_jit *jit, gva_t page)
{
	for (unsigned i = 0; i < ARRAY_SIZE(jit->stack); i++)
		if (jit->stack[i].page == page || jit->flat_stack[i].page == page)
			return true;
	for (unsigned i = 0; jit->has_stretches && i < 2 * JIT_STRETCHES; i++) {
		const struct jit_stretch *stretch =
			&jit->stretch[i / JIT_STRETCHES][i % JIT_STRETCHES];

		if (page - stretch->start <= stretch->limit)
			return true;
	}
	return false;
}

void jit_forget_page(struct cpu *cpu, gva_t page)
{
	if (remembers(&cpu->jit, page))
		jit_forget_stack(cpu);
}

void jit_prepare_stretches(struct cpu *cpu)
{
	for (unsigned i = 0; i < 2 * JIT_STRETCHES; i++)
		cpu->jit.stretch[i / JIT_STRETCHES][i % JIT_STRETCHES] =
			(struct jit_stretch){ .patience = PATIENCE_MIN, .wait = PATIENCE_MIN };
	jit_forget_stretches(cpu);
}
