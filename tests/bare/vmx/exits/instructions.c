/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: instructions that exit always or by one control, without instruction information;
 * and what an instruction does that has not been enabled.
 */
#include "tests/bare/vmx/exits/exits.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_cpuid, "xor %eax, %eax; cpuid");
GUEST_CODE(code_invd, "invd");
GUEST_CODE(code_wbinvd, "wbinvd");
GUEST_CODE(code_invlpg, "mov $0x123456, %eax; invlpg (%rax)");
GUEST_CODE(code_rdpmc, "mov $0x1000, %ecx; rdpmc");
GUEST_CODE(code_rdtsc, "rdtsc");
GUEST_CODE(code_rdtscp, "rdtscp");
GUEST_CODE(code_pause, "pause");
GUEST_CODE(code_pauses, "mov $100000, %ecx; 1: pause; loop 1b");
GUEST_CODE(code_xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; xsetbv");
GUEST_CODE(code_xsaves, "xor %edx, %edx; xor %eax, %eax; xsaves (%rsi)");
GUEST_CODE(code_dr_write, "mov %rsi, %dr3");
GUEST_CODE(code_dr_read, "mov %dr6, %r8");
GUEST_CODE(code_cr8_write, "mov %r12, %cr8");
GUEST_CODE(code_cr8_read, "mov %cr8, %rdx");
GUEST_CODE(code_getsec, "getsec");
GUEST_CODE(code_rsm, "rsm");

static const struct exiting table[] = {
	{ "CPUID", code_cpuid, 0, 0, EXIT_CPUID, 2, 0, 0, false },
	{ "INVD", code_invd, 0, 0, EXIT_INVD, 2, 0, 0, false },
	{ "XSETBV", code_xsetbv, 0, 0, EXIT_XSETBV, 3, 0, 0, false },
	{ "WBINVD", code_wbinvd, 0, PROC2_WBINVD, EXIT_WBINVD, 2, 0, 0, false },
	{ "INVLPG", code_invlpg, PROC_INVLPG, 0, EXIT_INVLPG, 3, 0x123456, 0, false },
	{ "RDPMC", code_rdpmc, PROC_RDPMC, 0, EXIT_RDPMC, 2, 0, 0, true },
	{ "RDTSC", code_rdtsc, PROC_RDTSC, 0, EXIT_RDTSC, 2, 0, 0, false },
	{ "RDTSCP", code_rdtscp, PROC_RDTSC, PROC2_RDTSCP, EXIT_RDTSCP, 3, 0, 0, true },
	{ "PAUSE", code_pause, PROC_PAUSE, 0, EXIT_PAUSE, 2, 0, 0, false },
	{ "MOV to DR3", code_dr_write, PROC_MOV_DR, 0, EXIT_DR, 3, 0x603, 0, false },
	{ "MOV from DR6", code_dr_read, PROC_MOV_DR, 0, EXIT_DR, 4, 0x816, 0, false },
	{ "MOV to CR8", code_cr8_write, PROC_CR8_LOAD, 0, EXIT_CR, 4, 0xc08, 0, false },
	{ "MOV from CR8", code_cr8_read, PROC_CR8_STORE, 0, EXIT_CR, 4, 0x218, 0, false },
};

static void test_vmcall(void)
{
	vmx_fresh();
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmread(EXIT_LENGTH) == 3, "VMCALL exits");
	check(vmread(GUEST_RIP) == ADDRESS(code_vmcall), "at the instruction");
}

static void test_pause_loop(void)
{
	vmx_fresh();
	vmx_set_proc(0, PROC2_PAUSE_LOOP);
	vmwrite(PLE_GAP, 1u << 31);
	vmwrite(PLE_WINDOW, 1000);
	check(vmx_enter_at(code_pauses) == EXIT_PAUSE && guest.rcx < 100000,
	      "a loop of PAUSEs exits");
	vmwrite(PLE_WINDOW, ~0u);
	vmwrite(PLE_GAP, 0);
	check(vmx_enter_at(code_pauses) == EXIT_VMCALL, "those further apart are no loop");
}

static bool is_ud(const void *code)
{
	vmwrite(EXCEPTION_BITMAP, 1u << UD);
	return vmx_enter_at(code) == EXIT_EXCEPTION &&
	       vmread(EXIT_INTERRUPTION) == (VALID | TYPE_FAULT | UD);
}

/* No such instruction, so no exit either. */
static void test_missing(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_RDTSC | PROC_INVLPG, 0);
	check(is_ud(code_rdtscp), "RDTSCP that is not enabled: #UD");
	check(is_ud(code_xsaves), "XSAVES that is not enabled: #UD");
	check(is_ud(code_getsec), "GETSEC: #UD");
	check(is_ud(code_rsm), "RSM: #UD");
	vmwrite(GUEST_CR4, READ_CR(4) & ~(1ull << 18));
	check(is_ud(code_xsetbv), "XSETBV without CR4.OSXSAVE: #UD");
	if (!vmx_has_proc(0, PROC2_XSAVES)) {
		check(true, "XSAVES # SKIP it cannot be enabled");
		return;
	}
	vmx_fresh();
	vmx_set_proc(0, PROC2_XSAVES);
	vmwrite(XSS_BITMAP, ~0ull);
	guest.rsi = ADDRESS(page_alloc());
	check(vmx_enter_at(code_xsaves) == EXIT_VMCALL,
	      "XSAVES of nothing that IA32_XSS enables: no exit");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_vmcall();
	EXITS_CHECK(table);
	test_pause_loop();
	test_missing();
}
