/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: which comes first of those that are due at one boundary, and what holds them back.
 *
 * SDM3: "Priority Among Concurrent Events", "Other Causes of VM Exits", "Event Blocking"
 */
#include "tests/bare/vmx/vmx.h"

#define BS      0x4000
#define ENABLED 0x1000 /* of the pending debug exceptions */

GUEST_CODE(code_nops, "nop; nop; nop; nop");
GUEST_CODE(code_self_nmi, "mov $0xfee00300, %eax; movl $0x40400, (%rax); nop; nop");

/* An NMI that waits: none is taken in root operation behind the exit of another. */
static void make_nmi_wait(void)
{
	vmx_enter_at(code_self_nmi);
	apic_write(APIC_ICR, ICR_SELF | ICR_NMI);
}

static void make_interrupt_wait(void)
{
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
}

static void take_interrupt(void)
{
	set_handler(VECTOR, vmx_count_eoi);
	asm volatile("sti; nop; cli");
}

static void open_nmis(void)
{
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $8; lea 1f, %%rax; "
		     "push %%rax; iretq; 1:"
		     :
		     :
		     : "rax", "memory");
}

/* Everything at once but an NMI, which would not wait: an exit with virtual NMIs opens them. */
static void make_all_wait(void)
{
	vmx_fresh();
	make_interrupt_wait();
	vmx_set_pin(PIN_INTERRUPT | PIN_NMI | PIN_VNMI | PIN_TIMER);
	vmx_set_proc(PROC_INT_WINDOW | PROC_NMI_WINDOW, 0);
	vmwrite(PREEMPTION_TIMER, 0);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_PENDING_DEBUG, BS);
	vmwrite(EXCEPTION_BITMAP, 1u << DB);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_OTHER);
}

static bool exits_first(uint32_t reason)
{
	return vmx_enter() == reason && vmread(GUEST_RIP) == ADDRESS(code_nops);
}

static void test_order(void)
{
	make_all_wait();
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
	check(exits_first(EXIT_MTF), "the monitor trap flag first");
	check(vmread(GUEST_PENDING_DEBUG) == BS, "with the debug trap still pending (%lx)",
	      vmread(GUEST_PENDING_DEBUG));
	check(exits_first(EXIT_EXCEPTION) &&
		      vmread(EXIT_INTERRUPTION) == (VALID | TYPE_FAULT | DB) &&
		      vmread(EXIT_QUALIFICATION) == BS,
	      "then the debug trap");
	vmwrite(GUEST_PENDING_DEBUG, 0);
	check(exits_first(EXIT_TIMER), "then the preemption timer");
	vmx_set_pin(PIN_INTERRUPT | PIN_NMI | PIN_VNMI);
	check(exits_first(EXIT_NMI_WINDOW), "then the NMI window");
	vmx_set_proc(PROC_INT_WINDOW, 0);
	check(exits_first(EXIT_INT_WINDOW), "then the interrupt window");
	vmx_set_proc(0, 0);
	check(exits_first(EXIT_INTERRUPT), "then the interrupt");
	take_interrupt();
	check(vmx_enter() == EXIT_VMCALL, "and then the guest's instructions");
}

/* An NMI and an interrupt wait, and the interrupt window is open. */
static void make_nmi_and_interrupt_wait(void)
{
	vmx_fresh();
	vmx_set_pin(PIN_INTERRUPT | PIN_NMI | PIN_VNMI);
	make_nmi_wait();
	make_interrupt_wait();
	vmx_set_proc(PROC_INT_WINDOW, 0);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
}

static bool is_nmi(uint32_t reason)
{
	return reason == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == (VALID | TYPE_NMI | NMI);
}

