/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going on at a RIP: see cpu/jit/dispatch.h. All of this happens between two blocks.
 */
#include "cpu/jit/dispatch.h"

#include "cpu/event.h"
#include "cpu/exec/vector.h"
#include "cpu/jit/cache.h"
#include "cpu/jit/enter.h"
#include "cpu/jit/group.h"
#include "cpu/mmu/mmu.h"
#include "cpu/segment.h"
#include "cpu/soft.h"

/*
 * Look-ups of global pages depend on another generation than those of others. User code is of the
 * one kind and kernel code of the other, as a rule: which, the last one found says.
 */
static uint64_t current_generation(const struct cpu *cpu, bool is_user)
{
	return cpu->jit.is_global[is_user] ? cpu->tlb->global_generation : cpu->tlb->generation;
}

/* No two keys have the same. The constants are odd, and of no other meaning. */
static uint64_t mark_of(const struct cpu *cpu, uint64_t key)
{
	key = (key ^ cpu->jit.seed) * 0x9e3779b97f4a7c15ull;
	key = (key ^ key >> 32) * 0xd6e8feb86659fd93ull;
	key = (key ^ key >> 32) * 0xd6e8feb86659fd93ull;
	return key ^ key >> 32;
}

static void set_marks(struct cpu *cpu, const uint64_t generation[2])
{
	for (unsigned class = 0; class < ARRAY_SIZE(cpu->jit.mark); class ++)
		cpu->jit.mark[class] =
			mark_of(cpu, generation[class == TLB_USER] << BLOCK_FLAVOR_BITS |
					     class << BLOCK_CLASS_SHIFT | cpu->mode);
	cpu->jit.mark_generation[false] = generation[false];
	cpu->jit.mark_generation[true] = generation[true];
	cpu->jit.mark_mode = cpu->mode;
}

/* The marks are those of the generations and the mode. */
static void find_marks(struct cpu *cpu)
{
	uint64_t generation[] = { current_generation(cpu, false), current_generation(cpu, true) };

	if (generation[false] != cpu->jit.mark_generation[false] ||
	    generation[true] != cpu->jit.mark_generation[true] || cpu->mode != cpu->jit.mark_mode)
		set_marks(cpu, generation);
}

/* What entries of the cache of branches have. */
static uint64_t tag_of(const struct cpu *cpu, gva_t addr)
{
	return addr ^ cpu->jit.mark[cpu->tlb_class];
}

void jit_arrive(struct cpu *cpu)
{
	cpu->jit.code_page = cpu->rip & PAGE_MASK;
	find_marks(cpu);
}

/* What has been found depends on this generation. */
static void note_generation(struct cpu *cpu, uint64_t generation)
{
	cpu->jit.is_global[cpu->cpl == 3] = generation == cpu->tlb->global_generation;
	find_marks(cpu);
}

static void remember(struct cpu *cpu, const struct block *block, uint64_t generation)
{
	gpa_t page = align_down(block->gpa, PAGE_BYTES);

	note_generation(cpu, generation);
	cpu->jit.branches[branch_slot(cpu->rip)] = (struct branch_entry){
		.tag = tag_of(cpu, cpu->rip),
		.code = block->code,
		.addr = cpu->rip,
		.place = block->second_page == NO_PAGE ? page | block->flavor : 0,
	};
}

static void forget_branch(struct cpu *cpu, uint64_t rip)
{
	cpu->jit.branches[branch_slot(rip)] = (struct branch_entry){ .tag = 0 };
}

/*
 * RF is set for the next instruction only, as by an IRET from a page fault, and keeps nothing but
 * code breakpoints away. Where none is enabled and nothing else is due, that instruction is run at
 * once without it. If it faults, that pushes RF set in any case; only an exit that it causes by
 * itself, in a nested guest, could show the difference.
 */
static bool is_rf_alone(const struct cpu *cpu, uint32_t due)
{
	return due == ATTENTION_STEP && (cpu->rflags & (RFLAGS_RF | RFLAGS_TF)) == RFLAGS_RF &&
	       !(cpu->dr7 & DR7_ENABLES);
}

