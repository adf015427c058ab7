/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: the monitor trap flag, behind one instruction of each kind.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_nops, "nop; nop; cpuid");
GUEST_CODE(code_int80, "int $0x80");
GUEST_CODE(code_ud, "ud2");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_stos, "rep stosb");
GUEST_CODE(code_mov_ss, "mov %ss, %eax; mov %eax, %ss; nop; nop");
GUEST_CODE(code_loop, "1: loop 1b");

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

static bool traps_at(const void *code, uint64_t rip)
{
	return vmx_enter_at(code) == EXIT_MTF && vmread(GUEST_RIP) == rip;
}

static void test_instructions(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_MTF, 0);
	set_handler(UD, vmx_count);
	check(traps_at(code_int80, ADDRESS(stubs) + 16 * 0x80), "INT: before its handler");
	check(traps_at(code_ud, ADDRESS(stubs) + 16 * UD), "a fault: before its handler");
	check(!(vmread(IDT_VECTORING) & VALID), "which has been delivered");
	guest.rcx = 3;
	guest.rdi = ADDRESS(vmx_memory);
	check(traps_at(code_stos, ADDRESS(code_stos)) && guest.rcx == 2,
	      "a string instruction: behind each element");
	guest.rcx = 2;
	check(traps_at(code_loop, ADDRESS(code_loop)) && guest.rcx == 1, "a branch: at its target");
	check(traps_at(code_mov_ss, ADDRESS(code_mov_ss) + 2), "a MOV");
	check(vmx_enter() == EXIT_MTF && vmread(GUEST_RIP) == ADDRESS(code_mov_ss) + 4 &&
		      vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_MOV_SS,
	      "MOV SS: with its blocking");
	check(traps_at(code_hlt, ADDRESS(code_hlt) + 1) && vmread(GUEST_ACTIVITY) == HALTED,
	      "HLT: halted");
	set_handler(UD, NULL);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_trap_flag();
	test_instructions();
}
