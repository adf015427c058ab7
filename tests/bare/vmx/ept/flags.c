/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, EPT: accessed and dirty flags, and the log of modified pages.
 */
#include "tests/bare/vmx/ept.h"

/* What the guest sees at one of the pages, by default the first. */
static uint8_t data[1][4096] __attribute__((aligned(4096)));
static uint64_t log[512] __attribute__((aligned(4096)));
static struct ept ept;

static void fresh(uint32_t proc2, uint64_t eptp_bits)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | eptp_bits);
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_write, "mov %rsi, (%rdi)");

static void test_flags(void)
{
	fresh(PROC2_EPT, EPTP_FLAGS);
	vmx_enter_at(code_read);
	check((*ept_entry(&ept, data[0]) & (A | D)) == A && (ept.root[0] & A),
	      "a read sets the accessed flags");
	vmx_enter_at(code_write);
	check((*ept_entry(&ept, data[0]) & (A | D)) == (A | D), "a write after it the dirty flag");
	fresh(PROC2_EPT, 0);
	vmx_enter_at(code_write);
	check(!(*ept_entry(&ept, data[0]) & (A | D)), "none without EPTP's bit 6");
}

static void test_log(void)
{
	fresh(PROC2_EPT | PROC2_PML, EPTP_FLAGS);
	vmwrite(PML_ADDRESS, ADDRESS(log));
	vmwrite(PML_INDEX, 511);
	check(vmx_enter_at(code_write) == EXIT_VMCALL, "a guest with a log of modified pages runs");
	check(log[(uint16_t)vmread(PML_INDEX) + 1] == ADDRESS(data[0]), "it names the page");
	*ept_entry(&ept, data[0]) &= ~D;
	invept(2, 0, 0);
	vmwrite(PML_INDEX, 0xffff);
	check(vmx_enter_at(code_write) == EXIT_PML_FULL && !(*ept_entry(&ept, data[0]) & D),
	      "it is full");
	vmwrite(PML_INDEX, 511);
	check(vmx_enter() == EXIT_VMCALL && log[511] == ADDRESS(data[0]), "and emptied");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	test_flags();
	test_log();
}