static bool is_due(struct cpu *cpu)
{
	uint32_t due = cpu_attention_due(cpu);

	if (unlikely(due) && is_rf_alone(cpu, due)) {
		cpu->rflags &= ~(uint32_t)RFLAGS_RF;
		cpu_attention_clear(cpu, ATTENTION_STEP);
		due = 0;
	}
	if (likely(!due)) {
		cpu_poll_settle(cpu);
		return false;
	}
	cpu->stats.count[STAT_LEFT_ATTENTION]++;
	return true;
}

/* Whether the block at RIP is to be run as host code at all. */
static bool may_find_code(struct cpu *cpu)
{
	cpu->insn = NULL;
	cpu->jit.next = NULL;
	return likely(!is_due(cpu)) && likely(!cpu->jit.is_single) && likely(jit_can_run(cpu));
}

/* The block, which is at RIP, if it has code; if not, it is what the run loop goes on with. */
static struct block *with_code(struct cpu *cpu, struct block *block, uint64_t generation)
{
	enum block_state state = jit_prepare(cpu, block);

	if (state == BLOCK_INTERPRETED) {
		cpu->jit.next = block;
		cpu->jit.next_generation = generation;
	}
	return state == BLOCK_TRANSLATED ? block : NULL;
}

/* The block at RIP if it has code; *generation: see block_find. */
static struct block *find_code(struct cpu *cpu, uint64_t *generation)
{
	struct block *block;

	if (!may_find_code(cpu))
		return NULL;
	block = block_find(cpu, generation);
	return with_code(cpu, block, *generation);
}

/* The block at RIP, which is gone to, without what the vCPU remembers; or NULL. */
static struct block *find_anew(struct cpu *cpu)
{
	uint64_t generation;
	struct block *block = find_code(cpu, &generation);

	if (!block)
		return NULL;
	jit_arrive(cpu);
	if (generation)
		remember(cpu, block, generation);
	return block;
}

static const void *next_anew(struct cpu *cpu)
{
	const struct block *block = find_anew(cpu);

	return block ? block->code : NULL;
}

/* What holds for RIP, or NULL. */
static const struct branch_entry *find_branch(const struct cpu *cpu)
{
	const struct branch_entry *entry = &cpu->jit.branches[branch_slot(cpu->rip)];

	return entry->tag == tag_of(cpu, cpu->rip) ? entry : NULL;
}

/*
 * The TLB has been emptied since, as kernels have it done often, but the page of the code is where
 * it was: that needs none of the block cache, which lies in memory that is seldom used. A block
 * that has been dropped meanwhile sees to that itself. NULL: not known.
 */
static const struct branch_entry *revive_branch(struct cpu *cpu)
{
	struct branch_entry *entry = &cpu->jit.branches[branch_slot(cpu->rip)];
	gpa_t page;

	cpu->insn = NULL;
	if (entry->addr != cpu->rip || !entry->place ||
	    (entry->place & ~PAGE_MASK) != block_flavor(cpu) || unlikely(cpu->jit.is_single))
		return NULL;
	page = align_down(mmu_fetch(cpu, cpu->rip), PAGE_BYTES);
	if ((entry->place & PAGE_MASK) != page || page == cpu->apic_page)
		return NULL;
	note_generation(cpu, mmu_fetch_generation(cpu, cpu->rip));
	entry->tag = tag_of(cpu, cpu->rip);
	return entry;
}

const void *jit_next(struct cpu *cpu)
{
	const struct branch_entry *entry;

	cpu->stats.count[STAT_LEFT_NEXT]++;
	block_expect(cpu);
	jit_arrive(cpu);
	if (unlikely(is_due(cpu)))
		return NULL;
	entry = find_branch(cpu);
	if (!entry)
		entry = revive_branch(cpu);
	return entry ? entry->code : next_anew(cpu);
}

static void enter(struct cpu *cpu, const void *code)
{
	cpu->stats.count[STAT_ENTERED]++;
	cpu->jit.next = NULL;
	jit_enter(cpu, code);
}

void jit_run(struct cpu *cpu, struct block *block, uint64_t generation)
{
	jit_arrive(cpu);
	if (generation)
		remember(cpu, block, generation);
	enter(cpu, block->code);
}

