/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot code that reads and writes single pieces of state: bits of strings of bits, the TSC, PKRU,
 * selectors, the bases of FS and GS, control registers; and what they do where they are not
 * enabled. SDM2: "BT", "RDTSC", "RDTSCP", "RDPKRU", "RDFSBASE", "WRFSBASE", "MOV - Move to/from
 * Control Registers".
 */
#include "bare.h"

#define WARM         200
#define CR4_TSD      0x4ull
#define CR4_FSGSBASE 0x10000ull
#define CR4_PKE      0x400000ull
#define MSR_TSC      0x10
#define MSR_TSC_AUX  0xc0000103
#define CF           1u
#define ZF           0x40u
#define NOT_CANON    (1ull << 47)
#define HOUR         (3600ull << 32)

static uint8_t *code, *data;
static struct frame frame;

static int64_t run(void)
{
	return run_frame(&frame);
}

/* ---- strings of bits ---- */

/* The number is in RCX, the string's middle at RDI. */
CODE(bt_8, "xor %eax, %eax; bt %rcx, (%rdi); setc %al; setz %ah; ud2");
CODE(bts_8, "xor %eax, %eax; lock bts %rcx, (%rdi); setc %al; setz %ah; ud2");
CODE(btr_4, "xor %eax, %eax; lock btr %ecx, (%rdi); setc %al; setz %ah; ud2");
CODE(btc_2, "xor %eax, %eax; btc %cx, (%rdi); setc %al; setz %ah; ud2");
CODE(bts_r9, "xor %eax, %eax; mov %rcx, %r9; bts %r9, (%rdi); setc %al; setz %ah; ud2");
CODE(btr_r11,
     "xor %eax, %eax; mov %ecx, %r11d; btr %r11d, 4(%rdi,%rax,2); setc %al; setz %ah; ud2");

static const struct bit_case {
	const char *name;
	const uint8_t *code, *end;
	unsigned size, disp;
	int change; /* what becomes of the bit: -1 stays, 0 or 1, 2 the opposite */
} bit_cases[] = {
#define BIT_ROW(name, ...)                           \
	{                                            \
#name, name, name##_end, __VA_ARGS__ \
	}
	BIT_ROW(bt_8, 8, 0, -1), BIT_ROW(bts_8, 8, 0, 1),  BIT_ROW(btr_4, 4, 0, 0),
	BIT_ROW(btc_2, 2, 0, 2), BIT_ROW(bts_r9, 8, 0, 1), BIT_ROW(btr_r11, 4, 4, 0),
};

static uint8_t byte_pattern(unsigned i)
{
	return (uint8_t)(i * 37 + 11);
}

/* The number, within the page around the middle. */
static int64_t number(unsigned i, unsigned size)
{
	int64_t n = (int64_t)(i * 2654435761u % 28000) - 14000;

	return size == 2 ? (int16_t)n : n;
}

static bool is_as_wanted(const struct bit_case *c, int64_t n)
{
	unsigned at = (unsigned)(2048 + c->disp + (n >> 3)), bit = n & 7;
	bool was = byte_pattern(at) >> bit & 1;
	bool is = c->change == -1 ? was : c->change == 2 ? !was : c->change;

	for (unsigned i = 0; i < 4096; i++) {
		uint8_t wanted = byte_pattern(i);

		if (i == at)
			wanted = (uint8_t)((wanted & ~(1u << bit)) | (unsigned)is << bit);
		if (data[i] != wanted)
			return false;
	}
	return frame.rax == (was | 0x100u); /* ZF is as XOR left it */
}

static void test_bits(const struct bit_case *c)
{
	unsigned good = 0;

	place_code(code, c->code, c->end);
	for (unsigned i = 0; i < WARM; i++) {
		int64_t n = number(i, c->size);

		for (unsigned k = 0; k < 4096; k++)
			data[k] = byte_pattern(k);
		frame = frame_at(code);
		frame.rdi = (uintptr_t)data + 2048;
		frame.rcx = (uint64_t)n;
		good += run() == UD && is_as_wanted(c, n);
	}
	check(good == WARM, "%s, in memory: %u", c->name, good);
}

