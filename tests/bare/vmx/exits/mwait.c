/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: exits of MONITOR and MWAIT; and what the two do by themselves, between two processors.
 */
#include "tests/bare/vmx/vmx.h"

#define MSR_MISC_ENABLE 0x1a0
#define ENABLE_MONITOR  (1ull << 18)
#define MONITOR_BIT     (1u << 3)
#define ROUNDS          100

static volatile uint64_t line[2] __attribute__((aligned(64))); /* what is awaited; the answer */

static bool shows_monitor(void)
{
	return cpuid(1, 0).c & MONITOR_BIT;
}

static void enable(bool is_on)
{
	uint64_t value = rdmsr(MSR_MISC_ENABLE) & ~ENABLE_MONITOR;

	wrmsr(MSR_MISC_ENABLE, value | (is_on ? ENABLE_MONITOR : 0));
}

static int64_t try_monitor(const volatile void *address, uint64_t extensions)
{
	return TRY("mov %0, %%rax; mov %1, %%rcx; xor %%edx, %%edx; monitor", "r"(address),
		   "r"(extensions));
}

static int64_t try_mwait(uint64_t extensions)
{
	return TRY("xor %%eax, %%eax; mov %0, %%rcx; mwait", "r"(extensions));
}

static void wait_for(uint64_t value)
{
	while (line[0] != value) {
		try_monitor(line, 0);
		if (line[0] != value)
			try_mwait(0);
	}
}

static void test_switch(void)
{
	check(!shows_monitor() && try_monitor(line, 0) == UD && try_mwait(0) == UD,
	      "they are off at first");
	enable(true);
	check(shows_monitor() && cpuid(5, 0).a == 64 && (cpuid(5, 0).c & 3) == 3,
	      "IA32_MISC_ENABLE switches them on");
}

static void test_faults(void)
{
	static const uint8_t code[] = { 0x0f, 0x01, 0xc8 };
	static const uint8_t mwait[] = { 0x0f, 0x01, 0xc9 };

	check(try_mwait(0) < 0, "MWAIT alone does nothing");
	check(try_monitor(line, 0) < 0 && try_mwait(1) < 0, "MONITOR and MWAIT");
	check(try_monitor(line, 1) == GP && try_monitor(line, 1ull << 32) == GP,
	      "MONITOR has no extensions");
	check(try_mwait(2) == GP && try_mwait(1ull << 32) == GP, "MWAIT has one");
	check(try_monitor((void *)(1ull << 60), 0) == GP, "an address that is not canonical");
	check(try_monitor((void *)(1ull << 40), 0) == PF, "or not mapped");
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "MONITOR is #UD in user mode");
	RUN_USER(mwait, SEL_USER_CODE64);
	check(trap.vector == UD, "so is MWAIT");
}

/* The second processor answers each value with its successor. */
static void answer(void)
{
	for (uint64_t n = 1; n <= ROUNDS; n++) {
		while (line[0] != n)
			asm volatile("pause");
		line[1] = n;
		line[0] = 0;
	}
	for (;;)
		asm volatile("cli; hlt");
}

static void test_stores(void)
{
	uint64_t n = 1;

	if (!start_ap(answer)) {
		check(false, "a second processor");
		return;
	}
	for (; n <= ROUNDS; n++) {
		line[0] = n;
		wait_for(0);
		if (line[1] != n)
			break;
	}
	check(n == ROUNDS + 1, "another processor's store ends it, %lu times", n - 1);
}

GUEST_CODE(code_monitor, "monitor");
GUEST_CODE(code_mwait, "mwait");
GUEST_CODE(code_both, "monitor; mwait");

static void fresh(uint32_t proc)
{
	vmx_fresh();
	vmx_set_proc(proc, 0);
	guest.rax = ADDRESS(line);
	guest.rcx = guest.rdx = 0;
}

static void test_exits(void)
{
	fresh(PROC_MONITOR);
	check(vmx_enter_at(code_monitor) == EXIT_MONITOR && vmread(EXIT_LENGTH) == 3,
	      "MONITOR exits");
	fresh(PROC_MWAIT);
	try_monitor(line, 0);
	check(vmx_enter_at(code_mwait) == EXIT_MWAIT && vmread(EXIT_QUALIFICATION) == 0,
	      "MWAIT exits; entry has disarmed the line");
	check(vmx_enter_at(code_both) == EXIT_MWAIT && vmread(EXIT_QUALIFICATION) == 1,
	      "the qualification says that one is armed");
	fresh(0);
	check(vmx_enter_at(code_both) == EXIT_VMCALL && vmread(GUEST_ACTIVITY) == 0,
	      "neither exits without its control");
	enable(false);
	fresh(PROC_MONITOR | PROC_MWAIT);
	vmwrite(EXCEPTION_BITMAP, 1u << UD);
	check(vmx_enter_at(code_monitor) == EXIT_EXCEPTION &&
		      vmx_enter_at(code_mwait) == EXIT_EXCEPTION,
	      "#UD comes before the exits");
}

void test_main(void)
{
	test_switch();
	test_faults();
	test_stores();
	if (vmx_begin())
		test_exits();
}
