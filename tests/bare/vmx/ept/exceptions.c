/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: EPT violations that the guest takes itself, as virtualization exceptions.
 */
#include "tests/bare/vmx/ept.h"

#define SUPPRESS_VE (1ull << 63)

static struct {
	uint32_t reason, busy;
	uint64_t qualification, linear, physical;
	uint16_t eptp_index;
} area __attribute__((aligned(4096))), seen;

static uint8_t data[2][4096] __attribute__((aligned(4096)));
static uint64_t list[512] __attribute__((aligned(4096)));
static struct ept ept;
static unsigned taken;
static uint64_t taken_error;

static uint64_t *entry(const void *address)
{
	return ept_entry(&ept, address);
}

/* In the guest: puts the page there, so that the access goes on. */
static void on_ve(struct frame *frame)
{
	taken++;
	taken_error = frame->error;
	seen = area;
	*entry(data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	area.busy = 0;
}

static void fresh(uint32_t proc2)
{
	vmx_fresh();
	vmx_set_proc(0, PROC2_EPT | PROC2_VE | proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	vmwrite(EPTP_INDEX, 7);
	vmwrite(VE_AREA, ADDRESS(&area));
	*entry(data[0]) = *entry(data[1]) = 0;
	invept(2, 0, 0);
	set_handler(VE, on_ve);
	guest.rdi = ADDRESS(data[0]) + 8;
	guest.rsi = 0x1234;
	area.busy = 0;
	taken = 0;
}

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_write, "mov %rsi, (%rdi)");
GUEST_CODE(code_call, "call *%rdi");
GUEST_CODE(code_int, "int $0x80");
GUEST_CODE(code_switch, "vmfunc; mov (%rdi), %rax");

static bool is_violation(const void *code)
{
	return vmx_enter_at(code) == EXIT_VIOLATION && vmread(GUEST_PHYSICAL) == guest.rdi &&
	       !taken;
}

static bool sees(uint64_t qualification, uint16_t index)
{
	return taken == 1 && seen.reason == EXIT_VIOLATION && seen.busy == 0xffffffff &&
	       seen.qualification == qualification && seen.linear == guest.rdi &&
	       seen.physical == guest.rdi && seen.eptp_index == index;
}

static void test_delivery(void)
{
	*(uint64_t *)(void *)(data[0] + 8) = 0xc3; /* RET */
	fresh(0);
	check(vmx_enter_at(code_read) == EXIT_VMCALL && guest.rax == 0xc3 && sees(0x581, 7),
	      "a read of what is not present is the guest's, qualification %lx",
	      seen.qualification);
	check(!taken_error, "without an error code");
	fresh(0);
	*entry(data[0]) = ADDRESS(data[0]) | R | X | WB;
	check(vmx_enter_at(code_write) == EXIT_VMCALL && sees(0x5aa, 7), "so is a write");
	*(uint64_t *)(void *)(data[0] + 8) = 0xc3;
	fresh(PROC2_VPID);
	*entry(data[0]) = ADDRESS(data[0]) | R | W | WB;
	check(vmx_enter_at(code_call) == EXIT_VMCALL && sees(0x59c, 7), "and a fetch");
	fresh(PROC2_VMFUNC);
	list[3] = ept_pointer(&ept);
	vmwrite(FUNCTION_CONTROLS, 1);
	vmwrite(EPTP_LIST, ADDRESS(list));
	guest.rax = 0;
	guest.rcx = 3;
	check(vmx_enter_at(code_switch) == EXIT_VMCALL && sees(0x581, 3), "VMFUNC sets the index");
}

static void test_exits(void)
{
	fresh(0);
	area.busy = 1;
	check(is_violation(code_read) && area.busy == 1, "it exits while the area is busy");
	fresh(0);
	*entry(data[0]) = SUPPRESS_VE;
	check(is_violation(code_read), "it exits where the entry suppresses it");
	*entry(data[0]) = SUPPRESS_VE | ADDRESS(data[0]) | R | WB;
	invept(2, 0, 0);
	check(is_violation(code_write), "in a present one as well");
	fresh(0);
	ept.root[0] |= SUPPRESS_VE;
	check(vmx_enter_at(code_read) == EXIT_VMCALL && taken == 1, "but not in one on the way");
	ept.root[0] &= ~SUPPRESS_VE;
	fresh(0);
	vmwrite(VE_AREA, 1ull << 40);
	check(is_violation(code_read), "it exits where the area is not memory");
	fresh(0);
	*entry(data[0]) = W | WB;
	check(vmx_enter_at(code_read) == EXIT_MISCONFIGURATION && !taken, "misconfigurations exit");
	fresh(0);
	vmx_set_proc(0, PROC2_EPT);
	check(is_violation(code_read), "without the control all exit");
	fresh(0);
	vmwrite(VE_AREA, ADDRESS(&area) + 4);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "an area off its page");
}

static void test_priorities(void)
{
	uint64_t *gate = idt_gate(VE), present = 1ull << 47;

	fresh(0);
	vmwrite(EXCEPTION_BITMAP, 1u << VE);
	check(vmx_enter_at(code_read) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | 3 << 8 | VE),
	      "the exception bitmap's bit 20 exits");
	check(area.busy == 0xffffffff && vmread(GUEST_RIP) == ADDRESS(code_read) &&
		      vmread(GUEST_RFLAGS) >> 16 & 1,
	      "as a fault that has written the area");
	fresh(0);
	vmwrite(GUEST_RSP, ADDRESS(data[1]) + 0x800);
	check(vmx_enter_at(code_int) == EXIT_VIOLATION && !taken &&
		      vmread(IDT_VECTORING) == (VALID | 4 << 8 | 0x80),
	      "a violation during the delivery of an event exits");
	fresh(0);
	vmwrite(EXCEPTION_BITMAP, 1u << DF);
	*gate &= ~present;
	check(vmx_enter_at(code_read) == EXIT_EXCEPTION && (uint8_t)vmread(EXIT_INTERRUPTION) == DF,
	      "a fault during its delivery is a double fault");
	*gate |= present;
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	test_delivery();
	test_exits();
	test_priorities();
}
