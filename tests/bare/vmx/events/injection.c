/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: those that VM entry injects, one of each type.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_padding, ".skip 8, 0x90");

static struct frame seen;

static void look(struct frame *frame)
{
	seen = *frame;
	vmx_count(frame);
}

/* In the guest's handler, to the hypervisor. */
static void call_from_handler(struct frame *frame)
{
	vmx_count(frame);
	asm volatile("vmcall");
}

static uint32_t inject(uint32_t what, uint32_t error, uint32_t length)
{
	set_handler(what & 0xff, look);
	vmwrite(ENTRY_INTERRUPTION, VALID | what);
	vmwrite(ENTRY_ERROR_CODE, error);
	vmwrite(ENTRY_LENGTH, length);
	vmx_handled = 0;
	return vmx_enter_at(code_padding);
}

static const struct {
	const char *name;
	uint32_t what, error, length;
	unsigned returns_to; /* behind code_padding */
} events[] = {
	{ "an interrupt", TYPE_EXTERNAL | VECTOR, 0, 5, 0 },
	{ "an interrupt of an exception's vector", TYPE_EXTERNAL | UD, 0, 5, 0 },
	{ "an NMI", TYPE_NMI | NMI, 0, 5, 0 },
	{ "#UD", TYPE_FAULT | UD, 0, 5, 0 },
	{ "#GP with its error code", TYPE_FAULT | HAS_ERROR | GP, 0x1234, 5, 0 },
	{ "#DB", TYPE_FAULT | DB, 0, 5, 0 },
	{ "INT 80h of 2 bytes", TYPE_SOFT_INT | 0x80, 0, 2, 2 },
	{ "INT1 of 1 byte", TYPE_INT1 | DB, 0, 1, 1 },
	{ "INT3 of 4 bytes", TYPE_SOFT_TRAP | BP, 0, 4, 4 },
	{ "INT 80h of no bytes", TYPE_SOFT_INT | 0x80, 0, 0, 0 },
};

static void test_types(void)
{
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		uint32_t what = events[i].what;
		const char *name = events[i].name;

		vmx_fresh();
		vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
		vmwrite(EXCEPTION_BITMAP, ~0u); /* which injected events do not meet */
		check(inject(what, events[i].error, events[i].length) == EXIT_VMCALL &&
			      vmx_handled == 1,
		      "%s is injected", name);
		check(seen.rip == ADDRESS(code_padding) + events[i].returns_to &&
			      seen.cs == SEL_CODE64 && (seen.rflags & RFLAGS_IF) &&
			      seen.error == events[i].error,
		      "%s: its frame", name);
		check(!(vmread(ENTRY_INTERRUPTION) & VALID), "%s: once", name);
		check(!(vmread(GUEST_INTERRUPTIBILITY) & BLOCKED_NMI), "%s: and over", name);
		set_handler(what & 0xff, NULL);
	}
}

/* CR2 and DR6 are the hypervisor's to write. */
static void test_registers(void)
{
	vmx_fresh();
	WRITE_CR(2, 0x1234);
	WRITE_DR(6, 0xffff0ff0);
	inject(TYPE_FAULT | HAS_ERROR | PF, 2, 0);
	check(vmx_handled == 1 && READ_CR(2) == 0x1234, "#PF leaves CR2 alone");
	inject(TYPE_FAULT | DB, 0, 0);
	check(vmx_handled == 1 && READ_DR(6) == 0xffff0ff0, "#DB leaves DR6 alone");
	set_handler(PF, NULL);
	set_handler(DB, NULL);
}

static void test_blocking(void)
{
	vmx_fresh();
	vmx_set_pin(PIN_NMI | PIN_VNMI);
	inject(TYPE_NMI | NMI, 0, 0);
	set_handler(NMI, call_from_handler);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_NMI | NMI);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL &&
		      vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_NMI,
	      "an injected NMI blocks virtual NMIs");
	check(vmx_skip() == EXIT_VMCALL && vmread(GUEST_INTERRUPTIBILITY) == 0,
	      "until its handler's IRET");
	set_handler(NMI, NULL);
}

/* HLT ends with the event; an event's handler sees no more of the guest's blocking by STI. */
static void test_activity(void)
{
	vmx_fresh();
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_ACTIVITY, HALTED);
	check(inject(VECTOR, 0, 0) == EXIT_VMCALL && vmx_handled == 1 &&
		      vmread(GUEST_ACTIVITY) == ACTIVE,
	      "an interrupt ends HLT");
	vmwrite(GUEST_ACTIVITY, SHUTDOWN);
	vmwrite(GUEST_RFLAGS, 2);
	check(inject(TYPE_NMI | NMI, 0, 0) == EXIT_VMCALL && vmx_handled == 1 &&
		      vmread(GUEST_ACTIVITY) == ACTIVE,
	      "an NMI ends shutdown");
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_STI);
	check(inject(TYPE_FAULT | UD, 0, 0) == EXIT_VMCALL && vmx_handled == 1 &&
		      vmread(GUEST_INTERRUPTIBILITY) == 0,
	      "an exception ends blocking by STI");
	set_handler(UD, NULL);
	set_handler(NMI, NULL);
}

/* A gate's DPL counts for software's events only. */
static void test_privilege(void)
{
	vmx_fresh();
	make_user(code_padding);
	vmx_set_segment(SEG_CS, SEL_USER_CODE64, 0, 0xffffffff, RIGHTS_CODE64 | 0x60);
	vmx_set_segment(SEG_SS, SEL_USER_DATA, 0, 0xffffffff, RIGHTS_DATA | 0x60);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	check(inject(TYPE_SOFT_INT | VECTOR, 0, 2) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION_ERROR) == VECTOR * 8 + 2 &&
		      vmread(IDT_VECTORING) == (VALID | TYPE_SOFT_INT | VECTOR),
	      "INT in user mode through a gate of the kernel: #GP");
	check(inject(TYPE_EXTERNAL | VECTOR, 0, 0) == EXIT_VMCALL && vmx_handled == 1 &&
		      seen.cs == SEL_USER_CODE64,
	      "an interrupt: delivered");
}

/* The pending monitor trap flag is no event of the guest's. */
static void test_other(void)
{
	vmx_fresh();
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_OTHER);
	check(vmx_enter_at(code_padding) == EXIT_MTF && vmread(GUEST_RIP) == ADDRESS(code_padding),
	      "a pending monitor trap exits before the first instruction");
	check(vmx_enter() == EXIT_VMCALL, "once");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_types();
	test_registers();
	test_blocking();
	test_activity();
	test_privilege();
	test_other();
}
