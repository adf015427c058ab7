/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions that hot code raises without touching memory - division, unmasked SSE and x87
 * exceptions, misaligned vectors, control bits that forbid what was allowed - and debugging of hot
 * code: single steps over every kind of block end, breakpoints on data and code.
 */
#include "bare.h"

#define WARM           100
#define CR0_EM         (1ull << 2)
#define CR0_TS         (1ull << 3)
#define CR0_AM         (1ull << 18)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define TF             0x100u
#define RF             0x10000u
#define AC_FLAG        0x40000u
#define STATUS         0x8d5u
#define ZF             0x40u

static uint8_t *code;
static struct frame frame; /* of the last run */

static int64_t run(uint64_t rdi, uint64_t rcx)
{
	frame = frame_at(code);
	frame.rax = 100;
	frame.rcx = rcx;
	frame.rdi = rdi;
	frame.rflags = 2 | STATUS;
	return run_frame(&frame);
}

static void heat(uint64_t rdi, uint64_t rcx)
{
	unsigned good = 0;

	for (unsigned i = 0; i < WARM; i++)
		good += run(rdi, rcx) == UD;
	if (good != WARM)
		check(false, "hot code runs to its end");
}

static bool raised(unsigned vector, unsigned at)
{
	return frame.vector == vector && frame.rip == (uintptr_t)code + at;
}

/* ---- division ---- */

CODE(div32, "xor %edx, %edx; div %ecx; ud2");
CODE(div_mem, "xor %edx, %edx; divq (%rdi); ud2");
CODE(div8, "nop; nop; div %cl; ud2");
CODE(idiv64, "cqto; idiv %rcx; ud2");
CODE(idiv16, "cwtd; idiv %cx; ud2");

static void test_division(void)
{
	uint64_t divisor = 7;

	PLACE(code, div32);
	heat(0, 7);
	check(frame.rax == 14 && frame.rdx == 2, "a quotient and a remainder");
	run(0, 0);
	check(raised(DE, 2) && frame.rax == 100 && frame.rdx == 0, "32 bits, by zero: #DE");
	check(run(0, 9) == UD && frame.rax == 11, "and on");
	PLACE(code, div_mem);
	heat((uintptr_t)&divisor, 0);
	divisor = 0;
	run((uintptr_t)&divisor, 0);
	check(raised(DE, 2) && frame.rax == 100, "from memory, by zero: #DE");
	PLACE(code, div8);
	heat(0, 7);
	run(0, 0);
	check(raised(DE, 2) && frame.rax == 100, "8 bits, by zero: #DE");
	PLACE(code, idiv64);
	heat(0, (uint64_t)-7);
	check(frame.rax == (uint64_t)-14, "a negative quotient");
	run(0, 0);
	check(raised(DE, 2) && frame.rax == 100, "64 bits signed, by zero: #DE");
	frame = frame_at(code);
	frame.rax = 1ull << 63;
	frame.rcx = ~0ull;
	run_frame(&frame);
	check(raised(DE, 2) && frame.rax == 1ull << 63, "the overflow of -2^63 by -1: #DE");
	PLACE(code, idiv16);
	heat(0, 7);
	frame = frame_at(code);
	frame.rax = 0x8000;
	frame.rcx = 0xffff;
	run_frame(&frame);
	check(raised(DE, 2) && frame.rax == 0x8000, "16 bits: #DE");
}

/* ---- SSE ---- */

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_IE      1u
#define MXCSR_ZE      4u
#define MASK(flag)    ((flag) << 7)

struct vectors {
	float a[4], b[4], out[4];
	uint32_t mxcsr, after;
} __attribute__((aligned(16)));

static struct vectors v;

CODE(div_ps, "movaps (%rdi), %xmm0; movaps 16(%rdi), %xmm1; ldmxcsr 48(%rdi)\n"
	     "divps %xmm1, %xmm0; movaps %xmm0, 32(%rdi); ud2");
CODE(div_ps_mem, "movaps (%rdi), %xmm0; ldmxcsr 48(%rdi); nop; nop; nop; nop\n"
		 "divps 16(%rdi), %xmm0; movaps %xmm0, 32(%rdi); ud2");