bool jit_resume(struct cpu *cpu)
{
	const struct branch_entry *entry;

	if (!jit_can_run(cpu))
		return false;
	block_expect(cpu);
	jit_arrive(cpu);
	entry = find_branch(cpu);
	if (!entry)
		entry = revive_branch(cpu);
	if (!entry)
		return false;
	enter(cpu, entry->code);
	return true;
}

void jit_interpret_rest(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = cpu->jit.code_page + insn->page_offset;
	cpu->block_end = insn;
	for (;;) {
		cpu->insn = insn;
		insn_handler(insn)(cpu, insn);
		if ((insn->flags & INSN_ENDS_BLOCK) || !insn->length)
			return;
		if (!cpu->block_end)
			break;
		insn++;
	}
	cpu->rip += insn->next;
}

/*
 * Where flags matter before a block it has two entries, which see to them. Where none does, they
 * may be in the host's only, and are lost by now, if the vCPU has come by a jump. Then it goes
 * through the block as if it had fetched its instructions before they were changed.
 */
static bool is_overtaken(const struct jit *jit, const struct block *before, const uint8_t *r11)
{
	const struct block *entered;

	if (before->jit->entry != before->jit->flags_entry)
		return false;
	entered = jit_entered(jit, r11);
	return !entered || entered->gpa != before->gpa || entered->flavor != before->flavor;
}

/* The code at RIP that has no groups. */
static struct block *find_ungrouped(struct cpu *cpu, uint64_t *generation)
{
	struct block *block;

	/* If fetching raises something, the run loop takes it back. */
	cpu->jit.wants_ungrouped = true;
	block = find_code(cpu, generation);
	cpu->jit.next = NULL;
	cpu->jit.wants_ungrouped = false;
	return block;
}

/*
 * Code without groups is gone to by a check that fails. Code with groups would come back here at
 * once: it is no substitute.
 */
static const void *bail_ungrouped(struct cpu *cpu, const struct block *before)
{
	uint64_t generation, epoch = block_epoch(cpu);
	struct block *now = find_ungrouped(cpu, &generation);

	if (now) {
		jit_arrive(cpu);
		block_redirect(cpu, epoch, before, now);
		return now->code;
	}
	if (cpu_attention_due(cpu))
		return NULL;
	jit_interpret_rest(cpu, block_lookup(cpu)->insn);
	return jit_next(cpu);
}

const void *jit_bail(struct cpu *cpu, const uint8_t *back, const uint8_t *r11)
{
	const struct block *before = jit_caller(cpu->soft->jit, back);
	struct block *now;
	uint64_t epoch = block_epoch(cpu);

	if (unlikely(is_overtaken(cpu->soft->jit, before, r11))) {
		jit_interpret_rest(cpu, before->insn);
		return jit_next(cpu);
	}
	cpu->rip = cpu->jit.code_page + before->gpa % PAGE_BYTES;
	if (before->flavor & BLOCK_UNGROUPED)
		return bail_ungrouped(cpu, before);
	now = find_anew(cpu);
	if (!now) { /* the run loop would come back here by what is remembered */
		forget_branch(cpu, cpu->rip);
		return NULL;
	}
	block_redirect(cpu, epoch, before, now);
	return now->code;
}

/* The target is not canonical: has the handler do what the code has done. */
static const void *do_again(struct cpu *cpu, const struct insn *insn)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_CALL)
		cpu->gpr[RSP] += sizeof(uint64_t);
	cpu->insn = insn;
	cpu->rip = cpu->jit.code_page + insn->page_offset;
	insn_handler(insn)(cpu, insn);
	return jit_next(cpu);
}

const void *jit_far(struct cpu *cpu, struct far_target *known)
{
	const struct jit_far *far = &cpu->soft->jit->fars[known - cpu->jit.far];
	uint64_t epoch = block_epoch(cpu);
	gva_t from = cpu->jit.code_page;
	const struct branch_entry *entry;
	const void *code;

	cpu->rip = cpu_wrap_rip(cpu, from + (uint64_t)(int64_t)far->target);
	if (unlikely(!is_canonical(cpu->rip)))
		return do_again(cpu, far->insn);
	code = jit_next(cpu);
	entry = find_branch(cpu);
	if (code && entry && epoch == block_epoch(cpu) && !cpu->jit.is_single)
		*known = (struct far_target){ .tag = tag_of(cpu, from),
					      .to = cpu->jit.code_page,
					      .code = entry->code };
	return code;
}