static void test_nmi_order(void)
{
	make_nmi_and_interrupt_wait();
	check(is_nmi(vmx_enter()) && vmread(GUEST_RIP) == ADDRESS(code_nops),
	      "an NMI before the interrupt window");
	check(exits_first(EXIT_INT_WINDOW), "then the window");
	take_interrupt();
	open_nmis();
	make_nmi_and_interrupt_wait();
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	check(is_nmi(vmx_enter()) && vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "behind MOV SS an NMI waits for one instruction");
	take_interrupt();
	open_nmis();
	make_nmi_and_interrupt_wait();
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(is_nmi(vmx_enter()) && vmread(GUEST_RIP) == ADDRESS(stubs) + 16 * VECTOR,
	      "behind an injected interrupt: the NMI, before its handler runs");
	take_interrupt();
	open_nmis();
	make_nmi_and_interrupt_wait();
	vmx_set_proc(PROC_NMI_WINDOW, 0);
	set_handler(NMI, vmx_count);
	check(exits_first(EXIT_NMI_WINDOW) && vmx_handled == 1,
	      "the NMI window before the NMI, which the hypervisor takes behind the exit");
	set_handler(NMI, NULL);
	take_interrupt();
}

/* Behind MOV SS: all but the timer and the monitor trap flag wait for one instruction. */
static void test_mov_ss(void)
{
	make_all_wait();
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	vmwrite(GUEST_PENDING_DEBUG, ENABLED | 1);
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
	check(exits_first(EXIT_MTF), "behind MOV SS: the monitor trap flag");
	check(exits_first(EXIT_TIMER), "and the preemption timer exit");
	check(vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_MOV_SS &&
		      vmread(GUEST_PENDING_DEBUG) == (ENABLED | 1),
	      "with the blocking, and the debug trap it holds back (%lx)",
	      vmread(GUEST_PENDING_DEBUG));
	vmx_set_pin(PIN_INTERRUPT | PIN_NMI | PIN_VNMI);
	check(vmx_enter() == EXIT_EXCEPTION && vmread(EXIT_QUALIFICATION) == 1 &&
		      vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "the debug trap comes behind the next instruction");
	check(vmread(GUEST_INTERRUPTIBILITY) == 0, "and the blocking is over");
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	vmx_set_proc(PROC_NMI_WINDOW, 0);
	check(vmx_enter() == EXIT_NMI_WINDOW && vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "so does the NMI window");
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	vmx_set_proc(PROC_INT_WINDOW, 0);
	check(vmx_enter() == EXIT_INT_WINDOW && vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "and the interrupt window");
	vmwrite(GUEST_RIP, ADDRESS(code_nops));
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	vmx_set_proc(0, 0);
	check(vmx_enter() == EXIT_INTERRUPT && vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "and the interrupt");
	take_interrupt();
}

static void test_sti(void)
{
	vmx_fresh();
	vmx_set_pin(PIN_INTERRUPT);
	make_interrupt_wait();
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_STI);
	vmx_set_proc(PROC_INT_WINDOW, 0);
	check(vmx_enter_at(code_nops) == EXIT_INT_WINDOW &&
		      vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "behind STI: the interrupt window waits for one instruction");
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_STI);
	vmx_set_proc(0, 0);
	check(vmx_enter_at(code_nops) == EXIT_INTERRUPT &&
		      vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "and so does the interrupt");
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_nops) == EXIT_INTERRUPT && vmread(GUEST_RIP) == ADDRESS(code_nops),
	      "with IF clear an interrupt that exits does not wait");
	take_interrupt();
}

/* An injected event comes before all that, and they before its handler's first instruction. */
static void test_injection(void)
{
	make_all_wait();
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(vmx_enter_at(code_nops) == EXIT_TIMER &&
		      vmread(GUEST_RIP) == ADDRESS(stubs) + 16 * VECTOR,
	      "behind an injected interrupt: the timer, before its handler runs");
	check(!(vmread(IDT_VECTORING) & VALID), "when it has been delivered");
	check(!(vmread(GUEST_RFLAGS) & RFLAGS_IF), "with IF clear");
	vmx_set_pin(PIN_INTERRUPT | PIN_NMI | PIN_VNMI);
	vmx_set_proc(0, 0);
	check(vmx_enter() == EXIT_INTERRUPT, "then the interrupt");
	take_interrupt();
	/* A pending debug trap is lost to an injected one. */
	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, 1u << DB);
	vmwrite(GUEST_PENDING_DEBUG, BS);
	set_handler(UD, vmx_count);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_FAULT | UD);
	check(vmx_enter_at(code_nops) == EXIT_VMCALL && vmx_handled == 1,
	      "an injected exception drops a pending debug trap");
	set_handler(UD, NULL);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_order();
	test_nmi_order();
	test_mov_ss();
	test_sti();
	test_injection();
}
