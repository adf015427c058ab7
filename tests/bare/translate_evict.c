/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * More code than a small code cache holds (--code-cache 2M): pages full of short functions that
 * jump to each other with a carry live, call one that is hot all the time, and are run until they
 * are translated, one page after the other, over and over. Two processors do so in different
 * orders; each also changes code of pages of its own while it is hot. What each run computes is
 * compared with a model. Code that becomes hot when there is no room left beside it is made anew
 * elsewhere, and found there by what jumps to it, also when it is changed after that.
 */
#include "bare.h"

#define PAGES     64
#define FUNCTIONS 120 /* in a page */
#define STRIDE    32
#define WARM      20 /* runs, which is enough for a translation */
#define ROUNDS    3
#define CODE_AT   0x4000000ull
#define HOT_AT    (CODE_AT + PAGES * 4096)

/* adc $0, %eax; test $1, %al; jz 1f; xor $B, %eax; 1: call hot; add $A, %eax; jmp next */
static const uint8_t template[] = { 0x83, 0xd0, 0, 0xa8, 1, 0x74, 5, 0x35, 0,    0, 0, 0, 0xe8, 0,
				    0,    0,    0, 0x05, 0, 0,    0, 0,    0xe9, 0, 0, 0, 0 };
#define XOR_AT  8
#define CALL_AT 13
#define ADD_AT  18
#define JUMP_AT 23

static uint32_t added[PAGES][FUNCTIONS];
static unsigned pages;
static volatile uint32_t wrong[2], runs[2], arrived;

static void store32(uint8_t *at, uint32_t value)
{
	__builtin_memcpy(at, &value, sizeof(value));
}

static uint8_t *function(unsigned page, unsigned n)
{
	return (uint8_t *)(CODE_AT + page * 4096ull + n * STRIDE);
}

static uint32_t xored(unsigned page, unsigned n)
{
	return (page * 2654435761u) ^ (n * 40503u);
}

static void set_displacement(uint8_t *at, const uint8_t *target)
{
	store32(at, (uint32_t)(target - (at + 4)));
}

static void make_page(unsigned page)
{
	for (unsigned n = 0; n < FUNCTIONS; n++) {
		uint8_t *at = function(page, n);

		added[page][n] = (page * 97 + n) * 0x9e3779b9u;
		__builtin_memcpy(at, template, sizeof(template));
		store32(at + XOR_AT, xored(page, n));
		set_displacement(at + CALL_AT, (uint8_t *)HOT_AT);
		store32(at + ADD_AT, added[page][n]);
		set_displacement(at + JUMP_AT, function(page, n + 1));
	}
	/* adc $0, %eax; ret */
	__builtin_memcpy(function(page, FUNCTIONS), "\x83\xd0\x00\xc3", 4);
}

static uint32_t model(unsigned page, uint32_t eax)
{
	uint32_t carry = 0;

	for (unsigned n = 0; n < FUNCTIONS; n++) {
		eax += carry;
		if (eax & 1)
			eax ^= xored(page, n);
		eax = eax << 5 | eax >> 27;
		carry = __builtin_add_overflow(eax, added[page][n], &eax);
	}
	return eax + carry;
}

static void warm(unsigned cpu, unsigned page, uint32_t seed)
{
	for (unsigned i = 0; i < WARM; i++) {
		uint32_t eax = seed + i;

		asm volatile("clc; call *%1" : "+a"(eax) : "r"(function(page, 0)) : "cc", "memory");
		wrong[cpu] += eax != model(page, seed + i);
		runs[cpu]++;
	}
}

/* Of four pages one belongs to each processor, which changes it; all run the others. */
static void run_page(unsigned cpu, unsigned page, unsigned round)
{
	unsigned n = (page * 7 + round * 11) % FUNCTIONS;

	if (page % 4 == !cpu)
		return;
	warm(cpu, page, page * 1000 + round);
	if (page % 4 != cpu)
		return;
	added[page][n] += 0x10001;
	store32(function(page, n) + ADD_AT, added[page][n]);
	warm(cpu, page, page * 2000 + round);
}

