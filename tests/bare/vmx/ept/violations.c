/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, EPT: violations and misconfigurations.
 */
#include "tests/bare/vmx/ept.h"

/* What the guest sees at one of the pages, by default the first. */
static uint8_t data[2][4096] __attribute__((aligned(4096)));
static struct ept ept;

static void fresh(uint32_t proc2, uint64_t eptp_bits)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | eptp_bits);
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_write, "mov %rsi, (%rdi)");
GUEST_CODE(code_call, "call *%rdi");

static bool violates(const void *code, uint64_t qualification)
{
	return vmx_enter_at(code) == EXIT_VIOLATION &&
	       vmread(EXIT_QUALIFICATION) == qualification && vmread(GUEST_PHYSICAL) == guest.rdi &&
	       vmread(GUEST_LINEAR) == guest.rdi;
}

static void test_rights(void)
{
	*(uint64_t *)(void *)(data[0] + 0x128) = 0xc3; /* RET */
	fresh(PROC2_EPT, 0);
	check(vmx_enter_at(code_read) == EXIT_VMCALL && guest.rax == 0xc3,
	      "a guest behind EPT reads");
	fresh(PROC2_EPT, 0);
	*ept_entry(&ept, data[0]) = 0;
	check(violates(code_read, 0x581), "a read of what is not present: %lx, %lx",
	      vmread(EXIT_REASON), vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_RIP) == ADDRESS(code_read), "and RIP is that of the instruction");
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | WB;
	check(vmx_enter() == EXIT_VMCALL, "it goes on with a page that is there");
	guest.rsi = 0xc3c3;
	check(violates(code_write, 0x58a), "a write to a read-only page");
	check(violates(code_call, 0x58c), "a fetch from a page without execution");
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | X | WB;
	invept(1, vmread(EPT_POINTER), 0);
	check(vmx_enter_at(code_call) == EXIT_VMCALL, "code runs in an execute-only page");
	check(violates(code_read, 0x5a1), "which may not be read");
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | W | WB;
	invept(1, vmread(EPT_POINTER), 0);
	check(vmx_enter_at(code_read) == EXIT_MISCONFIGURATION &&
		      vmread(GUEST_PHYSICAL) == guest.rdi,
	      "a page that may be written but not read is a misconfiguration");
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | 2 << 3;
	check(vmx_enter_at(code_read) == EXIT_MISCONFIGURATION, "so is a reserved memory type");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	test_rights();
}
