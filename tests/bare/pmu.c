/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Performance counters: what CPUID says of them, the rules of their registers, exact counts of
 * instructions by ring, cycles that stop in HLT, overflows and their interrupts. A model without
 * counters has none of it.
 */
#include "apic.h"
#include "bare.h"

#define MSR_PMC           0xc1
#define MSR_SELECT        0x186
#define MSR_FIXED         0x309
#define MSR_FIXED_CTRL    0x38d
#define MSR_GLOBAL_STATUS 0x38e
#define MSR_GLOBAL_CTRL   0x38f
#define MSR_OVERFLOW_CTRL 0x390

#define CYCLES       0x3cu
#define REFERENCE    0x13cu
#define INSTRUCTIONS 0xc0u
#define USR          (1u << 16)
#define OS           (1u << 17)
#define INT          (1u << 20)
#define ENABLE       (1u << 22)
#define MASK_TWO     (2u << 24)

#define COUNTER_MAX ((1ull << 48) - 1)
#define FIXED_0     (1ull << 32)
#define CR4_PCE     (1ull << 8)

#define VECTOR     0x50
#define WAIT_TICKS 20000000000ull

#define LOOPS 1000
#define TRIES 100

static volatile unsigned interrupts, nmis;

static void on_interrupt(struct frame *frame)
{
	(void)frame;
	interrupts++;
	apic_write(APIC_EOI, 0);
}

static void on_nmi(struct frame *frame)
{
	(void)frame;
	nmis++;
}

static int64_t try_rdpmc(uint32_t counter)
{
	return TRY("mov %k0, %%ecx; rdpmc", "r"(counter));
}

static uint64_t rdpmc(uint32_t counter)
{
	return __builtin_ia32_rdpmc((int)counter);
}

static void stop(void)
{
	wrmsr(MSR_GLOBAL_CTRL, 0);
	for (unsigned n = 0; n < 4; n++)
		wrmsr(MSR_SELECT + n, 0);
	wrmsr(MSR_FIXED_CTRL, 0);
	wrmsr(MSR_OVERFLOW_CTRL, rdmsr(MSR_GLOBAL_STATUS));
}

static void test_cpuid(void)
{
	struct cpuid leaf = cpuid(0xa, 0);

	check((leaf.a & 0xff) == 2 && (leaf.a >> 8 & 0xff) == 4 && (leaf.a >> 16 & 0xff) == 48,
	      "CPUID: version 2, four counters of 48 bits");
	check(leaf.a >> 24 == 7 && leaf.b == 0x78, "cycles, instructions and reference cycles");
	check((leaf.d & 0x1f) == 3 && (leaf.d >> 5 & 0xff) == 48, "three fixed counters");
}

static void test_rules(void)
{
	check(rdmsr(MSR_GLOBAL_CTRL) == 0xf, "after reset the general counters are enabled");
	check(try_wrmsr(MSR_GLOBAL_CTRL, 0x10) == GP, "a fifth counter: #GP");
	check(try_wrmsr(MSR_GLOBAL_CTRL, 1ull << 35) == GP, "a fourth fixed one: #GP");
	check(try_wrmsr(MSR_GLOBAL_STATUS, 0) == GP, "the status is read-only");
	check(try_wrmsr(MSR_SELECT, 1ull << 21) == GP, "AnyThread: #GP");
	check(try_wrmsr(MSR_FIXED_CTRL, 4) == GP, "the same of a fixed counter");
	check(try_wrmsr(MSR_FIXED, 1ull << 48) == GP, "49 bits in a fixed counter: #GP");
	check(try_rdmsr(MSR_PMC + 4) == GP && try_rdmsr(MSR_FIXED + 3) == GP, "no more counters");
	wrmsr(MSR_PMC + 3, 0xff80000000);
	check(rdmsr(MSR_PMC + 3) == 0xffff80000000, "a general counter takes 32 bits, signed");
	check(rdpmc(3) == 0xffff80000000, "RDPMC reads it");
	wrmsr(MSR_FIXED + 2, COUNTER_MAX);
	check(rdpmc(2 | 1u << 30) == COUNTER_MAX, "and fixed ones");
	check(try_rdpmc(4) == GP && try_rdpmc(3 | 1u << 30) == GP && try_rdpmc(1u << 31) == GP,
	      "but none that does not exist");
}

