/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of accesses relative to one register: see cpu/jit/base.h.
 */
#include "cpu/jit/base.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"
#include "cpu/jit/compact.h"
#include "cpu/jit/stretch.h"
#include "cpu/mmu/mmu.h"

/* The groups that may still grow, while they are being found. */
struct finder {
	struct gen *g;
	uint8_t active[16]; /* by register: a group, or BASE_NONE */
	int32_t moved[16];
};

/* Whether gen_general does the memory operand. CMPXCHG16B looks at the address before the page. */
static bool is_plain_operand(const struct gen *g, const struct insn *insn)
{
	const struct gen_row *row = gen_row_of(g->jit, insn);

	return gen_row_is_general(row) && (insn->flags & INSN_MEM) && gen_is_flat(g, insn) &&
	       insn->index == REG_NONE && insn->base < REG_OFFSET(16) &&
	       insn->base != REG_OFFSET(RSP) && insn->mem_bytes &&
	       insn->mem_bytes <= BASE_MAX_BYTES && insn->disp >= -GROUP_REACH_MAX_BYTES &&
	       insn->disp <= GROUP_REACH_MAX_BYTES && insn->mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B;
}

static struct base_group *begin_group(struct finder *f, unsigned reg)
{
	struct bases *bases = &f->g->bases;

	f->active[reg] = BASE_NONE;
	f->moved[reg] = 0;
	if (bases->count == JIT_ANCHORS)
		return NULL;
	f->active[reg] = bases->count;
	bases->group[bases->count] = (struct base_group){ .reg = (uint8_t)reg };
	return &bases->group[bases->count++];
}

static void join(struct finder *f, unsigned n, const struct insn *insn, const struct shape *shape)
{
	struct bases *bases = &f->g->bases;
	unsigned reg = insn->base / REG_OFFSET(1);
	struct base_group *group =
		f->active[reg] == BASE_NONE ? NULL : &bases->group[f->active[reg]];
	int64_t low = f->moved[reg] + insn->disp, high = low + insn->mem_bytes;

	if (group && MAX(group->high, high) - MIN(group->low, low) > BASE_MAX_BYTES)
		group = NULL;
	if (!group) {
		group = begin_group(f, reg);
		low = insn->disp;
		high = low + insn->mem_bytes;
		if (!group)
			return;
		group->low = (int32_t)low;
		group->high = (int32_t)high;
	}
	group->low = (int32_t)MIN(group->low, low);
	group->high = (int32_t)MAX(group->high, high);
	group->writes |= (shape->flags & SHAPE_WRITES) != 0;
	group->uses++;
	group->last = (uint8_t)n;
	bases->of[n] = f->active[reg];
	bases->moved[n] = f->moved[reg];
}

/* A register moves by a constant: its first operand. 0: it does not, or by anything. */
static int64_t constant_move(const struct gen *g, const struct insn *insn,
			     const struct shape *shape)
{
	bool has_immediate = shape->kind[1] == OPERAND_IMMEDIATE;

	if (insn->size != g->word || shape->kind[0] != OPERAND_GENERAL)
		return 0;
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		return has_immediate ? insn->imm : 0;
	case ZYDIS_MNEMONIC_SUB:
		return has_immediate ? -insn->imm : 0;
	case ZYDIS_MNEMONIC_INC:
		return 1;
	case ZYDIS_MNEMONIC_DEC:
		return -1;
	case ZYDIS_MNEMONIC_LEA:
		return insn->base == insn->dst && insn->index == REG_NONE &&
				       insn->addr_size == g->word
			       ? insn->disp
			       : 0;
	default:
		return 0;
	}
}

static void note_writes(struct finder *f, const struct insn *insn, const struct shape *shape)
{
	int64_t by = constant_move(f->g, insn, shape);

	for (unsigned set = shape->written; set; set &= set - 1) {
		unsigned reg = (unsigned)__builtin_ctz(set);

		if (by && by >= -GROUP_MOVE_MAX_BYTES && by <= GROUP_MOVE_MAX_BYTES)
			f->moved[reg] += (int32_t)by;
		else
			f->active[reg] = BASE_NONE;
	}
}

/* Handlers may write any register; the class of tags is part of what has been looked up. */
static bool ends_all(const struct gen *g, const struct insn *insn)
{
	return !insn->length || !gen_row_of(g->jit, insn) || gen_selects_class(insn);
}

void base_find(struct gen *g)
{
	struct finder f = { .g = g };

	memset(f.active, BASE_NONE, sizeof(f.active));
	memset(g->bases.of, BASE_NONE, sizeof(g->bases.of));
	g->bases.count = 0;
	g->bases.checked = g->bases.kept = 0;
	g->bases.has_stretches = stretch_is_for(g);
	if (g->block->jit->is_ungrouped || (g->block->flavor & BLOCK_UNGROUPED))
		return;
	for (unsigned n = 0; n < g->block->count; n++) {
		const struct insn *insn = &g->block->insn[n];
		const struct shape *shape = &g->jit->shapes[n];

		if (ends_all(g, insn)) {
			memset(f.active, BASE_NONE, sizeof(f.active));
			continue;
		}
		if (is_plain_operand(g, insn))
			join(&f, n, insn, shape);
		note_writes(&f, insn, shape);
	}
}

