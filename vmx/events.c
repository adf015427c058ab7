/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events and instruction boundaries in VMX non-root operation: exceptions, NMIs, external
 * interrupts, INIT and SIPI that cause exits; the preemption timer, the windows, the monitor trap
 * flag; what an exit records of an event whose delivery it has cut short.
 *
 * ATTENTION_VIRT makes the run loop ask vmx_boundary. It stays set for as long as each boundary has
 * to be looked at: while an NMI window is waited for, or with the monitor trap flag. The window for
 * interrupts is ATTENTION_INTERRUPT, which counts from the moment that RFLAGS.IF is set.
 *
 * SDM3: "Other Causes of VM Exits", "Event Blocking", "VMX-Preemption Timer", "Monitor Trap Flag",
 * "Information for VM Exits Due to Vectored Events", "Information About VM Exits During Event
 * Delivery".
 */
#include "cpu/msr.h"
#include "cpu/wait.h"
#include "vmx/vmx.h"

#define TSC_SCALE_ONE BIT(48)
#define TIMER_TICK    BIT(VMX_TIMER_RATE)
#define TIMER_SLACK   (2 * TIMER_TICK) /* how late the host's timer may be asked to fire */

/* ---- what an event looks like in the VMCS ---- */

/* Exceptions have no error codes in real mode. */
static uint32_t interruption_of(const struct cpu *cpu, const struct event *event)
{
	bool has_error = event->has_error && (cpu->cr0 & CR0_PE);

	return (uint32_t)(event->vector | (uint32_t)event->type << INTERRUPTION_TYPE_SHIFT |
			  (has_error ? INTERRUPTION_ERROR : 0) | INTERRUPTION_VALID);
}

static bool is_software(const struct event *event)
{
	return event->type == EVENT_SOFT_INT || event->type == EVENT_ICEBP ||
	       event->type == EVENT_SOFT_FAULT;
}

/* Of the instruction that has raised the event, for reinjection. */
static void record_length(struct cpu *cpu, const struct event *event)
{
	if (is_software(event))
		vmcs_set(cpu, EXIT_INSTRUCTION_LENGTH, (event->next_rip - cpu->rip) & 0xf);
}

/* SDM3: "Information About NMI Unblocking Due to IRET" */
uint64_t vmx_nmi_unblocking(const struct cpu *cpu)
{
	return cpu->iret_unblocks_nmi && !cpu->in_delivery ? INTERRUPTION_NMI_UNBLOCK : 0;
}

static void record_interruption(struct cpu *cpu, const struct event *event)
{
	uint64_t unblocking = event->type == EVENT_FAULT ? vmx_nmi_unblocking(cpu) : 0;

	vmcs_set(cpu, EXIT_INTERRUPTION, interruption_of(cpu, event) | unblocking);
	vmcs_set(cpu, EXIT_INTERRUPTION_ERROR, event->error);
	record_length(cpu, event);
}

static void record_vectoring(struct cpu *cpu)
{
	vmcs_set(cpu, IDT_VECTORING, 0);
	if (!cpu->in_delivery)
		return;
	cpu->in_delivery = false;
	vmcs_set(cpu, IDT_VECTORING, interruption_of(cpu, &cpu->delivering));
	vmcs_set(cpu, IDT_VECTORING_ERROR, cpu->delivering.error);
	record_length(cpu, &cpu->delivering);
}

/* ---- the preemption timer ---- */

/*
 * The deadline is where the bit of the TSC changes that the timer counts by, yet kept on the
 * clock's scale: writes of the TSC in non-root operation neither bring it nearer nor keep it off.
 */
static int64_t until_deadline(struct cpu *cpu)
{
	return (int64_t)(vmx_of(cpu)->timer_deadline - clock_tsc(cpu->soft->config.clock));
}

static void timer_expired(void *self)
{
	struct cpu *cpu = self;

	__atomic_store_n(&vmx_of(cpu)->timer_armed, 0, __ATOMIC_SEQ_CST);
	cpu_attention_set(cpu, ATTENTION_VIRT);
	cpu_wake(cpu);
}

static bool is_timer_due(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	return (vmx->pin & PIN_PREEMPTION_TIMER) && until_deadline(cpu) <= 0;
}

