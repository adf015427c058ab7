/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of stack accesses: see cpu/jit/group.h.
 */
#include "cpu/jit/group.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/cold.h"
#include "cpu/jit/compact.h"
#include "cpu/mmu/mmu.h"

/* What an instruction does to the stack. */
struct use {
	bool accesses;
	bool ends;         /* RSP is something else after it */
	int32_t low, high; /* bytes accessed, relative to RSP before it */
	int32_t by;        /* RSP moves so far */
};

static bool writes_rsp(const struct shape *shape)
{
	return shape->written & 1u << RSP;
}

static int64_t reach_max(const struct gen *g)
{
	return g->word == 8 ? GROUP_REACH_MAX_BYTES : GROUP_FLAT_REACH_MAX_BYTES;
}

static bool is_beyond_reach(const struct gen *g, int64_t bytes)
{
	return bytes < -reach_max(g) || bytes > reach_max(g);
}

static void add_access(const struct gen *g, struct use *use, int64_t low, int64_t high)
{
	if (is_beyond_reach(g, low) || is_beyond_reach(g, high))
		return;
	use->low = use->accesses ? MIN(use->low, (int32_t)low) : (int32_t)low;
	use->high = use->accesses ? MAX(use->high, (int32_t)high) : (int32_t)high;
	use->accesses = true;
}

/* A memory operand; with an index it may be anywhere. */
static void add_operand(const struct gen *g, struct use *use, const struct insn *insn)
{
	if (gen_is_flat(g, insn) && insn->base == REG_OFFSET(RSP) && insn->index == REG_NONE &&
	    insn->mem_bytes)
		add_access(g, use, insn->disp, insn->disp + insn->mem_bytes);
}

static bool is_immediate_add(const struct gen *g, const struct insn *insn,
			     const struct shape *shape)
{
	return (insn->mnemonic == ZYDIS_MNEMONIC_ADD || insn->mnemonic == ZYDIS_MNEMONIC_SUB) &&
	       insn->size == g->word && shape->kind[0] == OPERAND_GENERAL &&
	       shape->kind[1] == OPERAND_IMMEDIATE;
}

static bool is_lea_of_rsp(const struct gen *g, const struct insn *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_LEA && insn->size == g->word &&
	       insn->base == REG_OFFSET(RSP) && insn->index == REG_NONE &&
	       insn->addr_size == g->word;
}

bool group_is_move(const struct gen *g, const struct insn *insn, const struct shape *shape,
		   int32_t *by)
{
	int64_t bytes;

	if (insn->dst != REG_OFFSET(RSP))
		return false;
	if (is_immediate_add(g, insn, shape))
		bytes = insn->mnemonic == ZYDIS_MNEMONIC_ADD ? insn->imm : -insn->imm;
	else if (is_lea_of_rsp(g, insn))
		bytes = insn->disp;
	else
		return false;
	*by = (int32_t)bytes;
	return bytes >= -GROUP_MOVE_MAX_BYTES && bytes <= GROUP_MOVE_MAX_BYTES;
}

/* Pushes and pops of words; other sizes end the group like anything that writes RSP. */
static void use_of_word(const struct gen *g, const struct insn *insn, const struct shape *shape,
			struct use *use)
{
	int64_t word = g->word;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CALL:
		add_access(g, use, -word, 0);
		use->by = -word;
		break;
	case ZYDIS_MNEMONIC_POP:
		if (shape->kind[0] == OPERAND_GENERAL && insn->dst == REG_OFFSET(RSP))
			break;
		add_access(g, use, 0, word);
		use->by = word;
		break;
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		add_access(g, use, 0, word);
		use->by = word;
		break;
	case ZYDIS_MNEMONIC_RET:
		add_access(g, use, 0, word);
		break;
	default:
		break;
	}
}

static struct use use_of(const struct gen *g, unsigned n)
{
	const struct insn *insn = &g->block->insn[n];
	const struct shape *shape = &g->jit->shapes[n];
	struct use use = { .ends = !insn->length || !gen_row_of(g->jit, insn) };
	int32_t by;

	if (use.ends)
		return use;
	add_operand(g, &use, insn);
	if (shape->operand_bytes == g->word)
		use_of_word(g, insn, shape, &use);
	if (group_is_move(g, insn, shape, &by))
		use.by = by;
	use.ends = (writes_rsp(shape) && !use.by) || gen_selects_class(insn);
	return use;
}

static bool is_empty(const struct stack_group *group)
{
	return group->low == group->high;
}

static void end_group(struct groups *groups)
{
	if (!is_empty(&groups->group[groups->count]))
		groups->group[++groups->count] = (struct stack_group){ 0, 0 };
}

/* Adds the access to the group, or begins another with it. */
static void join(struct groups *groups, unsigned n, const struct use *use, int32_t *moved)
{
	struct stack_group *group = &groups->group[groups->count];
	int32_t low = MIN(group->low, *moved + use->low);
	int32_t high = MAX(group->high, *moved + use->high);
	bool is_new = is_empty(group);

	if (is_new || high - low > GROUP_MAX_BYTES) {
		end_group(groups);
		group = &groups->group[groups->count];
		*moved = 0;
		low = use->low;
		high = use->high;
	}
	if (high - low > GROUP_MAX_BYTES)
		return; /* one access alone is no longer than that: it moves RSP far */
	*group = (struct stack_group){ low, high };
	groups->of[n] = groups->count;
	groups->moved[n] = *moved;
}

