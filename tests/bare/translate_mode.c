/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot code in its surroundings: interrupts by a timer that must disturb no register and no flag,
 * compatibility mode, the same bytes in two modes, segment bases that change, system calls.
 */
#include "apic.h"
#include "bare.h"

#define WARM         100
#define IF           0x200u
#define STATUS       0x8d5u
#define VECTOR       0x40
#define PIC_MASK     0x21
#define CR4_OSFXSR   (1ull << 9)
#define CR4_FSGSBASE (1ull << 16)

#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_FMASK          0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

static uint8_t *code, *data;

static bool same_frame(const struct frame *a, const struct frame *b)
{
	const uint64_t *x = &a->r15, *y = &b->r15;

	for (unsigned i = 0; i < 15; i++)
		if (x[i] != y[i])
			return false;
	return a->vector == b->vector && a->rip == b->rip && a->rsp == b->rsp &&
	       !((a->rflags ^ b->rflags) & STATUS);
}

/* ---- interrupts ---- */

static volatile uint64_t ticks;

static void on_tick(struct frame *frame)
{
	(void)frame;
	ticks++;
	asm volatile("xorps %xmm15, %xmm15"); /* the one that no test uses */
	apic_write(APIC_EOI, 0);
}

/* Carries live across back edges; every register changes in every round. */
CODE(carries, "mov $60000, %ecx; clc\n"
	      "1: adc %rbx, %rax; adc %rdx, %rbx; adc %rsi, %rdx; adc %rdi, %rsi; adc %rbp, %rdi\n"
	      "adc %r8, %rbp; adc %r9, %r8; adc %r10, %r9; adc %r11, %r10; adc %r12, %r11\n"
	      "adc %r13, %r12; adc %r14, %r13; adc %r15, %r14; adc %rax, %r15\n"
	      "dec %ecx; jnz 1b; ud2");
CODE(calls, "mov $40000, %ecx\n"
	    "1: call 2f; xor %rax, %rbx; ror $7, %rbx; lea 3f(%rip), %rdx; jmp *%rdx\n"
	    "2: push %rbx; add %rcx, %rax; pop %r8; rol $3, %r8; ret\n"
	    "3: add %r8, %r9; adc %r9, %r10; sbb %r10, %r11; dec %ecx; jnz 1b; ud2");
CODE(memory, "mov $50000, %ecx; xor %eax, %eax; mov %rax, (%rdi)\n"
	     "1: add %rcx, (%rdi); mov (%rdi), %rax; adc %rax, 8(%rdi); movzwl (%rdi), %edx\n"
	     "sbb %rdx, %rsi; dec %ecx; jnz 1b; ud2");
CODE(copies, "mov $60, %ebx; mov %rdi, %r8\n"
	     "1: mov %r8, %rdi; mov $0x5a, %eax; mov $4096, %ecx; rep stosb; mov %r8, %rdi\n"
	     "mov $4096, %ecx; repe scasb; mov %r8, %rsi; lea 1024(%r8), %rdi; mov $3000, %ecx\n"
	     "rep movsb; dec %ebx; jnz 1b; ud2");
CODE(vectors, "mov $40000, %ecx; movq %rax, %xmm0; pcmpeqd %xmm1, %xmm1; fninit; fld1; fldz\n"
	      "1: paddq %xmm1, %xmm0; movdqa %xmm0, %xmm2; pxor %xmm2, %xmm3; fadd %st(1), %st(0)\n"
	      "dec %ecx; jnz 1b; movq %xmm0, %rax; movq %xmm3, %rbx; fistpll (%rdi)\n"
	      "mov (%rdi), %rdx; pxor %xmm3, %xmm3; ud2");

static struct frame loop_frame(uint64_t flags)
{
	struct frame frame = frame_at(code);
	uint64_t *regs = &frame.r15;

	for (unsigned i = 0; i < 15; i++)
		regs[i] = 0x9e3779b97f4a7c15ull * (i + 1);
	frame.rdi = (uintptr_t)data;
	frame.rflags |= flags;
	return frame;
}

/* One run without interrupts says what the others must give. */
static void test_loop(const char *name, const uint8_t *text, const uint8_t *end)
{
	struct frame first, then;
	unsigned good = 0, rounds = 0;
	uint64_t before;

	place_code(code, text, end);
	*(uint64_t *)(data + 8) = 0;
	first = loop_frame(0);
	run_frame(&first);
	apic_write(APIC_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER, TIMER_PERIODIC | VECTOR);
	apic_write(APIC_INITIAL, 30000);
	before = ticks;
	while ((ticks - before < 20 || rounds < 5) && rounds < 2000) {
		*(uint64_t *)(data + 8) = 0;
		then = loop_frame(IF);
		run_frame(&then);
		good += same_frame(&first, &then);
		rounds++;
	}
	apic_write(APIC_INITIAL, 0);
	check(first.vector == UD && good == rounds && ticks - before >= 20,
	      "a loop of %s under interrupts: %u of %u as without", name, good, rounds);
}

