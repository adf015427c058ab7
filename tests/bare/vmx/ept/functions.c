/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: VM functions, EPTP switching among them.
 */
#include "tests/bare/vmx/ept.h"

#define MSR_VMFUNC     0x491
#define EPTP_SWITCHING 1

static uint8_t data[2][4096] __attribute__((aligned(4096)));
static uint64_t list[512] __attribute__((aligned(4096)));
static struct ept ept[2]; /* the second shows data[1] where data[0] is */

static void fresh(uint32_t proc2)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept[0]));
	vmwrite(FUNCTION_CONTROLS, EPTP_SWITCHING);
	vmwrite(EPTP_LIST, ADDRESS(list));
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]);
}

static uint32_t call(const void *code, uint64_t function, uint64_t argument)
{
	guest.rax = function;
	guest.rcx = argument;
	return vmx_enter_at(code);
}

GUEST_CODE(code_vmfunc, "vmfunc");
GUEST_CODE(code_switch, "mov (%rdi), %rdx; vmfunc; mov (%rdi), %rbx");
GUEST_CODE(code_there_and_back, "vmfunc; mov (%rdi), %rdx; xor %ecx, %ecx; vmfunc;"
				"mov (%rdi), %rbx");

static void test_availability(void)
{
	uint64_t supported = rdmsr(MSR_VMFUNC);

	check(supported == EPTP_SWITCHING, "there is one VM function: %lx", supported);
	check(TRY("xor %%eax, %%eax; vmfunc", "i"(0)) == UD, "VMFUNC in root operation is #UD");
	fresh(PROC2_EPT);
	vmwrite(EXCEPTION_BITMAP, 1u << UD);
	check(call(code_vmfunc, 0, 0) == 0 && (uint8_t)vmread(EXIT_INTERRUPTION) == UD,
	      "without the control it is #UD in a guest");
	fresh(PROC2_EPT | PROC2_VMFUNC);
	vmwrite(EXCEPTION_BITMAP, 1u << UD);
	check(call(code_vmfunc, 64, 0) == 0 && (uint8_t)vmread(EXIT_INTERRUPTION) == UD,
	      "so is function 64");
	check(call(code_vmfunc, 1, 0) == EXIT_VMFUNC && vmread(EXIT_LENGTH) == 3 &&
		      vmread(GUEST_RIP) == ADDRESS(code_vmfunc),
	      "a function that is not enabled exits");
	vmwrite(FUNCTION_CONTROLS, 0);
	check(call(code_vmfunc, 0, 0) == EXIT_VMFUNC, "nor is EPTP switching");
}

static void test_entry_checks(void)
{
	fresh(PROC2_EPT | PROC2_VMFUNC);
	vmwrite(FUNCTION_CONTROLS, 2);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "a function too many");
	fresh(PROC2_EPT | PROC2_VMFUNC);
	vmwrite(EPTP_LIST, ADDRESS(list) + 8);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "a list off its page");
	fresh(PROC2_VMFUNC);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "switching without EPT");
}

static void test_switching(uint32_t vpid)
{
	fresh(PROC2_EPT | PROC2_VMFUNC | vpid);
	check(call(code_switch, 0, 511) == EXIT_VMCALL && guest.rdx == 1 && guest.rbx == 2,
	      "another second stage, %lu then %lu", guest.rdx, guest.rbx);
	check(vmread(EPT_POINTER) == list[511] && vmread(EPTP_INDEX) == 511,
	      "which the VMCS says as well");
	fresh(PROC2_EPT | PROC2_VMFUNC | vpid);
	check(call(code_there_and_back, 0, 511) == EXIT_VMCALL && guest.rdx == 2 && guest.rbx == 1,
	      "there and back");
	check(vmread(EPT_POINTER) == list[0] && vmread(EPTP_INDEX) == 0, "to the first");
	check(call(code_switch, 0, 511 | 1ull << 32) == EXIT_VMCALL && guest.rbx == 2,
	      "the argument is ECX");
}

#define ROUNDS 3000

GUEST_CODE(code_alternate, "xor %ebx, %ebx; mov %rdx, %rsi; 1: mov $511, %ecx; xor %eax, %eax;"
			   "vmfunc; call *%rdi; add %rax, %rbx; xor %ecx, %ecx; xor %eax, %eax;"
			   "vmfunc; call *%rdi; add %rax, %rbx; dec %rsi; jnz 1b");

/* MOV $value, %eax; RET */
static void put_code(uint8_t *page, uint8_t value)
{
	static const uint8_t code[] = { 0xb8, 0, 0, 0, 0, 0xc3 };

	for (unsigned i = 0; i < sizeof(code); i++)
		page[i] = code[i];
	page[1] = value;
}

/* Code that differs between the two, often enough to be translated. */
static void test_code(uint32_t vpid)
{
	put_code(data[0], 1);
	put_code(data[1], 100);
	fresh(PROC2_EPT | PROC2_VMFUNC | vpid);
	guest.rdx = ROUNDS;
	check(vmx_enter_at(code_alternate) == EXIT_VMCALL && guest.rbx == ROUNDS * 101,
	      "code of both, %lu", guest.rbx);
	put_code(data[1], 200);
	guest.rdx = ROUNDS;
	check(vmx_enter_at(code_alternate) == EXIT_VMCALL && guest.rbx == ROUNDS * 201,
	      "that changes, %lu", guest.rbx);
}

static void test_bad_pointers(void)
{
	static const uint64_t bad[] = { 0, 3 << 3 | 7, 6, 6 | 3 << 3 | 1 << 7, 1ull << 60 };

	fresh(PROC2_EPT | PROC2_VMFUNC);
	check(call(code_switch, 0, 512) == EXIT_VMFUNC, "an index beyond the list exits");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list[1] = bad[i];
		check(call(code_switch, 0, 1) == EXIT_VMFUNC &&
			      vmread(EPT_POINTER) == ept_pointer(&ept[0]) &&
			      vmread(GUEST_RIP) == ADDRESS(code_switch) + 3,
		      "a bad pointer exits: %lx", bad[i]);
	}
	*ept_entry(&ept[1], data[0]) = 0;
	fresh(PROC2_EPT | PROC2_VMFUNC);
	check(call(code_switch, 0, 511) == EXIT_VIOLATION && vmread(GUEST_PHYSICAL) == guest.rdi &&
		      vmread(GUEST_RIP) == ADDRESS(code_switch) + 6,
	      "a violation of the second stage that was switched to");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	for (unsigned i = 0; i < 2; i++) {
		ept_make(&ept[i], data);
		*(uint64_t *)(void *)data[i] = i + 1;
	}
	*ept_entry(&ept[1], data[0]) = ADDRESS(data[1]) | R | W | X | WB;
	list[0] = ept_pointer(&ept[0]);
	list[511] = ept_pointer(&ept[1]);
	test_availability();
	test_entry_checks();
	test_switching(0);
	test_switching(PROC2_VPID);
	test_code(0);
	test_code(PROC2_VPID);
	test_bad_pointers();
}
