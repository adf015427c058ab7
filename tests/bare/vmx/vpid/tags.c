/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, VPID: translations of one VPID are not used for another, nor by the hypervisor; entries and
 * exits keep them. That a translation is still there after its page table has changed is no promise
 * of the architecture's, but what this processor does with a few pages.
 */
#include "tests/bare/vmx/vmx.h"

#define CR4_PGE 0x80

enum { BY_ADDRESS, BY_VPID, ALL, KEEP_GLOBAL };

static uint8_t pages[2][4096] __attribute__((aligned(4096)));
static uint8_t *window, *beside; /* addresses that the tests map to one of the pages */

GUEST_CODE(code_read, "mov (%rdi), %al; mov (%rsi), %bl");
GUEST_CODE(code_load_cr3, "mov (%rdi), %al; mov %cr3, %rcx; mov %rcx, %cr3; mov (%rdi), %bl");
GUEST_CODE(code_invlpg, "mov (%rdi), %al; invlpg (%rdi); mov (%rdi), %bl");

static void map(uint8_t *at, unsigned n, uint64_t bits)
{
	*pte(at) = ADDRESS(pages[n]) | PTE_P | PTE_W | PTE_A | PTE_D | bits;
}

/* As in a new world: both windows show the first page. */
static void fresh(uint32_t proc2, uint64_t bits)
{
	vmx_fresh();
	vmx_set_proc(0, proc2);
	map(window, 0, bits);
	map(beside, 0, 0);
	asm volatile("invlpg (%0); invlpg (%1)" : : "r"(window), "r"(beside) : "memory");
	invvpid(ALL, 0, 0);
	guest.rdi = ADDRESS(window);
	guest.rsi = ADDRESS(beside);
}

static unsigned read_as(uint16_t vpid)
{
	vmwrite(VPID, vpid);
	vmx_enter_at(code_read);
	return (uint8_t)guest.rax;
}

static void test_tags(void)
{
	fresh(PROC2_VPID, 0);
	check(read_as(1) == 1, "VPID 1 reads");
	map(window, 1, 0);
	check(read_as(1) == 1, "its translation is still there after an exit and an entry");
	check(read_as(2) == 2, "VPID 2 does not have it");
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	check(*(volatile uint8_t *)window == 2, "nor does the hypervisor");
	check(read_as(1) == 1, "whose INVLPG leaves it alone");
	check(read_as(0xffff) == 2, "VPID FFFFh is another one, too");
	fresh(0, 0);
	check(read_as(1) == 1, "without VPID");
	map(window, 1, 0);
	check(read_as(1) == 2, "an entry leaves nothing");
}

/* What each type of INVVPID takes: of this VPID the window, what is beside it, the other VPID's. */
static void test_types(void)
{
	static const struct {
		const char *name;
		unsigned type;
		uint64_t global;
		unsigned window, beside, other;
	} cases[] = {
		{ "by address", BY_ADDRESS, 0, 2, 1, 1 },
		{ "by address, global", BY_ADDRESS, PTE_G, 2, 1, 1 },
		{ "by VPID", BY_VPID, 0, 2, 2, 1 },
		{ "by VPID, global", BY_VPID, PTE_G, 2, 2, 1 },
		{ "of all", ALL, PTE_G, 2, 2, 2 },
		{ "by VPID but global ones", KEEP_GLOBAL, 0, 2, 2, 1 },
		{ "by VPID but global ones, global", KEEP_GLOBAL, PTE_G, 1, 2, 1 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned first, second, other;

		fresh(PROC2_VPID, cases[i].global);
		read_as(1);
		read_as(2);
		map(window, 1, cases[i].global);
		map(beside, 1, 0);
		invvpid(cases[i].type, cases[i].type == ALL ? 0 : 1, ADDRESS(window));
		first = read_as(1);
		second = (uint8_t)guest.rbx;
		other = read_as(2);
		check(first == cases[i].window && second == cases[i].beside &&
			      other == cases[i].other,
		      "INVVPID %s: %u, beside %u, other VPID %u", cases[i].name, first, second,
		      other);
	}
}

/* The guest's own instructions reach its VPID only. */
static void test_guest(void)
{
	fresh(PROC2_VPID, 0);
	read_as(1);
	read_as(2);
	map(window, 1, 0);
	vmwrite(VPID, 1);
	vmx_enter_at(code_load_cr3);
	check((uint8_t)guest.rax == 1 && (uint8_t)guest.rbx == 2, "MOV to CR3 in VPID 1");
	check(read_as(2) == 1, "leaves VPID 2 alone");
	vmwrite(VPID, 2);
	vmx_enter_at(code_invlpg);
	check((uint8_t)guest.rax == 1 && (uint8_t)guest.rbx == 2, "INVLPG in VPID 2");
}

static bool fails(uint64_t type, uint64_t vpid, uint64_t address)
{
	return invvpid(type, vpid, address) == 2 && vmread(INSTRUCTION_ERROR) == 28;
}

static void test_operands(void)
{
	vmx_fresh();
	check(fails(4, 1, 0), "INVVPID of type 4: error 28");
	check(fails(BY_ADDRESS, 0, 0) && fails(BY_VPID, 0, 0) && fails(KEEP_GLOBAL, 0, 0),
	      "of VPID 0: error 28");
	check(fails(BY_ADDRESS, 1, 1ull << 50), "of an address that is not canonical: error 28");
	check(fails(BY_VPID, 0x10001, 0), "with reserved bits: error 28");
	check(invvpid(ALL, 0, 1ull << 50) == 0, "of all: nothing else is looked at");
}

void test_main(void)
{
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	if (!vmx_begin())
		return;
	window = page_alloc();
	beside = page_alloc();
	pages[0][0] = 1;
	pages[1][0] = 2;
	test_tags();
	test_types();
	test_guest();
	test_operands();
}
