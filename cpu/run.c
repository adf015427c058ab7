/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop: blocks, and between blocks whatever asks for attention, in the order of the
 * manual's priorities. Faults unwind to here by longjmp and are delivered outside any instruction.
 *
 * Where something must happen after exactly one instruction (an interrupt shadow, single-stepping,
 * RF, code breakpoints), the loop runs a block cut to its first instruction.
 *
 * SDM3: "Priority Among Concurrent Events", "Debug Exceptions".
 */
#define _GNU_SOURCE
#include "cpu/run.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu/block.h"
#include "cpu/event.h"
#include "cpu/exec/vector.h"
#include "cpu/jit/check.h"
#include "cpu/jit/jit.h"
#include "cpu/soft.h"
#include "cpu/virt.h"
#include "cpu/world.h"

_Static_assert(ATTENTION_INTERRUPT == RFLAGS_IF, "cpu_attention_due masks one with the other");

/* How long MWAIT sleeps between two looks at its line. */
#define MWAIT_FIRST_NS 8000
#define MWAIT_LAST_NS  512000

/* What comes of an event: look what is due again, run blocks, run one instruction, leave. */
enum outcome { AGAIN, RUN, ONE_INSN, STOP };

/* ---- executing ---- */

bool run_interpret(struct cpu *cpu, const struct block *block, unsigned limit)
{
	const struct insn *insn = block->insn, *end = insn + block->count;

	cpu->block_end = insn + MIN(limit, block->count);
	do {
		cpu->insn = insn;
		insn->exec(cpu, insn);
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

/* Runs blocks for as long as each leads to the next without a look-up. */
static void run_chain(struct cpu *cpu)
{
	struct block *block = block_lookup(cpu);

	if (unlikely(cpu->check)) {
		check_block(cpu, block);
		return;
	}
	while (block) {
		uint64_t from = cpu->rip;
		enum block_state state = jit_prepare(cpu, block);

		if (state == BLOCK_TRANSLATED) {
			cpu->stats.count[STAT_ENTERED]++;
			jit_run(cpu, block);
		}
		if (state != BLOCK_INTERPRETED)
			return;
		if (!run_interpret(cpu, block, BLOCK_MAX_INSNS + 1) || cpu_attention_due(cpu))
			return;
		block = block_successor(cpu, block, from);
	}
}

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

/* ---- events between blocks ---- */

static enum outcome deliver(struct cpu *cpu, const struct event *event)
{
	enum event_result result;
	jmp_buf outer;

	if (cpu->activity != CPU_ACTIVE) {
		cpu->activity = CPU_ACTIVE;
		cpu_attention_clear(cpu, ATTENTION_HALT);
	}
	cpu->iret_unblocks_nmi = false;
	memcpy(&outer, &cpu->unwind, sizeof(outer));
	cpu->stats.count[STAT_EVENTS]++;
	result = event_deliver(cpu, event);
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	if (result == EVENT_DELIVERED) {
		if (cpu->shadow) {
			cpu->shadow = SHADOW_NONE;
			cpu_attention_clear(cpu, ATTENTION_SHADOW);
		}
		/* INT1 takes the place of the traps that MOV SS held back. */
		if (event->type == EVENT_ICEBP)
			cpu->pending_db = 0;
		return AGAIN;
	}
	if (result == EVENT_EXITED)
		return AGAIN;
	virt_intercept(cpu, INTERCEPT_TRIPLE_FAULT, 0);
	cpu->activity = CPU_SHUTDOWN;
	cpu_attention_set(cpu, ATTENTION_HALT);
	return STOP;
}

/* For all but the events that VM entry injects: first it is seen whether they cause an exit. */
static void announce(struct cpu *cpu, const struct event *event)
{
	if (unlikely(cpu->in_guest))
		cpu->virt->event(cpu, event);
	event_commit_payload(cpu, event);
}

static enum outcome deliver_trap(struct cpu *cpu)
{
	struct event event = { .vector = EXC_DB, .type = EVENT_FAULT, .payload = cpu->pending_db };

	cpu_attention_clear(cpu, ATTENTION_TRAP);
	if (!cpu->pending_db)
		return AGAIN;
	cpu->pending_db = 0;
	announce(cpu, &event);
	return deliver(cpu, &event);
}

static enum outcome deliver_nmi(struct cpu *cpu)
{
	struct event event = { .vector = EXC_NMI, .type = EVENT_NMI };

	if (--cpu->nmis_waiting)
		cpu_attention_set(cpu, ATTENTION_NMI);
	announce(cpu, &event);
	cpu->nmi_blocked = true;
	return deliver(cpu, &event);
}

static enum outcome deliver_interrupt(struct cpu *cpu)
{
	struct irq *irq = cpu->soft->config.irq;
	struct event event = { .type = EVENT_EXTERNAL };
	int vector;

	cpu_attention_clear(cpu, ATTENTION_INTERRUPT);
	if (!irq_pending(irq, cpu->index))
		return AGAIN;
	announce(cpu, &event);
	if (unlikely(cpu->interrupts_exit))
		return AGAIN; /* it was for nobody, or has been posted */
	vector = irq_accept(irq, cpu->index);
	if (irq_pending(irq, cpu->index))
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if (vector < 0)
		return AGAIN;
	event.vector = (uint8_t)vector;
	return deliver(cpu, &event);
}

/* VMX root operation keeps INIT waiting. */
static bool is_init_held(const struct cpu *cpu)
{
	return cpu->is_init_blocked && !cpu->in_guest;
}

static void take_init(struct cpu *cpu)
{
	cpu_attention_clear(cpu, ATTENTION_INIT);
	virt_intercept(cpu, INTERCEPT_INIT, 0);
	irq_apic_init(cpu->soft->config.irq, cpu->index);
	cpu_init_reset(cpu);
}

static void take_sipi(struct cpu *cpu)
{
	cpu_attention_clear(cpu, ATTENTION_SIPI);
	if (cpu->activity != CPU_WAIT_FOR_SIPI)
		return;
	virt_intercept(cpu, INTERCEPT_SIPI, cpu->sipi_vector);
	cpu->activity = CPU_ACTIVE;
	cpu_attention_clear(cpu, ATTENTION_HALT);
	cpu->seg[CS].selector = (uint16_t)(cpu->sipi_vector << 8);
	cpu->seg[CS].base = (uint64_t)cpu->sipi_vector << 12;
	cpu->rip = 0;
}

static bool are_nmis_held(const struct cpu *cpu)
{
	return cpu->nmi_blocked && !cpu->nmi_is_virtual;
}

/*
 * NMIs wait while one is being handled and through the shadow of MOV SS. One waits while another is
 * being handled; of those that arrive together a processor takes the first and keeps a second.
 */
static bool can_take_nmi(struct cpu *cpu)
{
	bool is_held = are_nmis_held(cpu), is_open = !is_held && cpu->shadow == SHADOW_NONE;
	unsigned waiting;

	if (is_held || is_open) /* IRET, and what changes operation, set it again */
		cpu_attention_clear(cpu, ATTENTION_NMI);
	waiting = cpu->nmis_waiting + __atomic_exchange_n(&cpu->nmis_arrived, 0, __ATOMIC_SEQ_CST);
	cpu->nmis_waiting = (uint8_t)MIN(waiting, is_held ? 1u : 2u);
	return is_open && cpu->nmis_waiting;
}

/* Waits until something in `wake` asks for attention, with a limit until then. Returns whether it
 * does. */
static bool sleep_until(struct cpu *cpu, uint32_t wake, const struct timespec *limit)
{
	uint32_t attention;
	long result = 0;

	pmu_fall_asleep(cpu);
	world_leave(cpu);
	__atomic_store_n(&cpu->is_sleeping, true, __ATOMIC_SEQ_CST);
	for (;;) {
		attention = __atomic_load_n(&cpu->attention, __ATOMIC_SEQ_CST);
		if ((attention & wake) || (result && errno == ETIMEDOUT))
			break;
		result = syscall(SYS_futex, &cpu->attention, FUTEX_WAIT_PRIVATE, attention, limit,
				 NULL, 0);
	}
	__atomic_store_n(&cpu->is_sleeping, false, __ATOMIC_SEQ_CST);
	world_enter(cpu);
	pmu_wake_up(cpu);
	return attention & wake;
}

void cpu_wake(struct cpu *cpu)
{
	if (__atomic_load_n(&cpu->is_sleeping, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &cpu->attention, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool is_line_changed(const struct cpu *cpu)
{
	const struct monitor *monitor = &cpu->monitor;

	return monitor->line && memcmp(monitor->line, monitor->seen, MONITOR_LINE_BYTES);
}

/* MWAIT: until the line has changed, which is looked for at growing intervals, or anything asks for
 * attention; for about a millisecond at most. */
static void wait_for_store(struct cpu *cpu)
{
	bool breaks = cpu->monitor.breaks_on_masked || (cpu->rflags & RFLAGS_IF);
	uint32_t deaf = ATTENTION_HALT | ATTENTION_RENDEZVOUS | ATTENTION_COUNTING |
			ATTENTION_COUNTER | (breaks ? 0 : ATTENTION_INTERRUPT);
	struct timespec limit = { .tv_nsec = MWAIT_FIRST_NS };

	while (!is_line_changed(cpu) && limit.tv_nsec <= MWAIT_LAST_NS &&
	       !sleep_until(cpu, ~deaf, &limit))
		limit.tv_nsec *= 2;
	cpu->activity = CPU_ACTIVE;
	cpu->monitor.is_armed = false;
	cpu_attention_clear(cpu, ATTENTION_HALT);
}

/* The vCPU executes nothing: sleep until it may have to, and leave what woke it to the caller. */
static void wait_inactive(struct cpu *cpu)
{
	uint32_t wake = ATTENTION_KICK | (is_init_held(cpu) ? 0 : ATTENTION_INIT);

	if (cpu->activity == CPU_MONITORING) {
		wait_for_store(cpu);
		return;
	}
	if (cpu->activity == CPU_WAIT_FOR_SIPI)
		wake |= ATTENTION_SIPI;
	if (cpu->activity == CPU_HALTED)
		wake |= ATTENTION_TRAP | (cpu->rflags & RFLAGS_IF);
	if (cpu->activity != CPU_WAIT_FOR_SIPI)
		wake |= (are_nmis_held(cpu) ? 0 : ATTENTION_NMI) | ATTENTION_VIRT;
	sleep_until(cpu, wake, NULL);
}

static bool is_inactive(const struct cpu *cpu)
{
	return cpu->activity != CPU_ACTIVE;
}

/* Neither NMIs nor what the virtualization extension waits for wake it. */
static bool is_dead(const struct cpu *cpu)
{
	return cpu->activity == CPU_WAIT_FOR_SIPI ||
	       (cpu->activity == CPU_SHUTDOWN && !cpu->in_guest);
}

/* Exits at this place among the priorities. Returns whether the next boundary is one instruction
 * away. */
static bool attend_virt(struct cpu *cpu, uint32_t due, enum virt_boundary stage)
{
	if (likely(!cpu->in_guest)) {
		if (due & ATTENTION_VIRT)
			cpu_attention_clear(cpu, ATTENTION_VIRT);
		return false;
	}
	if (stage == BOUNDARY_BEFORE_INTERRUPT)
		due |= due & ATTENTION_INTERRUPT ? ATTENTION_VIRT : 0;
	return (due & ATTENTION_VIRT) && cpu->virt->boundary(cpu, stage);
}

/* Handles the most urgent thing; the loop comes back while there is more. */
static enum outcome attend(struct cpu *cpu)
{
	uint32_t due = cpu_attention_due(cpu);
	bool is_one;

	if (due & ATTENTION_RENDEZVOUS)
		world_yield(cpu);
	if (due & ATTENTION_COUNTER)
		pmu_attend(cpu);
	if (due & ATTENTION_KICK)
		return STOP;
	if ((due & ATTENTION_INIT) && !is_init_held(cpu)) {
		take_init(cpu);
		return AGAIN;
	}
	if (due & ATTENTION_SIPI)
		take_sipi(cpu);
	if (is_dead(cpu)) {
		wait_inactive(cpu);
		return AGAIN;
	}
	attend_virt(cpu, due, BOUNDARY_BEFORE_TRAPS);
	if ((due & ATTENTION_TRAP) && cpu->shadow != SHADOW_MOV_SS)
		return deliver_trap(cpu);
	attend_virt(cpu, due, BOUNDARY_BEFORE_NMI);
	if ((due & ATTENTION_NMI) && can_take_nmi(cpu))
		return deliver_nmi(cpu);
	is_one = attend_virt(cpu, due, BOUNDARY_BEFORE_INTERRUPT);
	if ((due & ATTENTION_INTERRUPT) && cpu->shadow == SHADOW_NONE &&
	    cpu->activity != CPU_SHUTDOWN)
		return deliver_interrupt(cpu);
	if (is_inactive(cpu)) {
		wait_inactive(cpu);
		return AGAIN;
	}
	return is_one || (due & (ATTENTION_SHADOW | ATTENTION_STEP)) ? ONE_INSN : RUN;
}

/* Runs blocks until the world outside wants the thread back. Faults leave by longjmp. */
static void run_blocks(struct cpu *cpu)
{
	for (;;) {
		enum outcome outcome = RUN;

		if (unlikely(cpu_attention_due(cpu)))
			outcome = attend(cpu);
		if (outcome == STOP)
			return;
		if (outcome == AGAIN)
			continue;
		if (outcome == ONE_INSN)
			run_one_insn(cpu);
		else if (unlikely(cpu->mode != MODE_64 || cpu_attention_due(cpu)))
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
static enum outcome unwound(struct cpu *cpu, enum unwind how)
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
		return AGAIN;
	if (how == UNWIND_INJECT)
		return deliver(cpu, &cpu->fault);
	if (unlikely(cpu->pending_db) && cpu->fault.vector == EXC_DB &&
	    cpu->fault.type != EVENT_SOFT_INT)
		fold_pending_traps(cpu);
	announce(cpu, &cpu->fault);
	return deliver(cpu, &cpu->fault);
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
	jit_enter_thread(cpu);
	cpu->insn = NULL;
	how = setjmp(cpu->unwind);
	if (!how || unwound(cpu, how) == AGAIN)
		run_blocks(cpu);
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
