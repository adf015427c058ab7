/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, entry: the checks on guest state, which end in an exit that loads host state.
 */
#include "tests/bare/vmx/entry/rules.h"

#define BASE(n)   (GUEST_ES_BASE + 2 * (n))
#define LIMIT(n)  (GUEST_ES_LIMIT + 2 * (n))
#define RIGHTS(n) (GUEST_ES_RIGHTS + 2 * (n))
#define GUEST(n)  (GUEST_ES + 2 * (n))

#define RIGHTS_CODE32 0xc09bu
#define RIGHTS_LDT    0x82u
#define PAT_BAD       0x0007040600070402ull
#define EFER_LONG     0x500
#define CR4_PAE       0x20
#define CR4_PCIDE     (1u << 17)
#define NE            0x20

#define IN_32_BITS  MINUS(ENTRY_CONTROLS, ENTRYC_IA32E), IS(RIGHTS(SEG_CS), RIGHTS_CODE32)
#define INJECT(e)   IS(ENTRY_INTERRUPTION, VALID | (e))
#define BLOCKED(by) IS(GUEST_INTERRUPTIBILITY, by)
#define WITH_IF     IS(GUEST_RFLAGS, 2 | RFLAGS_IF)
#define STEPPING    IS(GUEST_RFLAGS, 2 | RFLAGS_TF)
#define IN_HLT      IS(GUEST_ACTIVITY, HALTED)
#define BS          0x4000

static const struct rule registers[] = {
	{ "CR0 without NE", { MINUS(GUEST_CR0, NE) } },
	{ "CR0 with bit 32", { PLUS(GUEST_CR0, 1ull << 32) } },
	{ "CR4 without VMXE", { MINUS(GUEST_CR4, CR4_VMXE) } },
	{ "CR4 with bit 63", { PLUS(GUEST_CR4, 1ull << 63) } },
	{ "IA-32e mode without PAE", { MINUS(GUEST_CR4, CR4_PAE) } },
	{ "PCIDE outside IA-32e mode", { IN_32_BITS, PLUS(GUEST_CR4, CR4_PCIDE) } },
	{ "CR3 beyond physical addresses", { PLUS(GUEST_CR3, BEYOND) } },
	{ "DEBUGCTL with a reserved bit",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_DEBUG), IS(GUEST_DEBUGCTL, 1 << 5) } },
	{ "DR7 with bit 32",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_DEBUG), IS(GUEST_DR7, 1ull << 32) } },
	{ "SYSENTER's stack not canonical", { IS(GUEST_SYSENTER_ESP, NOT_CANONICAL) } },
	{ "SYSENTER's entry not canonical", { IS(GUEST_SYSENTER_EIP, NOT_CANONICAL) } },
	{ "PERF_GLOBAL_CTRL with a reserved bit",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_COUNTERS), IS(GUEST_PERF_GLOBAL_CTRL, 1ull << 35) } },
	{ "PAT with a reserved type",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_PAT), IS(GUEST_PAT, PAT_BAD) } },
	{ "EFER with a reserved bit",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_EFER), IS(GUEST_EFER, EFER_LONG | 2) } },
	{ "EFER.LMA against the control",
	  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_EFER), IS(GUEST_EFER, 0) } },
	{ "RIP not canonical", { IS(GUEST_RIP, NOT_CANONICAL) } },
	{ "RIP above 4 GiB in 32 bits", { IN_32_BITS, PLUS(GUEST_RIP, 1ull << 32) } },
	{ "RFLAGS without bit 1", { IS(GUEST_RFLAGS, 0) } },
	{ "RFLAGS with bit 3", { IS(GUEST_RFLAGS, 2 | 8) } },
	{ "RFLAGS.VM in IA-32e mode", { IS(GUEST_RFLAGS, 2 | 1 << 17) } },
	{ "an interrupt injected with IF clear", { INJECT(VECTOR) } },
};

