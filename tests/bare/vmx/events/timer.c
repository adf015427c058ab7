/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: the preemption timer, the monitor trap flag, HLT.
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

static void test_trap_flag(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_MTF, 0);
	check(vmx_enter_at(code_nops) == EXIT_MTF && vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "the monitor trap flag: one instruction");
	check(vmx_enter() == EXIT_MTF && vmread(GUEST_RIP) == ADDRESS(code_nops) + 2, "two");
	check(vmx_enter() == EXIT_CPUID, "an exit comes before it");
	vmx_handled = 0;
	set_handler(VECTOR, vmx_count);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(vmx_enter_at(code_nops) == EXIT_MTF &&
		      vmread(GUEST_RIP) == (uintptr_t)stubs + 16 * VECTOR,
	      "an injected event: before its handler");
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
	test_trap_flag();
	test_hlt();
}
