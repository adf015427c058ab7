/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions: vectors, error codes, saved RIP, priorities, what a faulting instruction leaves
 * behind.
 */
#include "bare.h"

#define NON_CANONICAL 0x0000800000000000ull

static void test_simple(void)
{
	check(TRY("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx") == DE,
	      "division by zero");
	check(TRY("mov $2, %%edx; mov $1, %%eax; mov $2, %%ecx; div %%ecx") == DE,
	      "division overflow");
	check(TRY("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idiv %%ecx") == DE,
	      "signed division overflow");
	check(TRY("ud2") == UD, "ud2");
	check(TRY(".byte 0xf0, 0x89, 0xc0") == UD, "LOCK on a register operand");
	check(TRY(".byte 0x06") == UD, "PUSH ES in 64-bit mode");
	check(TRY("int3") == BP, "int3");
	check(TRY("movabs $1f, %%rbx; 1: int3") == BP && trap.rip > 0, "int3 saves the next RIP");
	check(TRY("int $0x80") == 0x80, "int 80h");
	check(TRY(".fill 15, 1, 0x66; nop") == GP && trap.error == 0, "16 bytes of instruction");
}

static void test_canonical(void)
{
	check(TRY("mov (%0), %%rax", "r"(NON_CANONICAL)) == GP && trap.error == 0,
	      "non-canonical load: #GP(0)");
	check(TRY("mov %%rsp, %%rbx; mov %0, %%rsp; pop %%rax; 1: mov %%rbx, %%rsp",
		  "r"(NON_CANONICAL)) == SS &&
		      trap.error == 0,
	      "non-canonical stack: #SS(0)");
	check(TRY("mov %%rbp, %%rbx; mov %0, %%rbp; mov (%%rbp), %%rax; mov %%rbx, %%rbp",
		  "r"(NON_CANONICAL)) == SS,
	      "non-canonical by RBP: #SS(0)");
	check(TRY("jmp *%0", "r"(NON_CANONICAL)) == GP && trap.rip < NON_CANONICAL,
	      "jump to a non-canonical address faults at the jump");
}

static void test_gates(void)
{
	uint64_t *gate = idt_gate(0x81), saved = gate[0];

	gate[0] &= ~(1ull << 47);
	check(TRY("int $0x81") == NP && trap.error == 0x81 * 8 + 2, "gate not present: #NP");
	gate[0] = saved;
	gate[1] ^= 1ull << 20; /* the handler's address becomes non-canonical */
	check(TRY("int $0x81") == GP && trap.error == 0, "gate to a non-canonical address");
	gate[1] ^= 1ull << 20;
	gate[0] = (saved & ~0xffff0000ull) | (uint64_t)SEL_DATA << 16;
	check(TRY("int $0x81") == GP && trap.error == SEL_DATA, "gate to a data segment");
	gate[0] = saved & ~(0xfull << 40);
	check(TRY("int $0x81") == GP && trap.error == 0x81 * 8 + 2, "gate of type 0");
	gate[0] = saved;
}

static void test_user_gates(void)
{
	static const uint8_t int81[] = { 0xcd, 0x81 };
	static const uint8_t int80[] = { 0xcd, 0x80 };
	static const uint8_t hlt[] = { 0xf4 };
	static const uint8_t cli[] = { 0xfa };
	static const uint8_t in[] = { 0xec };

	RUN_USER(int81, SEL_USER_CODE64);
	check(trap.vector == GP && trap.error == 0x81 * 8 + 2,
	      "INT n to a DPL 0 gate from user mode");
	RUN_USER(int80, SEL_USER_CODE64);
	check(trap.vector == 0x80 && trap.cs == SEL_USER_CODE64 &&
		      trap.rip == (uintptr_t)user_code + 2,
	      "INT n to a DPL 3 gate from user mode");
	RUN_USER(hlt, SEL_USER_CODE64);
	check(trap.vector == GP && trap.error == 0, "HLT in user mode");
	RUN_USER(cli, SEL_USER_CODE64);
	check(trap.vector == GP && trap.error == 0, "CLI in user mode");
	RUN_USER(in, SEL_USER_CODE64);
	check(trap.vector == GP && trap.error == 0, "IN in user mode");
}

