/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, EPT: INVEPT; translations that hold for one second stage are not used with another.
 */
#include "tests/bare/vmx/ept.h"

enum { SINGLE = 1, ALL };

static uint8_t data[2][4096] __attribute__((aligned(4096)));
static struct ept ept[2]; /* the second shows data[1] where data[0] is */

GUEST_CODE(code_read, "mov (%rdi), %rax");

static void fresh(uint32_t proc2)
{
	vmx_fresh();
	vmx_set_proc(0, proc2 | PROC2_EPT);
	guest.rdi = ADDRESS(data[0]);
	for (unsigned n = 0; n < 2; n++)
		*ept_entry(&ept[n], data[0]) = ADDRESS(data[n]) | R | W | X | WB;
	invept(ALL, 0, 0);
}

static unsigned read_through(const struct ept *e)
{
	vmwrite(EPT_POINTER, ept_pointer(e));
	vmx_enter_at(code_read);
	return (uint8_t)guest.rax;
}

static void test_contexts(uint32_t proc2)
{
	fresh(proc2);
	check(read_through(&ept[0]) == 1 && read_through(&ept[1]) == 2 &&
		      read_through(&ept[0]) == 1,
	      "each second stage has its own translations");
	*ept_entry(&ept[0], data[0]) = ADDRESS(data[1]) | R | W | X | WB;
	*ept_entry(&ept[1], data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	check(invept(SINGLE, ept_pointer(&ept[0]), 0) == 0, "INVEPT of one context");
	check(read_through(&ept[0]) == 2, "takes its translations");
	check(invept(ALL, 0, 0) == 0, "INVEPT of all");
	check(read_through(&ept[1]) == 1, "takes those of the other");
}

/* Entries and exits keep them: no promise of the architecture's, but what this processor does. */
static void test_keeping(void)
{
	fresh(PROC2_VPID);
	read_through(&ept[0]);
	read_through(&ept[1]);
	*ept_entry(&ept[0], data[0]) = 0;
	*ept_entry(&ept[1], data[0]) = 0;
	check(read_through(&ept[0]) == 1 && read_through(&ept[1]) == 2,
	      "translations outlive entries and exits");
	invept(SINGLE, ept_pointer(&ept[0]), 0);
	check(read_through(&ept[1]) == 2, "and INVEPT of another context");
	read_through(&ept[0]);
	check(vmread(EXIT_REASON) == EXIT_VIOLATION, "but not that of their own");
}

/* INVVPID takes what both stages have made together. */
static void test_invvpid(void)
{
	uint64_t *linear = pte(data[0]), old = *linear;

	for (unsigned type = 0; type < 4; type++) {
		fresh(PROC2_VPID);
		*linear = old;
		invvpid(2, 0, 0);
		check(read_through(&ept[0]) == 1, "a translation by both stages");
		*linear = (old & 0xfff) | ADDRESS(data[1]);
		check(invvpid(type, type == 2 ? 0 : 1, ADDRESS(data[0])) == 0 &&
			      read_through(&ept[0]) == 2,
		      "INVVPID, type %u, takes it", type);
	}
	*linear = old;
	asm volatile("invlpg %0" : : "m"(data[0][0]) : "memory");
	invvpid(2, 0, 0);
}

static void test_operands(void)
{
	vmx_fresh();
	check(invept(0, ept_pointer(&ept[0]), 0) == 2 && vmread(INSTRUCTION_ERROR) == 28,
	      "INVEPT, type 0: error 28");
	check(invept(3, 0, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "type 3: error 28");
	check(invept(SINGLE, 1, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28,
	      "a bad pointer: error 28");
	check(invept(SINGLE, 1ull << 52 | EPTP_BITS, 0) == 2, "one beyond physical addresses");
	check(invept(ALL, 1, 0) == 0, "of all: the pointer is not looked at");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	data[0][0] = 1;
	data[1][0] = 2;
	ept_make(&ept[0], data);
	ept_make(&ept[1], data);
	test_contexts(0);
	test_contexts(PROC2_VPID);
	test_keeping();
	test_invvpid();
	test_operands();
}
