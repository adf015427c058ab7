/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop: blocks, and between blocks whatever asks for attention (cpu/attend.h). Faults
 * unwind to here by longjmp and are delivered outside any instruction.
 *
 * Where something must happen after exactly one instruction (an interrupt shadow, single-stepping,
 * RF, code breakpoints), the loop runs a block cut to its first instruction.
 *
 * SDM3: "Debug Exceptions".
 */
#include "cpu/run.h"

#include "cpu/attend.h"
#include "cpu/block.h"
#include "cpu/exec/vector.h"
#include "cpu/jit/check.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/signal_stack.h"
#include "cpu/mmu/mmu.h"
#include "cpu/soft.h"
#include "cpu/world.h"

/* ---- executing ---- */

bool run_interpret(struct cpu *cpu, const struct block *block, unsigned limit)
{
	const struct insn *insn = block->insn, *end = insn + block->count;

	cpu->block_end = insn + MIN(limit, block->count);
	do {
		cpu->insn = insn;
		insn_handler(insn)(cpu, insn);
	} while (++insn < cpu->block_end);
	cpu->stats.count[STAT_INTERPRETED] += (uint64_t)(insn - block->insn);
	if (unlikely(insn != end))
		cpu->rip = cpu_wrap_rip(cpu, cpu->rip + insn[-1].next);
	cpu->insn = NULL;
	return insn == end;
}

/*
 * Outside 64-bit mode code must lie within CS's limit. Returns how many of the block's instructions
 * do; raises #GP(0) where not even the first does.
 */
static unsigned within_limit(struct cpu *cpu, const struct block *block)
{
	uint64_t limit = cpu->seg[CS].limit;

	if (likely(cpu->rip + block->length - 1 <= limit))
		return block->count;
	if (cpu->rip + block->insn[0].length - 1 > limit)
		cpu_raise_code(cpu, EXC_GP, 0);
	return 1;
}

static void run_counted(struct cpu *cpu, const struct block *block, unsigned limit)
{
	uint64_t before = cpu->stats.count[STAT_INTERPRETED];

	pmu_begin_block(cpu, block->insn);
	run_interpret(cpu, block, limit);
	pmu_end_block(cpu, block->insn + (cpu->stats.count[STAT_INTERPRETED] - before));
}

/* Returns the RIP behind the bytes of the block's first instruction. */
static uint64_t run_one_block(struct cpu *cpu, unsigned limit)
{
	const struct block *block = block_lookup(cpu);
	uint64_t next = cpu_wrap_rip(cpu, cpu->rip + block->insn[0].length);

	if (unlikely(cpu->mode != MODE_64))
		limit = MIN(limit, within_limit(cpu, block));
	if (unlikely(cpu->pmu.is_exact))
		run_counted(cpu, block, limit);
	else
		run_interpret(cpu, block, limit);
	return next;
}

/* What translated code has been left for, if nothing else comes first. */
static struct block *next_block(struct cpu *cpu, uint64_t *generation)
{
	*generation = cpu->jit.next_generation;
	return cpu_attention_due(cpu) ? NULL : cpu->jit.next;
}

/* Runs blocks for as long as each leads to the next without a look-up. */
static void run_chain(struct cpu *cpu)
{
	uint64_t generation;
	struct block *block;

	if (unlikely(cpu->check)) {
		check_block(cpu, block_lookup(cpu));
		return;
	}
	block = jit_resume(cpu) ? next_block(cpu, &generation) : block_find(cpu, &generation);
	while (block) {
		uint64_t from = cpu->rip;
		enum block_state state = jit_prepare(cpu, block);

		if (state == BLOCK_GONE)
			return;
		if (state == BLOCK_TRANSLATED) {
			jit_run(cpu, block, generation);
			block = next_block(cpu, &generation);
			continue;
		}
		generation = 0;
		if (!run_interpret(cpu, block, BLOCK_MAX_INSNS + 1) || cpu_attention_due(cpu))
			return;
		block = block_successor(cpu, block, from);
	}
}

/* ---- one instruction ---- */

static uint64_t code_breakpoints(const struct cpu *cpu)
{
	gva_t addr = cpu->mode == MODE_64 ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
	uint64_t hits = 0;

	for (unsigned n = 0; n < 4; n++)
		if ((cpu->dr7 >> (2 * n) & 3) && !(cpu->dr7 >> (16 + 4 * n) & 15) &&
		    cpu->dr[n] == addr)
			hits |= DR6_B(n);
	return hits;
}

