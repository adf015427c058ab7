/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debugging: single-stepping, breakpoints on code and data, RF, the shadow of MOV SS, DR7.GD,
 * ICEBP.
 */
#include "bare.h"

#define RFLAGS_TF 0x100
#define RFLAGS_RF 0x10000
#define DR6_BD    (1ull << 13)
#define DR6_BS    (1ull << 14)

#define MSR_DEBUGCTL 0x1d9
#define DEBUGCTL_BTF 2

static unsigned hits;
static uint64_t rips[32], dr6s[32], flags[32];
static uint64_t rf_on_return;

static void record(struct frame *frame)
{
	if (hits < 32) {
		rips[hits] = frame->rip;
		dr6s[hits] = READ_DR(6);
		flags[hits] = frame->rflags;
	}
	hits++;
	WRITE_DR(6, 0xffff0ff0);
	frame->rflags |= rf_on_return;
}

static void clear(void)
{
	hits = 0;
	WRITE_DR(6, 0xffff0ff0);
}

#define STEP_ON  "pushf; orl $0x100, (%%rsp); popf\n\t"
#define STEP_OFF "pushf; andl $~0x100, (%%rsp); popf\n\t"

static void test_single_step(void)
{
	clear();
	asm volatile(STEP_ON "nop; nop; nop\n\t" STEP_OFF ::: "memory", "cc");
	/* after each nop, pushf, andl and popf */
	check(hits == 6, "single-stepping traps after each instruction: %u", hits);
	check(rips[1] - rips[0] == 1 && rips[2] - rips[1] == 1, "at the next instruction");
	check((dr6s[0] & ~0xffff0ff0ull) == DR6_BS, "with DR6.BS");
	clear();
	asm volatile(STEP_ON "mov %%ss, %%eax; mov %%eax, %%ss; nop; nop\n\t" STEP_OFF ::
			     : "rax", "memory", "cc");
	check(hits == 6, "MOV SS swallows the trap behind it: %u", hits);
	clear();
	asm volatile("mov $3, %%ecx; mov %%rsp, %%rdi; sub $64, %%rdi\n\t" STEP_ON
		     "rep stosb\n\t" STEP_OFF ::
			     : "rcx", "rdi", "memory", "cc");
	check(hits == 6, "REP traps after each iteration: %u", hits);
	check(rips[0] == rips[1], "at its own address until it is done");
	check((flags[0] & RFLAGS_RF) && (flags[1] & RFLAGS_RF) && !(flags[2] & RFLAGS_RF),
	      "and with RF set until then");
}

static void test_branch_step(void)
{
	uint64_t target;

	clear();
	wrmsr(MSR_DEBUGCTL, DEBUGCTL_BTF);
	asm volatile(STEP_ON "nop; nop; jmp 1f; nop\n"
			     "1: lea 1b(%%rip), %0\n\t" STEP_OFF
		     : "=r"(target)
		     :
		     : "memory", "cc");
	wrmsr(MSR_DEBUGCTL, 0);
	check(hits && rips[0] == target, "DEBUGCTL.BTF: only a branch traps, if only to jump on");
}

static void test_code_breakpoint(void)
{
	uint64_t rip = 0;

	clear();
	rf_on_return = RFLAGS_RF;
	asm volatile("lea 1f(%%rip), %0; mov %0, %%dr0\n\t"
		     "mov $0x402, %%eax; mov %%rax, %%dr7\n\t"
		     "nop\n"
		     "1: nop; mov $0x400, %%eax; mov %%rax, %%dr7"
		     : "=&r"(rip)
		     :
		     : "rax", "memory");
	rf_on_return = 0;
	check(hits == 1 && rips[0] == rip,
	      "a code breakpoint faults before its instruction, once with RF: %u", hits);
	check((dr6s[0] & 0xf) == 1, "with DR6.B0");
}

static void test_data_breakpoint(void)
{
	static volatile uint64_t watched[2] __attribute__((aligned(16)));
	uint64_t rip = 0;

	WRITE_DR(1, (uintptr_t)&watched[0]);
	WRITE_DR(7, 0x400 | 2 << 2 | 0xdull << 20); /* L1/G1, writes of 4 bytes */
	clear();
	(void)watched[0];
	check(hits == 0, "a write breakpoint ignores loads");
	watched[1] = 1;
	check(hits == 0, "and its neighbours");
	asm volatile("movb $1, 2(%1); lea (%%rip), %0" : "=r"(rip) : "r"(watched) : "memory");
	check(hits == 1 && (dr6s[0] & 0xf) == 2, "a byte store inside it traps with DR6.B1: %u",
	      hits);
	check(rip - rips[0] == 7, "after the store");
	WRITE_DR(7, 0x400 | 2 << 2 | 0xfull << 20);
	clear();
	(void)*(volatile uint32_t *)watched;
	check(hits == 1, "a read-write breakpoint traps a load");
	WRITE_DR(7, 0x400);
	clear();
	watched[0] = 2;
	check(hits == 0, "disabled again");
}

static void test_general_detect(void)
{
	WRITE_DR(7, 0x400 | 1 << 13);
	set_handler(DB, NULL);
	check(TRY("mov %%dr0, %%rax", "i"(0)) == DB && (trap.dr6 & DR6_BD),
	      "DR7.GD: #DB on access");
	set_handler(DB, record);
	check(!(READ_DR(7) & 1 << 13), "which clears GD");
	check(TRY("mov %0, %%dr7", "r"(1ull << 32)) == GP, "high bits of DR7: #GP");
	WRITE_CR(4, READ_CR(4) | 8);
	check(TRY("mov %%dr4, %%rax", "i"(0)) == UD, "DR4 with CR4.DE: #UD");
	WRITE_CR(4, READ_CR(4) & ~8ull);
	check(TRY("mov %%dr4, %%rax", "i"(0)) == -1, "DR4 is DR6 without it");
}

static void test_icebp(void)
{
	clear();
	asm volatile(".byte 0xf1");
	check(hits == 1 && !(dr6s[0] & DR6_BS), "ICEBP: #DB without DR6.BS");
}

void test_main(void)
{
	set_handler(DB, record);
	test_single_step();
	test_branch_step();
	test_code_breakpoint();
	test_data_breakpoint();
	test_general_detect();
	test_icebp();
}