/* A fault in the middle leaves memory, registers and flags as the architecture says. */
static void test_restart(void)
{
	uint8_t *a = page_alloc(), *b = page_alloc();
	uint64_t rcx = 0, rdi = 0;

	set_pte(b, 0, PTE_P);
	a[4092] = a[4093] = a[4094] = a[4095] = 0x11;
	check(TRY("movq $-1, (%0)", "r"(a + 4092)) == PF && trap.cr2 == (uintptr_t)b,
	      "store across a page border faults at the second page");
	check(a[4092] == 0x11 && a[4095] == 0x11, "and stores nothing on the first");
	check(TRY("mov (%0), %%rax", "r"(a + 4090)) == PF && trap.error == 0 &&
		      trap.cr2 == (uintptr_t)b,
	      "load across a page border");
	trap.vector = -1;
	asm volatile("lea 1f(%%rip), %%r15; mov %%r15, recover_rip(%%rip)\n\t"
		     "mov %%rsp, recover_rsp(%%rip)\n\t"
		     "mov $64, %%ecx; mov %2, %%rdi; mov $0x5a, %%al; rep stosb\n"
		     "1: mov %%rcx, %0; mov %%rdi, %1; movq $0, recover_rip(%%rip)"
		     : "=r"(rcx), "=r"(rdi)
		     : "r"(a + 4096 - 16)
		     : "rax", "rcx", "rdi", "r15", "memory", "cc");
	check(trap.vector == PF && rcx == 48 && rdi == (uintptr_t)b && a[4095] == 0x5a,
	      "REP STOSB stops at the fault: rcx %lu", rcx);
	trap.vector = -1;
	asm volatile("lea 1f(%%rip), %%r15; mov %%r15, recover_rip(%%rip)\n\t"
		     "mov %%rsp, recover_rsp(%%rip); mov %%rsp, %%rbx\n\t"
		     "mov %0, %%rsp; push %%rax\n"
		     "1: movq $0, recover_rip(%%rip); mov %%rbx, %%rsp"
		     :
		     : "r"(b + 8)
		     : "rbx", "r15", "memory", "cc");
	check(trap.vector == PF && trap.error == 2 && trap.rsp == (uintptr_t)b + 8,
	      "PUSH to an absent page leaves RSP");
	check(TRY("stc; addq $1, (%0)", "r"(b)) == PF && (trap.rflags & 1) && trap.error == 2,
	      "a faulting ADD leaves the flags and reports a write");
	check(TRY("mov $7, %%eax; cmpxchg %%rbx, (%0)", "r"(b)) == PF && trap.error == 2 &&
		      trap.rax == 7,
	      "CMPXCHG reports a write");
	set_pte(b, PTE_P, 0);
}

static void test_alignment(void)
{
	/* mov %rsp,%rax; pushf; orl $0x40000,(%rsp); popf; mov 1(%rax),%ebx; ud2 */
	static const uint8_t code[] = {
		0x48, 0x83, 0xec, 0x40, 0x48, 0x89, 0xe0, 0x9c, 0x81, 0x0c, 0x24, 0x00,
		0x00, 0x04, 0x00, 0x9d, 0x8b, 0x18, 0x8b, 0x58, 0x01, 0x0f, 0x0b,
	};

	WRITE_CR(0, READ_CR(0) | 1 << 18);
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == AC && trap.error == 0 && trap.rip == (uintptr_t)user_code + 18,
	      "misaligned load in user mode with AC: #AC at its RIP");
	WRITE_CR(0, READ_CR(0) & ~(1ull << 18));
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "no #AC without CR0.AM");
}

static void test_double_fault(void)
{
	uint64_t *gp = idt_gate(GP), saved = gp[0];

	gp[0] &= ~(1ull << 47);
	check(TRY("mov (%0), %%rax", "r"(NON_CANONICAL)) == DF && trap.error == 0,
	      "#NP while delivering #GP: #DF(0)");
	gp[0] = saved;
	gp = idt_gate(UD);
	saved = gp[0];
	gp[0] &= ~(1ull << 47);
	check(TRY("ud2") == NP && trap.error == UD * 8 + 2 + 1,
	      "#NP while delivering #UD: #NP with EXT");
	gp[0] = saved;
}

void test_main(void)
{
	test_simple();
	test_canonical();
	test_gates();
	test_user_gates();
	test_restart();
	test_alignment();
	test_double_fault();
}