/* MOV SS holds back the code breakpoint on the next instruction on Intel's processors. */
static bool is_breakpoint_held(const struct cpu *cpu)
{
	return cpu->shadow == SHADOW_MOV_SS && cpu->soft->config.vendor == CPU_INTEL;
}

static void trap_after_step(struct cpu *cpu, bool has_branched)
{
	/* MOV SS swallows the single-step trap of its own boundary. */
	if (cpu->shadow == SHADOW_MOV_SS || cpu->is_step_settled)
		return;
	if ((cpu->msr.debugctl & DEBUGCTL_BTF) && !has_branched)
		return;
	cpu->pending_db |= DR6_BS;
	cpu_attention_set(cpu, ATTENTION_TRAP);
}

/* Executes one instruction under a shadow, TF, RF or code breakpoints. */
static void run_one_insn(struct cpu *cpu)
{
	uint32_t before = cpu->rflags;
	enum unwind unwound = 0;
	volatile bool has_branched = false; /* it lives across setjmp */
	uint64_t hits;
	jmp_buf outer;

	if (!(before & RFLAGS_RF) && !is_breakpoint_held(cpu) && (hits = code_breakpoints(cpu)))
		cpu_raise_debug(cpu, hits);
	if (before & RFLAGS_RF) {
		cpu->rflags &= ~(uint32_t)RFLAGS_RF;
		cpu_update_derived(cpu); /* RF alone is no reason for single elements of a string */
	}
	cpu->insn_rf = before & RFLAGS_RF;
	cpu->is_step_settled = false;
	if (cpu->shadow)
		cpu->shadow |= SHADOW_OLD;
	memcpy(&outer, &cpu->unwind, sizeof(outer));
	unwound = setjmp(cpu->unwind);
	if (!unwound)
		has_branched = run_one_block(cpu, 1) != cpu->rip;
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	cpu->insn_rf = 0;
	if (unwound >= UNWIND_EXIT)
		longjmp(cpu->unwind, unwound);
	/* A fault's own exit still sees the shadow; delivery ends it. */
	if (unwound != UNWIND_FAULT && (cpu->shadow & SHADOW_OLD))
		cpu->shadow = SHADOW_NONE;
	if (!cpu->shadow)
		cpu_attention_clear(cpu, ATTENTION_SHADOW);
	if (unwound == UNWIND_RESUME)
		cpu->rflags |= before & RFLAGS_RF; /* the instruction is not over yet */
	if (unwound != UNWIND_FAULT && (before & RFLAGS_TF))
		trap_after_step(cpu, has_branched);
	cpu_update_derived(cpu);
	if (unwound)
		longjmp(cpu->unwind, unwound);
}

/* ---- the loop ---- */

/* Runs blocks until the world outside wants the thread back. Faults leave by longjmp. */
static void run_blocks(struct cpu *cpu)
{
	for (;;) {
		enum attend_outcome outcome = ATTEND_RUN;

		if (unlikely(cpu_attention_due(cpu)))
			outcome = attend(cpu);
		if (outcome == ATTEND_STOP)
			return;
		if (outcome == ATTEND_AGAIN)
			continue;
		if (outcome == ATTEND_ONE_INSN)
			run_one_insn(cpu);
		else if (unlikely(!cpu_is_plain(cpu) || cpu_attention_due(cpu)))
			/* What is due cannot be done yet (an NMI in an NMI): it is looked at
			 * between all blocks. */
			run_one_block(cpu, BLOCK_MAX_INSNS + 1);
		else
			run_chain(cpu);
	}
}

/* INT1 and debug faults take data breakpoints with them that wait since a MOV SS. */
static void fold_pending_traps(struct cpu *cpu)
{
	cpu->fault.payload |= cpu->pending_db;
	cpu->pending_db = 0;
	cpu_attention_clear(cpu, ATTENTION_TRAP);
}

/* A string instruction between two elements: what interrupts it saves RF set, so that its code
 * breakpoint is not met again. */
static void mark_unfinished(struct cpu *cpu)
{
	if (!(cpu->insn->flags & (INSN_REP | INSN_REPNE)))
		return;
	cpu->rflags |= RFLAGS_RF;
	cpu_update_derived(cpu);
}

