/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: INIT and start-up IPIs that another processor sends, and the states in which they
 * are taken.
 */
#include "tests/bare/vmx/vmx.h"

#define ICR_INIT 0x4500u
#define ICR_SIPI 0x4600u

enum { NOTHING, SEND_INIT, SEND_SIPI, SEND_NMI };

static volatile unsigned order;

GUEST_CODE(code_spin, "1: pause; jmp 1b");
GUEST_CODE(code_vmcall, "");

/* On the other processor: sends what it is told to, some time after. */
static void send(void)
{
	static const uint32_t icr[] = { 0, ICR_INIT, ICR_SIPI | 0x9a, ICR_NMI };

	for (;;) {
		unsigned what = order;

		if (!what)
			continue;
		for (volatile int i = 0; i < 1000; i++)
			;
		apic_write(APIC_ICR, icr[what] | ICR_OTHER);
		order = NOTHING;
	}
}

static uint32_t enter_and(unsigned what, const void *code)
{
	uint32_t reason;

	order = what;
	reason = vmx_enter_at(code);
	while (order)
		;
	return reason;
}

static void test_init(void)
{
	vmx_fresh();
	check(enter_and(SEND_INIT, code_spin) == EXIT_INIT && vmread(EXIT_QUALIFICATION) == 0,
	      "INIT exits");
	check(vmread(GUEST_ACTIVITY) == ACTIVE, "from an active guest");
	vmwrite(GUEST_ACTIVITY, HALTED);
	check(enter_and(SEND_INIT, code_spin) == EXIT_INIT && vmread(GUEST_ACTIVITY) == HALTED,
	      "from HLT");
	vmwrite(GUEST_ACTIVITY, SHUTDOWN);
	check(enter_and(SEND_INIT, code_spin) == EXIT_INIT && vmread(GUEST_ACTIVITY) == SHUTDOWN,
	      "from shutdown");
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	order = SEND_INIT;
	while (order)
		;
	check(vmx_enter_at(code_spin) == EXIT_INIT, "in root operation it waits for entry");
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL, "once");
	order = SEND_INIT;
	while (order)
		;
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_OTHER);
	check(vmx_enter_at(code_vmcall) == EXIT_INIT, "it comes before a monitor trap");
}

static void test_sipi(void)
{
	vmx_fresh();
	vmwrite(GUEST_ACTIVITY, WAIT_FOR_SIPI);
	check(enter_and(SEND_SIPI, code_spin) == EXIT_SIPI && vmread(EXIT_QUALIFICATION) == 0x9a,
	      "a start-up IPI exits where one is waited for, with its vector");
	check(vmread(GUEST_ACTIVITY) == WAIT_FOR_SIPI, "which is still so");
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	order = SEND_SIPI;
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL, "an active guest does not see it");
	while (order)
		;
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL, "nor later");
}

/* Wait-for-SIPI keeps NMIs out; shutdown does not. */
static void test_nmi(void)
{
	vmx_fresh();
	vmx_set_pin(PIN_NMI);
	vmwrite(GUEST_ACTIVITY, SHUTDOWN);
	check(enter_and(SEND_NMI, code_spin) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | TYPE_NMI | NMI) &&
		      vmread(GUEST_ACTIVITY) == SHUTDOWN,
	      "an NMI exits from shutdown");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	if (!start_ap(send)) {
		check(false, "a second processor");
		return;
	}
	test_init();
	test_sipi();
	test_nmi();
}