void jit_stop_at(struct cpu *cpu, uint64_t rip)
{
	jit_arrive(cpu);
	cpu->jit.stop = rip;
	cpu->jit.branches[branch_slot(rip)] = (struct branch_entry){
		.tag = tag_of(cpu, rip),
		.code = cpu->jit.thunk[THUNK_STOP],
		.addr = rip,
	};
}

void jit_stop_nowhere(struct cpu *cpu)
{
	forget_branch(cpu, cpu->jit.stop);
}

const void *jit_link(struct cpu *cpu, const uint8_t *from)
{
	const struct block *source = jit_caller(cpu->soft->jit, from);
	uint64_t epoch = block_epoch(cpu);
	struct block *block;

	cpu->stats.count[STAT_LEFT_LINK]++;
	cpu->rip = cpu->jit.code_page + block_link_target(cpu, source, from);
	if (!may_find_code(cpu))
		return NULL;
	block = with_code(cpu, block_find_near(cpu, source), 0);
	if (!block)
		return NULL;
	jit_arrive(cpu);
	if (block->second_page == NO_PAGE)
		block_patch_link(cpu, epoch, source, from, block);
	return block->code;
}

/* --- vector registers ----------------------------------------------------------------------------
 */

uint8_t jit_prepare_vectors(struct cpu *cpu)
{
	uint64_t upper = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(cpu->vector.ymm); n++)
		upper |= load_le(cpu->vector.ymm[n] + 16, 8) | load_le(cpu->vector.ymm[n] + 24, 8);
	cpu->jit.has_upper = upper;
	return vector_what_is_ready(cpu);
}

/* --- groups of accesses that do not fit ----------------------------------------------------------
 */

/* How often it must happen, in a third of a second or so, for a block to be better off without
 * groups. */
#define MISFITS_MAX       64
#define MISFITS_TSC_SHIFT 30

/* The TLB's way to read the page if it has the tags for a group of accesses, or NULL. */
static const struct tlb_way *find_tags(const struct cpu *cpu, gva_t addr, bool writes)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	const struct tlb_way *way = &cpu->tlb->way[cpu->tlb_class][false][slot];
	gva_t page = addr & PAGE_MASK;

	return way->tag == page &&
			       (!writes || cpu->tlb->way[cpu->tlb_class][true][slot].tag == page)
		       ? way
		       : NULL;
}

/* Whether no sum of a group that has this page wraps, or is more than 4 bytes. */
static bool is_far_from_ends(gva_t page)
{
	return page >= GROUP_FLAT_MARGIN_BYTES && page < BIT(32) - GROUP_FLAT_MARGIN_BYTES;
}

static bool find_stack(struct cpu *cpu, gva_t addr)
{
	const struct tlb_way *way = find_tags(cpu, addr, true);
	bool is_flat = cpu->mode == MODE_FLAT;
	gva_t page = addr & PAGE_MASK;

	if (!way || (is_flat && !is_far_from_ends(page)))
		return false;
	(is_flat ? cpu->jit.flat_stack : cpu->jit.stack)[cpu->tlb_class] =
		(struct jit_stack){ page, way->addend };
	return true;
}

static void count_misfit(struct cpu *cpu, const struct insn *insn)
{
	uint32_t now = (uint32_t)(__builtin_ia32_rdtsc() >> MISFITS_TSC_SHIFT);
	struct block *block = block_of_insn(insn);

	if (block->jit->misfits_since != now) {
		block->jit->misfits_since = now;
		block->jit->misfits = 0;
	}
	if (++block->jit->misfits >= MISFITS_MAX)
		block_simplify(cpu, block, BLOCK_NO_GROUPS);
}

