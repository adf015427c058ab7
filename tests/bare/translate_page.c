/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translated code and the tables that map it and its data: blocks and instructions across page
 * borders, pages that go, come back elsewhere or lose a right while code on them, or code that uses
 * them, is hot; with INVLPG, by MOV CR3, under PCIDs and privilege levels, with A and D bits.
 *
 * Without INVLPG the old mapping may be used on (SDM3: "Delayed Invalidation"): then either is
 * right.
 */
#include "bare.h"

#define WARM      200
#define CR0_WP    (1ull << 16)
#define CR4_PGE   (1ull << 7)
#define CR4_PCIDE (1ull << 17)
#define CR4_SMAP  (1ull << 21)
#define NOFLUSH   (1ull << 63)
#define INT3      0xcc

static uint8_t *page, *next_page, *other, *spare;
static struct frame frame; /* of the last run */

static void invlpg(const void *address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static void map(const void *address, const void *to, uint64_t flags)
{
	*pte(address) = (uintptr_t)to | PTE_P | PTE_W | flags;
	invlpg(address);
}

/* Undoes all that a test has done to the mappings. */
static void restore(void)
{
	map(page, page, 0);
	map(next_page, next_page, 0);
	map(other, other, 0);
	map(spare, spare, 0);
}

static int64_t run_with(const void *code, uint64_t rdi, uint64_t rsi)
{
	frame = frame_at(code);
	frame.rdi = rdi;
	frame.rsi = rsi;
	return run_frame(&frame);
}

/* How many of WARM runs end at their UD2 with `result` in RAX. */
static unsigned warm(const void *code, uint64_t rdi, uint64_t rsi, uint64_t result)
{
	unsigned good = 0;

	for (unsigned i = 0; i < WARM; i++)
		good += run_with(code, rdi, rsi) == UD && frame.rax == result;
	return good;
}

static bool fetch_faulted(const void *rip, uint64_t address, uint64_t error)
{
	return trap.vector == PF && trap.rip == (uintptr_t)rip && trap.cr2 == address &&
	       trap.error == error;
}

/* ---- code across page borders ---- */

/* What is placed so that byte 4096 of the pair of pages is at .org 16. */
CODE(falls_through, "mov $1, %eax; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop\n"
		    ".org falls_through + 16; mov $2, %ebx; add %ebx, %eax; ud2");
CODE(crosses, "mov $1, %eax; .fill 10, 1, 0x90; .byte 0xbb; .long 2; add %ebx, %eax; ud2");
CODE(crosses_head, "mov $1, %eax; .fill 9, 1, 0x90; .byte 0xbb; .long 2; add %ebx, %eax; ud2");
CODE(crosses_tail, "mov $1, %eax; .fill 6, 1, 0x90; .byte 0x81, 0xc0; .long 2; ud2");
CODE(crosses_branch, "xor %eax, %eax; mov $3, %ecx; 1: inc %eax; .fill 4, 1, 0x90; dec %ecx\n"
		     ".org crosses_branch + 15; jnz 1b; ud2");
CODE(crosses_call, ".fill 15, 1, 0x90; call 1f; ud2; 1: mov $3, %eax; ret");
CODE(jumps, ".fill 11, 1, 0x90; 1: .byte 0xe9; .long 0; mov $3, %eax; ud2");
CODE(branches, "xor %eax, %eax; mov $3, %ecx; jmp 2f; .org branches + 16; 2: inc %eax\n"
	       "dec %ecx; jnz 2b; ud2");
CODE(returns, "lea 1f(%rip), %rax; push %rax; ret; .fill 7, 1, 0x90; 1: mov $3, %eax; ud2");
CODE(indirect, "lea 1f(%rip), %rax; jmp *%rax; .fill 7, 1, 0x90; 1: mov $3, %eax; ud2");

static const struct crossing {
	const char *name;
	const uint8_t *code, *end;
	unsigned rip; /* of the instruction that needs the second page */
} crossings[] = {
#define CROSSING(name, rip)                  \
	{                                    \
#name, name, name##_end, rip \
	}
	CROSSING(falls_through, 16), CROSSING(crosses, 15),        CROSSING(crosses_head, 14),
	CROSSING(crosses_tail, 11),  CROSSING(crosses_branch, 15), CROSSING(crosses_call, 15),
	CROSSING(jumps, 16),         CROSSING(branches, 16),       CROSSING(returns, 16),
	CROSSING(indirect, 16),
};

/* The pages hot; the second one gone, remapped to a changed copy, back, changed in place. */
static void test_crossing(const struct crossing *c)
{
	uint8_t *code = next_page - 16;
	uint64_t rax;
	uint8_t first;

	for (unsigned i = 0; i < 4096; i++)
		page[i] = next_page[i] = INT3; /* whatever goes astray ends */
	place_code(code, c->code, c->end);
	for (unsigned i = 0; i < 4096; i++)
		other[i] = next_page[i];
	check(warm(code, 0, 0, 3) == WARM, "%s: hot", c->name);
	set_pte(next_page, 0, PTE_P);
	run_with(code, 0, 0);
	check(fetch_faulted(code + c->rip, (uintptr_t)next_page, 0x10),
	      "%s: the second page gone: #PF for it, at +%u", c->name,
	      (unsigned)(trap.rip - (uintptr_t)code));
	set_pte(next_page, PTE_P, 0);
	check(warm(code, 0, 0, 3) == WARM, "%s: and back", c->name);
	set_pte(next_page, PTE_NX, 0);
	run_with(code, 0, 0);
	check(fetch_faulted(code + c->rip, (uintptr_t)next_page, 0x11), "%s: no-execute", c->name);
	map(next_page, other, 0);
	check(warm(code, 0, 0, 3) == WARM, "%s: remapped to a copy", c->name);
	first = other[0];
	other[0] = INT3;
	run_with(code, 0, 0);
	rax = frame.rax;
	other[0] = first;
	map(next_page, next_page, 0);
	check(warm(code, 0, 0, 3) == WARM, "%s: mapped back", c->name);
	next_page[0] = INT3;
	run_with(code, 0, 0);
	check(frame.rax == rax && (trap.vector == BP || rax != 3),
	      "%s: changed in place as in the copy", c->name);
	next_page[0] = first;
	check(warm(code, 0, 0, 3) == WARM, "%s: changed back", c->name);
	restore();
}

/* Leaves its page for the one behind, where TARGET waits. */
CODE(leaves, "xor %eax, %eax; jmp .+14; .org leaves + 16");
CODE(leaves_by_call, "xor %eax, %eax; call .+14; .org leaves_by_call + 16");
CODE(leaves_if, "xor %eax, %eax; jz .+14; .org leaves_if + 16");
CODE(target, "mov $1, %eax; ud2");

/* One page of code at two addresses: behind each lies another page. */
static void test_alias(const char *name, const uint8_t *code, const uint8_t *end)
{
	unsigned good = 0;

	place_code(next_page - 16, code, end);
	PLACE(next_page, target);
	PLACE(spare, target);
	spare[1] = 2;
	map(other, page, 0);
	for (unsigned i = 0; i < WARM; i++) {
		good += run_with(next_page - 16, 0, 0) == UD && frame.rax == 1;
		good += run_with(spare - 16, 0, 0) == UD && frame.rax == 2;
	}
	check(good == 2 * WARM, "%s, from two addresses of one page: %u", name, good);
	restore();
}

/* ---- the page of running code ---- */

/* Stores RSI to the entry (RDI) of its own page, INVLPG; the next instruction is of the new page.
 */
CODE(remaps_itself, "mov %rsi, (%rdi); lea (%rip), %rax; invlpg (%rax); mov $1, %eax; ud2");
CODE(loads_cr3, "mov %rsi, (%rdi); mov %cr3, %rax; mov %rax, %cr3; mov $1, %eax; ud2");

static void test_own_page(const char *name, const uint8_t *code, const uint8_t *end)
{
	uint64_t here = (uintptr_t)page | PTE_P | PTE_W, there = (uintptr_t)other | PTE_P | PTE_W;
	unsigned good = 0;

	place_code(page, code, end);
	place_code(other, code, end);
	other[end - code - 2 - 4] = 2; /* the immediate before UD2 */
	check(warm(page, (uintptr_t)pte(page), here, 1) == WARM, "%s: to itself", name);
	for (unsigned i = 0; i < WARM; i++) {
		good += run_with(page, (uintptr_t)pte(page), there) == UD && frame.rax == 2;
		good += run_with(page, (uintptr_t)pte(page), here) == UD && frame.rax == 1;
	}
	check(good == 2 * WARM, "%s: what follows is of the new page: %u", name, good);
	set_pte(page, 0, PTE_P);
	restore();
}

CODE(counts, "mov $3, %eax; ud2");

/* Code loses a right; user code and kernel code in one page. */
static void test_rights(void)
{
	struct frame user;
	unsigned good = 0;

	PLACE(page, counts);
	(void)warm(page, 0, 0, 3);
	set_pte(page, PTE_NX, 0);
	run_with(page, 0, 0);
	check(fetch_faulted(page, (uintptr_t)page, 0x11), "hot code becomes no-execute");
	set_pte(page, PTE_U, PTE_NX);
	for (unsigned i = 0; i < WARM; i++) {
		user = user_frame_at(page, SEL_USER_CODE64);
		good += run_frame(&user) == UD && user.rax == 3 && user.cs == SEL_USER_CODE64;
		good += run_with(page, 0, 0) == UD && frame.rax == 3;
	}
	check(good == 2 * WARM, "the same code in user mode and in the kernel: %u", good);
	set_pte(page, 0, PTE_U);
	user = user_frame_at(page, SEL_USER_CODE64);
	run_frame(&user);
	check(fetch_faulted(page, (uintptr_t)page, 0x15), "hot user code becomes the kernel's");
	check(run_with(page, 0, 0) == UD && frame.rax == 3, "which runs it on");
	set_pte(page, 0, PTE_P);
	run_with(page, 0, 0);
	check(fetch_faulted(page, (uintptr_t)page, 0x10), "hot code goes");
	restore();
}

/* ---- data ---- */

/* 16 loads, stores, read-modify-writes at RDI; the sum in RAX. Data and code are in other pages. */
CODE(loads, "xor %eax, %eax; mov $16, %ecx; 1: add (%rdi), %rax; dec %ecx; jnz 1b; ud2");
CODE(stores, "mov $16, %ecx; 1: mov %rsi, (%rdi); dec %ecx; jnz 1b; mov (%rdi), %rax; ud2");
CODE(modifies, "mov $16, %ecx; 1: add %rsi, (%rdi); dec %ecx; jnz 1b; mov (%rdi), %rax; ud2");
CODE(pushes, "mov %rdi, %rsp; mov $16, %ecx; 1: push %rsi; pop %rax; dec %ecx; jnz 1b; ud2");

static void test_data(void)
{
	volatile uint64_t *window = (uint64_t *)spare, *a = (uint64_t *)next_page,
			  *b = (uint64_t *)other;
	unsigned stale = 0, fresh = 0, good = 0;

	PLACE(page, loads);
	*a = 1;
	*b = 2;
	for (unsigned i = 0; i < WARM; i++) {
		map(spare, i % 2 ? other : next_page, 0);
		good += run_with(page, (uintptr_t)window, 0) == UD &&
			frame.rax == (i % 2 ? 32 : 16);
	}
	check(good == WARM, "loads from a page remapped with INVLPG: %u", good);
	for (unsigned i = 0; i < WARM; i++) {
		map(spare, next_page, 0);
		(void)run_with(page, (uintptr_t)window, 0);
		*pte(spare) = (uintptr_t)other | PTE_P | PTE_W;
		(void)run_with(page, (uintptr_t)window, 0);
		stale += frame.rax == 16;
		fresh += frame.rax == 32;
		invlpg(spare);
		good += run_with(page, (uintptr_t)window, 0) == UD && frame.rax == 32;
	}
	check(stale + fresh == WARM, "remapped without INVLPG: %u old, %u new", stale, fresh);
	check(good == 2 * WARM, "and new after it");
	restore();
}

static bool data_faulted(unsigned at, const void *address, uint64_t error)
{
	return trap.vector == PF && trap.rip == (uintptr_t)page + at &&
	       trap.cr2 == (uintptr_t)address && trap.error == error;
}

/* The instruction at `at` is hot when its page loses the right, and works on when it has it again.
 */
static void test_data_rights(const char *name, const uint8_t *code, const uint8_t *end, unsigned at,
			     uint64_t error, unsigned displacement)
{
	uint64_t rdi = (uintptr_t)spare + 64 + displacement;
	const uint8_t *address = spare + 64;
	uint64_t result;

	place_code(page, code, end);
	*(uint64_t *)(spare + 64) = 0;
	(void)warm(page, rdi, 0, 0);
	result = frame.rax;
	set_pte(spare, 0, PTE_P);
	run_with(page, rdi, 0);
	check(data_faulted(at, address, error), "%s: its page goes: at +%u, error %lx", name,
	      (unsigned)(trap.rip - (uintptr_t)page), trap.error);
	set_pte(spare, PTE_P, PTE_W);
	run_with(page, rdi, 0);
	check(error ? data_faulted(at, address, error | 1) : trap.vector == UD,
	      "%s: its page becomes read-only", name);
	set_pte(spare, PTE_W, PTE_A | PTE_D);
	check(run_with(page, rdi, 0) == UD && frame.rax == result, "%s: and is back", name);
	check((*pte(spare) & (PTE_A | PTE_D)) == (error ? PTE_A | PTE_D : PTE_A),
	      "%s: sets A and D as it must", name);
	restore();
}

static void test_clean_and_dirty(void)
{
	unsigned good = 0;

	PLACE(page, stores);
	for (unsigned i = 0; i < WARM; i++) {
		set_pte(spare, 0, PTE_A | PTE_D);
		(void)run_with(page, (uintptr_t)spare, i);
		good += (*pte(spare) & PTE_D) && frame.rax == i;
	}
	check(good == WARM, "each first store after D was cleared sets it: %u", good);
}

/* ---- address spaces ---- */

static uint64_t tables[4][512] __attribute__((aligned(4096)));

/* A second set of tables, in which `window` is another frame: returns its CR3. */
static uint64_t second_space(const void *window, const void *frame_there)
{
	uint64_t a = (uintptr_t)window;
	uint64_t *pd = tables[2], *pt = tables[3];

	(void)pte(window);
	for (unsigned i = 0; i < 512; i++) {
		tables[0][i] = pml4[i];
		tables[1][i] = pdpt[i];
		pd[i] = page_directories[i];
		pt[i] = ((uint64_t *)(page_directories[a >> 21] & ~0xfffull))[i];
	}
	tables[0][0] = (uintptr_t)tables[1] | 7;
	tables[1][0] = (uintptr_t)pd | 7;
	pd[a >> 21] = (uintptr_t)pt | 7;
	pt[a >> 12 & 511] = (uintptr_t)frame_there | PTE_P | PTE_W;
	return (uintptr_t)tables[0];
}

/* Loads CR3 from RSI, sums up, loads CR3 from RDX. */
CODE(in_space, "mov %rsi, %cr3; xor %eax, %eax; mov $16, %ecx\n"
	       "1: add (%rdi), %rax; dec %ecx; jnz 1b; mov %rdx, %cr3; ud2");
CODE(call_in_space, "mov %rsi, %cr3; call *%rdi; mov %rdx, %cr3; ud2");
CODE(return_one, "mov $1, %eax; ret");
CODE(return_two, "mov $2, %eax; ret");

static void test_spaces(const char *name, uint64_t first, uint64_t second, uint64_t results)
{
	unsigned good = 0;

	for (unsigned i = 0; i < 2 * WARM; i++) {
		uint64_t result = i % 2 ? results & 0xff : results >> 8;

		frame = frame_at(page);
		frame.rdi = (uintptr_t)spare;
		frame.rsi = i % 2 ? first : second;
		frame.rdx = first;
		good += run_frame(&frame) == UD && frame.rax == result;
	}
	check(good == 2 * WARM, "%s: %u", name, good);
}

/* The TLB is emptied in each round; at times the called page is another one since, or cannot be
 * executed. */
static void test_flushes(void)
{
	uint64_t cr3 = READ_CR(3);
	unsigned good = 0, flushes = 4 * WARM;

	PLACE(page, call_in_space);
	PLACE(spare, return_one);
	PLACE(other, return_two);
	for (unsigned i = 0; i < flushes; i++) {
		bool is_moved = i / 7 % 2, is_void = i % 11 == 0;

		*pte(spare) = (uintptr_t)(is_moved ? other : spare) | PTE_P | PTE_W |
			      (is_void ? PTE_NX : 0);
		frame = frame_at(page);
		frame.rdi = (uintptr_t)spare;
		frame.rsi = frame.rdx = cr3;
		good += is_void ? run_frame(&frame) == PF && frame.rip == (uintptr_t)spare
				: run_frame(&frame) == UD && frame.rax == 1u + is_moved;
	}
	check(good == flushes, "hot code whose page is looked up anew each time: %u", good);
	restore();
}

/* Flushes everything, calls. */
CODE(call_flushed, "invpcid (%rsi), %rdx; call *%rdi; ud2");

/* The same of global pages, by INVPCID. */
static void test_global_flushes(void)
{
	static const uint64_t descriptor[2];
	unsigned good = 0, flushes = 4 * WARM;

	if (!(cpuid(7, 0).b & 1 << 10))
		return;
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	PLACE(page, call_flushed);
	PLACE(spare, return_one);
	PLACE(other, return_two);
	for (unsigned i = 0; i < flushes; i++) {
		bool is_moved = i / 7 % 2, is_void = i % 11 == 0, is_global = i / 50 % 4;

		*pte(spare) = (uintptr_t)(is_moved ? other : spare) | PTE_P | PTE_W |
			      (is_void ? PTE_NX : 0) | (is_global ? PTE_G : 0);
		frame = frame_at(page);
		frame.rdi = (uintptr_t)spare;
		frame.rsi = (uintptr_t)descriptor;
		frame.rdx = 2;
		good += is_void ? run_frame(&frame) == PF && frame.rip == (uintptr_t)spare
				: run_frame(&frame) == UD && frame.rax == 1u + is_moved;
	}
	check(good == flushes, "global code whose page is looked up anew each time: %u", good);
	restore();
	WRITE_CR(4, READ_CR(4) & ~CR4_PGE);
}

static void test_address_spaces(void)
{
	uint64_t cr3 = READ_CR(3), cr4 = READ_CR(4), second = second_space(spare, other);
	bool has_pcid = cpuid(1, 0).c & 1 << 17;

	for (unsigned has_global = 0; has_global < 2; has_global++) {
		if (has_global)
			WRITE_CR(4, READ_CR(4) | CR4_PGE);
		PLACE(page, in_space);
		*(uint64_t *)spare = 1;
		*(uint64_t *)other = 2;
		test_spaces("data in two address spaces", cr3, second, 16 | 32 << 8);
		if (has_pcid) {
			WRITE_CR(4, READ_CR(4) | CR4_PCIDE);
			test_spaces("with PCIDs, not flushed", cr3 | 1 | NOFLUSH,
				    second | 2 | NOFLUSH, 16 | 32 << 8);
		}
		PLACE(page, call_in_space);
		PLACE(spare, return_one);
		PLACE(other, return_two);
		if (has_pcid)
			test_spaces("hot code in two PCIDs", cr3 | 1 | NOFLUSH,
				    second | 2 | NOFLUSH, 1 | 2 << 8);
		WRITE_CR(3, cr3);
		WRITE_CR(4, READ_CR(4) & ~CR4_PCIDE);
		test_spaces("hot code in two address spaces", cr3, second, 1 | 2 << 8);
	}
	WRITE_CR(4, cr4);
	restore();
}

/* Hot kernel code that reads a user page, with and without AC. */
CODE(opens, "stac; mov (%rdi), %rax; clac; mov (%rdi), %rax; ud2");

static void test_smap(void)
{
	uint64_t cr4 = READ_CR(4);
	unsigned good = 0;

	if (!(cpuid(7, 0).b & 1 << 20)) {
		check(true, "SMAP # SKIP the processor has none");
		return;
	}
	PLACE(page, opens);
	make_user(spare);
	*(uint64_t *)spare = 3;
	check(warm(page, (uintptr_t)spare, 0, 3) == WARM, "hot loads from a user page");
	WRITE_CR(4, cr4 | CR4_SMAP);
	for (unsigned i = 0; i < WARM; i++)
		good += run_with(page, (uintptr_t)spare, 0) == PF && frame.rax == 3 &&
			trap.rip == (uintptr_t)page + 9 && trap.error == 1;
	check(good == WARM, "with SMAP the one behind CLAC faults: %u", good);
	WRITE_CR(4, cr4);
	check(run_with(page, (uintptr_t)spare, 0) == UD, "without SMAP it does not");
	restore();
}

/* ---- the end of the lower half ---- */

#define LAST_PAGE 0x7ffffffff000ull

CODE(calls_out, "inc %eax; .byte 0xe8; .long 4096");
CODE(jumps_out, "inc %eax; .byte 0xe9; .long 4096");
CODE(branches_out, "inc %eax; test %eax, %eax; .byte 0x0f, 0x85; .long 4096");
CODE(runs_out, "inc %eax; nop");

/* Maps `to` where behind it no address is canonical. */
static void map_last(const void *to)
{
	uint64_t *level[] = { page_alloc(), page_alloc(), page_alloc() };

	pml4[255] = (uintptr_t)level[0] | PTE_P | PTE_W;
	level[0][511] = (uintptr_t)level[1] | PTE_P | PTE_W;
	level[1][511] = (uintptr_t)level[2] | PTE_P | PTE_W;
	level[2][511] = (uintptr_t)to | PTE_P | PTE_W;
}

/* The piece ends where the page does; at `fault` is what faults, the piece's end: the fetch. */
static void test_last(const char *name, const uint8_t *text, const uint8_t *end, unsigned fault)
{
	uint64_t rip = LAST_PAGE + 4096 - (uint64_t)(end - text), rsp;
	unsigned good = 0;

	place_code(page + 4096 - (end - text), text, end);
	for (unsigned i = 0; i < WARM; i++) {
		frame = frame_at((void *)rip);
		rsp = frame.rsp;
		good += run_frame(&frame) == GP && frame.error == 0 && frame.rip == rip + fault &&
			frame.rsp == rsp && frame.rax == 1;
	}
	check(good == WARM, "%s beyond canonical addresses: %u", name, good);
}

static void test_end_of_half(void)
{
	map_last(page);
	test_last("a call", calls_out, calls_out_end, 2);
	test_last("a jump", jumps_out, jumps_out_end, 2);
	test_last("a branch", branches_out, branches_out_end, 4);
	test_last("running", runs_out, runs_out_end, 3);
	pml4[255] = 0;
	invlpg((void *)LAST_PAGE);
}

void test_main(void)
{
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	page = page_alloc();
	next_page = page_alloc();
	other = page_alloc();
	spare = page_alloc();
	for (unsigned i = 0; i < sizeof(crossings) / sizeof(*crossings); i++)
		test_crossing(&crossings[i]);
	test_alias("a jump out of the page", leaves, leaves_end);
	test_alias("a call out of the page", leaves_by_call, leaves_by_call_end);
	test_alias("a branch out of the page", leaves_if, leaves_if_end);
	test_own_page("INVLPG of the running page", remaps_itself, remaps_itself_end);
	test_own_page("MOV CR3 under running code", loads_cr3, loads_cr3_end);
	test_rights();
	test_data();
	test_data_rights("load", loads, loads_end, 7, 0, 0);
	test_data_rights("store", stores, stores_end, 5, 2, 0);
	test_data_rights("read-modify-write", modifies, modifies_end, 5, 2, 0);
	test_data_rights("push", pushes, pushes_end, 8, 2, 8);
	test_clean_and_dirty();
	test_address_spaces();
	test_flushes();
	test_global_flushes();
	test_smap();
	test_end_of_half();
}
