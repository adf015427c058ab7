/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: NMIs, virtual NMIs, and the window for them.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_self_nmi, "mov $0xfee00300, %eax; movl $0x40400, (%rax); nop; nop");
GUEST_CODE(code_iret,
	   "mov %rsp, %rax; mov %ss, %ecx; push %rcx; push %rax; pushf; push $8; lea 1f, %rax; "
	   "push %rax; iretq; 1: nop; nop");

static void test_nmis(void)
{
	vmx_fresh();
	vmx_handled = 0;
	set_handler(NMI, vmx_count);
	vmx_set_pin(PIN_NMI | PIN_VNMI);
	check(vmx_enter_at(code_self_nmi) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == 0x80000202,
	      "an NMI exits");
	vmwrite(GUEST_INTERRUPTIBILITY, 8);
	vmx_set_proc(PROC_NMI_WINDOW, 0);
	check(vmx_enter_at(code_iret) == EXIT_NMI_WINDOW && !(vmread(GUEST_INTERRUPTIBILITY) & 8),
	      "IRET opens the NMI window");
	check(vmread(GUEST_RIP) == (guest.rax), "at its target");
	vmx_set_proc(0, 0);
	vmwrite(GUEST_INTERRUPTIBILITY, 8);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmread(GUEST_INTERRUPTIBILITY) == 8,
	      "blocking by NMI stays");
	check(vmx_enter_at(code_self_nmi) == EXIT_EXCEPTION,
	      "NMIs exit though virtual ones are blocked");
	check(vmx_handled == 0, "none was delivered");
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $8; lea 1f, %%rax; "
		     "push %%rax; iretq; 1:"
		     :
		     :
		     : "rax", "memory");
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmx_set_pin(0);
	check(vmx_enter_at(code_self_nmi) == EXIT_VMCALL && vmx_handled == 1,
	      "without the control: delivered");
}

/* Without virtual NMIs it is NMIs themselves that the guest's state blocks. */
static void test_blocking(void)
{
	vmx_fresh();
	set_handler(NMI, vmx_count);
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_NMI);
	check(vmx_enter_at(code_self_nmi) == EXIT_VMCALL && vmx_handled == 0 &&
		      vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_NMI,
	      "a blocked NMI waits");
	check(vmx_handled == 0, "after the exit, too");
	check(vmx_enter_at(code_iret) == EXIT_VMCALL && vmx_handled == 1, "until the guest's IRET");
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_NMI);
	vmx_set_pin(PIN_NMI);
	check(vmx_enter_at(code_self_nmi) == EXIT_VMCALL, "one that would exit waits as well (%lx)",
	      vmread(EXIT_REASON));
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	check(vmx_enter_at(code_vmcall) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | TYPE_NMI | NMI),
	      "and exits when it is no longer blocked");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_nmis();
	test_blocking();
}