/*
 * Whether the group is reached by the host address of its range, since no host register has what is
 * to be added to. In 32-bit code a register may wrap between two accesses of a range that does not.
 */
static bool is_by_address(const struct gen *g, const struct base_group *group)
{
	return gen_is_homed(group->reg) || g->word == 4;
}

bool gen_is_alone(const struct gen *g)
{
	unsigned id = g->bases.of[g->n];

	return id != BASE_NONE && g->bases.group[id].uses == 1 && g->bases.has_stretches &&
	       !is_by_address(g, &g->bases.group[id]);
}

/* One access alone is checked as ever. */
bool gen_is_based(const struct gen *g)
{
	unsigned id = g->bases.of[g->n];

	return id != BASE_NONE && (g->bases.group[id].uses > 1 || gen_is_alone(g));
}

static struct host_mem anchor(unsigned group)
{
	return mem_cpu(offsetof(struct cpu, jit.anchor) + group * sizeof(uint64_t));
}

void base_load(struct gen *g, unsigned group)
{
	emit_mov_rm(&g->e, 8, R11, anchor(group));
}

void base_keep(struct gen *g, unsigned group)
{
	emit_mov_mr(&g->e, 8, anchor(group), R11);
}

unsigned base_in_r11(const struct gen *g)
{
	unsigned id = g->groups.r11;

	return id < JIT_ANCHORS && !(g->bases.kept & 1u << id) ? id : BASE_NONE;
}

void base_spare(struct gen *g)
{
	unsigned id = base_in_r11(g);

	if (id == BASE_NONE || g->bases.group[id].last < g->n)
		return;
	base_keep(g, id);
	g->bases.kept |= 1u << id;
}

void base_take(struct gen *g, bool is_by_address, bool writes)
{
	if (is_by_address) {
		gen_host_page(g);
		emit_lea(&g->e, 8, R11, mem_index(R9, R10, 0, 0));
	} else {
		gen_addend(g, R11, writes);
	}
}

/* From the register as it is now: group_pack. */
static uint64_t range_of(const struct gen *g, const struct base_group *group, unsigned bytes)
{
	bool writes_first = g->shape->flags & SHAPE_WRITES;

	return group_pack(group->low - g->bases.moved[g->n], bytes, group->reg,
			  (group->writes ? GROUP_WRITES : 0) |
				  (writes_first ? GROUP_WRITES_FIRST : 0));
}

static void check_by_stretch(struct gen *g, const struct base_group *group, unsigned dst)
{
	stretch_check(g, dst, range_of(g, group, (unsigned)(group->high - group->low)));
}

static void ask_tlb(struct gen *g, const struct base_group *group)
{
	int32_t low = group->low - g->bases.moved[g->n];
	unsigned bytes = (unsigned)(group->high - group->low);
	uint64_t range = range_of(g, group, compact_range(g, bytes));
	const uint8_t *again = g->e.at;

	gen_sum(g, R9, group->reg, low);
	if (compact_probe_base(g, is_by_address(g, group), again, range))
		return;
	gen_probe(g, low || is_by_address(g, group) ? R9 : gen_pinned(group->reg), bytes,
		  group->writes);
	cold_fit(g, emit_jcc(&g->e, COND_A, false), again, range);
	base_take(g, is_by_address(g, group), group->writes);
}

static void check_range(struct gen *g, unsigned id)
{
	const struct base_group *group = &g->bases.group[id];

	/* The slow way would come back behind this check, without it. */
	g->e.failed |= g->colds != g->first_cold;
	gen_flags_spare(g);
	base_spare(g);
	if (g->bases.has_stretches && !is_by_address(g, group))
		check_by_stretch(g, group, R11);
	else
		ask_tlb(g, group);
	g->bases.checked |= 1u << id;
	g->groups.r11 = (uint8_t)id;
}

struct host_mem gen_reach_base(struct gen *g)
{
	unsigned id = g->bases.of[g->n];
	const struct base_group *group = &g->bases.group[id];
	int32_t disp = (int32_t)g->insn->disp;

	if (gen_is_alone(g)) {
		gen_flags_spare(g);
		check_by_stretch(g, group, R10);
		return mem_index(gen_pinned(group->reg), R10, 0, disp);
	}
	if (!(g->bases.checked & 1u << id))
		check_range(g, id);
	if (g->groups.r11 != id) {
		base_spare(g);
		base_load(g, id);
		g->groups.r11 = (uint8_t)id;
	}
	return is_by_address(g, group) ? mem_at(R11, g->bases.moved[g->n] + disp - group->low)
				       : mem_index(gen_pinned(group->reg), R11, 0, disp);
}