/* Beyond the page is none; the operand says where. */
static void test_bit_fault(void)
{
	uint8_t *hole = page_alloc();
	unsigned good = 0;

	set_pte(hole, 0, PTE_P);
	PLACE(code, bts_8);
	for (unsigned i = 0; i < WARM; i++) {
		bool faults = i % 8 == 7;

		frame = frame_at(code);
		frame.rdi = (uintptr_t)hole - 64;
		frame.rcx = faults ? 512 + 64 * 3 + 5 : 511;
		run();
		good += faults ? frame.vector == PF && trap.cr2 == (uintptr_t)hole + 24
			       : frame.vector == UD;
	}
	set_pte(hole, PTE_P, 0);
	check(good == WARM, "BTS beyond what is mapped: %u", good);
}

/* ---- the TSC ---- */

CODE(reads_tsc, "rdtsc; shl $32, %rdx; or %rdx, %rax; ud2");
CODE(reads_tscp, "mov $-1, %rcx; mov %rcx, %rdx; rdtscp; shl $32, %rdx; or %rdx, %rax; ud2");

static void test_tsc_written(void)
{
	unsigned good = 0;

	wrmsr(MSR_TSC_AUX, 0x1234);
	for (unsigned i = 0; i < 2 * WARM; i++) {
		uint64_t to = HOUR * (i % 50 + 1);

		if (i % WARM == 0)
			place_code(code, i ? reads_tscp : reads_tsc,
				   i ? reads_tscp_end : reads_tsc_end);
		if (i % 10 == 9)
			wrmsr(MSR_TSC, to);
		else
			to = frame.rax;
		frame = frame_at(code);
		good += run() == UD && frame.rax - to < HOUR && (i < WARM || frame.rcx == 0x1234);
	}
	wrmsr(MSR_TSC, 0);
	check(good == 2 * WARM, "RDTSC, RDTSCP, when the TSC is written: %u", good);
}

static void test_tsc_disabled(void)
{
	unsigned good = 0;

	PLACE(code, reads_tsc);
	make_user(code);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_disabled = i % 10 == 9;

		WRITE_CR(4, is_disabled ? READ_CR(4) | CR4_TSD : READ_CR(4) & ~CR4_TSD);
		frame = user_frame_at(code, SEL_USER_CODE64);
		frame.rax = 5;
		frame.rdx = 7;
		run();
		good += is_disabled ? frame.vector == GP && frame.rip == (uintptr_t)code &&
					      frame.rax == 5 && frame.rdx == 7
				    : frame.vector == UD;
	}
	WRITE_CR(4, READ_CR(4) & ~CR4_TSD);
	set_pte(code, 0, PTE_U);
	check(good == WARM, "RDTSC in user mode, with CR4.TSD at times: %u", good);
}

/* ---- selectors ---- */

CODE(selectors, "mov $-1, %rax; mov %rax, %rdx; mov %rax, %rsi; mov %rax, %r9; mov %ds, (%rdi)\n"
		"mov %cs, %rcx; mov %ss, %eax; mov %fs, %dx; mov %fs, %esi; mov %gs, %r9w; ud2");

static void test_selectors(void)
{
	unsigned good = 0;

	PLACE(code, selectors);
	for (unsigned i = 0; i < WARM; i++) {
		uint16_t fs = i % 3 ? SEL_DATA : 0, gs = i % 5 ? SEL_DATA : 0;
		uint16_t cs, ss, ds;

		asm volatile("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2"
			     : "=r"(cs), "=r"(ss), "=r"(ds));
		asm volatile("mov %0, %%fs; mov %1, %%gs" : : "r"(fs), "r"(gs));
		*(uint64_t *)data = 0;
		frame = frame_at(code);
		frame.rdi = (uintptr_t)data;
		good += run() == UD && frame.rcx == cs && frame.rax == ss &&
			frame.rdx == (~0xffffull | fs) && frame.rsi == fs &&
			frame.r9 == (~0xffffull | gs) && *(uint64_t *)data == ds;
	}
	check(good == WARM, "selectors are read: %u", good);
}

