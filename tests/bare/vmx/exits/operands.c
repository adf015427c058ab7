/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: instructions whose operands the VM-exit instruction-information field tells.
 */
#include "tests/bare/vmx/exits/exits.h"

/* Parts of the field */
#define ADDRESS_64 0x100u
#define IN_DS      0x18000u
#define IN_SS      0x10000u
#define NO_INDEX   0x400000u
#define NO_BASE    0x8000000u
#define REGISTER   0x400u
#define REG1(n)    ((n) << 3)
#define INDEX(n)   ((n) << 18)
#define BASE(n)    ((uint32_t)(n) << 23)
#define REG2(n)    ((uint32_t)(n) << 28)
#define SIZE_32    0x800u
#define SIZE_64    0x1000u

enum { RAX, RCX, RDX, RBX, RSP };

#define ABSOLUTE (ADDRESS_64 | IN_DS | NO_INDEX | NO_BASE)

GUEST_CODE(code_invpcid, "xor %ecx, %ecx; invpcid vmx_memory, %rcx");
GUEST_CODE(code_invept, "invept vmx_memory, %r9");
GUEST_CODE(code_invvpid, "invvpid vmx_memory, %rcx");
GUEST_CODE(code_rdrand, "rdrand %r9");
GUEST_CODE(code_rdrand16, "rdrand %ax");
GUEST_CODE(code_rdseed, "rdseed %ecx");
GUEST_CODE(code_sgdt, "lea vmx_memory, %rbx; mov $2, %ecx; sgdt 0x10(%rbx, %rcx, 4)");
GUEST_CODE(code_lgdt, "lgdt idt_pointer");
GUEST_CODE(code_sidt, "sidt vmx_memory");
GUEST_CODE(code_lidt, "lidt idt_pointer");
GUEST_CODE(code_str, "str %r11");
GUEST_CODE(code_sldt, "sldt vmx_memory");
GUEST_CODE(code_lldt, "xor %r10d, %r10d; lldt %r10w");
GUEST_CODE(code_ltr, "xor %eax, %eax; mov %rax, (%rsp); ltr (%rsp)");
GUEST_CODE(code_vmread, "mov $0x6800, %ebx; vmread %rbx, %r10");
GUEST_CODE(code_vmread_memory, "mov $0x6800, %ebx; vmread %rbx, vmx_memory(%rip)");
GUEST_CODE(code_vmwrite, "vmwrite %r10, %rbx");
GUEST_CODE(code_vmwrite_memory, "mov $4, %ecx; vmwrite 8(%rsp, %rcx, 2), %rdx");
GUEST_CODE(code_vmclear, "vmclear vmx_memory");
GUEST_CODE(code_vmptrld, "vmptrld vmx_memory");
GUEST_CODE(code_vmptrst, "lea vmx_memory, %eax; vmptrst -8(%eax)");
GUEST_CODE(code_vmxon, "vmxon vmx_memory");
GUEST_CODE(code_vmxoff, "vmxoff");
GUEST_CODE(code_vmlaunch, "vmlaunch");
GUEST_CODE(code_vmresume, "vmresume");