static void test_interrupts(void)
{
	set_handler(VECTOR, on_tick);
	out8(PIC_MASK, 0xff);
	apic_write(APIC_SVR, APIC_ENABLE);
	test_loop("carries", carries, carries_end);
	test_loop("calls", calls, calls_end);
	test_loop("memory", memory, memory_end);
	test_loop("strings", copies, copies_end);
	test_loop("vectors and x87", vectors, vectors_end);
}

/* ---- compatibility mode ---- */

CODE(compat,
     ".code32; mov $200, %ecx; xor %eax, %eax\n"
     "1: inc %eax; push %eax; call 2f; pop %edx; add %edx, (%edi); dec %ecx; jnz 1b; ud2\n"
     "2: push %ebx; mov 8(%esp), %ebx; add %bl, %ah; sub %bl, %ah; lea (%ebx,%ebx,2), %esi\n"
     "mov %esi, 4(%edi); aaa; daa; bound %eax, 16(%edi); mov %ebx, %eax; pop %ebx; ret\n"
     ".code64");
/* Addresses wrap at 4 GiB. */
CODE(wraps, ".code32; mov $100, %ecx; 1: mov 0x10(%edi), %eax; mov %eax, -0x10(%esi,%ecx,1)\n"
	    "inc %esi; dec %ecx; jnz 1b; ud2; .code64");
/* 48 ff c0: INC RAX, or DEC EAX; INC EAX. */
CODE(two_modes, ".byte 0x48, 0xff, 0xc0, 0x0f, 0x0b");

static void test_compat(unsigned selector, const char *name)
{
	unsigned good = 0;
	uint32_t *words = (uint32_t *)data;

	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at(code);

		PLACE(code, compat);
		if (selector != SEL_CODE32)
			frame = user_frame_at(code, selector);
		frame.cs = selector;
		frame.rdi = (uintptr_t)data;
		words[0] = 0;
		words[4] = 0x80000000;
		words[5] = 0x7fffffff;
		run_frame(&frame);
		good += frame.vector == UD && words[0] == 20100 && words[1] == 600 &&
			(uint32_t)frame.rax == 200 && (uint32_t)frame.rcx == 0;
	}
	check(good == WARM, "%s: calls, stack and old instructions: %u", name, good);
	good = 0;
	PLACE(code, wraps);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at(code);

		if (selector != SEL_CODE32)
			frame = user_frame_at(code, selector);
		frame.cs = selector;
		words[0] = i;
		words[16] = 0;
		frame.rdi = (uintptr_t)data - 0x10;
		frame.rsi = (uintptr_t)data + 64 + 0x10 - 100;
		run_frame(&frame);
		good += frame.vector == UD && words[16] == i;
	}
	check(good == WARM, "%s: addresses of 32 bits: %u", name, good);
}

static void test_two_modes(void)
{
	unsigned good = 0;

	PLACE(code, two_modes);
	for (unsigned i = 0; i < 2 * WARM; i++) {
		struct frame frame = frame_at(code);

		frame.cs = i % 2 ? SEL_CODE32 : SEL_CODE64;
		frame.rax = 5;
		run_frame(&frame);
		good += frame.vector == UD && frame.rax == (i % 2 ? 5 : 6);
	}
	check(good == 2 * WARM, "the same bytes in two modes: %u", good);
}

#define DESCRIPTOR(base, limit, ar)                                                \
	(((limit)&0xffffull) | ((base)&0xffffffull) << 16 | (uint64_t)(ar) << 40 | \
	 ((limit) >> 16 & 0xfull) << 48 | 4ull << 52 | ((base) >> 24 & 0xffull) << 56)
#define SEL_SHORT (SEL_FREE)     /* data with a base and a limit */
#define SEL_BASED (SEL_FREE + 8) /* code with a base */
#define D_BIT     (4ull << 52)

/* INC AX; UD2 */
CODE(short_code, ".byte 0x40, 0x0f, 0x0b");

/* Its RIP is 0, but no look-up may be at address 0, which is no user's. */
static void test_short_code(void)
{
	unsigned good = 0;

	gdt[SEL_BASED / 8] = DESCRIPTOR((uintptr_t)code, 0xfff, 0xfb) & ~D_BIT;
	PLACE(code, short_code);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = user_frame_at((void *)0, SEL_BASED | 3);

		frame.rax = 9;
		run_frame(&frame);
		good += frame.vector == UD && frame.rip == 1 && (uint16_t)frame.rax == 10;
	}
	check(good == WARM, "16-bit code of the user with a base: %u", good);
}

