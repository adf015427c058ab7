/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: I/O instructions, RDMSR and WRMSR, by control and by bitmap.
 */
#include "tests/bare/vmx/vmx.h"

static uint8_t bitmaps[2][4096] __attribute__((aligned(4096)));

GUEST_CODE(code_out, "mov $0x80, %edx; out %ax, %dx");
GUEST_CODE(code_in, "in $0x71, %al");
GUEST_CODE(code_outs, "mov $0x80, %edx; mov $2, %ecx; lea vmx_memory, %rsi; rep outsl");
GUEST_CODE(code_wrmsr, "mov $0xc0000081, %ecx; rdmsr; wrmsr");

static void test_io(void)
{
	uint32_t reason;

	vmx_fresh();
	vmwrite(IO_BITMAP_A, ADDRESS(bitmaps[0]));
	vmwrite(IO_BITMAP_B, ADDRESS(bitmaps[1]));
	vmx_set_proc(PROC_IO, 0);
	reason = vmx_enter_at(code_in);
	check(reason == EXIT_IO && vmread(EXIT_QUALIFICATION) == 0x710048,
	      "IN exits unconditionally");
	vmx_set_proc(PROC_IO | PROC_IO_BITMAPS, 0);
	check(vmx_enter_at(code_out) == EXIT_VMCALL, "bitmaps overrule that");
	bitmaps[0][0x81 / 8] = 1 << 0x81 % 8;
	reason = vmx_enter_at(code_out);
	check(reason == EXIT_IO && vmread(EXIT_QUALIFICATION) == 0x800001,
	      "OUT exits by either port");
	reason = vmx_enter_at(code_outs);
	check(reason == EXIT_IO && vmread(EXIT_QUALIFICATION) == 0x800033, "REP OUTS exits (%lx)",
	      vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_LINEAR) == ADDRESS(vmx_memory) && vmread(EXIT_INFORMATION) == 0x18100,
	      "with its address and information %lx", vmread(EXIT_INFORMATION));
	bitmaps[0][0x81 / 8] = 0;
}

static void test_msrs(void)
{
	vmx_fresh();
	check(vmx_enter_at(code_wrmsr) == EXIT_RDMSR, "RDMSR exits without bitmaps");
	vmwrite(MSR_BITMAP, ADDRESS(bitmaps[0]));
	vmx_set_proc(PROC_MSR_BITMAPS, 0);
	check(vmx_enter_at(code_wrmsr) == EXIT_VMCALL, "no bit, no exit");
	bitmaps[0][3072 + 0x81 / 8] = 1 << 0x81 % 8;
	check(vmx_enter_at(code_wrmsr) == EXIT_WRMSR && guest.rcx == 0xc0000081,
	      "WRMSR exits by its bit");
	bitmaps[0][3072 + 0x81 / 8] = 0;
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_io();
	test_msrs();
}
