/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: a hostile hypervisor, case by case: what no sane one puts into a VMCS or points it to.
 *
 * "loop=KIND" on the command line makes an L1 that never comes to an end, to be stopped from
 * outside; "abort" one whose first exit is a VMX abort.
 */
#include "tests/bare/vmx/hostile/hostile.h"

#define MSR_TSC 0x10

/* How an entry may end: in any way. */
static bool is_end(uint32_t reason)
{
	return reason != NO_ENTRY || vmread(INSTRUCTION_ERROR);
}

#define FAILS(error) (vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == (error))

struct recursive {
	const char *name;
	uint8_t code[4], length;
	uint32_t reason;
};

static void test_recursion(void)
{
	static const struct recursive cases[] = {
		{ "VMLAUNCH", { 0x0f, 0x01, 0xc2 }, 3, EXIT_VMLAUNCH },
		{ "VMRESUME", { 0x0f, 0x01, 0xc3 }, 3, EXIT_VMRESUME },
		{ "VMXOFF", { 0x0f, 0x01, 0xc4 }, 3, EXIT_VMXOFF },
		{ "VMPTRLD", { 0x0f, 0xc7, 0x34, 0x24 }, 4, EXIT_VMPTRLD },
	};

	fresh();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_code(cases[i].code, cases[i].length);
		check(vmx_enter() == cases[i].reason, "%s in L2 exits", cases[i].name);
	}
	vmx_is_launched = false;
	check(FAILS(4), "VMLAUNCH of what is launched fails");
	check(vmx_clear(vmcs_region) == 0, "VMCLEAR of the active VMCS");
	check(vmx_run(1) == 1, "VMRESUME without one fails");
	vmx_load(vmcs_region);
	vmx_is_launched = true;
	check(FAILS(5), "VMRESUME of what is clear fails");
	check(vmx_on(vmxon_region) == 2, "VMXON in VMX operation fails");
}

static void test_regions(void)
{
	static const uint64_t places[] = { DEVICE,     0xfffff000, 0xa0000,   0x8000000,  OUTSIDE,
					   1ull << 46, 1ull << 63, 0x4000001, 0xfee00000, ~0ull };

	fresh();
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const void *region = (const void *)places[i];

		vmx_clear(region);
		check(vmx_load(region) != 0, "no VMCS is loaded from %lx", places[i]);
	}
	check(vmx_load(vmxon_region) != 0 && vmx_clear(vmxon_region) != 0,
	      "the VMXON region is no VMCS");
	check(vmx_clear(page(L2_PML4)) == 0, "a VMCS is cleared that holds page tables");
	*(uint32_t *)page(L2_PD) = (uint32_t)rdmsr(MSR_VMX_BASIC);
	check(vmx_load(page(L2_PD)) == 0, "and one loaded from page tables");
	vmx_is_launched = false;
	check(is_end(vmx_enter()), "entering it comes to an end");
	set_vmcs();
	vmwrite(GUEST_CR3, ADDRESS(page(L2_PML4)));
	check(is_end(vmx_enter()), "and so with L2 behind these tables");
	vmx_clear(page(L2_PD));
}

static void test_second_stage(void)
{
	static const struct {
		const char *name;
		uint64_t root;
	} roots[] = { { "outside memory", OUTSIDE },
		      { "in a device", DEVICE },
		      { "in ROM", 0xfffff000 },
		      { "at the end of RAM", 0x8000000 } };
	uint32_t reason;

	for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		fresh();
		vmx_set_proc(0, PROC2_EPT);
		vmwrite(EPT_POINTER, roots[i].root | EPTP_BITS);
		check(vmx_enter() == EXIT_VIOLATION, "EPT %s: a violation", roots[i].name);
	}
	for (unsigned level = EPT_PML4; level <= EPT_PT; level++) {
		fresh();
		vmx_set_proc(0, PROC2_EPT);
		for (unsigned i = 0; i < 512; i++)
			page(level)[i] = ADDRESS(page(EPT_PML4)) | EPT_RIGHTS |
					 (level == EPT_PT ? EPT_WB : 0);
		reason = vmx_enter();
		check(is_end(reason), "EPT that leads back to its root from level %u: ends (%x)",
		      EPT_PT - level + 1, reason);
	}
	fresh();
	vmwrite(EPT_POINTER, ADDRESS(page(EPT_PML4)) | EPTP_BITS | 1 << 7);
	vmx_set_proc(0, PROC2_EPT);
	check(FAILS(7), "a reserved bit in the EPT pointer");
}

static void set_list(uint64_t at, uint64_t count)
{
	fresh();
	vmwrite(ENTRY_MSR_LOAD, at);
	vmwrite(ENTRY_MSR_LOAD_COUNT, count);
}

static bool loading_fails_at(uint64_t entry)
{
	return vmx_enter() == (VALID | EXIT_BAD_MSR) && vmread(EXIT_QUALIFICATION) == entry;
}

static void test_lists(void)
{
	uint64_t *list;

	set_list(DEVICE, LIST_MAX);
	check(loading_fails_at(1), "512 MSRs in a device");
	set_list(OUTSIDE, LIST_MAX);
	check(loading_fails_at(1), "512 MSRs outside memory");
	set_list(0x8000000 - 16, LIST_MAX);
	*(uint64_t *)(0x8000000 - 16) = 0xc0000081;
	check(loading_fails_at(2), "a list across the end of RAM");
	set_list(DEVICE + 8, 1);
	check(FAILS(7), "a misaligned list");
	set_list((1ull << 46) - 16, 2);
	check(FAILS(7), "a list across the physical-address width");
	set_list(ADDRESS(page(LIST)), 0xffffffff);
	list = page(LIST);
	for (unsigned i = 0; i < LIST_MAX; i++)
		list[2 * i] = 0xc0000081; /* STAR */
	check(loading_fails_at(LIST_MAX + 1), "more than 512 MSRs");
	vmwrite(ENTRY_MSR_LOAD_COUNT, LIST_MAX);
	check(vmx_enter() == EXIT_VMCALL, "512 MSRs");
}

