/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One processor jumps to a function with flags live, the other changes that function between one
 * that overwrites all flags and one that reads them. Whatever the first one meets, its flags are
 * those that it had at the jump. A translation may have left them where only the former function's
 * code can do with them.
 */
#include "bare.h"

#define CHANGES 20000
#define PAUSES  3000 /* so that the other one translates the function in between */

static uint64_t *function;
static uint8_t *caller;
static volatile uint32_t wrong, runs, changes, done;

/* xor %eax, %eax; ret, and sbb %eax, %eax; ret */
#define OVERWRITES 0x9090909090c3c031ull
#define READS      0x9090909090c3c019ull

/* stc; a look-up, behind which all flags are in memory; then none of them set, and the jump. */
CODE(jumps, "stc; lea 1f(%rip), %rax; push %rax; ret; 1: test %rdi, %rdi; .byte 0xe9; .long 0");

static void second(void)
{
	while (changes < CHANGES) {
		uint32_t eax;

		asm volatile("call *%1" : "=&a"(eax) : "r"(caller), "D"(1ull) : "cc", "memory");
		wrong += eax != 0;
		runs++;
	}
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	for (;;)
		asm volatile("hlt");
}

void test_main(void)
{
	uint32_t displacement;

	caller = page_alloc();
	function = (uint64_t *)(caller + 1024);
	*function = OVERWRITES;
	PLACE(caller, jumps);
	displacement = (uint32_t)((uint8_t *)function - caller - (jumps_end - jumps));
	__builtin_memcpy(caller + (jumps_end - jumps) - 4, &displacement, 4);
	if (!start_ap(second)) {
		check(true, "one processor: nothing to do # SKIP");
		return;
	}
	while (!runs)
		asm volatile("pause");
	for (uint32_t i = 0; i < CHANGES; i++) {
		__atomic_store_n(function, i & 1 ? OVERWRITES : READS, __ATOMIC_SEQ_CST);
		for (unsigned n = 0; n < PAUSES; n++)
			asm volatile("" : : : "memory");
		changes = i + 1;
	}
	while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST))
		asm volatile("pause");
	check(!wrong, "flags across a jump to changing code, %u runs: %u wrong", runs, wrong);
}