CODE(div_ss, "movaps (%rdi), %xmm0; movaps 16(%rdi), %xmm1; ldmxcsr 48(%rdi)\n"
	     "divss %xmm1, %xmm0; movaps %xmm0, 32(%rdi); ud2");

/* The bits of 1.0, 2.0 and so on: there is no floating point in this file. */
static void set_vectors(uint32_t a, uint32_t b, uint32_t mxcsr)
{
	uint32_t *words = (uint32_t *)&v;

	for (unsigned i = 0; i < 4; i++) {
		words[i] = a;
		words[4 + i] = b;
		words[8 + i] = 0;
	}
	v.mxcsr = mxcsr;
}

#define ONE 0x3f800000u
#define TWO 0x40000000u
#define INF 0x7f800000u

static uint32_t first_of_xmm0(void)
{
	uint32_t value;

	asm volatile("movd %%xmm0, %0" : "=r"(value));
	return value;
}

static void test_sse(const char *name, const uint8_t *text, const uint8_t *end, unsigned at)
{
	uint32_t *out = (uint32_t *)v.out;

	place_code(code, text, end);
	set_vectors(ONE, TWO, MXCSR_DEFAULT);
	heat((uintptr_t)&v, 0);
	check(out[0] == 0x3f000000, "%s: one half", name);
	set_vectors(ONE, 0, MXCSR_DEFAULT);
	run((uintptr_t)&v, 0);
	asm volatile("stmxcsr %0" : "=m"(v.after));
	check(frame.vector == UD && out[0] == INF && v.after == (MXCSR_DEFAULT | MXCSR_ZE),
	      "%s: by zero, masked: infinity", name);
	set_vectors(ONE, 0, MXCSR_DEFAULT & ~MASK(MXCSR_ZE));
	run((uintptr_t)&v, 0);
	asm volatile("stmxcsr %0" : "=m"(v.after));
	check(raised(XM, at) && out[0] == 0 && first_of_xmm0() == ONE &&
		      v.after == v.mxcsr + MXCSR_ZE && (frame.rflags & STATUS) == STATUS,
	      "%s: unmasked: #XM, the destination is as it was, mxcsr %x", name, v.after);
	set_vectors(ONE, TWO, MXCSR_DEFAULT & ~MASK(MXCSR_ZE));
	run((uintptr_t)&v, 0);
	check(frame.vector == UD && out[0] == 0x3f000000, "%s: unmasked, and no cause", name);
	WRITE_CR(4, READ_CR(4) & ~CR4_OSXMMEXCPT);
	set_vectors(ONE, 0, MXCSR_DEFAULT & ~MASK(MXCSR_ZE));
	run((uintptr_t)&v, 0);
	check(raised(UD, at), "%s: without CR4.OSXMMEXCPT: #UD", name);
	WRITE_CR(4, READ_CR(4) | CR4_OSXMMEXCPT);
	v.mxcsr = MXCSR_DEFAULT;
	asm volatile("ldmxcsr %0" : : "m"(v.mxcsr));
}

/* COMISS of a signaling NaN: unmasked, it leaves the flags. CVTTSS2SI of infinity: its register. */
CODE(compare, "ldmxcsr 48(%rdi); movaps (%rdi), %xmm0; comiss 16(%rdi), %xmm0; ud2");
CODE(convert, "ldmxcsr 48(%rdi); cvttss2si (%rdi), %eax; ud2");

static void test_sse_invalid(void)
{
	PLACE(code, compare);
	set_vectors(ONE, ONE, MXCSR_DEFAULT);
	heat((uintptr_t)&v, 0);
	check((frame.rflags & STATUS) == ZF, "COMISS of equals");
	set_vectors(0x7f800001, ONE, MXCSR_DEFAULT & ~MASK(MXCSR_IE));
	run((uintptr_t)&v, 0);
	check(raised(XM, 7), "COMISS of a signaling NaN, unmasked: #XM");
	PLACE(code, convert);
	set_vectors(TWO, ONE, MXCSR_DEFAULT);
	heat((uintptr_t)&v, 0);
	check(frame.rax == 2, "CVTTSS2SI");
	set_vectors(INF, ONE, MXCSR_DEFAULT & ~MASK(MXCSR_IE));
	run((uintptr_t)&v, 0);
	check(raised(XM, 4) && frame.rax == 100, "CVTTSS2SI of infinity, unmasked: #XM");
	v.mxcsr = MXCSR_DEFAULT;
	asm volatile("ldmxcsr %0" : : "m"(v.mxcsr));
}

