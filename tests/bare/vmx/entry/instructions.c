/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: the VMX instructions in root operation and outside it: faults, and every VM-instruction
 * error but those of the VMCS's contents.
 */
#include "tests/bare/vmx/vmx.h"

enum { SUCCEEDS, FAILS_INVALID, FAILS_VALID };

#define MISC_WRITE_ANY (1ull << 29)
#define BEYOND         (1ull << 52)

static uint32_t other[1024] __attribute__((aligned(4096)));

GUEST_CODE(code_vmcall, "");

/* An instruction without operand, its outcome. */
#define OUTCOME(mnemonic)                                                                       \
	({                                                                                      \
		unsigned outcome_;                                                              \
		asm volatile(mnemonic "\n\t" VMX_OUTCOME : "=&a"(outcome_) : : "cc", "memory"); \
		outcome_;                                                                       \
	})

static bool fails(unsigned outcome, unsigned error)
{
	return outcome == FAILS_VALID && vmread(INSTRUCTION_ERROR) == error;
}

static uint32_t revision(void)
{
	return (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
}

/* Before vmx_begin: CR4.VMXE is clear, then set. */
static void test_outside(void)
{
	check(TRY("vmxon %0", "m"(vmx_memory[0])) == UD, "VMXON without CR4.VMXE: #UD");
	check(TRY("vmxoff", "i"(0)) == UD, "VMXOFF outside VMX operation: #UD");
	check(TRY("vmlaunch", "i"(0)) == UD, "VMLAUNCH: #UD");
	check(TRY("vmresume", "i"(0)) == UD, "VMRESUME: #UD");
	check(TRY("vmclear %0", "m"(vmx_memory[0])) == UD, "VMCLEAR: #UD");
	check(TRY("vmptrld %0", "m"(vmx_memory[0])) == UD, "VMPTRLD: #UD");
	check(TRY("vmptrst %0", "m"(vmx_memory[0])) == UD, "VMPTRST: #UD");
	check(TRY("vmread %%rax, %%rbx", "i"(0)) == UD, "VMREAD: #UD");
	check(TRY("vmwrite %%rax, %%rbx", "i"(0)) == UD, "VMWRITE: #UD");
	check(TRY("mov $1, %%eax; invept %0, %%rax", "m"(vmx_memory[0])) == UD, "INVEPT: #UD");
	check(TRY("mov $1, %%eax; invvpid %0, %%rax", "m"(vmx_memory[0])) == UD, "INVVPID: #UD");
}

static void test_vmxon(void)
{
	uint64_t off_page = ADDRESS(other) + 8, beyond = BEYOND, at = ADDRESS(other);

	asm volatile("vmxoff");
	check(vmx_on((void *)off_page) == FAILS_INVALID, "VMXON off its page");
	check(vmx_on((void *)beyond) == FAILS_INVALID, "VMXON beyond physical addresses");
	other[0] = revision() + 1;
	check(vmx_on(other) == FAILS_INVALID, "VMXON with another revision");
	other[0] = revision();
	WRITE_CR(0, READ_CR(0) & ~0x20ull);
	check(TRY("vmxon %0", "m"(at)) == GP, "VMXON with CR0.NE clear: #GP");
	WRITE_CR(0, READ_CR(0) | 0x20);
	check(vmx_on(vmxon_region) == SUCCEEDS, "VMXON");
	check(TRY_WRITE_CR(0, READ_CR(0) & ~0x20ull) == GP, "CR0.NE is fixed now");
	check(TRY_WRITE_CR(4, READ_CR(4) & ~CR4_VMXE) == GP, "and CR4.VMXE");
	check(vmx_on(other) == FAILS_INVALID, "VMXON again, without current VMCS");
	vmx_load(vmcs_region);
	check(fails(vmx_on(other), 15), "VMXON again, with one: error 15");
}

static void test_regions(void)
{
	uint64_t stored = 0;

	vmx_set_up();
	check(fails(vmx_clear((char *)other + 4), 2), "VMCLEAR off its page: error 2");
	check(fails(vmx_clear((void *)BEYOND), 2), "beyond physical addresses: error 2");
	check(fails(vmx_clear(vmxon_region), 3), "VMCLEAR of the VMXON region: error 3");
	check(fails(vmx_load((char *)other + 4), 9), "VMPTRLD off its page: error 9");
	check(fails(vmx_load((void *)BEYOND), 9), "beyond physical addresses: error 9");
	check(fails(vmx_load(vmxon_region), 10), "VMPTRLD of the VMXON region: error 10");
	other[0] = revision() ^ 1;
	check(fails(vmx_load(other), 11), "VMPTRLD of another revision: error 11");
	asm volatile("vmptrst %0" : "=m"(stored));
	check(stored == ADDRESS(vmcs_region), "VMPTRST says which is current");
	check(vmx_clear(vmcs_region) == SUCCEEDS, "VMCLEAR of the current one");
	asm volatile("vmptrst %0" : "=m"(stored));
	check(stored == ~0ull, "after it there is none");
	check(OUTCOME("mov $0x4400, %%eax; vmread %%rax, %%rdx") == FAILS_INVALID,
	      "VMREAD without current VMCS");
	check(OUTCOME("vmlaunch") == FAILS_INVALID, "VMLAUNCH without current VMCS");
	check(OUTCOME("vmcall") == FAILS_INVALID, "VMCALL without current VMCS");
}

static void test_fields(void)
{
	vmx_set_up();
	check(fails(OUTCOME("mov $0x6020, %%eax; vmread %%rax, %%rdx"), 12),
	      "VMREAD of no field: error 12");
	check(fails(OUTCOME("mov $0x6020, %%eax; vmwrite %%rdx, %%rax"), 12),
	      "VMWRITE of no field: error 12");
	check(fails(OUTCOME("mov $0x100000000, %%rax; vmread %%rax, %%rdx"), 12),
	      "a field of 33 bits: error 12");
	if (rdmsr(MSR_VMX_MISC) & MISC_WRITE_ANY)
		check(OUTCOME("mov $0x4402, %%eax; vmwrite %%rax, %%rax") == SUCCEEDS &&
			      vmread(EXIT_REASON) == 0x4402,
		      "VMWRITE of a read-only field");
	vmwrite(TSC_OFFSET, 0x123456789abcdef0);
	check(vmread(TSC_OFFSET + 1) == 0x12345678, "the upper half of a field");
	vmwrite(TSC_OFFSET + 1, 0xfedcba9800000001);
	check(vmread(TSC_OFFSET) == 0x000000019abcdef0, "and to write it");
	vmwrite(VPID, 0x12345);
	check(vmread(VPID) == 0x2345, "a field of 16 bits");
}

static void test_launch_state(void)
{
	vmx_set_up();
	vmwrite(GUEST_RIP, ADDRESS(code_vmcall));
	check(fails(OUTCOME("vmresume"), 5), "VMRESUME of a clear VMCS: error 5");
	check(vmx_enter() == EXIT_VMCALL, "VMLAUNCH of it");
	check(fails(OUTCOME("vmlaunch"), 4), "VMLAUNCH again: error 4");
	check(vmx_enter() == EXIT_VMCALL, "VMRESUME");
	vmx_clear(vmcs_region);
	vmx_load(vmcs_region);
	check(fails(OUTCOME("vmresume"), 5), "VMCLEAR clears the launch state");
	check(vmread(GUEST_RIP) == ADDRESS(code_vmcall), "and keeps the rest");
	check(fails(OUTCOME("mov %%ss, %%edx; mov %%edx, %%ss; vmlaunch"), 26),
	      "VMLAUNCH behind MOV SS: error 26");
	check(fails(OUTCOME("vmcall"), 1), "VMCALL in root operation: error 1");
}

/* The operand's fault comes before any outcome; CPL before the operand. */
static void test_faults(void)
{
	static const uint8_t vmread_user[] = { 0x0f, 0x78, 0xc0 },
			     vmxoff_user[] = { 0x0f, 1, 0xc4 };
	static const uint8_t vmptrld_user[] = { 0x0f, 0xc7, 0x37 }; /* at its own code */
	uint8_t *page = page_alloc();

	set_pte(page, 0, PTE_P);
	check(TRY("vmptrld (%0)", "r"(page)) == PF && trap.error == 0, "VMPTRLD's operand faults");
	check(TRY("vmptrst (%0)", "r"(page)) == PF && trap.error == 2, "VMPTRST's: a write");
	check(TRY("mov $0x4400, %%eax; vmread %%rax, (%0)", "r"(page)) == PF && trap.error == 2,
	      "VMREAD's: a write");
	set_pte(page, PTE_P, 0);
	RUN_USER(vmread_user, SEL_USER_CODE64);
	check(trap.vector == GP, "VMREAD in user mode: #GP");
	RUN_USER(vmxoff_user, SEL_USER_CODE64);
	check(trap.vector == GP, "VMXOFF in user mode: #GP");
	RUN_USER(vmptrld_user, SEL_USER_CODE64);
	check(trap.vector == GP, "VMPTRLD in user mode: #GP");
}

void test_main(void)
{
	test_outside();
	if (!vmx_begin())
		return;
	test_vmxon();
	test_regions();
	test_fields();
	test_launch_state();
	test_faults();
	check(OUTCOME("vmxoff") == SUCCEEDS, "VMXOFF");
	check(TRY("vmxoff", "i"(0)) == UD, "and VMX operation is over");
}
