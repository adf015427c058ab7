/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: the lists of MSRs that entry loads, and that exit stores and loads.
 */
#include "tests/bare/vmx/vmx.h"

#define MSR_FS_BASE 0xc0000100
#define MSR_STAR    0xc0000081
#define MSR_LSTAR   0xc0000082
#define MSR_TSC     0x10
#define MSR_NONE    0x12345678

struct entry {
	uint32_t index, reserved;
	uint64_t value;
};

#define LIST_MAX 512

static struct entry load[LIST_MAX] __attribute__((aligned(16)));
static struct entry store[2] __attribute__((aligned(16)));

GUEST_CODE(code_rdmsr, "rdmsr");
GUEST_CODE(code_wrmsr, "wrmsr");

static void fresh(void)
{
	static uint8_t no_exits[4096] __attribute__((aligned(4096)));

	vmx_set_up();
	vmwrite(MSR_BITMAP, ADDRESS(no_exits));
	vmx_set_proc(PROC_MSR_BITMAPS, 0);
	vmwrite(ENTRY_MSR_LOAD, ADDRESS(load));
	vmwrite(EXIT_MSR_LOAD, ADDRESS(load));
	vmwrite(EXIT_MSR_STORE, ADDRESS(store));
	load[0] = (struct entry){ MSR_LSTAR, 0, 0x1111 };
	load[1] = (struct entry){ MSR_STAR, 0, 0x2222 };
	guest.rcx = MSR_LSTAR;
}

static void test_entry(void)
{
	fresh();
	wrmsr(MSR_LSTAR, 0);
	wrmsr(MSR_STAR, 0);
	vmwrite(ENTRY_MSR_LOAD_COUNT, 2);
	check(vmx_enter_at(code_rdmsr) == EXIT_VMCALL && guest.rax == 0x1111, "the guest's MSR");
	check(rdmsr(MSR_LSTAR) == 0x1111 && rdmsr(MSR_STAR) == 0x2222, "stays after the exit");
}

static void test_exit(void)
{
	fresh();
	vmwrite(EXIT_MSR_LOAD_COUNT, 2);
	vmwrite(EXIT_MSR_STORE_COUNT, 2);
	store[0] = (struct entry){ MSR_LSTAR, 0, 0 };
	store[1] = (struct entry){ MSR_TSC, 0, 0 };
	guest.rax = 0x3333;
	guest.rdx = 0;
	check(vmx_enter_at(code_wrmsr) == EXIT_VMCALL && store[0].value == 0x3333,
	      "the guest's MSR is stored");
	check(store[1].value && store[1].value < rdtsc(), "so is the TSC");
	check(rdmsr(MSR_LSTAR) == 0x1111 && rdmsr(MSR_STAR) == 0x2222, "and the host's loaded");
}

struct bad {
	const char *name;
	struct entry entry;
};

/* What entry may not load; the qualification counts entries from 1. */
static void test_failures(void)
{
	static const struct bad bad[] = {
		{ "no MSR", { MSR_NONE, 0, 0 } },
		{ "a bad value", { MSR_LSTAR, 0, 1ull << 63 } },
		{ "reserved bits", { MSR_LSTAR, 1, 0 } },
		{ "FS.base", { MSR_FS_BASE, 0, 0 } },
		{ "EFER without LME", { MSR_EFER, 0, 0 } },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fresh();
		load[1] = bad[i].entry;
		vmwrite(ENTRY_MSR_LOAD_COUNT, 2);
		check(vmx_enter_at(code_rdmsr) == (ENTRY_FAILED | EXIT_BAD_MSR) &&
			      vmread(EXIT_QUALIFICATION) == 2,
		      "entry fails: %s (%lx)", bad[i].name, vmread(EXIT_QUALIFICATION));
		check(rdmsr(MSR_LSTAR) == 0x1111, "with the first loaded");
	}
}

static void test_long_list(void)
{
	fresh();
	for (unsigned i = 0; i < LIST_MAX; i++)
		load[i] = (struct entry){ MSR_LSTAR, 0, i };
	vmwrite(ENTRY_MSR_LOAD_COUNT, LIST_MAX);
	check(vmx_enter_at(code_rdmsr) == EXIT_VMCALL && guest.rax == LIST_MAX - 1, "512 entries");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_entry();
	test_exit();
	test_failures();
	test_long_list();
}
