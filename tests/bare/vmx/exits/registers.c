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
GUEST_CODE(code_lmsw_memory, "lmsw vmx_memory");
GUEST_CODE(code_cr4_read, "mov %cr4, %rbx");
GUEST_CODE(code_cr4_write, "mov %r14, %cr4");

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
}

static void test_lmsw(void)
{
	vmx_fresh();
	vmwrite(CR0_MASK, CR0_TS | 1);
	vmwrite(CR0_SHADOW, READ_CR(0));
	vmx_memory[0] = 0xfff9; /* TS, and the upper bits that LMSW ignores */
	check(vmx_enter_at(code_lmsw_memory) == EXIT_CR &&
		      vmread(EXIT_QUALIFICATION) == 0xfff90070 &&
		      vmread(GUEST_LINEAR) == ADDRESS(vmx_memory),
	      "LMSW from memory exits with its address (%lx)", vmread(EXIT_QUALIFICATION));
	guest.rbx = 0;
	check(vmx_enter_at(code_lmsw) == EXIT_VMCALL && (vmread(GUEST_CR0) & 1),
	      "LMSW cannot clear PE, which is no reason to exit");
	guest.rbx = CR0_MP | 1;
	vmx_enter_at(code_lmsw);
	check(vmread(GUEST_CR0) & CR0_MP, "LMSW sets what is the guest's own");
}

static void test_cr4(void)
{
	uint64_t cr4 = READ_CR(4);

	vmx_fresh();
	vmwrite(CR4_MASK, CR4_VMXE);
	vmx_enter_at(code_cr4_read);
	check(guest.rbx == (cr4 & ~CR4_VMXE), "CR4 without VMXE, by mask");
	guest.r14 = (cr4 & ~CR4_VMXE) | 4; /* TSD */
	check(vmx_enter_at(code_cr4_write) == EXIT_VMCALL && vmread(GUEST_CR4) == (cr4 | 4),
	      "what is not masked is written");
	guest.r14 = cr4;
	check(vmx_enter_at(code_cr4_write) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0xe04,
	      "setting VMXE exits (%lx)", vmread(EXIT_QUALIFICATION));
	vmwrite(CR4_MASK, 0);
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	guest.r14 = cr4 & ~CR4_VMXE;
	check(vmx_enter_at(code_cr4_write) == EXIT_EXCEPTION, "clearing it unmasked raises #GP");
	guest.rbx = READ_CR(0) & ~0x20ull;
	check(vmx_enter_at(code_cr0_write) == EXIT_EXCEPTION, "so does clearing CR0.NE");
}

static void test_cr3(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_CR3_LOAD | PROC_CR3_STORE, 0);
	guest.rbx = READ_CR(3);
	check(vmx_enter_at(code_cr3_write) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x303,
	      "MOV to CR3 exits");
	for (unsigned i = 0; i < 4; i++)
		vmwrite(CR3_TARGET + 2 * i, 0);
	vmwrite(CR3_TARGET + 6, READ_CR(3));
	vmwrite(CR3_TARGET_COUNT, 3);
	check(vmx_enter_at(code_cr3_write) == EXIT_CR, "so it does where the value is not counted");
	vmwrite(CR3_TARGET_COUNT, 4);
	check(vmx_enter_at(code_cr3_write) == EXIT_VMCALL, "but not for a target value");
	check(vmx_enter_at(code_cr3_read) == EXIT_CR && vmread(EXIT_QUALIFICATION) == 0x913,
	      "MOV from CR3 exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_masks();
	test_lmsw();
	test_cr4();
	test_cr3();
}
