/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, APIC: the TPR shadow and its threshold, by CR8, by memory and by MSR.
 */
#include "tests/bare/vmx/apicv/apicv.h"

GUEST_CODE(code_cr8, "mov %rsi, %cr8; mov %cr8, %rax");
GUEST_CODE(code_write_page, "mov %esi, (%rdi)");
GUEST_CODE(code_write_msr, "wrmsr");

static void test_cr8(void)
{
	uint64_t cr8 = READ_CR(8);

	apicv_fresh(0);
	guest.rsi = 5;
	check(vmx_enter_at(code_cr8) == EXIT_VMCALL && guest.rax == 5 && *vreg(REG_TPR) == 0x50,
	      "CR8 is the shadow's");
	check(READ_CR(8) == cr8, "and not the processor's");
	*vreg(REG_TPR) = 0xff;
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	guest.rsi = 16;
	check(vmx_enter_at(code_cr8) == EXIT_EXCEPTION && *vreg(REG_TPR) == 0xff, "16 raises #GP");
	vmx_set_proc(PROC_TPR_SHADOW | PROC_CR8_LOAD, 0);
	guest.rsi = 3;
	check(vmx_enter_at(code_cr8) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x608,
	      "CR8-load exiting comes before the shadow");
}

/* Each way to write the TPR: the threshold itself is no exit, below it is, behind the instruction.
 */
static void test_threshold(const char *how, const void *code, unsigned length, uint32_t proc2,
			   unsigned shift)
{
	apicv_fresh(proc2);
	*vreg(REG_TPR) = 0x80;
	vmwrite(TPR_THRESHOLD, 4);
	guest.rdi = ADDRESS(apic_page) + REG_TPR;
	guest.rcx = MSR_X2APIC(REG_TPR);
	guest.rdx = 0;
	guest.rsi = guest.rax = 4 << shift;
	check(vmx_enter_at(code) == EXIT_VMCALL && *vreg(REG_TPR) == 0x40,
	      "%s: the threshold itself", how);
	guest.rsi = guest.rax = 3 << shift;
	guest.rdi = ADDRESS(apic_page) + REG_TPR;
	check(vmx_enter_at(code) == EXIT_TPR && vmread(GUEST_RIP) == ADDRESS(code) + length &&
		      *vreg(REG_TPR) == 0x30,
	      "%s: below it", how);
	vmwrite(TPR_THRESHOLD, 0);
	check(vmx_enter() == EXIT_VMCALL, "%s: the guest goes on", how);
}

static void test_entry(void)
{
	apicv_fresh(0);
	*vreg(REG_TPR) = 0x30;
	vmwrite(TPR_THRESHOLD, 4);
	check(vmx_enter_at(code_cr8) == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7,
	      "entry below the threshold fails");
	vmx_set_proc(PROC_TPR_SHADOW, PROC2_APIC_ACCESS);
	check(vmx_enter_at(code_cr8) == EXIT_TPR && vmread(GUEST_RIP) == ADDRESS(code_cr8),
	      "or exits at once, with virtual APIC accesses");
	vmwrite(GUEST_ACTIVITY, HALTED);
	check(vmx_enter() == EXIT_TPR && vmread(GUEST_ACTIVITY) == HALTED, "in HLT as well");
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_FAULT | UD);
	check(vmx_enter_at(code_cr8) == EXIT_TPR && vmread(GUEST_RIP) == ADDRESS(stubs) + 16 * UD,
	      "behind an injected event");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_cr8();
	test_threshold("MOV to CR8", code_cr8, 4, 0, 0);
	test_threshold("a store", code_write_page, 2, PROC2_APIC_ACCESS, 4);
	test_threshold("WRMSR", code_write_msr, 2, PROC2_X2APIC, 4);
	test_entry();
}
