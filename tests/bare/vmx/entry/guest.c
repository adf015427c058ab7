/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, entry: the checks on guest state.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");

static void test_failed_entries(void)
{
	vmx_fresh();
	vmwrite(GUEST_RFLAGS, 0);
	check(vmx_enter_at(code_vmcall) == (VALID | 33),
	      "RFLAGS without bit 1: invalid guest state");
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL, "and with it a good one");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_failed_entries();
}
