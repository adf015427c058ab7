/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: IA32_PERF_GLOBAL_CTRL, which entry loads, exit saves and loads, so that a counter runs in
 * the guest alone or in the host alone.
 */
#include "tests/bare/vmx/vmx.h"

#define MSR_PMC         0xc1
#define MSR_SELECT      0x186
#define MSR_GLOBAL_CTRL 0x38f

#define INSTRUCTIONS (0xc0u | 3u << 16 | 1u << 22) /* in all rings, enabled */
#define FIVE_NOPS    "nop; nop; nop; nop; nop"
#define HOST_LOOPS   1000
#define ENTRIES      100

GUEST_CODE(code_nops, FIVE_NOPS);
GUEST_CODE(code_change, "mov $0x38f, %ecx; mov $8, %eax; xor %edx, %edx; wrmsr");
GUEST_CODE(code_rdpmc, "mov $2, %ecx; rdpmc");

static uint8_t no_exits[4096] __attribute__((aligned(4096)));

static void fresh(void)
{
	vmx_set_up();
	vmwrite(MSR_BITMAP, ADDRESS(no_exits));
	vmx_set_proc(PROC_MSR_BITMAPS, 0);
	vmx_set_exit(EXITC_LOAD_COUNTERS | EXITC_SAVE_COUNTERS);
	vmx_set_entry(ENTRYC_IA32E | ENTRYC_LOAD_COUNTERS);
}

static void host_work(void)
{
	for (volatile int i = 0; i < HOST_LOOPS; i++)
		;
}

static void test_guest_only(void)
{
	unsigned failed = 0;

	fresh();
	wrmsr(MSR_GLOBAL_CTRL, 0);
	wrmsr(MSR_SELECT, INSTRUCTIONS);
	wrmsr(MSR_PMC, 0);
	vmwrite(GUEST_PERF_GLOBAL_CTRL, 1);
	vmwrite(HOST_PERF_GLOBAL_CTRL, 0);
	for (unsigned i = 0; i < ENTRIES; i++)
		failed += vmx_enter_at(code_nops) != EXIT_VMCALL;
	host_work();
	check(!failed, "a guest that is counted, %u times", ENTRIES);
	check(rdmsr(MSR_PMC) == ENTRIES * 5, "its instructions, and no others (%lu)",
	      rdmsr(MSR_PMC));
	check(rdmsr(MSR_GLOBAL_CTRL) == 0, "the host's control is loaded");
}

static void test_host_only(void)
{
	uint64_t host;

	fresh();
	wrmsr(MSR_PMC, 0);
	vmwrite(GUEST_PERF_GLOBAL_CTRL, 0);
	vmwrite(HOST_PERF_GLOBAL_CTRL, 1);
	check(vmx_enter_at(code_nops) == EXIT_VMCALL && rdmsr(MSR_GLOBAL_CTRL) == 1,
	      "a host that is counted");
	host_work();
	wrmsr(MSR_GLOBAL_CTRL, 0);
	host = rdmsr(MSR_PMC);
	check(host > HOST_LOOPS && host < 100 * HOST_LOOPS, "counts behind the exit (%lu)", host);
}

static void test_saving(void)
{
	fresh();
	vmwrite(GUEST_PERF_GLOBAL_CTRL, 4);
	vmwrite(HOST_PERF_GLOBAL_CTRL, 2);
	check(vmx_enter_at(code_change) == EXIT_VMCALL && vmread(GUEST_PERF_GLOBAL_CTRL) == 8,
	      "what the guest has written is saved");
	check(rdmsr(MSR_GLOBAL_CTRL) == 2, "while the host has its own");
	vmx_set_exit(0);
	vmx_set_entry(ENTRYC_IA32E);
	check(vmx_enter_at(code_change) == EXIT_VMCALL && rdmsr(MSR_GLOBAL_CTRL) == 8,
	      "without the controls it stays");
	wrmsr(MSR_SELECT, 0);
	wrmsr(MSR_GLOBAL_CTRL, 0);
}

static void test_rdpmc(void)
{
	fresh();
	wrmsr(MSR_PMC + 2, 0x1234567);
	check(vmx_enter_at(code_rdpmc) == EXIT_VMCALL && guest.rax == 0x1234567 && !guest.rdx,
	      "RDPMC in the guest");
	vmx_set_proc(PROC_RDPMC, 0);
	check(vmx_enter_at(code_rdpmc) == EXIT_RDPMC, "or it exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_guest_only();
	test_host_only();
	test_saving();
	test_rdpmc();
}