/*
 * Fires at the deadline or a little later; where it is too early, it is armed again (vmx_boundary).
 * So it is left alone by exits, and by entries whose deadline is no earlier: hypervisors count down
 * to the same time, and the host's timers cost a lock each time. What it sets off in root operation
 * is taken back as any ATTENTION_VIRT.
 */
static void arm_timer(struct cpu *cpu)
{
	struct clock *clock = cpu->soft->config.clock;
	struct vmx *vmx = vmx_of(cpu);
	uint64_t armed = __atomic_load_n(&vmx->timer_armed, __ATOMIC_SEQ_CST);

	if (armed && (int64_t)(vmx->timer_deadline + TIMER_SLACK - armed) >= 0)
		return;
	if (!vmx->timer.fn)
		timer_init(&vmx->timer, clock, timer_expired, cpu);
	__atomic_store_n(&vmx->timer_armed, vmx->timer_deadline, __ATOMIC_SEQ_CST);
	timer_set(&vmx->timer, clock_tsc_to_ns(clock, vmx->timer_deadline) + 1);
}

static void start_timer(struct cpu *cpu)
{
	uint64_t tick = (msr_tsc_root(cpu) >> VMX_TIMER_RATE) + vmcs_get(cpu, PREEMPTION_TIMER);
	struct vmx *vmx = vmx_of(cpu);

	if (!(vmx->pin & PIN_PREEMPTION_TIMER))
		return;
	vmx->timer_deadline = (tick << VMX_TIMER_RATE) - cpu->msr.tsc_offset;
	if (is_timer_due(cpu))
		cpu_attention_set(cpu, ATTENTION_VIRT);
	else
		arm_timer(cpu);
}

static void stop_timer(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);
	int64_t left;

	if (!(vmx->pin & PIN_PREEMPTION_TIMER))
		return;
	if (!(vmx->exit_ctls & EXITC_SAVE_TIMER))
		return;
	left = until_deadline(cpu);
	vmcs_set(cpu, PREEMPTION_TIMER,
		 left > 0 ? align_up((uint64_t)left, TIMER_TICK) >> VMX_TIMER_RATE : 0);
}

void vmx_timer_check(struct cpu *cpu)
{
	if (is_timer_due(cpu))
		vmx_exit(cpu, EXIT_PREEMPTION_TIMER, 0);
}

/* ---- entry and exit ---- */

void vmx_look_for_events(struct cpu *cpu)
{
	cpu_attention_clear(cpu, ATTENTION_INTERRUPT);
	if (irq_pending(cpu->soft->config.irq, cpu->index))
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if (cpu->nmis_waiting || __atomic_load_n(&cpu->nmis_arrived, __ATOMIC_SEQ_CST))
		cpu_attention_set(cpu, ATTENTION_NMI);
}

static void set_tsc(struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);
	bool has_offset = vmx->proc & PROC_TSC_OFFSET;
	bool has_scale = has_offset && (vmx->proc2 & PROC2_TSC_SCALING);

	cpu->guest_tsc_offset = has_offset ? vmcs_get(cpu, TSC_OFFSET) : 0;
	cpu->guest_tsc_scale = has_scale ? vmcs_get(cpu, TSC_MULTIPLIER) : TSC_SCALE_ONE;
}

/* Until when RDTSC and RDTSCP do nothing but add: vmx_intercept has what they do else. */
static void set_tsc_limit(struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);
	bool is_plain = cpu->guest_tsc_scale == TSC_SCALE_ONE && !(vmx->proc & PROC_RDTSC) &&
			(vmx->proc2 & PROC2_RDTSCP);

	cpu->guest_tsc_limit = is_plain ? ~0ull : 0;
	if (is_plain && (vmx->pin & PIN_PREEMPTION_TIMER))
		cpu->guest_tsc_limit = clock_host_tsc(cpu->soft->config.clock, vmx->timer_deadline);
	msr_tsc_changed(cpu);
}

static void set_interrupts_exit(struct cpu *cpu, bool do_exit)
{
	__atomic_store_n(&cpu->interrupts_exit, do_exit, __ATOMIC_SEQ_CST);
}

