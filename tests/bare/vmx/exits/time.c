/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: what a guest sees of the TSC.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_rdtsc, "rdtsc");

static uint64_t guest_tsc(void)
{
	vmx_enter_at(code_rdtsc);
	return guest.rdx << 32 | (uint32_t)guest.rax;
}

static void test_tsc(void)
{
	uint64_t before, seen;

	vmx_fresh();
	vmx_set_proc(PROC_TSC_OFFSET, 0);
	vmwrite(TSC_OFFSET, 1ull << 50);
	before = rdtsc();
	seen = guest_tsc() - (1ull << 50);
	check(seen > before && seen < rdtsc(), "TSC offset");
	vmx_set_proc(PROC_TSC_OFFSET, PROC2_TSC_SCALING);
	vmwrite(TSC_OFFSET, 0);
	vmwrite(TSC_MULTIPLIER, 3ull << 48);
	before = rdtsc();
	seen = guest_tsc() / 3;
	check(seen >= before && seen < rdtsc(), "TSC scaling");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_tsc();
}