/* DS has a base and a limit of 100h bytes: the loop runs into it. */
CODE(limited, ".code32; mov $0x58, %eax; mov %eax, %ds; xor %edi, %edi\n"
	      "1: mov (%edi), %eax; mov %edi, (%edi); add $4, %edi; jmp 1b; .code64");

static void test_segments(void)
{
	unsigned good = 0;
	uint32_t *words = (uint32_t *)data;

	gdt[SEL_SHORT / 8] = DESCRIPTOR((uintptr_t)data, 0xff, 0x93);
	PLACE(code, limited);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at(code);

		words[63] = words[64] = 7;
		frame.cs = SEL_CODE32;
		run_frame(&frame);
		good += frame.vector == GP && frame.error == 0 && (uint32_t)frame.rdi == 0x100 &&
			(uint32_t)frame.rax == 7 && words[63] == 0xfc && words[64] == 7;
		asm volatile("mov %0, %%ds" : : "r"(SEL_USER_DATA));
	}
	check(good == WARM, "a data segment with a base and a limit: %u", good);
	gdt[SEL_BASED / 8] = DESCRIPTOR((uintptr_t)code, 0xfff, 0x9b);
	PLACE(code, two_modes);
	good = 0;
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at((void *)0);

		frame.cs = SEL_BASED;
		frame.rax = 9;
		run_frame(&frame);
		good += frame.vector == UD && frame.rip == 3 && (uint32_t)frame.rax == 9;
	}
	check(good == WARM, "a code segment with a base: %u", good);
}

/* ---- segment bases in 64-bit mode ---- */

CODE(based, "mov %fs:(%rdi), %rax; add %gs:8(%rdi), %rax; incq %gs:(%rdi); ud2");
CODE(rebased, "mov %gs:0, %rax; swapgs; mov %gs:0, %rbx; swapgs; mov %gs:0, %rdx\n"
	      "wrgsbase %rsi; mov %gs:0, %r8; wrgsbase %rcx; ud2");

CODE(swapped, "mov %gs:0, %rax; swapgs; mov %gs:0, %rbx; ud2");

/* Each run leaves the two bases exchanged. */
static void test_swapped(void)
{
	uint64_t *words = (uint64_t *)data;
	unsigned good = 0;

	PLACE(code, swapped);
	words[0] = 5;
	words[1] = 6;
	wrmsr(MSR_GS_BASE, (uintptr_t)&words[0]);
	wrmsr(MSR_KERNEL_GS_BASE, (uintptr_t)&words[1]);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at(code);

		run_frame(&frame);
		good += frame.rax == (i % 2 ? 6 : 5) && frame.rbx == (i % 2 ? 5 : 6);
	}
	check(good == WARM, "SWAPGS, one way and the other: %u", good);
	wrmsr(MSR_GS_BASE, 0);
}

static void test_bases(void)
{
	uint64_t *words = (uint64_t *)data, cr4 = READ_CR(4);
	unsigned good = 0;
	struct frame frame;

	PLACE(code, based);
	for (unsigned i = 0; i < 64; i++)
		words[i] = i;
	for (unsigned i = 0; i < WARM; i++) {
		uint64_t *fs = &words[i % 8], *gs = &words[32 + i % 16];

		wrmsr(MSR_FS_BASE, (uintptr_t)fs);
		wrmsr(MSR_GS_BASE, (uintptr_t)gs - 64);
		words[33 + i % 16] = 33 + i % 16;
		words[40 + i % 16] = 0;
		frame = frame_at(code);
		frame.rdi = 64;
		fs[8] = 500 + i;
		gs[0] = 0;
		gs[1] = 1000;
		run_frame(&frame);
		good += frame.vector == UD && frame.rax == 1500 + i && gs[0] == 1;
	}
	check(good == WARM, "FS and GS with bases that change: %u", good);
	if (cpuid(7, 0).b & 1) {
		WRITE_CR(4, cr4 | CR4_FSGSBASE);
		PLACE(code, rebased);
		good = 0;
		for (unsigned i = 0; i < 40; i++)
			words[i] = i;
		for (unsigned i = 0; i < WARM; i++) {
			wrmsr(MSR_GS_BASE, (uintptr_t)&words[i % 8]);
			wrmsr(MSR_KERNEL_GS_BASE, (uintptr_t)&words[8 + i % 8]);
			frame = frame_at(code);
			frame.rsi = (uintptr_t)&words[16 + i % 8];
			frame.rcx = (uintptr_t)&words[24];
			run_frame(&frame);
			good += frame.rax == i % 8 && frame.rbx == 8 + i % 8 &&
				frame.rdx == i % 8 && frame.r8 == 16 + i % 8 &&
				rdmsr(MSR_GS_BASE) == (uintptr_t)&words[24];
		}
		check(good == WARM, "SWAPGS and WRGSBASE in hot code: %u", good);
		WRITE_CR(4, cr4);
	}
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
}

