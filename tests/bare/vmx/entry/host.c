/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, entry: the checks on host state, which fail with VM-instruction error 8.
 */
#include "tests/bare/vmx/entry/rules.h"

#define HOST(n)  (HOST_ES + 2 * (n))
#define HOST_TR  HOST(6)
#define CR4_PAE  0x20
#define PAT_BAD  0x0007040600070402ull
#define EFER_LME 0x100
#define EFER_LMA 0x400

static const struct rule rules[] = {
	{ "CR0 without PE", { MINUS(HOST_CR0, 1) } },
	{ "CR0 with bit 32", { PLUS(HOST_CR0, 1ull << 32) } },
	{ "CR4 without VMXE", { MINUS(HOST_CR4, CR4_VMXE) } },
	{ "CR4 with bit 63", { PLUS(HOST_CR4, 1ull << 63) } },
	{ "CR3 beyond physical addresses", { PLUS(HOST_CR3, BEYOND) } },
	{ "SYSENTER's stack not canonical", { IS(HOST_SYSENTER_ESP, NOT_CANONICAL) } },
	{ "SYSENTER's entry not canonical", { IS(HOST_SYSENTER_EIP, NOT_CANONICAL) } },
	{ "PERF_GLOBAL_CTRL with a reserved bit",
	  { PLUS(EXIT_CONTROLS, EXITC_LOAD_COUNTERS), IS(HOST_PERF_GLOBAL_CTRL, 1ull << 4) } },
	{ "PAT with a reserved type",
	  { PLUS(EXIT_CONTROLS, EXITC_LOAD_PAT), IS(HOST_PAT, PAT_BAD) } },
	{ "EFER with a reserved bit",
	  { PLUS(EXIT_CONTROLS, EXITC_LOAD_EFER), IS(HOST_EFER, EFER_LMA | EFER_LME | 2) } },
	{ "EFER.LMA without LME",
	  { PLUS(EXIT_CONTROLS, EXITC_LOAD_EFER), IS(HOST_EFER, EFER_LMA) } },
	{ "ES with RPL", { IS(HOST(SEG_ES), SEL_DATA | 3) } },
	{ "CS with RPL", { IS(HOST(SEG_CS), SEL_CODE64 | 3) } },
	{ "SS with TI", { IS(HOST(SEG_SS), SEL_DATA | 4) } },
	{ "DS with RPL", { IS(HOST(SEG_DS), SEL_DATA | 1) } },
	{ "FS with RPL", { IS(HOST(SEG_FS), SEL_DATA | 2) } },
	{ "GS with TI", { IS(HOST(SEG_GS), SEL_DATA | 4) } },
	{ "TR with TI", { IS(HOST_TR, SEL_TSS | 4) } },
	{ "CS null", { IS(HOST(SEG_CS), 0) } },
	{ "TR null", { IS(HOST_TR, 0) } },
	{ "FS base not canonical", { IS(HOST_FS_BASE, NOT_CANONICAL) } },
	{ "GS base not canonical", { IS(HOST_GS_BASE, NOT_CANONICAL) } },
	{ "GDTR base not canonical", { IS(HOST_GDTR_BASE, NOT_CANONICAL) } },
	{ "IDTR base not canonical", { IS(HOST_IDTR_BASE, NOT_CANONICAL) } },
	{ "TR base not canonical", { IS(HOST_TR_BASE, NOT_CANONICAL) } },
	{ "a 32-bit host from 64-bit mode", { MINUS(EXIT_CONTROLS, EXITC_HOST_64) } },
	{ "CR4 without PAE", { MINUS(HOST_CR4, CR4_PAE) } },
	{ "RIP not canonical", { IS(HOST_RIP, NOT_CANONICAL) } },
};

static const struct rule good[] = {
	{ "null selectors but CS and TR", { IS(HOST(SEG_SS), 0), IS(HOST(SEG_FS), 0) } },
	{ "PAT and EFER that are not loaded", { IS(HOST_PAT, ~0ull), IS(HOST_EFER, ~0ull) } },
	{ "PERF_GLOBAL_CTRL that is not loaded", { IS(HOST_PERF_GLOBAL_CTRL, ~0ull) } },
};

/* What an exit makes of all that. */
static void test_loading(void)
{
	const uint64_t pat = rdmsr(MSR_PAT);
	uint16_t fs, ldtr;

	vmx_set_up();
	vmx_set_exit(EXITC_LOAD_PAT | EXITC_LOAD_EFER);
	vmwrite(HOST(SEG_FS), 0);
	vmwrite(HOST_FS_BASE, 0x123456789000);
	vmwrite(HOST_SYSENTER_ESP, 0x1000);
	vmwrite(HOST_SYSENTER_EIP, 0x2000);
	vmwrite(HOST_PAT, 0x0007040600070400ull);
	vmwrite(HOST_EFER, rdmsr(MSR_EFER) | 1);
	WRITE_DR(7, 0x401);
	wrmsr(MSR_DEBUGCTL, 2);
	check(vmx_enter_at(rules_code) == EXIT_VMCALL, "a host with more than it has had");
	asm volatile("mov %%fs, %0; sldt %1" : "=r"(fs), "=r"(ldtr));
	check(fs == 0 && rdmsr(0xc0000100) == 0x123456789000, "FS, null, has its base");
	check(ldtr == 0, "LDTR is null");
	check(rdmsr(0x175) == 0x1000 && rdmsr(0x176) == 0x2000, "SYSENTER's MSRs are loaded");
	check(rdmsr(MSR_PAT) == 0x0007040600070400ull, "so is the PAT");
	check(rdmsr(MSR_EFER) & 1, "and EFER");
	check(READ_DR(7) == 0x400 && rdmsr(MSR_DEBUGCTL) == 0, "DR7 and DEBUGCTL are as at reset");
	wrmsr(MSR_PAT, pat);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	RULES_CHECK(rules, FAILS_HOST, 0);
	RULES_CHECK(good, ENTERS, 0);
	test_loading();
}