static const struct exiting table[] = {
	{ "INVPCID", code_invpcid, PROC_INVLPG, PROC2_INVPCID, EXIT_INVPCID, 10,
	  ADDRESS(vmx_memory), ABSOLUTE | REG2(RCX), true },
	{ "RDRAND of 64 bits", code_rdrand, 0, PROC2_RDRAND, EXIT_RDRAND, 4, 0, REG1(9) | SIZE_64,
	  false },
	{ "RDRAND of 16 bits", code_rdrand16, 0, PROC2_RDRAND, EXIT_RDRAND, 4, 0, 0, false },
	{ "RDSEED of 32 bits", code_rdseed, 0, PROC2_RDSEED, EXIT_RDSEED, 3, 0, REG1(RCX) | SIZE_32,
	  false },
	{ "SGDT", code_sgdt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 5, 0x10,
	  2 | ADDRESS_64 | SIZE_32 | IN_DS | INDEX(RCX) | BASE(RBX), false },
	{ "SIDT", code_sidt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 8, ADDRESS(vmx_memory),
	  ABSOLUTE | SIZE_32 | REG2(1), false },
	{ "LGDT", code_lgdt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 8, ADDRESS(idt_pointer),
	  ABSOLUTE | SIZE_32 | REG2(2), false },
	{ "LIDT", code_lidt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 8, ADDRESS(idt_pointer),
	  ABSOLUTE | SIZE_32 | REG2(3), false },
	{ "SLDT", code_sldt, 0, PROC2_TABLES, EXIT_LDTR_TR, 8, ADDRESS(vmx_memory), ABSOLUTE,
	  false },
	{ "STR", code_str, 0, PROC2_TABLES, EXIT_LDTR_TR, 4, 0, REGISTER | REG1(11) | REG2(1),
	  false },
	{ "LLDT", code_lldt, 0, PROC2_TABLES, EXIT_LDTR_TR, 4, 0, REGISTER | REG1(10) | REG2(2),
	  false },
	{ "LTR", code_ltr, 0, PROC2_TABLES, EXIT_LDTR_TR, 4, 0,
	  ADDRESS_64 | IN_SS | NO_INDEX | BASE(RSP) | REG2(3), true },
	{ "INVEPT", code_invept, 0, 0, EXIT_INVEPT, 11, ADDRESS(vmx_memory), ABSOLUTE | REG2(9),
	  false },
	{ "INVVPID", code_invvpid, 0, 0, EXIT_INVVPID, 10, ADDRESS(vmx_memory),
	  ABSOLUTE | REG2(RCX), false },
	{ "VMREAD to a register", code_vmread, 0, 0, EXIT_VMREAD, 4, 0,
	  REGISTER | REG1(10) | REG2(RBX), false },
	{ "VMWRITE of a register", code_vmwrite, 0, 0, EXIT_VMWRITE, 4, 0,
	  REGISTER | REG1(10) | REG2(RBX), false },
	{ "VMWRITE of memory", code_vmwrite_memory, 0, 0, EXIT_VMWRITE, 5, 8,
	  1 | ADDRESS_64 | IN_SS | INDEX(RCX) | BASE(RSP) | REG2(RDX), false },
	{ "VMCLEAR", code_vmclear, 0, 0, EXIT_VMCLEAR, 9, ADDRESS(vmx_memory), ABSOLUTE, false },
	{ "VMPTRLD", code_vmptrld, 0, 0, EXIT_VMPTRLD, 8, ADDRESS(vmx_memory), ABSOLUTE, false },
	{ "VMPTRST with 32-bit addresses", code_vmptrst, 0, 0, EXIT_VMPTRST, 5, -8ull,
	  0x80 | IN_DS | NO_INDEX | BASE(RAX), false },
	{ "VMXON", code_vmxon, 0, 0, EXIT_VMXON, 9, ADDRESS(vmx_memory), ABSOLUTE, false },
	{ "VMXOFF", code_vmxoff, 0, 0, EXIT_VMXOFF, 3, 0, 0, false },
	{ "VMLAUNCH", code_vmlaunch, 0, 0, EXIT_VMLAUNCH, 3, 0, 0, false },
	{ "VMRESUME", code_vmresume, 0, 0, EXIT_VMRESUME, 3, 0, 0, false },
};

/* The qualification is the displacement with RIP added. */
static void test_rip_relative(void)
{
	vmx_fresh();
	check(vmx_enter_at(code_vmread_memory) == EXIT_VMREAD &&
		      vmread(EXIT_QUALIFICATION) == ADDRESS(vmx_memory),
	      "an operand relative to RIP: its address (%lx)", vmread(EXIT_QUALIFICATION));
	check(vmread(EXIT_INFORMATION) == (ABSOLUTE | REG2(RBX)), "without base (%lx)",
	      vmread(EXIT_INFORMATION));
}

/* ---- VMCS shadowing: VMREAD and VMWRITE of the fields that the bitmaps let through ---- */

static uint8_t bitmaps[2][4096] __attribute__((aligned(4096)));
static uint32_t shadow[1024] __attribute__((aligned(4096)));

static void make_shadow(void)
{
	shadow[0] = (uint32_t)rdmsr(MSR_VMX_BASIC) | 1u << 31;
	vmx_clear(shadow);
	vmx_load(shadow);
	vmwrite(GUEST_CR0, 0x1234);
	vmx_clear(shadow);
	vmx_load(vmcs_region);
}

static void test_shadowing(void)
{
	vmx_fresh();
	make_shadow();
	vmx_set_proc(0, PROC2_SHADOWING);
	vmwrite(VMREAD_BITMAP, ADDRESS(bitmaps[0]));
	vmwrite(VMWRITE_BITMAP, ADDRESS(bitmaps[1]));
	vmwrite(LINK_POINTER, ADDRESS(shadow));
	check(vmx_enter_at(code_vmread) == EXIT_VMCALL && guest.r10 == 0x1234,
	      "VMREAD of the shadow VMCS");
	guest.rbx = GUEST_CR0;
	guest.r10 = 0x5678;
	check(vmx_enter_at(code_vmwrite) == EXIT_VMCALL, "VMWRITE of the shadow VMCS");
	vmx_enter_at(code_vmread);
	check(guest.r10 == 0x5678, "it stays there");
	bitmaps[0][GUEST_CR0 / 8] |= 1 << GUEST_CR0 % 8;
	check(vmx_enter_at(code_vmread) == EXIT_VMREAD, "VMREAD exits by its bit");
	bitmaps[1][GUEST_CR0 / 8] |= 1 << GUEST_CR0 % 8;
	guest.rbx = GUEST_CR0;
	check(vmx_enter_at(code_vmwrite) == EXIT_VMWRITE, "VMWRITE by its own");
	guest.rbx = 0x8000;
	check(vmx_enter_at(code_vmwrite) == EXIT_VMWRITE, "and beyond the bitmap");
	vmwrite(LINK_POINTER, ~0ull);
	bitmaps[0][GUEST_CR0 / 8] = 0;
	check(vmx_enter_at(code_vmread) == EXIT_VMCALL,
	      "without shadow VMCS VMREAD fails, no exit");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	EXITS_CHECK(table);
	test_rip_relative();
	test_shadowing();
}