static void run_all(unsigned cpu)
{
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < pages; i++)
			run_page(cpu, cpu ? (pages - 1 - i) * 5 % pages : i, round);
}

/* ---- hot code that has to move ---- */

#define HOT_RUNS 20000 /* which samples find it often enough in */

CODE(jumps, "jmp . + 1024");
CODE(adds, "mov $5, %eax; mov (%rdi), %ecx; add %ecx, %eax; ret");

static unsigned run_often(const uint8_t *from, uint32_t number, unsigned times)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < times; i++) {
		uint32_t eax, value = i;

		asm volatile("call *%1"
			     : "=&a"(eax)
			     : "r"(from), "D"(&value)
			     : "rcx", "cc", "memory");
		bad += eax != number + i;
	}
	return bad;
}

/* Pages of other code are run until there is no room left beside it. */
static void test_moving(void)
{
	unsigned bad = 0;

	for (unsigned page = 0; page + 2 <= pages; page += 2) {
		uint8_t *from = page_alloc(), *to = from + 1024;

		PLACE(from, jumps);
		PLACE(to, adds);
		bad += run_often(from, 5, WARM);
		warm(0, page, 1);
		warm(0, page + 1, 1);
		bad += run_often(from, 5, HOT_RUNS);
		store32(to + 1, 7);
		bad += run_often(from, 7, WARM);
	}
	check(!bad, "code that is hot, and changes, where there is no room left: %u wrong", bad);
}

/*
 * The same of code whose accesses are checked together, which is hot as long as they lie in one
 * page, and then is so when they lie in two.
 */
CODE(sums, "mov (%rdi), %eax; add 16(%rdi), %eax; ret");

static unsigned run_sums(const uint8_t *from, uint32_t *at, unsigned times)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < times; i++) {
		uint32_t eax;

		at[0] = i;
		at[4] = i * 3;
		asm volatile("call *%1" : "=&a"(eax) : "r"(from), "D"(at) : "cc", "memory");
		bad += eax != i * 4;
	}
	return bad;
}

static void test_moving_across(void)
{
	static uint32_t values[2048] __attribute__((aligned(4096)));
	uint32_t *across = &values[1022];
	unsigned bad = 0;

	for (unsigned page = 0; page + 2 <= pages; page += 2) {
		uint8_t *from = page_alloc();

		PLACE(from, sums);
		bad += run_sums(from, values, HOT_RUNS);
		bad += run_sums(from, across, 2 * WARM);
		warm(0, page, 1);
		warm(0, page + 1, 1);
		bad += run_sums(from, across, HOT_RUNS);
	}
	check(!bad, "code that is hot, with a range in two pages, where there is no room: %u wrong",
	      bad);
}

static void second(void)
{
	run_all(1);
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	for (;;)
		asm volatile("hlt");
}

void test_main(void)
{
	bool is_pair;

	pages = (unsigned)boot_number("pieces", PAGES);
	if (pages > PAGES)
		pages = PAGES;
	/* rol $5, %eax; ret */
	__builtin_memcpy((uint8_t *)HOT_AT, "\xc1\xc0\x05\xc3", 4);
	for (unsigned page = 0; page < pages; page++)
		make_page(page);
	test_moving();
	test_moving_across();
	is_pair = start_ap(second);
	run_all(0);
	while (is_pair && !__atomic_load_n(&arrived, __ATOMIC_SEQ_CST))
		asm volatile("pause");
	check(runs[0] && !wrong[0], "%u runs of pages of code: %u wrong", runs[0], wrong[0]);
	if (is_pair)
		check(runs[1] && !wrong[1], "%u on the other processor: %u wrong", runs[1],
		      wrong[1]);
}