/* Brings the page of the instruction's operand into the TLB, or raises what the access does. */
static void touch_operand(struct cpu *cpu, const struct insn *insn, bool is_write)
{
	cpu->rip = cpu->jit.code_page + insn->page_offset;
	cpu->insn = insn;
	mmu_check(cpu, insn_linear(cpu, insn, insn->mem_bytes, is_write), insn->mem_bytes, is_write,
		  insn->seg);
}

/* Before a page fault: #NM, #MF, #GP of a misaligned operand (CMPXCHG16B's, too). */
static bool may_raise_others(const struct insn *insn)
{
	return (insn->flags & INSN_HOSTED) || insn->mem_bytes == 16;
}

/* Without faults, which are left to the handler. */
static void try_operand(struct cpu *cpu, const struct insn *insn, bool is_write)
{
	enum unwind how;
	jmp_buf outer;

	memcpy(&outer, &cpu->unwind, sizeof(outer));
	how = setjmp(cpu->unwind);
	if (!how)
		touch_operand(cpu, insn, is_write);
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	if (how > UNWIND_FAULT)
		longjmp(cpu->unwind, how);
}

static bool find_range(struct cpu *cpu, const struct insn *insn, gva_t addr, uint64_t range)
{
	bool writes = range & GROUP_WRITES, writes_first = range & GROUP_WRITES_FIRST;

	if (!find_tags(cpu, addr, writes))
		(may_raise_others(insn) ? try_operand : touch_operand)(cpu, insn, writes_first);
	return find_tags(cpu, addr, writes);
}

/* As code computes it: that of the stack is not cut to 4 bytes (cpu/jit/group.h). */
static gva_t range_address(const struct cpu *cpu, uint64_t range)
{
	unsigned reg = group_register(range);
	gva_t addr = cpu->gpr[reg] + (uint64_t)(int32_t)range;

	return cpu->mode == MODE_FLAT && reg != RSP ? (uint32_t)addr : addr;
}

static bool is_crossing(const struct cpu *cpu, uint64_t range)
{
	return range_address(cpu, range) % PAGE_BYTES + group_bytes(range) > PAGE_BYTES;
}

const void *jit_fit(struct cpu *cpu, const struct jit_fit *fit)
{
	const struct insn *insn = fit->insn;
	uint64_t range = fit->range;
	gva_t addr = range_address(cpu, range);
	bool fits = !is_crossing(cpu, range) &&
		    (group_register(range) == RSP ? find_stack(cpu, addr)
						  : find_range(cpu, insn, addr, range));

	if (fits && !(range & GROUP_GIVE_UP))
		return fit->check;
	if (!fits)
		count_misfit(cpu, insn);
	jit_interpret_rest(cpu, insn);
	return jit_next(cpu);
}

const void *jit_misfit(struct cpu *cpu, const uint8_t *back)
{
	const struct jit *jit = cpu->soft->jit;
	struct jit_fit *fit = jit_find_way(cpu, back)->fit;
	const uint8_t *crossing = __atomic_load_n(&fit->crossing, __ATOMIC_ACQUIRE);

	if (!is_crossing(cpu, fit->range) || crossing == jit_executable(jit, jit->misfit))
		return jit_fit(cpu, fit);
	return crossing == jit_executable(jit, jit->cross) ? jit_cross(cpu, fit) : crossing;
}

const void *jit_cross(struct cpu *cpu, struct jit_fit *fit)
{
	uint64_t generation, epoch = block_epoch(cpu);
	const struct insn *insn = fit->insn;
	struct block *block;

	cpu->stats.count[STAT_LEFT_LINK]++;
	cpu->rip = cpu->jit.code_page + insn->page_offset + insn->start;
	block = find_ungrouped(cpu, &generation);
	if (block) {
		jit_arrive(cpu);
		if (generation && block->second_page == NO_PAGE)
			block_publish_code(cpu, epoch, block, &fit->crossing);
		return block->code;
	}
	/* The run loop would enter the code with groups again: something must be done here. */
	if (epoch != block_epoch(cpu) || cpu_attention_due(cpu))
		return NULL;
	jit_interpret_rest(cpu, insn);
	return jit_next(cpu);
}
