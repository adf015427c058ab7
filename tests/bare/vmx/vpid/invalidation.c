/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: INVEPT and INVVPID.
 */
#include "tests/bare/vmx/ept.h"

/* What the guest sees at one of the pages, by default the first. */
static uint8_t data[2][4096] __attribute__((aligned(4096)));
static struct ept ept;

static void fresh(uint32_t proc2, uint64_t eptp_bits)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | eptp_bits);
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_invlpg, "mov (%rdi), %rax; invlpg (%rdi); mov (%rdi), %rbx");

static void test_invalidation(void)
{
	uint64_t *linear = pte(data[0]), old = *linear;

	data[0][0x128] = 1;
	data[1][0x128] = 2;
	fresh(PROC2_EPT | PROC2_VPID, 0);
	vmx_enter_at(code_read);
	*ept_entry(&ept, data[0]) = ADDRESS(data[1]) | R | W | X | WB;
	check(invept(1, vmread(EPT_POINTER), 0) == 0, "INVEPT of one context");
	vmx_enter_at(code_read);
	check((uint8_t)guest.rax == 2, "its mappings have gone");
	*ept_entry(&ept, data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	check(invept(2, 0, 0) == 0, "INVEPT of all");
	vmx_enter_at(code_read);
	check((uint8_t)guest.rax == 1, "its mappings have gone");
	check(invept(3, 0, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVEPT of another type");
	check(invept(1, 1, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVEPT of a bad pointer");
	for (unsigned type = 0; type < 4; type++) {
		*linear = (old & 0xfff) | ADDRESS(data[type % 2 ? 0 : 1]);
		check(invvpid(type, type == 2 ? 0 : 1, ADDRESS(data[0])) == 0, "INVVPID %u", type);
		vmx_enter_at(code_read);
		check((uint8_t)guest.rax == (type % 2 ? 1 : 2), "its mappings have gone");
	}
	*linear = old;
	invvpid(1, 1, 0);
	check(invvpid(1, 0, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVVPID of VPID 0");
	check(invvpid(0, 1, 1ull << 50) == 2, "INVVPID of an address that is not canonical");
	check(invvpid(1, 0x10001, 0) == 2, "INVVPID with reserved bits");
	asm volatile("invlpg %0" : : "m"(data[0][0]) : "memory");
	check(vmx_enter_at(code_invlpg) == EXIT_VMCALL, "INVLPG in the guest");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	test_invalidation();
}