static const struct rule segments[] = {
	{ "TR with TI", { IS(GUEST(SEG_TR), SEL_TSS | 4) } },
	{ "LDTR with TI", { IS(GUEST(SEG_LDTR), 4), IS(RIGHTS(SEG_LDTR), RIGHTS_LDT) } },
	{ "SS with another RPL than CS", { IS(GUEST(SEG_SS), SEL_DATA | 3) } },
	{ "TR base not canonical", { IS(BASE(SEG_TR), NOT_CANONICAL) } },
	{ "FS base not canonical", { IS(BASE(SEG_FS), NOT_CANONICAL) } },
	{ "GS base not canonical", { IS(BASE(SEG_GS), NOT_CANONICAL) } },
	{ "CS base above 4 GiB", { IS(BASE(SEG_CS), 1ull << 32) } },
	{ "SS base above 4 GiB", { IS(BASE(SEG_SS), 1ull << 32) } },
	{ "DS base above 4 GiB", { IS(BASE(SEG_DS), 1ull << 32) } },
	{ "ES base above 4 GiB", { IS(BASE(SEG_ES), 1ull << 32) } },
	{ "CS not accessed", { MINUS(RIGHTS(SEG_CS), 1) } },
	{ "CS data", { IS(RIGHTS(SEG_CS), RIGHTS_DATA) } },
	{ "SS read-only", { MINUS(RIGHTS(SEG_SS), 2) } },
	{ "DS not accessed", { MINUS(RIGHTS(SEG_DS), 1) } },
	{ "ES code that cannot be read", { IS(RIGHTS(SEG_ES), 0xc099) } },
	{ "FS a system segment", { MINUS(RIGHTS(SEG_FS), 0x10) } },
	{ "CS with another DPL than SS", { PLUS(RIGHTS(SEG_CS), 0x20) } },
	{ "SS with another DPL than RPL",
	  { PLUS(RIGHTS(SEG_SS), 0x20), PLUS(RIGHTS(SEG_CS), 0x20) } },
	{ "DS with a DPL below its RPL", { IS(GUEST(SEG_DS), SEL_DATA | 3) } },
	{ "GS not present", { MINUS(RIGHTS(SEG_GS), 0x80) } },
	{ "CS with bit 8", { PLUS(RIGHTS(SEG_CS), 0x100) } },
	{ "ES with bit 17", { PLUS(RIGHTS(SEG_ES), 0x20000) } },
	{ "SS with G and a limit in bytes", { IS(LIMIT(SEG_SS), 0xfffffffe) } },
	{ "CS without G and a limit in pages", { MINUS(RIGHTS(SEG_CS), 0x8000) } },
	{ "CS with L and D", { PLUS(RIGHTS(SEG_CS), 0x4000) } },
	{ "TR not busy", { IS(RIGHTS(SEG_TR), 0x89) } },
	{ "TR a 16-bit TSS in IA-32e mode", { IS(RIGHTS(SEG_TR), 0x83) } },
	{ "TR not usable", { PLUS(RIGHTS(SEG_TR), UNUSABLE) } },
	{ "TR with S", { PLUS(RIGHTS(SEG_TR), 0x10) } },
	{ "LDTR of another type", { IS(RIGHTS(SEG_LDTR), RIGHTS_TSS) } },
	{ "LDTR not present", { IS(RIGHTS(SEG_LDTR), 2) } },
	{ "GDTR base not canonical", { IS(GUEST_GDTR_BASE, NOT_CANONICAL) } },
	{ "IDTR base not canonical", { IS(GUEST_IDTR_BASE, NOT_CANONICAL) } },
	{ "GDTR limit of 17 bits", { IS(GUEST_GDTR_LIMIT, 0x10000) } },
	{ "IDTR limit of 17 bits", { IS(GUEST_IDTR_LIMIT, 0x10000) } },
};

