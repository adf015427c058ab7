/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: exceptions that exit, and exits that cut the delivery of another event short.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_ud, "ud2");
GUEST_CODE(code_fault, "mov $0xffff800000001000, %rax; mov %al, (%rax)");
GUEST_CODE(code_int3, "int3");
GUEST_CODE(code_int80, "int $0x80");
GUEST_CODE(code_step, "pushf; orl $0x100, (%rsp); popf; nop; nop");

#define FAULT_ADDRESS 0xffff800000001000ull

static void test_exceptions(void)
{
	uint64_t cr2 = 0x1234;

	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, ~0u);
	vmwrite(PF_MASK, 3);
	vmwrite(PF_MATCH, 2);
	check(vmx_enter_at(code_ud) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000306,
	      "#UD exits");
	check(vmread(GUEST_RIP) == ADDRESS(code_ud) && (vmread(GUEST_RFLAGS) & 0x10000),
	      "at the instruction, with RF");
	WRITE_CR(2, cr2);
	check(vmx_enter_at(code_fault) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b0e,
	      "#PF exits");
	check(vmread(EXIT_QUALIFICATION) == FAULT_ADDRESS && vmread(EXIT_INTERRUPTION_ERROR) == 2,
	      "with address and error code");
	check(READ_CR(2) == cr2, "CR2 is as before");
	vmwrite(EXCEPTION_BITMAP, ~(1u << PF));
	vmwrite(PF_MATCH, 3);
	check(vmx_enter_at(code_fault) == EXIT_EXCEPTION,
	      "#PF with the bit clear exits where none match");
	check(vmx_enter_at(code_int3) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == 0x80000603 && vmread(EXIT_LENGTH) == 1,
	      "INT3 exits");
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_step) == EXIT_EXCEPTION && vmread(EXIT_QUALIFICATION) == 0x4000,
	      "a single step exits (%lx)", vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_RIP) == ADDRESS(code_step) + 10, "behind its instruction");
}

static void test_vectoring(void)
{
	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	vmwrite(GUEST_IDTR_LIMIT, 0x20 * 16 - 1);
	check(vmx_enter_at(code_int80) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b0d,
	      "#GP during the delivery of INT 80h exits");
	check(vmread(IDT_VECTORING) == 0x80000480 && vmread(EXIT_LENGTH) == 2,
	      "with IDT-vectoring information %lx", vmread(IDT_VECTORING));
	check(vmread(EXIT_INTERRUPTION_ERROR) == 0x402, "and error code %lx",
	      vmread(EXIT_INTERRUPTION_ERROR));
	vmwrite(GUEST_IDTR_LIMIT, 0);
	vmwrite(EXCEPTION_BITMAP, 1u << DF);
	check(vmx_enter_at(code_fault) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b08,
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
	test_exceptions();
	test_vectoring();
}