/* ---- system calls ---- */

/* The handler adds RDI to RAX, on a stack that GS has, and returns. */
CODE(handler, "swapgs; mov %rsp, %gs:0; mov %gs:8, %rsp; push %rcx; push %r11; add %rdi, %rax\n"
	      "pop %r11; pop %rcx; mov %gs:0, %rsp; swapgs; sysretq");
CODE(user, "mov $300, %ebx; xor %eax, %eax; mov $5, %edi\n"
	   "1: syscall; dec %ebx; jnz 1b; stc; syscall; setc %dl; ud2");

/* Keeps what SYSCALL has made of the registers. */
CODE(recorder,
     "swapgs; mov %rsp, %gs:0; mov %gs:8, %rsp; pushf; pop %gs:16; mov %rcx, %gs:24\n"
     "mov %r11, %gs:32; mov %cs, %eax; mov %rax, %gs:40; mov %ss, %eax; mov %rax, %gs:48\n"
     "mov %gs:0, %rsp; swapgs; sysretq");
CODE(one_call, "syscall; ud2");

/* Flags that user code may have, in every combination, with masks of every kind. */
static void test_call_flags(uint8_t *text, uint64_t *area)
{
	static const uint16_t bit[] = { 0, 2, 4, 6, 7, 10, 11, 14, 18, 21 };
	unsigned good = 0;

	wrmsr(MSR_LSTAR, (uintptr_t)PLACE(code, recorder));
	PLACE(text, one_call);
	for (unsigned i = 0; i < 1u << 10; i++) {
		struct frame frame = user_frame_at(text, SEL_USER_CODE64);
		uint64_t flags = frame.rflags & ~STATUS, mask = IF | ((i * 0x9e3779b1u) >> 8 & ~1u);

		for (unsigned n = 0; n < 10; n++)
			flags |= (uint64_t)(i >> n & 1) << bit[n];
		wrmsr(MSR_FMASK, mask);
		frame.rflags = flags;
		run_frame(&frame);
		good += frame.vector == UD && frame.rip == (uintptr_t)text + 2 &&
			(frame.rflags & 0x247fd7) == (flags & 0x247fd7) &&
			area[2] == ((flags & ~mask) | 2) && area[3] == (uintptr_t)text + 2 &&
			area[4] == flags && area[5] == SEL_CODE64 && area[6] == SEL_DATA &&
			frame.cs == SEL_USER_CODE64;
	}
	check(good == 1u << 10, "system calls with all flags, all kinds of masks: %u", good);
}

/* What is hot already, without EFER.SCE. */
static void test_disabled_calls(uint8_t *text)
{
	struct frame frame = user_frame_at(text, SEL_USER_CODE64);

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
	run_frame(&frame);
	check(frame.vector == UD && frame.rip == (uintptr_t)text && frame.cs == SEL_USER_CODE64,
	      "a hot SYSCALL without EFER.SCE: #UD");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
}

static void test_system_calls(void)
{
	static uint64_t area[7];
	uint8_t *text = page_alloc(), *kernel_stack = page_alloc();
	unsigned good = 0;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	wrmsr(MSR_STAR, (uint64_t)(SEL_USER_DATA - 8) << 48 | (uint64_t)SEL_CODE64 << 32);
	wrmsr(MSR_LSTAR, (uintptr_t)PLACE(code, handler));
	wrmsr(MSR_FMASK, STATUS | IF);
	area[1] = (uintptr_t)kernel_stack + 4096;
	wrmsr(MSR_KERNEL_GS_BASE, (uintptr_t)area);
	PLACE(text, user);
	make_user(text);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = user_frame_at(text, SEL_USER_CODE64);

		frame.rdx = 0;
		run_frame(&frame);
		good += frame.vector == UD && frame.cs == SEL_USER_CODE64 && frame.rax == 1505 &&
			frame.rdx == 1 && rdmsr(MSR_KERNEL_GS_BASE) == (uintptr_t)area;
	}
	check(good == WARM, "301 system calls a run: %u", good);
	test_call_flags(text, area);
	test_disabled_calls(text);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
}

void test_main(void)
{
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	code = page_alloc();
	data = page_alloc();
	(void)page_alloc(); /* strings go on there */
	test_interrupts();
	make_user(code);
	make_user(data);
	asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SEL_USER_DATA));
	test_compat(SEL_CODE32, "compatibility mode");
	test_compat(SEL_USER_CODE32, "compatibility mode of the user");
	test_two_modes();
	test_segments();
	test_short_code();
	test_swapped();
	test_bases();
	test_system_calls();
}
