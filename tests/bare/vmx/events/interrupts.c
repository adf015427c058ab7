/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: external interrupts, and the window for them.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_self_ipi, "mov $0xfee00300, %eax; movl $0x40060, (%rax); nop; nop");
GUEST_CODE(code_sti, "sti; nop; nop");

static void test_interrupts(void)
{
	vmx_fresh();
	vmx_handled = 0;
	set_handler(VECTOR, vmx_count_eoi);
	vmx_set_pin(PIN_INTERRUPT);
	check(vmx_enter_at(code_self_ipi) == EXIT_INTERRUPT && !vmread(EXIT_INTERRUPTION),
	      "an interrupt exits, IF clear or not");
	check(vmx_handled == 0, "it is still pending");
	asm volatile("sti; nop; cli");
	check(vmx_handled == 1, "the hypervisor takes it");
	vmx_set_exit(EXITC_ACK);
	check(vmx_enter_at(code_self_ipi) == EXIT_INTERRUPT &&
		      vmread(EXIT_INTERRUPTION) == (VALID | VECTOR),
	      "acknowledged on exit");
	apic_write(APIC_EOI, 0);
	asm volatile("sti; nop; cli");
	check(vmx_handled == 1, "it is gone");
	vmx_set_exit(0);
	vmx_set_pin(0);
	check(vmx_enter_at(code_self_ipi) == EXIT_VMCALL && vmx_handled == 1,
	      "no exit: the guest's IF holds it");
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmx_handled == 2, "the guest takes it");
}

static void test_interrupt_window(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_INT_WINDOW, 0);
	check(vmx_enter_at(code_sti) == EXIT_INT_WINDOW, "an interrupt window");
	check(vmread(GUEST_RIP) == ADDRESS(code_sti) + 2, "opens behind STI's shadow");
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_ACTIVITY, 1);
	check(vmx_enter_at(code_vmcall) == EXIT_INT_WINDOW && vmread(GUEST_ACTIVITY) == 1,
	      "and in HLT");
}

GUEST_CODE(code_hlt, "hlt");

/* HLT ends by an interrupt that exits, whatever IF is; one that does not exit needs IF. */
static void test_hlt(void)
{
	vmx_fresh();
	set_handler(VECTOR, vmx_count_eoi);
	vmx_set_pin(PIN_INTERRUPT);
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
	check(vmx_enter_at(code_hlt) == EXIT_INTERRUPT && vmread(GUEST_ACTIVITY) == ACTIVE,
	      "an interrupt that waits exits before HLT");
	vmwrite(GUEST_ACTIVITY, HALTED);
	check(vmx_enter_at(code_hlt) == EXIT_INTERRUPT && vmread(GUEST_ACTIVITY) == HALTED,
	      "and from HLT");
	vmx_set_pin(PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, 10000);
	check(vmx_enter_at(code_hlt) == EXIT_TIMER && vmx_handled == 0,
	      "the guest's own leaves it halted with IF clear");
	vmwrite(GUEST_ACTIVITY, HALTED);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(PREEMPTION_TIMER, ~0u);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmx_handled == 1 &&
		      vmread(GUEST_ACTIVITY) == ACTIVE,
	      "and wakes it with IF set");
	vmwrite(GUEST_ACTIVITY, SHUTDOWN);
	vmx_set_pin(PIN_INTERRUPT | PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, 10000);
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
	check(vmx_enter_at(code_vmcall) == EXIT_TIMER, "shutdown keeps interrupts out");
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	check(vmx_enter_at(code_vmcall) == EXIT_INTERRUPT, "until it is over");
	asm volatile("sti; nop; cli");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_interrupts();
	test_interrupt_window();
	test_hlt();
}
