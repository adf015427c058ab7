/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: control registers, their masks and shadows, target values of CR3.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_cr0_write, "mov %rbx, %cr0");
GUEST_CODE(code_cr0_read, "mov %cr0, %rbx; smsw %rcx");
GUEST_CODE(code_cr3_write, "mov %rbx, %cr3");
GUEST_CODE(code_cr3_read, "mov %cr3, %r9");
GUEST_CODE(code_clts, "clts; mov %cr0, %rbx");
GUEST_CODE(code_lmsw, "lmsw %bx");
GUEST_CODE(code_cr4_read, "mov %cr4, %rbx");

static void test_masks(void)
{
	uint64_t cr0 = READ_CR(0);

	vmx_fresh();
	vmwrite(CR0_MASK, CR0_TS | CR0_MP);
	vmwrite(CR0_SHADOW, CR0_TS);
	vmwrite(GUEST_CR0, cr0 & ~CR0_TS);
	vmx_enter_at(code_cr0_read);
	check(guest.rbx == ((cr0 | CR0_TS) & ~CR0_MP) && guest.rcx == guest.rbx,
	      "CR0 reads masked bits from the shadow");
	guest.rbx = (cr0 | CR0_TS) & ~CR0_MP;
	check(vmx_enter_at(code_cr0_write) == EXIT_VMCALL,
	      "writing what the shadow has does not exit");
	check(vmread(GUEST_CR0) == (cr0 & ~CR0_TS), "and leaves masked bits alone");
	guest.rbx = cr0 & ~CR0_MP & ~CR0_TS;
	check(vmx_enter_at(code_cr0_write) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x300,
	      "writing something else exits");
	check(vmx_enter_at(code_clts) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x20,
	      "CLTS exits where mask and shadow have TS");
	guest.rbx = 3;
	check(vmx_enter_at(code_lmsw) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x30030,
	      "LMSW exits with its operand (%lx)", vmread(EXIT_QUALIFICATION));
	vmwrite(CR0_SHADOW, 0);
	vmwrite(GUEST_CR0, cr0 | CR0_TS);
	check(vmx_enter_at(code_clts) == EXIT_VMCALL && (vmread(GUEST_CR0) & CR0_TS),
	      "CLTS does nothing where only the mask has TS");
	vmwrite(CR0_MASK, 0);
	check(vmx_enter_at(code_clts) == EXIT_VMCALL && !(vmread(GUEST_CR0) & CR0_TS),
	      "CLTS clears TS that is the guest's own");
	vmwrite(CR4_MASK, CR4_VMXE);
	vmx_enter_at(code_cr4_read);
	check(guest.rbx == (READ_CR(4) & ~CR4_VMXE), "CR4 without VMXE, by mask");
}

static void test_cr3(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_CR3_LOAD | PROC_CR3_STORE, 0);
	guest.rbx = READ_CR(3);
	check(vmx_enter_at(code_cr3_write) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x303,
	      "MOV to CR3 exits");
	vmwrite(CR3_TARGET, READ_CR(3));
	vmwrite(CR3_TARGET_COUNT, 1);
	check(vmx_enter_at(code_cr3_write) == EXIT_VMCALL, "but not for a target value");
	check(vmx_enter_at(code_cr3_read) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x913,
	      "MOV from CR3 exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_masks();
	test_cr3();
}