/* ---- what CR4 enables ---- */

CODE(bases, "wrfsbase %rbx; rdfsbase %r10; wrgsbase %ebx; rdgsbase %rsi; rdfsbase %eax; ud2");

static void test_bases(void)
{
	unsigned good = 0;

	PLACE(code, bases);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_disabled = i % 10 == 9, is_bad = i % 10 == 8;
		uint64_t base = is_bad ? NOT_CANON : 0xffff800012345678 + i;

		WRITE_CR(4, is_disabled ? READ_CR(4) & ~CR4_FSGSBASE : READ_CR(4) | CR4_FSGSBASE);
		frame = frame_at(code);
		frame.rbx = base;
		frame.rax = ~0ull;
		run();
		if (is_disabled || is_bad)
			good += frame.vector == (is_bad ? GP : UD) && frame.rip == (uintptr_t)code;
		else
			good += frame.vector == UD && frame.rip != (uintptr_t)code &&
				frame.r10 == base && frame.rsi == (uint32_t)base &&
				frame.rax == (uint32_t)base;
	}
	check(good == WARM, "the bases of FS and GS, enabled at times: %u", good);
}

CODE(reads_pkru, "rdpkru; ud2");

static void test_pkru(void)
{
	unsigned good = 0;

	PLACE(code, reads_pkru);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_disabled = i % 10 == 9, is_bad = i % 10 == 8;

		WRITE_CR(4, is_disabled ? READ_CR(4) & ~CR4_PKE : READ_CR(4) | CR4_PKE);
		if (!is_disabled)
			asm volatile("wrpkru" : : "a"(i * 4), "c"(0), "d"(0));
		frame = frame_at(code);
		frame.rax = frame.rdx = ~0ull;
		frame.rcx = is_bad;
		run();
		if (is_disabled || is_bad)
			good += frame.vector == (is_bad ? GP : UD) &&
				frame.rip == (uintptr_t)code && frame.rdx == ~0ull;
		else
			good += frame.vector == UD && frame.rax == i * 4 && frame.rdx == 0;
	}
	WRITE_CR(4, READ_CR(4) | CR4_PKE);
	asm volatile("wrpkru" : : "a"(0), "c"(0), "d"(0));
	WRITE_CR(4, READ_CR(4) & ~CR4_PKE);
	check(good == WARM, "RDPKRU, enabled at times: %u", good);
}

/* ---- control registers ---- */

CODE(reads_controls, "mov %rbx, %cr2; jmp 1f; 1: mov %cr2, %r9; mov %cr0, %rcx; mov %cr3, %rdx\n"
		     "mov %cr4, %rsi; ud2");
CODE(reads_cr2, "mov %cr2, %rax; ud2");

static void test_controls(void)
{
	unsigned good = 0;
	uint64_t cr0, cr3;

	asm volatile("mov %%cr0, %0; mov %%cr3, %1" : "=r"(cr0), "=r"(cr3));
	PLACE(code, reads_controls);
	for (unsigned i = 0; i < WARM; i++) {
		frame = frame_at(code);
		frame.rbx = i * 0x123456789ull;
		good += run() == UD && frame.r9 == frame.rbx && frame.rcx == cr0 &&
			frame.rdx == cr3 && frame.rsi == READ_CR(4);
	}
	check(good == WARM, "CR0, CR2, CR3, CR4 are read: %u", good);
	PLACE(code, reads_cr2);
	make_user(code);
	good = 0;
	for (unsigned i = 0; i < WARM; i++) {
		frame = user_frame_at(code, SEL_USER_CODE64);
		good += run() == GP;
	}
	set_pte(code, 0, PTE_U);
	check(good == WARM, "CR2 is not read in user mode: %u", good);
}

void test_main(void)
{
	code = page_alloc();
	data = page_alloc();
	for (unsigned i = 0; i < sizeof(bit_cases) / sizeof(*bit_cases); i++)
		test_bits(&bit_cases[i]);
	test_bit_fault();
	test_tsc_written();
	test_tsc_disabled();
	test_selectors();
	test_bases();
	test_pkru();
	test_controls();
}