void vmx_guest_entered(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);
	bool is_injecting = vmcs_get(cpu, ENTRY_INTERRUPTION) & INTERRUPTION_VALID;

	set_tsc(cpu);
	cpu->nmi_is_virtual = vmx->pin & PIN_VIRTUAL_NMIS;
	cpu->iret_keeps_nmi = (vmx->pin & (PIN_NMI | PIN_VIRTUAL_NMIS)) == PIN_NMI;
	vmx->last_pause_tsc = vmx->first_pause_tsc = 0;
	vmx->is_monitor_trap_pending = is_injecting && (vmx->proc & PROC_MONITOR_TRAP);
	set_interrupts_exit(cpu, vmx->pin & PIN_EXTERNAL_INTERRUPT);
	if (vmx->proc & PROC_INTERRUPT_WINDOW)
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if (cpu->interrupts_exit || (vmx->proc & (PROC_NMI_WINDOW | PROC_MONITOR_TRAP)))
		cpu_attention_set(cpu, ATTENTION_VIRT);
	start_timer(cpu);
	set_tsc_limit(cpu);
}

/*
 * RF is saved as it was before the instruction; set where memory that the hypervisor does not let
 * the guest have makes the instruction run again.
 */
static void restore_rf(struct cpu *cpu, enum vmx_exit_reason reason)
{
	bool is_memory = reason == EXIT_EPT_VIOLATION || reason == EXIT_EPT_MISCONFIGURATION ||
			 reason == EXIT_PML_FULL;

	cpu->rflags |= cpu->insn_rf;
	if (cpu->insn && is_memory)
		cpu->rflags |= RFLAGS_RF;
}

void vmx_guest_left(struct cpu *cpu, enum vmx_exit_reason reason)
{
	struct vmx *vmx = vmx_of(cpu);

	set_interrupts_exit(cpu, false);
	stop_timer(cpu);
	cpu_attention_clear(cpu, ATTENTION_VIRT);
	if (vmx->proc & PROC_INTERRUPT_WINDOW)
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	vmx->is_monitor_trap_pending = false;
	cpu->nmi_is_virtual = cpu->iret_keeps_nmi = cpu->iret_unblocks_nmi = false;
	if (reason != EXIT_EXCEPTION_NMI && reason != EXIT_EXTERNAL_INTERRUPT)
		vmcs_set(cpu, EXIT_INTERRUPTION, 0);
	restore_rf(cpu, reason);
	if (cpu->insn)
		vmcs_set(cpu, EXIT_INSTRUCTION_LENGTH, cpu->insn->length);
	record_vectoring(cpu);
}

/* ---- events ---- */

/* Page faults exit by bit 14 where mask and match fit the error code, and by its opposite else. */
static bool is_exception_intercepted(const struct cpu *cpu, const struct event *event)
{
	bool bit = vmcs_get(cpu, EXCEPTION_BITMAP) >> event->vector & 1;

	if (event->vector != EXC_PF)
		return bit;
	return bit ==
	       ((event->error & vmcs_get(cpu, PF_ERROR_MASK)) == vmcs_get(cpu, PF_ERROR_MATCH));
}

/* Faults save RF set, as their frame would have it. */
static void set_fault_rf(struct cpu *cpu, const struct event *event)
{
	if (event->type == EVENT_FAULT && event->vector != EXC_DB && event->vector != EXC_DF)
		cpu->rflags |= RFLAGS_RF;
}

static void exit_exception(struct cpu *cpu, const struct event *event)
{
	bool has_payload = event->vector == EXC_PF || event->vector == EXC_DB;

	set_fault_rf(cpu, event);
	record_interruption(cpu, event);
	vmx_exit(cpu, EXIT_EXCEPTION_NMI, has_payload ? event->payload : 0);
}

/*
 * Acknowledged on exit, or left pending for the hypervisor to take. Returns where the request has
 * gone away or was a notification of posted ones.
 */
