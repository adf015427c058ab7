/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hot kernel code does besides computing: RFLAGS by PUSHF and POPF, interrupts let in and kept
 * out at exact places, HLT, INT n and IRETQ, segment registers, the time. SDM2: "STI", "POPF",
 * "IRET".
 */
#include "apic.h"
#include "bare.h"

#define WARM     200
#define PIC_MASK 0x21

#define MSR_EFER  0xc0000080
#define MSR_STAR  0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084

#define VECTOR  0x40
#define STATUS  0x8d5u
#define IF      0x200u
#define DF      0x400u
#define IOPL    0x3000u
#define NT      0x4000u
#define RF      0x10000u
#define AC_FLAG 0x40000u
#define ID_FLAG 0x200000u

static uint8_t *code, *data;
static struct frame frame; /* of the last run */
static volatile unsigned interrupts;
static volatile uint64_t interrupted_rip;

static void on_interrupt(struct frame *at)
{
	interrupts++;
	interrupted_rip = at->rip;
	apic_write(APIC_EOI, 0);
}

/* RDI is the APIC's ICR, EAX what sends an interrupt to this processor. */
static int64_t run(uint64_t flags)
{
	frame = frame_at(code);
	frame.rdi = APIC_AT + APIC_ICR;
	frame.rsi = (uintptr_t)data;
	frame.rax = ICR_SELF | VECTOR;
	frame.rcx = 5;
	frame.rflags |= flags;
	return run_frame(&frame);
}

static void drain(void)
{
	asm volatile("sti; nop; nop; cli");
}

/* ---- where interrupts come ---- */

CODE(after_sti, "mov %eax, (%rdi); mov $1, %ebx; sti; inc %ebx; inc %ebx; cli; ud2");
CODE(no_gap, "mov %eax, (%rdi); mov $1, %ebx; sti; cli; inc %ebx; inc %ebx; ud2");
CODE(after_popf, "mov %eax, (%rdi); mov $1, %ebx; push $0x202; popf; inc %ebx; inc %ebx; cli; ud2");
CODE(kept_out, "push $2; popf; mov %eax, (%rdi); inc %ebx; inc %ebx; jmp 1f; 1: nop; cli; ud2");
CODE(on_store, "sti; nop; nop; mov %eax, (%rdi); inc %ebx; inc %ebx; cli; ud2");
CODE(in_loop, "sti; mov %eax, (%rdi); mov $100, %edx; 1: inc %ebx; dec %edx; jnz 1b; cli; ud2");
CODE(after_mov_ss, "mov %eax, (%rdi); mov %ss, %edx; sti; mov %edx, %ss; inc %ebx; cli; ud2");
CODE(at_hlt, "mov %eax, (%rdi); sti; hlt; inc %ebx; cli; ud2");
CODE(by_iret, "mov %eax, (%rdi); mov %rsp, %rdx; mov %ss, %ecx; push %rcx; push %rdx; push $0x202\n"
	      "mov %cs, %ecx; push %rcx; lea 1f(%rip), %rcx; push %rcx; iretq; nop; 1: inc %ebx\n"
	      "cli; ud2");

/* For so long that nothing looks for it any more. */
#define HELD                                                                                    \
	"mov %eax, (%rdi); mov $1, %ebx; mov $60, %edx; jmp 1f; 2: ret; 1: call 2b; dec %edx; " \
	"jnz 1b\n"

CODE(held_sti, HELD "sti; inc %ebx; inc %ebx; cli; ud2");
CODE(held_popf, HELD "push $0x202; popf; inc %ebx; inc %ebx; cli; ud2");
CODE(held_iret, HELD "mov %rsp, %rdx; mov %ss, %ecx; push %rcx; push %rdx; push $0x202\n"
		     "mov %cs, %ecx; push %rcx; lea 1f(%rip), %rcx; push %rcx; iretq; 1: nop\n"
		     "cli; ud2");

static const struct place {
	const char *name;
	const uint8_t *code, *end;
	unsigned count; /* of interrupts in each run */
	uint8_t at;     /* where: offset of the instruction that they come before; 0: somewhere */
} places[] = {
#define PLACE_ROW(name, ...)                         \
	{                                            \
#name, name, name##_end, __VA_ARGS__ \
	}
	PLACE_ROW(after_sti, 1, 10),   PLACE_ROW(no_gap, 0, 0),    PLACE_ROW(after_popf, 1, 13),
	PLACE_ROW(kept_out, 0, 0),     PLACE_ROW(on_store, 1, 0),  PLACE_ROW(in_loop, 1, 0),
	PLACE_ROW(after_mov_ss, 1, 0), PLACE_ROW(at_hlt, 1, 0),    PLACE_ROW(by_iret, 1, 0),
	PLACE_ROW(held_sti, 1, 0),     PLACE_ROW(held_popf, 1, 0), PLACE_ROW(held_iret, 1, 0),
};