static void test_bitmaps(void)
{
	static const uint8_t in[] = { 0xe4, 0x80 }, rdmsr_code[] = { 0x0f, 0x32 };

	fresh();
	set_code(in, sizeof(in));
	vmx_set_proc(PROC_IO_BITMAPS | PROC_MSR_BITMAPS, 0);
	vmwrite(IO_BITMAP_A, DEVICE & ~0xfffull);
	vmwrite(IO_BITMAP_B, OUTSIDE);
	vmwrite(MSR_BITMAP, OUTSIDE);
	check(vmx_enter() == EXIT_IO, "I/O with bitmaps in a device");
	set_code(rdmsr_code, sizeof(rdmsr_code));
	check(vmx_enter() == EXIT_RDMSR, "RDMSR with a bitmap outside memory");
	vmwrite(MSR_BITMAP, SANDBOX + 1);
	check(FAILS(7), "a misaligned bitmap");
	fresh();
	vmx_set_proc(PROC_TPR_SHADOW, PROC2_APIC_ACCESS);
	vmwrite(VIRTUAL_APIC, OUTSIDE);
	vmwrite(APIC_ACCESS_PAGE, ADDRESS(page(L2_CODE)));
	check(is_end(vmx_enter()), "a virtual APIC outside memory, accesses to it where L2 runs");
}

/* L2 writes the TSC, and spins with it or behind it. */
static void test_timer(void)
{
	static const uint8_t once[] = { 0x0f, 0x30, 0xeb, 0xfe },
			     again[] = { 0x0f, 0x30, 0xeb, 0xfc };
	static const uint64_t values[] = { 0, ~0ull << 16, 1ull << 63 };

	for (unsigned i = 0; i < 2 * sizeof(values) / sizeof(values[0]); i++) {
		uint64_t value = values[i / 2];

		fresh();
		set_code(i % 2 ? once : again, sizeof(once));
		vmx_set_proc(PROC_MSR_BITMAPS, 0);
		wrmsr(MSR_TSC, 1ull << 62);
		vmwrite(PREEMPTION_TIMER, 20000);
		guest = (struct guest_regs){ .rcx = MSR_TSC, .rax = value, .rdx = value >> 32 };
		check(vmx_enter() == EXIT_TIMER, "the timer ends L2 that sets the TSC to %lx",
		      value);
	}
	wrmsr(MSR_TSC, 0);
}

/* ---- without an end ---- */

/* By the first letter of the kind. */
static void set_loop(char kind)
{
	static const uint8_t spin[] = { 0xeb, 0xfe }, halt[] = { 0xf4 },
			     launch[] = { 0x0f, 0x01, 0xc2 }, reset[] = { 0xee, 0xeb, 0xfe };

	fresh();
	vmx_set_pin(0);
	switch (kind) {
	case 't': /* timer: exits before it does anything */
		vmx_set_pin(PIN_TIMER);
		vmwrite(PREEMPTION_TIMER, 0);
		break;
	case 'f': /* fails late */
		vmwrite(GUEST_RFLAGS, 0);
		break;
	case 'r': /* is refused */
		vmwrite(PIN_CONTROLS, 0);
		break;
	case 'e': /* EPT violation */
		vmx_set_proc(0, PROC2_EPT);
		vmwrite(EPT_POINTER, OUTSIDE | EPTP_BITS);
		break;
	case 's': /* spins */
		set_code(spin, sizeof(spin));
		break;
	case 'h': /* halts */
		set_code(halt, sizeof(halt));
		break;
	case 'w': /* waits for SIPI */
		vmwrite(GUEST_ACTIVITY, 3);
		break;
	case 'd': /* is shut down */
		vmwrite(GUEST_ACTIVITY, 2);
		break;
	case 'n': /* tries to enter in turn */
		set_code(launch, sizeof(launch));
		break;
	case 'z': /* resets the machine */
		set_code(reset, sizeof(reset));
		guest = (struct guest_regs){ .rdx = 0xcf9, .rax = 6 };
		break;
	case 'm': /* loads 512 MSRs each time */
		for (unsigned i = 0; i < LIST_MAX; i++)
			page(LIST)[2 * i] = 0xc0000081;
		vmwrite(ENTRY_MSR_LOAD_COUNT, LIST_MAX);
		break;
	}
}

static void __attribute__((noreturn)) loop(char kind)
{
	set_loop(kind);
	say("looping");
	for (;;)
		vmx_enter();
}

/* ---- VMX aborts ---- */

static void __attribute__((noreturn)) abort_vmx(void)
{
	fresh();
	vmwrite(EXIT_MSR_STORE, DEVICE);
	vmwrite(EXIT_MSR_STORE_COUNT, LIST_MAX);
	say("aborting");
	vmx_enter();
	say("not ok - it came back");
	bare_exit();
}

void test_main(void)
{
	const char *kind = boot_word("loop=");

	if (!vmx_begin())
		return;
	if (kind)
		loop(*kind);
	if (boot_word("abort"))
		abort_vmx();
	test_recursion();
	test_regions();
	test_second_stage();
	test_lists();
	test_bitmaps();
	test_timer();
}
