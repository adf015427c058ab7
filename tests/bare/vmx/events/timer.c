/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: the preemption timer; HLT.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_spin, "1: jmp 1b");
GUEST_CODE(code_nops, "nop; nop; cpuid");

static void test_timer(void)
{
	uint64_t before;

	vmx_fresh();
	vmx_set_pin(PIN_TIMER);
	vmx_set_exit(EXITC_SAVE_TIMER);
	vmwrite(PREEMPTION_TIMER, 0);
	check(vmx_enter_at(code_spin) == EXIT_TIMER, "the preemption timer at once");
	vmwrite(PREEMPTION_TIMER, 20000);
	before = rdtsc();
	check(vmx_enter_at(code_spin) == EXIT_TIMER && (rdtsc() >> 5) - (before >> 5) >= 20000,
	      "and after a while");
	check(vmread(PREEMPTION_TIMER) == 0, "it is saved as 0");
	vmwrite(PREEMPTION_TIMER, 20000);
	vmwrite(GUEST_ACTIVITY, 1);
	check(vmx_enter_at(code_spin) == EXIT_TIMER && vmread(GUEST_ACTIVITY) == 1,
	      "it wakes from HLT");
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(PREEMPTION_TIMER, 1u << 30);
	vmx_enter_at(code_vmcall);
	check(vmread(PREEMPTION_TIMER) < 1u << 30 && vmread(PREEMPTION_TIMER) > 1u << 29,
	      "the rest is saved");
}

/* States that the timer ends, and those that it does not. */
static void test_activity(void)
{
	vmx_fresh();
	vmx_set_pin(PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, 1000);
	vmwrite(GUEST_ACTIVITY, SHUTDOWN);
	check(vmx_enter_at(code_spin) == EXIT_TIMER && vmread(GUEST_ACTIVITY) == SHUTDOWN,
	      "it exits from shutdown");
	vmwrite(PREEMPTION_TIMER, 0);
	check(vmx_enter_at(code_spin) == EXIT_TIMER && vmread(GUEST_ACTIVITY) == SHUTDOWN,
	      "at once, too");
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	vmwrite(PREEMPTION_TIMER, 1000);
	vmx_set_exit(0);
	check(vmx_enter_at(code_spin) == EXIT_TIMER && vmread(PREEMPTION_TIMER) == 1000,
	      "unsaved it stays as it was");
}

static void test_hlt(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_HLT, 0);
	check(vmx_enter_at(code_hlt) == EXIT_HLT && vmread(EXIT_LENGTH) == 1, "HLT exits");
	vmx_fresh();
	vmx_handled = 0;
	vmx_set_pin(PIN_INTERRUPT | PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, 1000000);
	check(vmx_enter_at(code_hlt) == EXIT_TIMER && vmread(GUEST_ACTIVITY) == 1,
	      "HLT without exit halts");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_timer();
	test_activity();
	test_hlt();
}
