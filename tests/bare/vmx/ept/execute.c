/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, EPT: mode-based execute control.
 */
#include "tests/bare/vmx/ept.h"

static uint8_t data[1][4096] __attribute__((aligned(4096)));
static struct ept ept;

static void fresh(uint32_t proc2)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

GUEST_CODE(code_call, "call *%rdi");

static uint32_t call_with(uint64_t rights)
{
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | WB | rights;
	invept(2, 0, 0);
	return vmx_enter_at(code_call);
}

/* The page decides which of the two bits counts, not the privilege level. */
static void test_mode_based_execute(void)
{
	*(uint64_t *)(void *)(data[0] + 0x128) = 0xc3; /* RET */
	fresh(PROC2_EPT | PROC2_MODE_EXECUTE);
	check(call_with(R | X) == EXIT_VMCALL, "a supervisor's page: bit 2 lets code run");
	check(call_with(X) == EXIT_VMCALL, "alone, too");
	check(call_with(R | XU) == EXIT_VIOLATION && vmread(EXIT_QUALIFICATION) == 0x5cc,
	      "bit 10 does not: %lx", vmread(EXIT_QUALIFICATION));
	make_user(data[0]);
	check(call_with(R | XU) == EXIT_VMCALL, "a user's page: bit 10 lets code run");
	check(call_with(XU) == EXIT_VMCALL, "alone, too");
	check(call_with(R | X) == EXIT_VIOLATION && vmread(EXIT_QUALIFICATION) == 0x7ac,
	      "bit 2 does not: %lx", vmread(EXIT_QUALIFICATION));
	check(call_with(W | XU) == EXIT_MISCONFIGURATION, "writable and not readable stays wrong");
	fresh(PROC2_EPT);
	check(call_with(R | X) == EXIT_VMCALL && call_with(XU) == EXIT_VIOLATION &&
		      vmread(EXIT_QUALIFICATION) == 0x784,
	      "without the control bit 10 does not count: %lx", vmread(EXIT_QUALIFICATION));
	fresh(PROC2_MODE_EXECUTE);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "it needs EPT");
	set_pte(data[0], 0, PTE_U);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	test_mode_based_execute();
}
