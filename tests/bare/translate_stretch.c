/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot loops of user code over pages in a row: what the processor may remember of the row must not
 * outlive a change to one of its pages - elsewhere, gone, read-only, the kernel's, holding code -
 * be it in the middle, and two checks in one round must not mistake each other's pages.
 */
#include "bare.h"

#define WARM   400
#define PAGES  8
#define WORDS  512 /* of a page */
#define MIDDLE 3

static uint8_t *code, *looked;
static uint64_t *row, *other, *lone;
static struct frame frame; /* of the last run */

static int64_t run(uint64_t rdi, uint64_t rsi, uint64_t rcx)
{
	frame = user_frame_at(code, SEL_USER_CODE64);
	frame.rdi = rdi;
	frame.rsi = rsi;
	frame.rcx = rcx;
	frame.rdx = 1;
	return run_frame(&frame);
}

static void map(const uint64_t *address, const uint64_t *to, uint64_t flags)
{
	*pte(address) = (uintptr_t)to | PTE_P | PTE_W | PTE_U | flags;
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* Word n of the row is n; those of the other page are its, a million higher. */
static void fill(void)
{
	for (unsigned n = 0; n < PAGES * WORDS; n++)
		row[n] = n;
	for (unsigned n = 0; n < WORDS; n++)
		other[n] = 1000000 + MIDDLE * WORDS + n;
}

/* A word of each quarter page: the loop's first access is at RDI + 8. */
CODE(sums, "xor %eax, %eax; 1: add 8(%rdi), %rax; add $1024, %rdi; dec %ecx; jnz 1b; ud2");
CODE(adds, "xor %eax, %eax; 1: add %rdx, 8(%rdi); add 8(%rdi), %rax; add $1024, %rdi\n"
	   "dec %ecx; jnz 1b; ud2");
CODE(chases, "xor %eax, %eax; 1: add 8(%rdi), %rax; mov %rax, 16(%rdi); mov (%rdi), %rdi\n"
	     "dec %ecx; jnz 1b; ud2");
/* Three registers: a pair of accesses around single ones, with R9 as a stand-in. */
CODE(mixes, "xor %eax, %eax; mov %rcx, %r9; 1: add 8(%rdi), %rax; mov %r9, (%rsi)\n"
	    "push %rax; add (%rsi), %rax; pop %rbx; mov %rax, 16(%rdi); add $1024, %rdi\n"
	    "dec %r9; jnz 1b; ud2");
CODE(spins, "1: sub $1, %rcx; mov %dl, (%rdi); jnz 1b; ud2");
CODE(one, "mov $1, %eax; ud2");

#define ROUNDS (PAGES * 4)

/* What `sums` and `adds` find, with `more` at each word and the middle page's from the other. */
static uint64_t sum(uint64_t more, bool is_other)
{
	uint64_t total = 0;

	for (unsigned n = 0; n < ROUNDS; n++)
		total += n * 128 + 1 + more + (is_other && n / 4 == MIDDLE ? 1000000 : 0);
	return total;
}

static unsigned warm(uint64_t step, bool is_other)
{
	unsigned good = 0;

	fill();
	for (unsigned i = 1; i <= WARM; i++)
		good += run((uintptr_t)row, 0, ROUNDS) == UD &&
			frame.rax == sum(step * i, is_other);
	return good;
}

static bool faulted(unsigned rip, uint64_t cr2, uint64_t error)
{
	return trap.vector == PF && trap.rip == (uintptr_t)code + rip && trap.cr2 == cr2 &&
	       trap.error == error;
}

/* `rip` is that of the access, `write` its bit of the error code. */
static void test_row(const char *name, const uint8_t *from, const uint8_t *end, unsigned rip,
		     uint64_t step)
{
	uint64_t *middle = row + MIDDLE * WORDS, write = step ? 2 : 0;
	uint64_t before;

	place_code(code, from, end);
	check(warm(step, false) == WARM, "%s: a row of pages", name);
	map(middle, other, 0);
	check(warm(step, true) == WARM, "%s: the middle one elsewhere", name);
	map(middle, middle, 0);
	check(warm(step, false) == WARM, "%s: and back", name);
	fill();
	set_pte(middle, 0, PTE_P);
	run((uintptr_t)row, 0, ROUNDS);
	check(faulted(rip, (uintptr_t)&middle[1], 4 | write) && frame.rdi == (uintptr_t)middle &&
		      frame.rcx == ROUNDS - MIDDLE * 4,
	      "%s: gone", name);
	set_pte(middle, PTE_P, PTE_U);
	run((uintptr_t)row, 0, ROUNDS);
	check(faulted(rip, (uintptr_t)&middle[1], 5 | write), "%s: the kernel's", name);
	set_pte(middle, PTE_U, PTE_W);
	before = middle[1];
	run((uintptr_t)row, 0, ROUNDS);
	check(step ? faulted(rip, (uintptr_t)&middle[1], 7) && middle[1] == before
		   : trap.vector == UD,
	      "%s: read-only", name);
	set_pte(middle, PTE_W, 0);
	check(warm(step, false) == WARM, "%s: at last", name);
}

/* Each node's next is 13 quarter pages on. */
static void test_chase(void)
{
	uint64_t *middle = row + MIDDLE * WORDS;
	unsigned good = 0, there = 0;

	fill();
	for (unsigned n = 0; n < ROUNDS; n++)
		row[n * 128] = (uintptr_t)&row[(n + 13) % ROUNDS * 128];
	PLACE(code, chases);
	for (unsigned i = 0; i < WARM; i++)
		good += run((uintptr_t)row, 0, ROUNDS) == UD && frame.rax == sum(0, false) &&
			frame.rdi == (uintptr_t)row;
	check(good == WARM, "chase: %u", good);
	for (unsigned n = 0; n < 4; n++)
		other[n * 128] = middle[n * 128];
	for (unsigned i = 0; i < WARM; i++) {
		bool is_other = i % 2;

		map(middle, is_other ? other : middle, 0);
		there += run((uintptr_t)row, 0, ROUNDS) == UD && frame.rax == sum(0, is_other);
	}
	map(middle, middle, 0);
	check(there == WARM, "chase: the middle page elsewhere and back, each time: %u", there);
}

static void test_mix(void)
{
	unsigned good = 0;

	PLACE(code, mixes);
	fill();
	for (unsigned i = 0; i < WARM; i++) {
		uint64_t total = 0;
		bool is_right = run((uintptr_t)row, (uintptr_t)lone, ROUNDS) == UD;

		for (unsigned n = 0; n < ROUNDS; n++) {
			uint64_t read = total + n * 128 + 1;

			total = read + ROUNDS - n;
			is_right &= row[n * 128 + 2] == total;
		}
		good += is_right && frame.rax == total && lone[0] == 1;
	}
	check(good == WARM, "pages of two kinds in one loop: %u", good);
}

/* A page of a row comes to hold code, and a hot loop writes to it. */
static void test_code_in_row(void)
{
	uint8_t *there = (uint8_t *)(row + MIDDLE * WORDS);
	unsigned good = 0;

	for (unsigned i = 0; i < WARM / 8; i++) {
		PLACE(code, spins);
		run((uintptr_t)there + 1, 0, 100); /* DL, 1 */
		PLACE(there, one);
		frame = user_frame_at(there, SEL_USER_CODE64);
		for (unsigned k = 0; k < 20; k++) {
			frame.rip = (uintptr_t)there;
			run_frame(&frame);
		}
		run((uintptr_t)there + 2, 0, 100);
		frame = user_frame_at(there, SEL_USER_CODE64);
		good += run_frame(&frame) == UD && frame.rax == 0x101;
	}
	check(good == WARM / 8, "code in a page of the row: %u", good);
}

/* Loops that never hit: each round is in another of two rows. */
CODE(alternates, "xor %eax, %eax; 1: add (%rdi), %rax; xchg %rsi, %rdi; dec %ecx; jnz 1b; ud2");

static void test_alternation(void)
{
	unsigned good = 0;

	PLACE(code, alternates);
	fill();
	map(row + WORDS, other, 0);
	for (unsigned i = 0; i < WARM; i++)
		good += run((uintptr_t)row, (uintptr_t)(row + WORDS), 64) == UD &&
			frame.rax == 32 * other[0];
	map(row + WORDS, row + WORDS, 0);
	check(good == WARM, "rows by turns: %u", good);
}

CODE(looks, "mov 8(%rdi), %rax; ud2");

#define CACHED_PAGES 8192 /* more than all that is cached of translations */

/* Reads a word of each page of a region, for what the TLB has of the row to leave it. */
static void crowd(void)
{
	const volatile uint8_t *p = (const volatile uint8_t *)(4 * 1024 * 1024);

	for (unsigned n = 0; n < CACHED_PAGES; n++)
		(void)p[n * 4096ul];
}

static int64_t run_again(const struct frame *from)
{
	frame = *from;
	return run_frame(&frame);
}

/*
 * A page of a row that the TLB has lost faults: the kernel may map another one there without
 * INVLPG. The row must be forgotten by that alone; nothing new is decoded after the first time.
 */
static void test_fault_in_row(void)
{
	uint64_t *middle = row + MIDDLE * WORDS;
	unsigned gone = 0, there = 0;
	struct frame look, add;

	fill();
	PLACE(looked, looks);
	PLACE(code, sums);
	look = user_frame_at(looked, SEL_USER_CODE64); /* INVLPG is in that */
	look.rdi = (uintptr_t)middle;
	add = user_frame_at(code, SEL_USER_CODE64);
	add.rdi = (uintptr_t)row;
	add.rcx = ROUNDS;
	for (unsigned round = 0; round < 8; round++) {
		map(middle, middle, 0);
		for (unsigned i = 0; i < WARM; i++)
			run_again(&add);
		*pte(middle) &= ~PTE_P;
		crowd();
		run_again(&look);
		gone += trap.vector == PF && trap.cr2 == (uintptr_t)&middle[1];
		*pte(middle) = (uintptr_t)other | PTE_P | PTE_W | PTE_U;
		there += run_again(&add) == UD && frame.rax == sum(0, true);
	}
	map(middle, middle, 0);
	check(gone == 8 && there == 8, "another page after a fault: %u, %u", gone, there);
}

void test_main(void)
{
	code = page_alloc();
	looked = page_alloc();
	make_user(looked);
	row = page_alloc();
	for (unsigned n = 1; n < PAGES; n++)
		page_alloc();
	other = page_alloc();
	lone = page_alloc();
	make_user(code);
	make_user(other);
	make_user(lone);
	for (unsigned n = 0; n < PAGES; n++)
		make_user(row + n * WORDS);
	test_row("sums", sums, sums_end, 2, 0);
	test_row("adds", adds, adds_end, 2, 1);
	test_chase();
	test_mix();
	test_code_in_row();
	test_alternation();
	test_fault_in_row();
}
