/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two processors, and code that changes: atomics, memory order as seen by the other side,
 * interrupts between processors, self-modifying and cross-modifying code, remote TLB invalidation.
 */
#include "apic.h"
#include "bare.h"

#define VECTOR       0x41
#define CR4_PGE      (1ull << 7)
#define ROUNDS       50000
#define CLOCK_ROUNDS 1000000

static volatile uint32_t phase, done;
static volatile uint64_t locked, exchanged;
static uint64_t wide[2] __attribute__((aligned(16)));
static uint64_t split[16] __attribute__((aligned(64)));
static volatile uint32_t ipis;
static uint8_t *code;
static volatile uint8_t *window;

/* Both processors arrive before either goes on. */
static void barrier(uint32_t n)
{
	__atomic_add_fetch(&phase, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&phase, __ATOMIC_SEQ_CST) < 2 * n)
		asm volatile("pause");
}

static void hammer(void)
{
	uint64_t *across = (uint64_t *)((uint8_t *)split + 60);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t old = exchanged, low, high;

		asm volatile("lock incq %0" : "+m"(locked) : : "cc");
		while (!__atomic_compare_exchange_n(&exchanged, &old, old + 1, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		asm volatile("lock addq $1, %0" : "+m"(*across) : : "cc");
		low = wide[0];
		high = wide[1];
		asm volatile("1: mov %%rax, %%rbx; mov %%rdx, %%rcx; add $1, %%rbx; adc $1, %%rcx; "
			     "lock cmpxchg16b %0; jne 1b"
			     : "+m"(wide), "+a"(low), "+d"(high)
			     :
			     : "rbx", "rcx", "cc");
	}
}

static volatile uint32_t clock_lock;
static volatile uint64_t latest, backward;

static uint64_t rdtscp(void)
{
	uint32_t low, high;

	asm volatile("rdtscp" : "=a"(low), "=d"(high) : : "ecx", "memory");
	return (uint64_t)high << 32 | low;
}

/* RDTSCP waits for the loads before it: the TSC is read with the lock held. */
static void compare_clocks(void)
{
	for (unsigned i = 0; i < CLOCK_ROUNDS; i++) {
		uint64_t now;

		while (__atomic_exchange_n(&clock_lock, 1, __ATOMIC_ACQUIRE))
			;
		now = rdtscp();
		backward += now < latest;
		latest = now;
		__atomic_store_n(&clock_lock, 0, __ATOMIC_RELEASE);
	}
}

static uint32_t call_code(void)
{
	return ((uint32_t(*)(void))(uintptr_t)code)();
}

static void on_ipi(struct frame *frame)
{
	(void)frame;
	ipis++;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	apic_write(APIC_EOI, 0);
}

static volatile uint32_t seen[64];
static volatile uint8_t window_seen[2];

static void second(void)
{
	apic_write(APIC_SVR, APIC_ENABLE);
	barrier(1);
	hammer();
	compare_clocks();
	barrier(2);
	/* Cross-modifying code: each round the first processor changes the code, then tells us. */
	for (uint32_t i = 0; i < 64; i++) {
		while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) != 2 * i + 1)
			asm volatile("pause");
		cpuid(0, 0); /* serialize */
		seen[i] = call_code();
		__atomic_store_n(&done, 2 * i + 2, __ATOMIC_SEQ_CST);
	}
	window_seen[0] = *window;
	asm volatile("sti");
	barrier(3);
	while (ipis == 0)
		asm volatile("pause");
	window_seen[1] = *window;
	asm volatile("cli");
	barrier(4);
}

static void write_code(uint32_t value)
{
	/* mov $value, %eax; ret */
	*(volatile uint32_t *)(code + 1) = value;
}

static void test_self_modifying(void)
{
	uint64_t counter = 0;

	code[0] = 0xb8;
	code[5] = 0xc3;
	for (uint32_t i = 0; i < 100; i++) {
		write_code(i);
		counter += call_code() == i;
	}
	check(counter == 100, "self-modifying code: each change is seen: %lu", counter);
	/* A store to the very next instruction of the same block: inc %eax becomes dec %eax. */
	static const uint8_t patch[] = {
		0x31, 0xc0,                               /* xor %eax, %eax */
		0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0xc8, /* movb $0xc8, 1(%rip) */
		0xff, 0xc0,                               /* inc %eax */
		0xc3,
	};
	for (unsigned i = 0; i < sizeof(patch); i++)
		code[64 + i] = patch[i];
	check(((uint32_t(*)(void))(uintptr_t)(code + 64))() == 0xffffffff,
	      "a store to the next instruction takes effect at once");
	/* Data beside code. */
	volatile uint64_t *data = (uint64_t *)(code + 2048);
	for (unsigned i = 0; i < 1000; i++) {
		*data = i;
		counter += call_code() == 99 && *data == i;
	}
	check(counter == 1100, "code and data on one page");
}

static void test_crossing_code(void)
{
	uint8_t *second_page = code + 4096;

	/* mov $imm32, %eax; ret, with the immediate across the page border */
	code[4093] = 0xb8;
	code[4094] = 1;
	code[4095] = 0;
	second_page[0] = second_page[1] = 0;
	second_page[2] = 0xc3;
	uint32_t (*fn)(void) = (uint32_t(*)(void))(uintptr_t)(code + 4093);
	check(fn() == 1, "an instruction across a page border");
	second_page[0] = 1;
	check(fn() == 0x10001, "changed on its second page");
	code[4094] = 2;
	check(fn() == 0x10002, "changed on its first page");
	set_pte(second_page, 0, PTE_P);
	check(TRY("call *%0", "r"(fn)) == PF && trap.cr2 == (uintptr_t)second_page &&
		      trap.error == 0x10,
	      "its second page absent: #PF there");
	set_pte(second_page, PTE_P, 0);
}

