/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: exits that cut the delivery of an event short, and what they say of that event.
 */
#include "tests/bare/vmx/ept.h"

#define FAULT_ADDRESS "0xffff800000001000"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_ud, "ud2");
GUEST_CODE(code_int1, ".byte 0xf1");
GUEST_CODE(code_int3, "int3");
GUEST_CODE(code_int80, "int $0x80");
GUEST_CODE(code_gp, "mov $0xffc8, %eax; mov %eax, %fs");
GUEST_CODE(code_fault, "mov $" FAULT_ADDRESS ", %rax; mov %al, (%rax)");
GUEST_CODE(code_self_ipi, "sti; mov $0xfee00300, %eax; movl $0x40060, (%rax); nop; nop");
GUEST_CODE(code_self_nmi, "mov $0xfee00300, %eax; movl $0x40400, (%rax); nop; nop");

static uint8_t missing[4096] __attribute__((aligned(4096)));
static struct ept ept;

/* The guest's stack is missing in the second stage, and exceptions use it. */
static void fresh(void)
{
	vmx_fresh();
	vmx_set_proc(0, PROC2_EPT);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	vmwrite(GUEST_RSP, ADDRESS(missing) + 0x800);
	for (unsigned vector = 0; vector < 32; vector++)
		*idt_gate(vector) &= ~(7ull << 32); /* IST */
}

static const struct event {
	const char *name;
	const void *code;
	uint32_t inject, information; /* less VALID */
	uint32_t error, length;
} events[] = {
	{ "#UD", code_ud, 0, TYPE_FAULT | UD, 0, 0 },
	{ "#GP", code_gp, 0, TYPE_FAULT | HAS_ERROR | GP, 0xffc8, 0 },
	{ "#PF", code_fault, 0, TYPE_FAULT | HAS_ERROR | PF, 2, 0 },
	{ "INT1", code_int1, 0, TYPE_INT1 | DB, 0, 1 },
	{ "INT3", code_int3, 0, TYPE_SOFT_TRAP | BP, 0, 1 },
	{ "INT 80h", code_int80, 0, TYPE_SOFT_INT | 0x80, 0, 2 },
	{ "an interrupt", code_self_ipi, 0, TYPE_EXTERNAL | VECTOR, 0, 0 },
	{ "an NMI", code_self_nmi, 0, TYPE_NMI | NMI, 0, 0 },
	{ "an injected interrupt", code_vmcall, TYPE_EXTERNAL | VECTOR, TYPE_EXTERNAL | VECTOR, 0,
	  0 },
	{ "an injected NMI", code_vmcall, TYPE_NMI | NMI, TYPE_NMI | NMI, 0, 0 },
	{ "an injected #GP", code_vmcall, TYPE_FAULT | HAS_ERROR | GP, TYPE_FAULT | HAS_ERROR | GP,
	  0x1234, 0 },
	{ "an injected INT 80h", code_vmcall, TYPE_SOFT_INT | 0x80, TYPE_SOFT_INT | 0x80, 0, 3 },
	{ "an injected INT3", code_vmcall, TYPE_SOFT_TRAP | BP, TYPE_SOFT_TRAP | BP, 0, 3 },
	{ "an injected INT1", code_vmcall, TYPE_INT1 | DB, TYPE_INT1 | DB, 0, 3 },
};

static bool is_as_told(const struct event *e)
{
	return vmread(IDT_VECTORING) == (VALID | e->information) &&
	       (!(e->information & HAS_ERROR) || vmread(IDT_VECTORING_ERROR) == e->error) &&
	       (!e->length || vmread(EXIT_LENGTH) == e->length);
}

/* Taken away by the hypervisor, so that nothing is left for the next test. */
static void end_interrupt(void)
{
	apic_write(APIC_EOI, 0);
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $8; lea 1f, %%rax; "
		     "push %%rax; iretq; 1:"
		     :
		     :
		     : "rax", "memory"); /* opens NMIs */
}

static void test_event(const struct event *e)
{
	uint32_t reason;

	fresh();
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(ENTRY_INTERRUPTION, e->inject ? VALID | e->inject : 0);
	vmwrite(ENTRY_ERROR_CODE, e->error);
	vmwrite(ENTRY_LENGTH, e->length);
	reason = vmx_enter_at(e->code);
	check(reason == EXIT_VIOLATION && vmread(GUEST_LINEAR) >> 12 == ADDRESS(missing) >> 12 &&
		      vmread(EXIT_QUALIFICATION) & 2,
	      "%s: its frame cannot be written", e->name);
	check(is_as_told(e), "%s: IDT-vectoring information %lx, error %lx, length %lu", e->name,
	      vmread(IDT_VECTORING), vmread(IDT_VECTORING_ERROR), vmread(EXIT_LENGTH));
	check(vmread(GUEST_RSP) == ADDRESS(missing) + 0x800, "%s: RSP is as before", e->name);
	check(!(vmread(ENTRY_INTERRUPTION) & VALID), "%s: nothing is left to inject", e->name);
	end_interrupt();
}

/* The hypervisor puts the page there and injects what it was told of. */
static void test_reinjection(void)
{
	fresh();
	set_handler(GP, NULL);
	set_handler(0x80, vmx_count);
	check(vmx_enter_at(code_int80) == EXIT_VIOLATION, "INT 80h whose frame cannot be written");
	*ept_entry(&ept, missing) = ADDRESS(missing) | R | W | WB;
	vmwrite(ENTRY_INTERRUPTION, vmread(IDT_VECTORING));
	vmwrite(ENTRY_LENGTH, vmread(EXIT_LENGTH));
	check(vmx_enter() == EXIT_VMCALL && vmx_handled == 1 &&
		      vmread(GUEST_RIP) == ADDRESS(code_int80) + 2,
	      "is injected and returns behind it");
	*ept_entry(&ept, missing) = 0;
	invept(2, 0, 0);
}

static void test_exceptions(void)
{
	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	vmwrite(GUEST_IDTR_LIMIT, 0x20 * 16 - 1);
	check(vmx_enter_at(code_int80) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | GP),
	      "#GP during the delivery of INT 80h exits");
	check(vmread(IDT_VECTORING) == (VALID | TYPE_SOFT_INT | 0x80) && vmread(EXIT_LENGTH) == 2,
	      "with IDT-vectoring information %lx", vmread(IDT_VECTORING));
	check(vmread(EXIT_INTERRUPTION_ERROR) == 0x402, "and error code %lx",
	      vmread(EXIT_INTERRUPTION_ERROR));
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(vmx_enter_at(code_vmcall) == EXIT_EXCEPTION &&
		      vmread(IDT_VECTORING) == (VALID | VECTOR) &&
		      vmread(EXIT_INTERRUPTION_ERROR) == VECTOR * 8 + 3,
	      "#GP during that of an interrupt");
	vmwrite(GUEST_IDTR_LIMIT, 0);
	vmwrite(EXCEPTION_BITMAP, 1u << DF);
	check(vmx_enter_at(code_fault) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | DF),
	      "a double fault exits");
	check(!(vmread(IDT_VECTORING) & VALID), "as an event of its own");
	vmwrite(EXCEPTION_BITMAP, 0);
	check(vmx_enter_at(code_fault) == EXIT_TRIPLE_FAULT && !(vmread(IDT_VECTORING) & VALID),
	      "a triple fault exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, missing);
	*ept_entry(&ept, missing) = 0;
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		test_event(&events[i]);
	test_reinjection();
	test_exceptions();
}
