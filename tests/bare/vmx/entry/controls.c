/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, entry: the checks on the control fields, which fail with VM-instruction error 7.
 */
#include "tests/bare/vmx/entry/rules.h"

#define INJECT(type, vector) IS(ENTRY_INTERRUPTION, VALID | (type) | (vector))
#define WITH_EPT             IS(EPT_POINTER, EPTP_BITS), PROC2(PROC2_EPT)

static const struct rule execution[] = {
	{ "pin-based: a bit that must be one", { IS(PIN_CONTROLS, 0) } },
	{ "pin-based: a reserved bit", { PLUS(PIN_CONTROLS, 1u << 31) } },
	{ "primary: a reserved bit", { PLUS(PROC_CONTROLS, 1) } },
	{ "secondary: a reserved bit", { PROC2(1u << 31) } },
	{ "five CR3 targets", { IS(CR3_TARGET_COUNT, 5) } },
	{ "I/O bitmap A off its page",
	  { PLUS(PROC_CONTROLS, PROC_IO_BITMAPS), IS(IO_BITMAP_A, 8) } },
	{ "I/O bitmap B beyond physical addresses",
	  { PLUS(PROC_CONTROLS, PROC_IO_BITMAPS), IS(IO_BITMAP_B, BEYOND) } },
	{ "MSR bitmap off its page", { PLUS(PROC_CONTROLS, PROC_MSR_BITMAPS), IS(MSR_BITMAP, 1) } },
	{ "virtual NMIs without NMI exiting", { PLUS(PIN_CONTROLS, PIN_VNMI) } },
	{ "NMI window without virtual NMIs", { PLUS(PROC_CONTROLS, PROC_NMI_WINDOW) } },
	{ "VPID 0", { PROC2(PROC2_VPID), IS(VPID, 0) } },
	{ "EPT: another memory type", { WITH_EPT, IS(EPT_POINTER, EPTP_BITS | 1) } },
	{ "EPT: another walk length", { WITH_EPT, IS(EPT_POINTER, EPTP_BITS ^ 1 << 3) } },
	{ "EPT: a reserved bit", { WITH_EPT, IS(EPT_POINTER, EPTP_BITS | 1 << 8) } },
	{ "EPT: beyond physical addresses", { WITH_EPT, IS(EPT_POINTER, EPTP_BITS | BEYOND) } },
	{ "page-modification log without EPT", { PROC2(PROC2_PML) } },
	{ "page-modification log off its page",
	  { WITH_EPT, PLUS(PROC_CONTROLS2, PROC2_PML), IS(PML_ADDRESS, 8) } },
	{ "unrestricted guest without EPT", { PROC2(PROC2_UNRESTRICTED) } },
	{ "VMREAD bitmap off its page", { PROC2(PROC2_SHADOWING), IS(VMREAD_BITMAP, 8) } },
	{ "VMWRITE bitmap off its page", { PROC2(PROC2_SHADOWING), IS(VMWRITE_BITMAP, BEYOND) } },
	{ "TSC multiplier 0", { PROC2(PROC2_TSC_SCALING), IS(TSC_MULTIPLIER, 0) } },
};

static uint8_t vapic[4096] __attribute__((aligned(4096)));

#define SHADOW   PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), IS(VIRTUAL_APIC, ADDRESS(vapic))
#define DELIVERY SHADOW, PLUS(PIN_CONTROLS, PIN_INTERRUPT | PIN_POSTED), PROC2(PROC2_INTERRUPTS)

static const struct rule apic[] = {
	{ "virtual APIC off its page", { SHADOW, IS(VIRTUAL_APIC, 8) } },
	{ "TPR threshold 16", { SHADOW, IS(TPR_THRESHOLD, 16) } },
	{ "TPR threshold above the TPR", { SHADOW, IS(TPR_THRESHOLD, 6) } },
	{ "APIC-access page off its page", { PROC2(PROC2_APIC_ACCESS), IS(APIC_ACCESS_PAGE, 8) } },
	{ "x2APIC mode without TPR shadow", { PROC2(PROC2_X2APIC) } },
	{ "APIC registers without TPR shadow", { PROC2(PROC2_REGISTERS) } },
	{ "virtual interrupts without TPR shadow",
	  { PLUS(PIN_CONTROLS, PIN_INTERRUPT), PROC2(PROC2_INTERRUPTS) } },
	{ "x2APIC mode and APIC accesses", { SHADOW, PROC2(PROC2_X2APIC | PROC2_APIC_ACCESS) } },
	{ "virtual interrupts without external-interrupt exiting",
	  { SHADOW, PROC2(PROC2_INTERRUPTS) } },
	{ "posted interrupts without virtual ones",
	  { PLUS(PIN_CONTROLS, PIN_INTERRUPT | PIN_POSTED), PLUS(EXIT_CONTROLS, EXITC_ACK) } },
	{ "posted interrupts without acknowledgement",
	  { DELIVERY, MINUS(EXIT_CONTROLS, EXITC_ACK) } },
	{ "posted-interrupt descriptor not aligned",
	  { DELIVERY, PLUS(EXIT_CONTROLS, EXITC_ACK),
	    IS(POSTED_DESCRIPTOR, ADDRESS(vapic) + 32) } },
	{ "posted-interrupt vector 256",
	  { DELIVERY, PLUS(EXIT_CONTROLS, EXITC_ACK), IS(POSTED_VECTOR, 256) } },
};