/*
 * The first access of a group is instruction `first`: where no flag matters before an instruction
 * ahead of it, and nothing in between needs another group or another idea of RSP, it is checked
 * there. groups->moved of that one is as of the others.
 */
static void find_early(struct gen *g, unsigned first, const uint8_t *live)
{
	struct groups *groups = &g->groups;
	int32_t moved = groups->moved[first];

	for (unsigned n = first; live[n]; n--) {
		struct use use;

		if (!n || groups->of[n - 1] != GROUP_NONE)
			return;
		use = use_of(g, n - 1);
		if (use.ends)
			return;
		moved -= use.by;
		if (is_beyond_reach(g, moved))
			return;
		groups->moved[n - 1] = moved;
		if (!live[n - 1])
			groups->early[n - 1] = groups->of[first];
	}
}

static void find_all_early(struct gen *g, const uint8_t *live)
{
	unsigned found = 0;

	for (unsigned n = 0; n < g->block->count; n++)
		if (g->groups.of[n] == found) {
			find_early(g, n, live);
			found++;
		}
}

void group_find(struct gen *g, const uint8_t *live)
{
	struct groups *groups = &g->groups;
	int32_t moved = 0;

	memset(groups->of, GROUP_NONE, sizeof(groups->of));
	memset(groups->early, GROUP_NONE, sizeof(groups->early));
	groups->group[0] = (struct stack_group){ 0, 0 };
	groups->count = 0;
	groups->checked = GROUP_NONE;
	groups->r11 = R11_FREE;
	groups->ahead = 0;
	if (g->block->jit->is_ungrouped || (g->block->flavor & BLOCK_UNGROUPED))
		return;
	for (unsigned n = 0; n < g->block->count; n++) {
		struct use use = use_of(g, n);

		if (use.accesses)
			join(groups, n, &use, &moved);
		moved += use.by;
		if (use.ends || is_beyond_reach(g, moved))
			end_group(groups);
	}
	find_all_early(g, live);
}

bool gen_is_grouped(const struct gen *g)
{
	return g->groups.of[g->n] != GROUP_NONE;
}

static size_t stack_field(const struct gen *g, unsigned tlb_class)
{
	size_t stacks = g->word == 8 ? offsetof(struct cpu, jit.stack)
				     : offsetof(struct cpu, jit.flat_stack);

	return stacks + tlb_class * sizeof(struct jit_stack);
}

size_t group_delta_field(const struct gen *g, unsigned tlb_class)
{
	return stack_field(g, tlb_class) + offsetof(struct jit_stack, delta);
}

struct emit_jump gen_probe_stack(struct gen *g, unsigned bytes)
{
	emit_alu_rm(&g->e, ALU_XOR, 8, R9,
		    mem_cpu(stack_field(g, g->tlb_class) + offsetof(struct jit_stack, page)));
	emit_alu_ri(&g->e, ALU_CMP, 8, R9, (int32_t)(PAGE_BYTES - bytes));
	return emit_jcc(&g->e, COND_A, false);
}

void gen_load_delta_to(struct gen *g, unsigned reg)
{
	emit_mov_rm(&g->e, 8, reg, mem_cpu(group_delta_field(g, g->tlb_class)));
}

static void check_group(struct gen *g, unsigned id)
{
	struct groups *groups = &g->groups;
	int32_t low = groups->group[id].low - groups->moved[g->n];
	uint32_t bytes = (uint32_t)(groups->group[id].high - groups->group[id].low);
	const uint8_t *again;
	uint64_t range;

	/* The slow way would come back behind this check, without it. */
	g->e.failed |= g->colds != g->first_cold;
	gen_settle_stack(g);
	gen_flags_spare(g);
	base_spare(g);
	again = g->e.at;
	emit_lea(&g->e, 8, R9, mem_at(HOST_RSP_HOME, low));
	range = group_pack(low, compact_range(g, bytes), RSP, GROUP_WRITES);
	groups->r11 = R11_STACK;
	if (!compact_probe_stack(g, again, range)) {
		cold_fit(g, gen_probe_stack(g, bytes), again, range);
		groups->r11 = R11_FREE;
	}
	groups->checked = (uint8_t)id;
}

void gen_check_early(struct gen *g)
{
	unsigned id = g->groups.early[g->n];

	if (id == GROUP_NONE)
		return;
	check_group(g, id);
	g->first_cold = g->colds;
}

void gen_reach_stack(struct gen *g)
{
	struct groups *groups = &g->groups;

	if (groups->checked != groups->of[g->n])
		check_group(g, groups->of[g->n]);
	if (groups->r11 != R11_STACK) {
		base_spare(g);
		gen_load_delta_to(g, R11);
		groups->r11 = R11_STACK;
	}
}