/* INT n, INT3, INTO and INT1 are done. */
static bool is_retired(const struct cpu *cpu, enum unwind how)
{
	return how == UNWIND_FAULT && cpu->fault.type >= EVENT_SOFT_INT;
}

/* What was unwound to: the RIP is that of the instruction, not of its block. */
static enum attend_outcome unwound(struct cpu *cpu, enum unwind how)
{
	if (unlikely(cpu->pmu.is_exact))
		pmu_break_block(cpu, is_retired(cpu, how));
	if (how == UNWIND_RESUME)
		mark_unfinished(cpu);
	if (cpu->insn)
		cpu->rip = insn_rip(cpu, cpu->insn);
	cpu->insn = NULL;
	cpu->jit.wants_ungrouped = false;
	if (how == UNWIND_RESUME || how == UNWIND_EXIT)
		return ATTEND_AGAIN;
	if (how == UNWIND_INJECT)
		return attend_deliver(cpu, &cpu->fault);
	if (unlikely(cpu->pending_db) && cpu->fault.vector == EXC_DB &&
	    cpu->fault.type != EVENT_SOFT_INT)
		fold_pending_traps(cpu);
	attend_announce(cpu, &cpu->fault);
	return attend_deliver(cpu, &cpu->fault);
}

static enum engine_exit exit_reason(struct cpu *cpu)
{
	if (cpu->activity == CPU_SHUTDOWN && !cpu->in_guest)
		return ENGINE_SHUTDOWN;
	if (check_has_failed(cpu))
		return ENGINE_ERROR;
	cpu_attention_clear(cpu, ATTENTION_KICK);
	return ENGINE_KICKED;
}

enum engine_exit cpu_run(struct cpu *cpu)
{
	enum unwind how;

	world_enter(cpu);
	vector_enter(cpu);
	signal_stack_give(cpu);
	mmu_enter_thread(cpu);
	cpu->insn = NULL;
	how = setjmp(cpu->unwind);
	if (!how || unwound(cpu, how) == ATTEND_AGAIN)
		run_blocks(cpu);
	signal_stack_take(cpu);
	vector_leave(cpu);
	world_leave(cpu);
	return exit_reason(cpu);
}

/* ---- unwinding ---- */

_Noreturn static void raise_event(struct cpu *cpu, const struct event *event)
{
	cpu->fault = *event;
	longjmp(cpu->unwind, UNWIND_FAULT);
}

void cpu_raise(struct cpu *cpu, unsigned vector)
{
	struct event event = { .vector = (uint8_t)vector, .type = EVENT_FAULT };

	raise_event(cpu, &event);
}

void cpu_raise_code(struct cpu *cpu, unsigned vector, uint32_t error)
{
	struct event event = {
		.vector = (uint8_t)vector, .type = EVENT_FAULT, .has_error = true, .error = error
	};

	raise_event(cpu, &event);
}

void cpu_raise_page_fault(struct cpu *cpu, gva_t addr, uint32_t error)
{
	struct event event = { .vector = EXC_PF,
			       .type = EVENT_FAULT,
			       .has_error = true,
			       .error = error,
			       .payload = addr };

	raise_event(cpu, &event);
}

void cpu_raise_debug(struct cpu *cpu, uint64_t dr6_bits)
{
	struct event event = { .vector = EXC_DB, .type = EVENT_FAULT, .payload = dr6_bits };

	raise_event(cpu, &event);
}

void cpu_raise_software(struct cpu *cpu, unsigned vector, enum event_type type, uint64_t next_rip)
{
	struct event event = { .vector = (uint8_t)vector,
			       .type = (uint8_t)type,
			       .next_rip = next_rip };

	raise_event(cpu, &event);
}

void cpu_resume(struct cpu *cpu)
{
	longjmp(cpu->unwind, UNWIND_RESUME);
}

void cpu_unwind_exit(struct cpu *cpu)
{
	cpu->insn = NULL;
	longjmp(cpu->unwind, UNWIND_EXIT);
}

void cpu_inject(struct cpu *cpu, const struct event *event)
{
	cpu->fault = *event;
	cpu->fault.is_injected = true;
	cpu->insn = NULL;
	longjmp(cpu->unwind, UNWIND_INJECT);
}