static void test_place(const struct place *p)
{
	unsigned good = 0;

	place_code(code, p->code, p->end);
	for (unsigned i = 0; i < WARM; i++) {
		interrupts = 0;
		good += run(0) == UD && interrupts == p->count && !(frame.rflags & IF) &&
			frame.rip == (uintptr_t)code + (uintptr_t)(p->end - p->code) - 2 &&
			(!p->at || interrupted_rip == (uintptr_t)code + p->at);
		drain();
	}
	check(good == WARM, "interrupts of a hot piece: %s: %u", p->name, good);
}

/* An interrupt is asked for in the kernel, where it is held back, and comes behind SYSRET. */
CODE(kernel_holds, "xchg %rsp, %r10; push %rcx; push %r11; push %rdx; push %rbx\n" HELD
		   "pop %rbx; pop %rdx; pop %r11; pop %rcx; xchg %rsp, %r10; sysretq");
CODE(user_calls, "mov $200, %ebp; 1: syscall; nop; dec %ebp; jnz 1b; ud2");

static void test_sysret(void)
{
	uint8_t *text = page_alloc(), *stack = page_alloc();
	unsigned good = 0;

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	wrmsr(MSR_STAR, (uint64_t)(SEL_USER_DATA - 8) << 48 | (uint64_t)SEL_CODE64 << 32);
	wrmsr(MSR_LSTAR, (uintptr_t)PLACE(code, kernel_holds));
	wrmsr(MSR_FMASK, IF);
	PLACE(text, user_calls);
	make_user(text);
	for (unsigned i = 0; i < 10; i++) {
		frame = user_frame_at(text, SEL_USER_CODE64);
		frame.rdi = APIC_AT + APIC_ICR;
		frame.rax = ICR_SELF | VECTOR;
		frame.r10 = (uintptr_t)stack + 4096;
		frame.rflags |= IF;
		interrupts = 0;
		good += run_frame(&frame) == UD && interrupts == 200 &&
			interrupted_rip == (uintptr_t)text + 7;
	}
	check(good == 10, "interrupts that come behind SYSRET: %u", good);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
}

/* ---- RFLAGS ---- */

CODE(reads, "pushf; pop %rax; ud2");
CODE(writes, "push %rcx; popf; pushf; pop %rax; push $2; popf; ud2");
CODE(writes_as_user, "push %rcx; popf; pushf; pop %rax; ud2");

static const uint32_t flag_patterns[] = { 0,       STATUS,       DF,         NT,
					  ID_FLAG, AC_FLAG,      0x841 | DF, IOPL,
					  0x94,    ID_FLAG | DF, 0x51,       AC_FLAG | STATUS };

static void test_pushf(void)
{
	unsigned good = 0, wanted = 0;

	PLACE(code, reads);
	for (unsigned i = 0; i < WARM; i++) {
		uint64_t flags = flag_patterns[i % 12] | 2;

		good += run(flags) == UD && frame.rax == flags;
		wanted++;
	}
	check(good == wanted, "PUSHF reads what is set: %u", good);
}

static void test_popf(void)
{
	unsigned good = 0;

	PLACE(code, writes);
	for (unsigned i = 0; i < WARM; i++) {
		frame = frame_at(code);
		frame.rcx = flag_patterns[i % 12] | 2;
		good += run_frame(&frame) == UD && frame.rax == (flag_patterns[i % 12] | 2);
	}
	check(good == WARM, "POPF writes, in the kernel: %u", good);
	PLACE(code, writes_as_user);
	make_user(code);
	good = 0;
	for (unsigned i = 0; i < WARM; i++) {
		uint64_t wanted = (flag_patterns[i % 12] & ~IOPL) | 2 | IF;

		frame = user_frame_at(code, SEL_USER_CODE64);
		frame.rflags |= IF; /* which the user cannot change */
		frame.rcx = flag_patterns[i % 12] | 2;
		good += run_frame(&frame) == UD && frame.rax == wanted;
	}
	check(good == WARM, "POPF writes, in user mode: %u", good);
	set_pte(code, 0, PTE_U);
}

/* Strings go the way that STD and CLD say, in one block and in two. */
CODE(direction,
     "std; lea 7(%rsi), %rdi; mov $8, %ecx; mov %cl, %al; 1: stosb; dec %eax; loop 1b; cld\n"
     "mov %rsi, %rdi; mov $0x5a, %al; stosb; pushf; pop %rax; ud2");

static void test_direction(void)
{
	unsigned good = 0;

	PLACE(code, direction);
	for (unsigned i = 0; i < WARM; i++) {
		data[0] = 0;
		good += run(0) == UD && data[0] == 0x5a && data[1] == 2 && data[7] == 8 &&
			!(frame.rax & DF) && frame.rdi == (uintptr_t)data + 1;
	}
	check(good == WARM, "STD and CLD: %u", good);
}

