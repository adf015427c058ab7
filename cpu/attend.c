/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What asks for attention between blocks: see cpu/attend.h. */
#include "cpu/attend.h"

#include "cpu/event.h"
#include "cpu/pmu.h"
#include "cpu/soft.h"
#include "cpu/virt.h"
#include "cpu/wait.h"
#include "cpu/world.h"

_Static_assert(ATTENTION_INTERRUPT == RFLAGS_IF, "cpu_attention_due masks one with the other");

enum attend_outcome attend_deliver(struct cpu *cpu, const struct event *event)
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
		return ATTEND_AGAIN;
	}
	if (result == EVENT_EXITED)
		return ATTEND_AGAIN;
	virt_intercept(cpu, INTERCEPT_TRIPLE_FAULT, 0);
	cpu->activity = CPU_SHUTDOWN;
	cpu_attention_set(cpu, ATTENTION_HALT);
	return ATTEND_STOP;
}

void attend_announce(struct cpu *cpu, const struct event *event)
{
	if (unlikely(cpu->in_guest))
		cpu->virt->event(cpu, event);
	event_commit_payload(cpu, event);
}

static enum attend_outcome deliver_trap(struct cpu *cpu)
{
	struct event event = { .vector = EXC_DB, .type = EVENT_FAULT, .payload = cpu->pending_db };

	cpu_attention_clear(cpu, ATTENTION_TRAP);
	if (!cpu->pending_db)
		return ATTEND_AGAIN;
	cpu->pending_db = 0;
	attend_announce(cpu, &event);
	return attend_deliver(cpu, &event);
}

static enum attend_outcome deliver_nmi(struct cpu *cpu)
{
	struct event event = { .vector = EXC_NMI, .type = EVENT_NMI };

	if (--cpu->nmis_waiting)
		cpu_attention_set(cpu, ATTENTION_NMI);
	attend_announce(cpu, &event);
	cpu->nmi_blocked = true;
	return attend_deliver(cpu, &event);
}

static enum attend_outcome deliver_interrupt(struct cpu *cpu)
{
	struct irq *irq = cpu->soft->config.irq;
	struct event event = { .type = EVENT_EXTERNAL };
	int vector;

	cpu_attention_clear(cpu, ATTENTION_INTERRUPT);
	if (!irq_pending(irq, cpu->index))
		return ATTEND_AGAIN;
	attend_announce(cpu, &event);
	if (unlikely(cpu->interrupts_exit))
		return ATTEND_AGAIN; /* it was for nobody, or has been posted */
	vector = irq_accept(irq, cpu->index);
	if (irq_pending(irq, cpu->index))
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if (vector < 0)
		return ATTEND_AGAIN;
	event.vector = (uint8_t)vector;
	return attend_deliver(cpu, &event);
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
	wait_for_attention(cpu, wake);
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

enum attend_outcome attend(struct cpu *cpu)
{
	uint32_t due = cpu_attention_due(cpu);
	bool is_one;

	if (due & ATTENTION_RENDEZVOUS)
		world_yield(cpu);
	if (due & ATTENTION_COUNTER)
		pmu_attend(cpu);
	if (due & ATTENTION_KICK)
		return ATTEND_STOP;
	if ((due & ATTENTION_INIT) && !is_init_held(cpu)) {
		take_init(cpu);
		return ATTEND_AGAIN;
	}
	if (due & ATTENTION_SIPI)
		take_sipi(cpu);
	if (is_dead(cpu)) {
		wait_inactive(cpu);
		return ATTEND_AGAIN;
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
		return ATTEND_AGAIN;
	}
	return is_one || (due & (ATTENTION_SHADOW | ATTENTION_STEP)) ? ATTEND_ONE_INSN : ATTEND_RUN;
}