CODE(aligned, "movaps (%rdi), %xmm0; movaps %xmm0, 16(%rdi); paddd (%rdi), %xmm0; ud2");
CODE(vector_add, "nop; paddd %xmm1, %xmm0; ud2");
CODE(x87_add, "nop; fadd %st(0), %st(0); ud2");

static void test_vector_control(void)
{
	PLACE(code, aligned);
	heat((uintptr_t)&v, 0);
	run((uintptr_t)&v + 8, 0);
	check(raised(GP, 0) && frame.error == 0, "hot MOVAPS, misaligned: #GP(0)");
	run((uintptr_t)&v, 0);
	check(frame.vector == UD, "aligned again");
	PLACE(code, vector_add);
	heat(0, 0);
	WRITE_CR(0, READ_CR(0) | CR0_TS);
	run(0, 0);
	check(raised(NM, 1), "hot SSE code with CR0.TS: #NM");
	asm volatile("clts");
	check(run(0, 0) == UD, "and without");
	WRITE_CR(0, READ_CR(0) | CR0_EM);
	run(0, 0);
	check(raised(UD, 1), "with CR0.EM: #UD");
	WRITE_CR(0, READ_CR(0) & ~CR0_EM);
	WRITE_CR(4, READ_CR(4) & ~CR4_OSFXSR);
	run(0, 0);
	check(raised(UD, 1), "without CR4.OSFXSR: #UD");
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	check(run(0, 0) == UD && frame.rip == (uintptr_t)code + 5, "and with it");
	PLACE(code, x87_add);
	asm volatile("fninit; fld1");
	heat(0, 0);
	WRITE_CR(0, READ_CR(0) | CR0_TS);
	run(0, 0);
	check(raised(NM, 1), "hot x87 code with CR0.TS: #NM");
	asm volatile("clts");
	WRITE_CR(0, READ_CR(0) | CR0_EM);
	run(0, 0);
	check(raised(NM, 1), "with CR0.EM: #NM");
	WRITE_CR(0, READ_CR(0) & ~CR0_EM);
	asm volatile("fninit");
}

/* ---- x87 ---- */

#define X87_MASKED 0x37f
#define X87_ZE     4

/* The division raises what the next waiting instruction reports. */
CODE(x87, "fninit; fldcw (%rdi); fld1; fldz; fdivrp; nop; mov $1, %eax; fld1; mov $2, %eax; ud2");
CODE(x87_wait, "fninit; fldcw (%rdi); fld1; fldz; fdivrp; nop; mov $1, %eax; fwait; ud2");

static void test_x87(void)
{
	struct __attribute__((packed)) {
		uint32_t control, status, tag, fip, fcs_fop, fdp, fds;
	} env;
	uint16_t control = X87_MASKED;

	PLACE(code, x87);
	heat((uintptr_t)&control, 0);
	control = X87_MASKED & ~X87_ZE;
	run((uintptr_t)&control, 0);
	asm volatile("fnstenv %0" : "=m"(env));
	check(raised(MF, 16) && frame.rax == 1,
	      "an unmasked x87 exception: #MF at the next one, +%u",
	      (unsigned)(frame.rip - (uintptr_t)code));
	check((env.status & 0x80) && env.fip == (uint32_t)(uintptr_t)code + 8,
	      "its FIP is the division's");
	PLACE(code, x87_wait);
	control = X87_MASKED;
	heat((uintptr_t)&control, 0);
	control = X87_MASKED & ~X87_ZE;
	run((uintptr_t)&control, 0);
	check(raised(MF, 16) && frame.rax == 1, "#MF at FWAIT");
	asm volatile("fnclex; fninit");
	control = X87_MASKED;
	check(run((uintptr_t)&control, 0) == UD, "masked again");
}