static void test_user(void)
{
	static const uint8_t code[] = { 0x31, 0xc9, 0x0f, 0x33, 0x0f, 0x0b }; /* xor, rdpmc, ud2 */

	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == GP, "RDPMC in user mode: #GP");
	WRITE_CR(4, READ_CR(4) | CR4_PCE);
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "with CR4.PCE it works");
	WRITE_CR(4, READ_CR(4) & ~CR4_PCE);
}

/* Counts a loop: the WRMSR that starts it counts, the one that stops it does not. */
static void counted_loop(uint64_t enable)
{
	uint32_t low = (uint32_t)enable, high = (uint32_t)(enable >> 32);

	asm volatile("wrmsr\n\t"
		     "mov %2, %%ebx\n"
		     "1: nop; nop; dec %%ebx; jnz 1b\n\t"
		     "xor %%eax, %%eax; xor %%edx, %%edx\n\t"
		     "wrmsr"
		     : "+a"(low), "+d"(high)
		     : "i"(LOOPS), "c"(MSR_GLOBAL_CTRL)
		     : "rbx", "cc");
}

#define LOOP_COUNT (1 + 1 + 4 * LOOPS + 2)

static void test_instructions(void)
{
	unsigned wrong = 0;

	stop();
	wrmsr(MSR_SELECT, INSTRUCTIONS | OS | USR | ENABLE);
	wrmsr(MSR_SELECT + 1, INSTRUCTIONS | USR | ENABLE);
	wrmsr(MSR_SELECT + 2, INSTRUCTIONS | OS | USR | ENABLE | MASK_TWO);
	wrmsr(MSR_SELECT + 3, 0xc4 | OS | USR | ENABLE);
	wrmsr(MSR_FIXED_CTRL, 3);
	for (unsigned i = 0; i < TRIES; i++) {
		for (unsigned n = 0; n < 4; n++)
			wrmsr(MSR_PMC + n, 0);
		wrmsr(MSR_FIXED, 0);
		counted_loop(0); /* it may be translated by now */
		counted_loop(0xf | FIXED_0);
		wrong += rdmsr(MSR_PMC) != LOOP_COUNT || rdmsr(MSR_FIXED) != LOOP_COUNT;
	}
	check(!wrong, "%u instructions are counted, not %lu", LOOP_COUNT, rdmsr(MSR_PMC));
	check(!rdmsr(MSR_PMC + 1), "none is user code");
	check(!rdmsr(MSR_PMC + 2), "two never retire in a cycle");
	check(!rdmsr(MSR_PMC + 3), "an event that does not exist does not happen");
}

static void test_rings(void)
{
	/* nop five times; ud2 is not retired */
	static const uint8_t code[] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x0f, 0x0b };

	stop();
	wrmsr(MSR_PMC, 0);
	wrmsr(MSR_PMC + 1, 0);
	wrmsr(MSR_PMC + 2, 0);
	wrmsr(MSR_SELECT, INSTRUCTIONS | USR | ENABLE);
	wrmsr(MSR_SELECT + 1, CYCLES | USR | ENABLE);
	wrmsr(MSR_SELECT + 2, CYCLES | OS | USR | ENABLE);
	wrmsr(MSR_GLOBAL_CTRL, 7);
	RUN_USER(code, SEL_USER_CODE64);
	wrmsr(MSR_GLOBAL_CTRL, 0);
	check(rdmsr(MSR_PMC) == 5, "user code retires 5 instructions (%lu)", rdmsr(MSR_PMC));
	check(rdmsr(MSR_PMC + 1) && rdmsr(MSR_PMC + 1) < rdmsr(MSR_PMC + 2),
	      "its cycles are a part of all (%lu, %lu)", rdmsr(MSR_PMC + 1), rdmsr(MSR_PMC + 2));
}

