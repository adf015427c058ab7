/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts on one processor: RFLAGS.IF, the shadows of STI and MOV SS, HLT, task priority, NMI
 * blocking, the local APIC's timer in its three modes, xAPIC and x2APIC.
 */
#include "apic.h"
#include "bare.h"

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800

#define VECTOR 0x40

static volatile unsigned count;
static volatile uint64_t last_rip, nested;
static bool x2apic;

static void write_reg(unsigned reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg / 16, value);
	else
		apic_write(reg, value);
}

static uint32_t read_reg(unsigned reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg / 16) : apic_read(reg);
}

static void on_interrupt(struct frame *frame)
{
	count++;
	last_rip = frame->rip;
	write_reg(APIC_EOI, 0);
}

static void send_self(unsigned vector)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + 0x3f, vector);
	else
		write_reg(APIC_ICR, ICR_SELF | vector);
}

static void test_shadow(const char *mode)
{
	uint64_t expected;

	asm volatile("cli");
	count = 0;
	send_self(VECTOR);
	for (volatile int i = 0; i < 1000; i++)
		;
	check(count == 0 && (read_reg(APIC_IRR + 0x20) & 1), "%s: no interrupt while IF is clear",
	      mode);
	asm volatile("sti; nop; cli; lea -1(%%rip), %0" : "=r"(expected));
	check(count == 1, "%s: STI; NOP; CLI lets one in: %u", mode, count);
	count = 0;
	send_self(VECTOR);
	asm volatile("sti; cli");
	check(count == 0, "%s: STI; CLI does not", mode);
	asm volatile("sti; mov %%ss, %%eax; mov %%eax, %%ss; 1: lea 1b(%%rip), %0; nop; cli"
		     : "=r"(expected)
		     :
		     : "rax");
	check(count == 1, "%s: pending through STI, MOV from SS", mode);
}

static void test_halt(const char *mode)
{
	count = 0;
	send_self(VECTOR);
	asm volatile("sti; hlt; cli");
	check(count == 1, "%s: a pending interrupt ends HLT behind STI", mode);
}

static void test_priority(const char *mode)
{
	count = 0;
	write_reg(APIC_TPR, VECTOR & 0xf0);
	send_self(VECTOR);
	asm volatile("sti; nop; nop; cli");
	check(count == 0, "%s: the task priority holds it back", mode);
	asm volatile("sti; mov %0, %%cr8; nop; cli" : : "r"(0ull));
	check(count == 1, "%s: until CR8 falls", mode);
	write_reg(APIC_TPR, 0x50);
	check(READ_CR(8) == 5, "%s: CR8 is the task priority", mode);
	write_reg(APIC_TPR, 0);
}

static void on_nmi(struct frame *frame)
{
	(void)frame;
	count++;
	if (count == 1)
		write_reg(APIC_ICR, ICR_SELF | ICR_NMI);
	for (volatile int i = 0; i < 1000; i++)
		;
	nested = count;
}

static void test_nmi(void)
{
	set_handler(NMI, on_nmi);
	count = 0;
	write_reg(APIC_ICR, ICR_SELF | ICR_NMI);
	for (volatile int i = 0; i < 1000; i++)
		;
	check(count == 2 && nested == 2, "an NMI waits for the IRET of the first: %u", count);
	set_handler(NMI, NULL);
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void wait_for(unsigned interrupts)
{
	uint64_t end = tsc() + 3000000000ull;

	asm volatile("sti");
	while (count < interrupts && tsc() < end)
		asm volatile("pause");
	asm volatile("cli");
}

static void test_timer(const char *mode)
{
	uint64_t deadline, read_back;

	count = 0;
	write_reg(APIC_DIVIDE, DIVIDE_BY_1);
	write_reg(APIC_TIMER, VECTOR);
	write_reg(APIC_INITIAL, 100000);
	check(read_reg(APIC_CURRENT) <= 100000, "%s: the timer counts down", mode);
	wait_for(1);
	check(count == 1 && read_reg(APIC_CURRENT) == 0, "%s: one-shot timer", mode);
	count = 0;
	write_reg(APIC_TIMER, VECTOR | TIMER_PERIODIC);
	write_reg(APIC_INITIAL, 100000);
	wait_for(3);
	check(count >= 3, "%s: periodic timer", mode);
	write_reg(APIC_INITIAL, 0);
	asm volatile("sti; nop; nop; cli");
	if (!(cpuid(1, 0).c & 1 << 24)) {
		check(true, "%s: TSC deadline # SKIP the processor has none", mode);
		return;
	}
	count = 0;
	write_reg(APIC_TIMER, VECTOR | TIMER_DEADLINE);
	asm volatile("mfence");
	deadline = tsc() + 1000000;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	read_back = rdmsr(MSR_TSC_DEADLINE);
	check(read_back == deadline || (!read_back && tsc() >= deadline),
	      "%s: the deadline reads back, or has passed", mode);
	wait_for(1);
	check(count == 1 && rdmsr(MSR_TSC_DEADLINE) == 0, "%s: TSC deadline", mode);
	count = 0;
	wrmsr(MSR_TSC_DEADLINE, 1);
	wait_for(1);
	check(count == 1, "%s: a deadline that has passed", mode);
	write_reg(APIC_TIMER, 1 << 16);
}

static void test_all(const char *mode)
{
	write_reg(APIC_SVR, APIC_ENABLE);
	test_shadow(mode);
	test_halt(mode);
	test_priority(mode);
	test_timer(mode);
}

void test_main(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	set_handler(VECTOR, on_interrupt);
	test_all("xAPIC");
	test_nmi();
	check(try_wrmsr(MSR_APIC_BASE, (base & ~(1ull << 11)) | 1ull << 10) == GP,
	      "x2APIC without enable: #GP");
	wrmsr(MSR_APIC_BASE, base | 1ull << 10);
	x2apic = true;
	test_all("x2APIC");
	check(try_wrmsr(MSR_X2APIC + 0x02, 1) == GP, "x2APIC: the ID is read-only");
	check(try_rdmsr(MSR_X2APIC + 0x0b) == GP, "x2APIC: EOI is write-only");
	check(try_wrmsr(MSR_X2APIC + 0x0b, 1) == GP, "x2APIC: EOI takes 0 only");
	check(try_wrmsr(MSR_APIC_BASE, base) == GP, "x2APIC back to xAPIC: #GP");
	wrmsr(MSR_APIC_BASE, base & ~(1ull << 11));
	check(!(cpuid(1, 0).d & 1 << 9), "a disabled APIC is gone from CPUID");
	wrmsr(MSR_APIC_BASE, base);
	x2apic = false;
	check(cpuid(1, 0).d & 1 << 9, "and comes back");
}