static void exit_interrupt(struct cpu *cpu)
{
	bool is_acknowledged = vmx_of(cpu)->exit_ctls & EXITC_ACK_INTERRUPT;
	struct irq *irq = cpu->soft->config.irq;
	struct event event = { .type = EVENT_EXTERNAL };
	int vector;

	vmcs_set(cpu, EXIT_INTERRUPTION, 0);
	if (is_acknowledged) {
		vector = irq_accept(irq, cpu->index);
		if (irq_pending(irq, cpu->index))
			cpu_attention_interrupt(cpu);
		if (vector < 0 || vmx_apic_take_posted(cpu, (uint8_t)vector))
			return;
		event.vector = (uint8_t)vector;
		record_interruption(cpu, &event);
	}
	cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	vmx_exit(cpu, EXIT_EXTERNAL_INTERRUPT, 0);
}

void vmx_event(struct cpu *cpu, const struct event *event)
{
	struct vmx *vmx = vmx_of(cpu);

	switch (event->type) {
	case EVENT_EXTERNAL:
		if (vmx->pin & PIN_EXTERNAL_INTERRUPT)
			exit_interrupt(cpu);
		break;
	case EVENT_NMI:
		if (vmx->pin & PIN_NMI) {
			record_interruption(cpu, event);
			vmx_exit(cpu, EXIT_EXCEPTION_NMI, 0);
		}
		break;
	case EVENT_SOFT_INT:
		break;
	default:
		if (is_exception_intercepted(cpu, event))
			exit_exception(cpu, event);
	}
	/* An event's delivery counts as an instruction. */
	vmx->is_monitor_trap_pending = vmx->proc & PROC_MONITOR_TRAP;
}

/* ---- boundaries ---- */

static bool is_interrupt_window(const struct cpu *cpu)
{
	return (cpu->rflags & RFLAGS_IF) && cpu->shadow == SHADOW_NONE &&
	       cpu->activity != CPU_SHUTDOWN;
}

static bool is_nmi_window(const struct cpu *cpu)
{
	return !cpu->nmi_blocked && cpu->shadow == SHADOW_NONE;
}

/* Interrupts that exit do so whatever RFLAGS.IF is, but not in a shadow nor in shutdown. */
static void look_for_interrupt(struct cpu *cpu)
{
	if (!cpu->interrupts_exit || cpu->activity == CPU_SHUTDOWN ||
	    !irq_pending(cpu->soft->config.irq, cpu->index))
		return;
	if (cpu->shadow == SHADOW_NONE)
		exit_interrupt(cpu);
	else
		cpu_attention_set(cpu, ATTENTION_VIRT);
}

static bool before_interrupt(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);
	bool is_trap = vmx->proc & PROC_MONITOR_TRAP;

	cpu_attention_clear(cpu, ATTENTION_VIRT);
	if (vmx_apic_boundary(cpu, BOUNDARY_BEFORE_INTERRUPT))
		cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if ((vmx->proc & PROC_INTERRUPT_WINDOW) && is_interrupt_window(cpu))
		vmx_exit(cpu, EXIT_INTERRUPT_WINDOW, 0);
	look_for_interrupt(cpu);
	/* While NMIs are blocked IRET opens the window. */
	if (is_trap || ((vmx->proc & PROC_NMI_WINDOW) && !cpu->nmi_blocked))
		cpu_attention_set(cpu, ATTENTION_VIRT);
	if (is_timer_due(cpu))
		cpu_attention_set(cpu, ATTENTION_VIRT);
	else if (vmx->pin & PIN_PREEMPTION_TIMER)
		arm_timer(cpu);
	vmx->is_monitor_trap_pending = is_trap;
	return is_trap;
}

bool vmx_boundary(struct cpu *cpu, enum virt_boundary stage)
{
	struct vmx *vmx = vmx_of(cpu);

	switch (stage) {
	case BOUNDARY_BEFORE_TRAPS:
		if (vmx->is_monitor_trap_pending)
			vmx_exit(cpu, EXIT_MONITOR_TRAP, 0);
		vmx_apic_boundary(cpu, stage);
		return false;
	case BOUNDARY_BEFORE_NMI:
		vmx_timer_check(cpu);
		if ((vmx->proc & PROC_NMI_WINDOW) && is_nmi_window(cpu))
			vmx_exit(cpu, EXIT_NMI_WINDOW, 0);
		return false;
	case BOUNDARY_BEFORE_INTERRUPT:
		return before_interrupt(cpu);
	}
	return false;
}