static const struct rule exit_and_entry[] = {
	{ "exit: a reserved bit", { PLUS(EXIT_CONTROLS, 1u << 31) } },
	{ "exit: timer saved without timer", { PLUS(EXIT_CONTROLS, EXITC_SAVE_TIMER) } },
	{ "MSR-store list not aligned", { IS(EXIT_MSR_STORE_COUNT, 1), IS(EXIT_MSR_STORE, 8) } },
	{ "MSR-load list at exit beyond physical addresses",
	  { IS(EXIT_MSR_LOAD_COUNT, 1), IS(EXIT_MSR_LOAD, BEYOND) } },
	{ "MSR-load list at entry not aligned",
	  { IS(ENTRY_MSR_LOAD_COUNT, 1), IS(ENTRY_MSR_LOAD, 4) } },
	{ "entry: a reserved bit", { PLUS(ENTRY_CONTROLS, 1u << 31) } },
	{ "entry to SMM", { PLUS(ENTRY_CONTROLS, ENTRYC_SMM) } },
	{ "injection: reserved type", { INJECT(0x100, 0) } },
	{ "injection: NMI with another vector", { INJECT(TYPE_NMI, 3) } },
	{ "injection: exception 32", { INJECT(TYPE_FAULT, 32) } },
	{ "injection: other event 1", { INJECT(TYPE_OTHER, 1) } },
	{ "injection: #GP without error code", { INJECT(TYPE_FAULT, GP) } },
	{ "injection: #UD with error code", { INJECT(TYPE_FAULT | HAS_ERROR, UD) } },
	{ "injection: INT 13 with error code", { INJECT(TYPE_SOFT_INT | HAS_ERROR, GP) } },
	{ "injection: a reserved bit", { INJECT(TYPE_NMI | 1u << 12, NMI) } },
	{ "injection: error code of 17 bits",
	  { INJECT(TYPE_FAULT | HAS_ERROR, GP), IS(ENTRY_ERROR_CODE, 0x10000) } },
	{ "injection: INT of 16 bytes", { INJECT(TYPE_SOFT_INT, 0x80), IS(ENTRY_LENGTH, 16) } },
	{ "injection: INT1 of 16 bytes", { INJECT(TYPE_INT1, DB), IS(ENTRY_LENGTH, 16) } },
	{ "injection: INT3 of 16 bytes", { INJECT(TYPE_SOFT_TRAP, BP), IS(ENTRY_LENGTH, 16) } },
};

static const struct rule good[] = {
	{ "four CR3 targets", { IS(CR3_TARGET_COUNT, 4) } },
	{ "secondary controls that are not activated", { IS(PROC_CONTROLS2, ~0u) } },
	{ "addresses of what is off",
	  { IS(IO_BITMAP_A, 1), IS(MSR_BITMAP, 1), IS(EPT_POINTER, 1) } },
	{ "an address without list", { IS(EXIT_MSR_LOAD, 1), IS(ENTRY_MSR_LOAD, 1) } },
	{ "posted interrupts",
	  { DELIVERY, PLUS(EXIT_CONTROLS, EXITC_ACK), IS(POSTED_VECTOR, 255),
	    IS(POSTED_DESCRIPTOR, ADDRESS(vapic)) } },
	{ "nothing injected", { IS(ENTRY_INTERRUPTION, 0x7fffffff) } },
};

void test_main(void)
{
	if (!vmx_begin())
		return;
	*(uint32_t *)(void *)(vapic + APIC_TPR) = 0x50;
	RULES_CHECK(execution, FAILS_CONTROLS, 0);
	RULES_CHECK(apic, FAILS_CONTROLS, 0);
	RULES_CHECK(exit_and_entry, FAILS_CONTROLS, 0);
	RULES_CHECK(good, ENTERS, 0);
}
