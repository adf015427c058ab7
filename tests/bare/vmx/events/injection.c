/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: those that VM entry injects.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_int80, "int $0x80");

static void test_injection(void)
{
	vmx_fresh();
	vmx_handled = 0;
	set_handler(0x80, vmx_count);
	set_handler(VECTOR, vmx_count);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmx_handled == 1,
	      "an interrupt is injected");
	check(!(vmread(ENTRY_INTERRUPTION) & VALID), "once");
	vmwrite(ENTRY_INTERRUPTION, VALID | 4 << 8 | 0x80);
	vmwrite(ENTRY_LENGTH, 2);
	check(vmx_enter_at(code_int80) == EXIT_VMCALL && vmx_handled == 2,
	      "INT 80h is injected and returns behind it");
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	vmwrite(GUEST_IDTR_LIMIT, 0x20 * 16 - 1);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(vmx_enter_at(code_vmcall) == EXIT_EXCEPTION &&
		      vmread(IDT_VECTORING) == (VALID | VECTOR),
	      "what cannot be delivered is told of");
	set_handler(0x80, NULL);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_injection();
}