/* ---- user mode ---- */

CODE(user_load, "mov (%rdi), %eax; ud2");
CODE(user_cli, "nop; cli; sti; ud2");

static void test_user(void)
{
	uint8_t *data = page_alloc();
	unsigned good = 0;

	PLACE(code, user_load);
	make_user(code);
	make_user(data);
	WRITE_CR(0, READ_CR(0) | CR0_AM);
	for (unsigned i = 0; i < 2 * WARM; i++) {
		bool is_checked = i > WARM;

		frame = user_frame_at(code, SEL_USER_CODE64);
		frame.rdi = (uintptr_t)data + i % 4;
		frame.rflags |= is_checked ? AC_FLAG : 0;
		run_frame(&frame);
		good += frame.vector == (uint64_t)(is_checked && i % 4 ? AC : UD);
	}
	check(good == 2 * WARM, "alignment checked in hot user code: %u", good);
	WRITE_CR(0, READ_CR(0) & ~CR0_AM);
	PLACE(code, user_cli);
	heat(0, 0);
	frame = user_frame_at(code, SEL_USER_CODE64);
	run_frame(&frame);
	check(raised(GP, 1), "hot kernel code, CLI, run by the user: #GP");
	set_pte(code, 0, PTE_U);
}

/* ---- single steps ---- */

static unsigned hits;
static uint64_t rips[256], dr6s[256];
static uint64_t rf_on_return; /* past a breakpoint on code */

static void record(struct frame *at)
{
	if (hits < 256) {
		rips[hits] = at->rip;
		dr6s[hits] = READ_DR(6);
	}
	hits++;
	WRITE_DR(6, 0xffff0ff0);
	at->rflags |= rf_on_return;
}

/* Jumps of every kind, calls, returns, memory, REP, fall-through of a branch: RAX is 7 at the end.
 */
CODE(walk, "xor %eax, %eax; mov $3, %ecx\n"
	   "1: inc %eax; dec %ecx; jnz 1b\n"
	   "jmp 2f; ud2; 2: call 3f; lea 4f(%rip), %rdx; jmp *%rdx; ud2; 4: inc %eax\n"
	   "push %rax; pop %rbx; mov $4, %ecx; rep stosb; cmp $5, %eax; jb 5f; je 6f\n"
	   "5: ud2; 6: add $2, %eax; loop 7f; 7: ud2; 3: mov %eax, (%rdi); inc %eax; ret");

/* What each step must stand before: found by stepping cold, once, code of another page. */
static unsigned step_all(const void *at, uint64_t rdi)
{
	hits = 0;
	frame = frame_at(at);
	frame.rdi = rdi;
	frame.rflags |= TF;
	run_frame(&frame);
	return hits;
}

static void test_steps(void)
{
	static uint64_t wanted[256];
	uint8_t *data = page_alloc(), *cold = page_alloc();
	unsigned n, good = 0;

	set_handler(DB, record);
	PLACE(cold, walk);
	n = step_all(cold, (uintptr_t)data);
	for (unsigned i = 0; i < n; i++)
		wanted[i] = rips[i] - (uintptr_t)cold;
	check(n > 30 && n < 60 && frame.vector == UD && frame.rax == 7, "stepped cold: %u steps",
	      n);
	PLACE(code, walk);
	heat((uintptr_t)data, 0);
	check(frame.rax == 7, "the same code hot: %lu", frame.rax);
	check(step_all(code, (uintptr_t)data) == n, "stepped hot: %u steps", hits);
	for (unsigned i = 0; i < n; i++)
		good += rips[i] - (uintptr_t)code == wanted[i] &&
			(dr6s[i] & ~0xffff0ff0ull) == 1 << 14;
	check(good == n && frame.rax == 7, "each where it was cold: %u", good);
	for (unsigned i = 0; i < WARM; i++)
		(void)step_all(code, (uintptr_t)data);
	check(hits == n, "stepped often: %u", hits);
	heat((uintptr_t)data, 0);
	check(hits == n && frame.rax == 7, "not stepped again");
}