/* Whether most of a time in HLT is not counted: of the timer's interrupts, the host may be late. */
static bool halts(void)
{
	uint64_t from = __builtin_ia32_rdtsc(), cycles, ticks;

	wrmsr(MSR_PMC, 0);
	wrmsr(MSR_GLOBAL_CTRL, 1);
	interrupts = 0;
	apic_write(APIC_INITIAL, 2000000);
	asm volatile("sti; hlt; cli");
	wrmsr(MSR_GLOBAL_CTRL, 0);
	cycles = rdmsr(MSR_PMC);
	ticks = __builtin_ia32_rdtsc() - from;
	return interrupts && cycles && cycles < ticks / 2;
}

static void test_cycles(void)
{
	uint64_t from, cycles;
	bool halted = false;

	stop();
	wrmsr(MSR_PMC, 0);
	wrmsr(MSR_SELECT, REFERENCE | OS | USR | ENABLE);
	from = __builtin_ia32_rdtsc();
	counted_loop(1);
	cycles = rdmsr(MSR_PMC);
	check(cycles && cycles < (uint64_t)__builtin_ia32_rdtsc() - from, "cycles are counted");
	apic_write(APIC_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER, VECTOR);
	for (unsigned i = 0; i < TRIES && !halted; i++)
		halted = halts();
	check(halted, "but not in HLT");
	apic_write(APIC_TIMER, LVT_MASKED);
}

/* Until *count moves. */
static void wait_for(volatile unsigned *count)
{
	uint64_t from = __builtin_ia32_rdtsc();

	asm volatile("sti");
	while (!*count && (uint64_t)__builtin_ia32_rdtsc() - from < WAIT_TICKS)
		;
	asm volatile("cli");
}

static void overflow(uint32_t event, uint64_t start, volatile unsigned *count)
{
	stop();
	*count = 0;
	wrmsr(MSR_PMC + 1, start);
	wrmsr(MSR_SELECT + 1, event | OS | USR | INT | ENABLE);
	wrmsr(MSR_GLOBAL_CTRL, 2);
	wait_for(count);
	wrmsr(MSR_GLOBAL_CTRL, 0);
}

static void test_overflow(void)
{
	apic_write(APIC_COUNTER, VECTOR);
	overflow(CYCLES, -1000000ull, &interrupts);
	check(interrupts == 1, "an overflow of cycles interrupts");
	check(rdmsr(MSR_GLOBAL_STATUS) == 2, "and says which counter it was");
	check(apic_read(APIC_COUNTER) == (VECTOR | LVT_MASKED), "its LVT entry is masked");
	wrmsr(MSR_OVERFLOW_CTRL, 2);
	check(rdmsr(MSR_GLOBAL_STATUS) == 0, "the status can be cleared");
	apic_write(APIC_COUNTER, LVT_NMI);
	overflow(INSTRUCTIONS, -1000ull, &nmis);
	check(nmis == 1, "one of instructions, as an NMI");

	stop();
	wrmsr(MSR_SELECT + 2, INSTRUCTIONS | OS | ENABLE);
	wrmsr(MSR_PMC + 2, 1 - LOOP_COUNT);
	counted_loop(4);
	check(rdmsr(MSR_GLOBAL_STATUS) == 4 && rdmsr(MSR_PMC + 2) == 1, "overflows are exact");
	stop();
}

void test_main(void)
{
	if (is_amd()) {
		check(cpuid(0xa, 0).a == 0 && try_rdmsr(MSR_GLOBAL_CTRL) == GP &&
			      try_rdpmc(0) == GP,
		      "there are no counters");
		return;
	}
	set_handler(VECTOR, on_interrupt);
	set_handler(NMI, on_nmi);
	apic_write(APIC_SVR, APIC_ENABLE);
	out8(0x21, 0xff); /* the PIC is not part of this */
	test_cpuid();
	test_rules();
	test_user();
	test_instructions();
	test_rings();
	test_cycles();
	test_overflow();
}