/* ---- INT n, segment registers, the time ---- */

static volatile unsigned calls;

static void on_call(struct frame *at)
{
	calls++;
	at->rax += at->rcx;
}

CODE(int_loop, "xor %eax, %eax; mov $50, %edx; 1: int $0x80; dec %edx; jnz 1b; stc; int $0x80\n"
	       "setc %bl; ud2");

static void test_int(void)
{
	unsigned good = 0;

	set_handler(0x80, on_call);
	PLACE(code, int_loop);
	for (unsigned i = 0; i < 2 * WARM; i++) {
		bool is_user = i >= WARM;

		set_pte(code, is_user ? PTE_U : 0, is_user ? 0 : PTE_U);
		frame = is_user ? user_frame_at(code, SEL_USER_CODE64) : frame_at(code);
		frame.rcx = 3;
		calls = 0;
		good += run_frame(&frame) == UD && calls == 51 && frame.rax == 153 &&
			(frame.rbx & 0xff) == 1;
	}
	set_pte(code, 0, PTE_U);
	set_handler(0x80, NULL);
	check(good == 2 * WARM, "INT n and IRETQ, from the kernel and from user mode: %u", good);
}

/* RCX is RFLAGS behind the IRETQ. */
CODE(returns, "mov %rsp, %rdx; mov %ss, %eax; push %rax; push %rdx; push %rcx; mov %cs, %eax\n"
	      "push %rax; lea 1f(%rip), %rax; push %rax; iretq; nop; 1: inc %ebx; inc %ebx\n"
	      "pushf; pop %rsi; ud2");
#define RETURNS_TO 22 /* label 1 */

/* RF keeps a code breakpoint away, once; where none is enabled it is gone after an instruction. */
static void test_resume_flag(void)
{
	unsigned good = 0;

	PLACE(code, returns);
	for (unsigned i = 0; i < 2 * WARM; i++) {
		bool is_watched = i % 10 > 7, has_rf = i % 4 < 2;

		frame = frame_at(code);
		frame.rcx = has_rf ? RF | 2 : 2;
		asm volatile("mov %0, %%dr0" : : "r"((uintptr_t)code + RETURNS_TO));
		asm volatile("mov %0, %%dr7" : : "r"(is_watched ? 0x402ull : 0x400ull));
		run_frame(&frame);
		asm volatile("mov %0, %%dr7" : : "r"(0x400ull));
		if (is_watched && !has_rf)
			good += frame.vector == DB && frame.rbx == 0 &&
				frame.rip == (uintptr_t)code + RETURNS_TO;
		else
			good += frame.vector == UD && frame.rbx == 2 && frame.rsi == 2;
	}
	check(good == 2 * WARM, "IRETQ with RF, a code breakpoint at times: %u", good);
}

CODE(loads_segment, "mov %ecx, %es; mov %es, %eax; mov $7, %ebx; ud2");

static void test_segment_registers(void)
{
	unsigned good = 0;

	PLACE(code, loads_segment);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_bad = i % 10 == 9;

		frame = frame_at(code);
		frame.rcx = is_bad ? SEL_TSS : i % 2 ? SEL_DATA : 0;
		run_frame(&frame);
		if (is_bad)
			good += frame.vector == GP && frame.error == SEL_TSS &&
				frame.rip == (uintptr_t)code && frame.rbx == 0;
		else
			good += frame.vector == UD && frame.rbx == 7 &&
				(uint16_t)frame.rax == (i % 2 ? SEL_DATA : 0);
	}
	asm volatile("mov %0, %%es" : : "r"(SEL_DATA));
	check(good == WARM, "MOV to ES, some of a task state: %u", good);
}

/* RBX counts the times that went backwards. */
CODE(tells_time, "mov $200, %ecx; xor %ebx, %ebx; xor %esi, %esi\n"
		 "1: rdtsc; shl $32, %rdx; or %rdx, %rax; cmp %rsi, %rax; jae 2f; inc %ebx\n"
		 "2: mov %rax, %rsi; dec %ecx; jnz 1b; ud2");

static void test_time(void)
{
	unsigned backwards = 0;
	uint64_t last = 0;

	PLACE(code, tells_time);
	for (unsigned i = 0; i < WARM; i++) {
		run(0);
		backwards += (unsigned)frame.rbx + (frame.rsi <= last);
		last = frame.rsi;
	}
	check(backwards == 0, "RDTSC never goes backwards: %u", backwards);
}

void test_main(void)
{
	out8(PIC_MASK, 0xff);
	apic_write(APIC_SVR, APIC_ENABLE);
	set_handler(VECTOR, on_interrupt);
	code = page_alloc();
	data = page_alloc();
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++)
		test_place(&places[i]);
	test_sysret();
	test_pushf();
	test_popf();
	test_direction();
	test_int();
	test_resume_flag();
	test_segment_registers();
	test_time();
}