/* POPF sets TF within hot code: the step after the next instruction; and clears it. */
CODE(popf_steps, "push %rcx; popf; nop; nop; push $2; popf; nop; ud2");

static void test_popf(void)
{
	PLACE(code, popf_steps);
	heat(0, 2);
	hits = 0;
	run(0, 2 | TF);
	check(hits == 4 && rips[0] == (uintptr_t)code + 3 && frame.vector == UD,
	      "POPF in hot code starts and ends stepping: %u", hits);
}

/* ---- breakpoints ---- */

CODE(touches, "mov $20, %ecx; 1: mov %ecx, (%rdi); dec %ecx; jnz 1b; ud2");
CODE(touches_much, "mov (%rdi), %eax; addl $1, (%rdi); push (%rdi); pop %rdx; xchg %eax, (%rdi)\n"
		   "mov $4, %ecx; rep stosl; ud2");

static void test_data_breakpoint(void)
{
	static volatile uint64_t data[8] __attribute__((aligned(64)));
	unsigned good = 0;

	PLACE(code, touches);
	heat((uintptr_t)data, 0);
	WRITE_DR(1, (uintptr_t)data);
	WRITE_DR(7, 0x400 | 2 << 2 | 0xdull << 20); /* writes of 4 bytes */
	hits = 0;
	run((uintptr_t)data, 0);
	for (unsigned i = 0; i < 20 && i < hits; i++)
		good += rips[i] == (uintptr_t)code + 7 && (dr6s[i] & 15) == 2;
	check(hits == 20 && good == 20 && frame.vector == UD,
	      "a breakpoint on data traps behind each store of a hot loop: %u", hits);
	hits = 0;
	run((uintptr_t)data + 8, 0);
	check(hits == 0, "beside it, none");
	WRITE_DR(7, 0x400);
	run((uintptr_t)data, 0);
	check(hits == 0, "switched off, none");
	PLACE(code, touches_much);
	heat((uintptr_t)data, 0);
	WRITE_DR(7, 0x400 | 2 << 2 | 0xfull << 20); /* reads and writes */
	hits = 0;
	run((uintptr_t)data, 0);
	check(hits == 5 && frame.vector == UD,
	      "on reads and writes: load, add, push, exchange, the first STOS: %u", hits);
	WRITE_DR(7, 0x400);
}

static void test_code_breakpoint(void)
{
	unsigned good = 0;

	PLACE(code, touches);
	heat((uintptr_t)code + 2048, 0);
	WRITE_DR(0, (uintptr_t)code);
	WRITE_DR(2, (uintptr_t)code + 7); /* DEC, in the loop */
	WRITE_DR(7, 0x400 | 2);
	rf_on_return = RF;
	hits = 0;
	run((uintptr_t)code + 2048, 0);
	check(hits == 1 && rips[0] == (uintptr_t)code && frame.vector == UD,
	      "a breakpoint on hot code: %u", hits);
	WRITE_DR(7, 0x400 | 2 << 4);
	hits = 0;
	run((uintptr_t)code + 2048, 0);
	check(hits == 20 && rips[19] == (uintptr_t)code + 7 && frame.vector == UD,
	      "in the middle of a hot loop: %u", hits);
	rf_on_return = 0;
	WRITE_DR(7, 0x400);
	for (unsigned i = 0; i < WARM; i++) {
		hits = 0;
		run((uintptr_t)code + 2048, 0);
		good += hits == 0;
	}
	check(good == WARM, "and without it");
}

void test_main(void)
{
	code = page_alloc();
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
	test_division();
	test_sse("DIVPS", div_ps, div_ps_end, 11);
	test_sse("DIVPS from memory", div_ps_mem, div_ps_mem_end, 11);
	test_sse("DIVSS", div_ss, div_ss_end, 11);
	test_sse_invalid();
	test_vector_control();
	test_x87();
	test_user();
	test_steps();
	test_popf();
	test_data_breakpoint();
	test_code_breakpoint();
}
