/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: in the middle of code that has been run often, behind a write to other code, each
 * time to some that has been run since.
 */
#include "tests/bare/vmx/vmx.h"

#define ROUNDS 100

uint8_t hot_other[4096] __attribute__((aligned(4096)));

GUEST_CODE(code_short, "nop");
GUEST_CODE(code_exits, "incl %eax; movb $0x90, hot_other; incl %eax; wbinvd");

void test_main(void)
{
	bool is_right = true;

	for (unsigned i = 0; i < 16; i++)
		hot_other[i] = (uint8_t)code_short[i];
	if (!vmx_begin())
		return;
	vmx_fresh();
	vmx_set_proc(0, PROC2_WBINVD);
	for (unsigned n = 0; n < ROUNDS; n++) {
		is_right &= vmx_enter_at(hot_other) == EXIT_VMCALL;
		guest.rax = 40;
		is_right &= vmx_enter_at(code_exits) == EXIT_WBINVD && guest.rax == 42;
	}
	check(is_right, "WBINVD exits behind a write to code");
	check(vmx_skip() == EXIT_VMCALL, "the guest goes on behind it");
}