/* mov $imm32, %eax; ret, with the last two bytes of the immediate on the page behind. */
static void write_crossing(uint8_t *page, uint8_t value)
{
	page[2] = 0xc3;
	page[0] = value;
	page[1] = 0;
}

/* What lies behind the border is looked up anew each time, whoever remembers the way there. */
static void test_crossing_and_remapping(void)
{
	uint8_t *second_page = code + 4096, *other = page_alloc();
	uint64_t saved = *pte(second_page), saved_first = *pte(code);
	uint32_t (*fn)(void) = (uint32_t(*)(void))(uintptr_t)(code + 4093);
	uint32_t (*through)(void) = (uint32_t(*)(void))(uintptr_t)(code + 4091);

	code[4091] = code[4092] = 0x90;
	write_crossing(second_page, 1);
	write_crossing(other, 2);
	check(through() == 0x10002 && through() == 0x10002, "two instructions and one across");
	set_pte(second_page, 0, PTE_P);
	check(TRY("call *%0", "r"(through)) == PF && trap.rip == (uintptr_t)fn &&
		      trap.cr2 == (uintptr_t)second_page,
	      "its second page absent: #PF there, after what leads to it");
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	*pte(code) = saved_first | PTE_G;
	*pte(second_page) = saved | PTE_G;
	asm volatile("invlpg (%0); invlpg (%1)" : : "r"(code), "r"(second_page) : "memory");
	check(fn() == 0x10002 && fn() == 0x10002, "on global pages");
	*pte(second_page) = (uintptr_t)other | PTE_P | PTE_W | PTE_G;
	asm volatile("invlpg (%0)" : : "r"(second_page) : "memory");
	check(fn() == 0x20002, "its second page, a global one, remapped");
	*pte(second_page) = saved | PTE_G;
	*pte(code) = saved_first;
	WRITE_CR(4, READ_CR(4) & ~CR4_PGE);
	*pte(second_page) = saved;
	asm volatile("invlpg (%0)" : : "r"(second_page) : "memory");
}

/* Two linear pages that are one frame: an instruction across them has both its ends there. */
static void test_crossing_into_itself(void)
{
	uint8_t *frame = page_alloc(), *twin = page_alloc();
	uint32_t (*fn)(void) = (uint32_t(*)(void))(uintptr_t)(frame + 4093);
	uint64_t saved = *pte(twin);

	frame[4093] = 0xb8;
	frame[4094] = 1;
	frame[4095] = frame[0] = frame[1] = 0;
	frame[2] = 0xc3;
	*pte(twin) = (uintptr_t)frame | PTE_P | PTE_W;
	asm volatile("invlpg (%0)" : : "r"(twin) : "memory");
	check(fn() == 1, "an instruction across a page that is mapped twice");
	frame[1] = 1;
	check(fn() == 0x1000001, "changed at the page's start");
	frame[4094] = 2;
	check(fn() == 0x1000002, "changed at the page's end");
	*pte(twin) = saved;
	asm volatile("invlpg (%0)" : : "r"(twin) : "memory");
}

void test_main(void)
{
	uint8_t *a, *b;
	unsigned good = 0;

	code = page_alloc();
	(void)page_alloc(); /* the page behind it */
	test_self_modifying();
	test_crossing_code();
	test_crossing_and_remapping();
	test_crossing_into_itself();
	a = page_alloc();
	b = page_alloc();
	window = page_alloc();
	a[0] = 1;
	b[0] = 2;
	set_handler(VECTOR, on_ipi);
	apic_write(APIC_SVR, APIC_ENABLE);
	*pte((void *)window) = (uintptr_t)a | PTE_P | PTE_W;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	if (!start_ap(second)) {
		check(true, "two processors # SKIP there is one");
		return;
	}
	barrier(1);
	hammer();
	compare_clocks();
	barrier(2);
	check(backward == 0, "the TSC of one processor behind the other's: %lu times", backward);
	check(locked == 2 * ROUNDS, "LOCK INC on two processors");
	check(exchanged == 2 * ROUNDS, "CMPXCHG on two processors");
	check(*(uint64_t *)((uint8_t *)split + 60) == 2 * ROUNDS, "LOCK ADD across a cache line");
	check(wide[0] == 2 * ROUNDS && wide[1] == 2 * ROUNDS, "CMPXCHG16B on two processors");
	for (uint32_t i = 0; i < 64; i++) {
		write_code(1000 + i);
		__atomic_store_n(&done, 2 * i + 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) != 2 * i + 2)
			asm volatile("pause");
		good += seen[i] == 1000 + i;
	}
	check(good == 64, "cross-modifying code: %u of 64", good);
	barrier(3);
	*pte((void *)window) = (uintptr_t)b | PTE_P | PTE_W;
	apic_write(APIC_ICR + 0x10, 1u << 24);
	apic_write(APIC_ICR, VECTOR);
	barrier(4);
	check(ipis == 1, "an interrupt to the other processor");
	check(window_seen[0] == 1 && window_seen[1] == 2, "its INVLPG lets it see the new mapping");
}
