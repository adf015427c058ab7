/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: what a guest sees of the TSC.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_rdtsc, "rdtsc");
GUEST_CODE(code_rdtscp, "rdtscp");
GUEST_CODE(code_rdmsr, "mov $0x10, %ecx; rdmsr");

static uint64_t guest_tsc_by(const void *code)
{
	vmx_enter_at(code);
	return guest.rdx << 32 | (uint32_t)guest.rax;
}

static uint64_t guest_tsc(void)
{
	return guest_tsc_by(code_rdtsc);
}

/* Each way to read it, with an offset that takes it back to about zero. */
static void test_ways(void)
{
	static const struct {
		const char *name;
		const void *code;
	} ways[] = { { "RDTSC", code_rdtsc }, { "RDTSCP", code_rdtscp }, { "RDMSR", code_rdmsr } };
	static uint8_t no_exits[4096] __attribute__((aligned(4096)));
	uint64_t begin = rdtsc();

	vmx_fresh();
	vmwrite(MSR_BITMAP, ADDRESS(no_exits));
	vmx_set_proc(PROC_TSC_OFFSET | PROC_MSR_BITMAPS, PROC2_RDTSCP);
	vmwrite(TSC_OFFSET, -begin);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t seen = guest_tsc_by(ways[i].code);

		check(seen > 0 && seen < rdtsc() - begin, "%s has the offset", ways[i].name);
	}
	vmx_set_proc(PROC_MSR_BITMAPS, PROC2_RDTSCP);
	check(guest_tsc() > begin, "not so without the control");
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
	test_ways();
	test_tsc();
}