static const struct rule non_registers[] = {
	{ "activity state 4", { IS(GUEST_ACTIVITY, 4) } },
	{ "HLT with blocking by STI", { IN_HLT, WITH_IF, BLOCKED(BLOCKED_STI) } },
	{ "HLT with #UD to inject", { IN_HLT, INJECT(TYPE_FAULT | UD) } },
	{ "shutdown with #DB to inject",
	  { IS(GUEST_ACTIVITY, SHUTDOWN), INJECT(TYPE_FAULT | DB) } },
	{ "wait-for-SIPI with an NMI to inject",
	  { IS(GUEST_ACTIVITY, WAIT_FOR_SIPI), INJECT(TYPE_NMI | NMI) } },
	{ "interruptibility with bit 5", { BLOCKED(1 << 5) } },
	{ "blocking by STI and by MOV SS", { WITH_IF, BLOCKED(BLOCKED_STI | BLOCKED_MOV_SS) } },
	{ "blocking by STI with IF clear", { BLOCKED(BLOCKED_STI) } },
	{ "blocking by SMI", { BLOCKED(4) } },
	{ "blocking by STI with an interrupt to inject",
	  { WITH_IF, BLOCKED(BLOCKED_STI), INJECT(VECTOR) } },
	{ "blocking by MOV SS with an NMI to inject",
	  { BLOCKED(BLOCKED_MOV_SS), INJECT(TYPE_NMI | NMI) } },
	{ "blocking by NMI with a virtual NMI to inject",
	  { PLUS(PIN_CONTROLS, PIN_NMI | PIN_VNMI), BLOCKED(BLOCKED_NMI),
	    INJECT(TYPE_NMI | NMI) } },
	{ "pending debug exceptions with bit 4", { IS(GUEST_PENDING_DEBUG, 1 << 4) } },
	{ "no single step pending in HLT, with TF", { STEPPING, IN_HLT } },
	{ "a single step pending in HLT, without TF", { IN_HLT, IS(GUEST_PENDING_DEBUG, BS) } },
};

static const struct rule link[] = {
	{ "link pointer off its page", { IS(LINK_POINTER, 8) } },
	{ "link pointer beyond physical addresses", { IS(LINK_POINTER, BEYOND) } },
	{ "link pointer to the current VMCS", { IS(LINK_POINTER, ADDRESS(vmcs_region)) } },
	{ "link pointer to no VMCS", { IS(LINK_POINTER, ADDRESS(guest_stack)) } },
	{ "link pointer to no shadow VMCS",
	  { IS(LINK_POINTER, ADDRESS(vmxon_region)), PROC2(PROC2_SHADOWING), IS(VMREAD_BITMAP, 0),
	    IS(VMWRITE_BITMAP, 0) } },
};

static const struct rule good[] = {
	{ "CR0 with CD and NW", { PLUS(GUEST_CR0, 3u << 29) } },
	{ "DEBUGCTL and DR7 that are not loaded",
	  { IS(GUEST_DEBUGCTL, ~0ull), IS(GUEST_DR7, ~0ull) } },
	{ "a data segment that is not usable",
	  { IS(RIGHTS(SEG_DS), UNUSABLE), IS(BASE(SEG_DS), ~0ull) } },
	{ "a link pointer to another VMCS", { IS(LINK_POINTER, ADDRESS(vmxon_region)) } },
	{ "blocking by MOV SS with a step pending",
	  { BLOCKED(BLOCKED_MOV_SS), IS(GUEST_PENDING_DEBUG, 0) } },
};

/* A failed entry saves nothing and launches nothing. */
static void test_aftermath(void)
{
	vmx_set_up();
	vmwrite(GUEST_RFLAGS, 0);
	vmwrite(GUEST_RSP, 0x1234);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_NMI | NMI);
	check(vmx_enter_at(rules_code) == FAILS_GUEST, "a failed entry");
	check(vmread(GUEST_RIP) == ADDRESS(rules_code) && vmread(GUEST_RSP) == 0x1234,
	      "saves no guest state");
	check(vmread(ENTRY_INTERRUPTION) == (VALID | TYPE_NMI | NMI), "keeps what is to inject");
	vmwrite(ENTRY_INTERRUPTION, 0);
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter() == EXIT_VMCALL, "and VMLAUNCH works after it");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	RULES_CHECK(registers, FAILS_GUEST, 0);
	RULES_CHECK(segments, FAILS_GUEST, 0);
	RULES_CHECK(non_registers, FAILS_GUEST, 0);
	RULES_CHECK(link, FAILS_GUEST, 4);
	RULES_CHECK(good, ENTERS, 0);
	test_aftermath();
}
