/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions: control registers and their reserved bits, MSRs, SYSCALL and SYSENTER, FS
 * and GS bases, UMIP, time-stamp disable, the I/O permission map, XSETBV.
 */
#include "bare.h"

#define MSR_EFER      0xc0000080
#define MSR_STAR      0xc0000081
#define MSR_LSTAR     0xc0000082
#define MSR_FMASK     0xc0000084
#define MSR_FS_BASE   0xc0000100
#define MSR_GS_BASE   0xc0000101
#define MSR_KERNEL_GS 0xc0000102
#define MSR_SYSENTER  0x174
#define MSR_PAT       0x277

#define CR4_TSD      4ull
#define CR4_OSFXSR   (1ull << 9)
#define CR4_UMIP     (1ull << 11)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_OSXSAVE  (1ull << 18)

#define NON_CANONICAL 0x0000800000000000ull

static void test_control_registers(void)
{
	uint64_t cr0 = READ_CR(0), cr4 = READ_CR(4);

	check(TRY_WRITE_CR(0, cr0 & ~1ull) == GP, "CR0: PG without PE: #GP");
	check(TRY_WRITE_CR(0, cr0 | 1ull << 32) == GP, "CR0: bit 32: #GP");
	check(TRY_WRITE_CR(0, cr0 | 1ull << 29) == GP, "CR0: NW without CD: #GP");
	check(TRY_WRITE_CR(0, cr0 & ~(1ull << 31)) == GP, "CR0: clearing PG in 64-bit mode: #GP");
	check(TRY_WRITE_CR(4, cr4 & ~0x20ull) == GP, "CR4: clearing PAE in long mode: #GP");
	check(TRY_WRITE_CR(4, cr4 | 1ull << 31) == GP, "CR4: a reserved bit: #GP");
	check(TRY_WRITE_CR(4, cr4 | 1ull << 13) == GP, "CR4: VMXE without VT-x: #GP");
	check(TRY_WRITE_CR(3, READ_CR(3) | 1ull << 52) == GP, "CR3: a reserved bit: #GP");
	check(TRY_WRITE_CR(8, 16) == GP, "CR8: more than 15: #GP");
	check(TRY("mov %%cr1, %%rax", "i"(0)) == UD, "CR1: #UD");
	check(READ_CR(0) == cr0 && READ_CR(4) == cr4, "and nothing has changed");
}

static void test_msrs(void)
{
	uint64_t efer = rdmsr(MSR_EFER);

	check(try_rdmsr(0x12345678) == GP && trap.error == 0, "an unknown MSR: #GP(0)");
	check(try_wrmsr(0x12345678, 0) == GP, "writing it: #GP(0)");
	check(try_wrmsr(MSR_EFER, efer | 2) == GP, "EFER: a reserved bit: #GP");
	check(try_wrmsr(MSR_EFER, efer & ~(1ull << 8)) == GP, "EFER: LME while paging: #GP");
	check(rdmsr(MSR_EFER) == efer, "EFER is as before");
	check(try_wrmsr(MSR_LSTAR, NON_CANONICAL) == GP, "LSTAR: non-canonical: #GP");
	check(try_wrmsr(MSR_FS_BASE, NON_CANONICAL) == GP, "FS base: non-canonical: #GP");
	check(try_wrmsr(MSR_PAT, 0x0007040600070402) == GP, "PAT: a reserved type: #GP");
	check(try_wrmsr(MSR_PAT, 0x0007010600070406) == -1, "PAT: good types");
	check(rdmsr(MSR_PAT) == 0x0007010600070406, "PAT reads back");
}

static void test_bases(void)
{
	static uint64_t here = 0x1122334455667788;
	uint64_t value;

	wrmsr(MSR_GS_BASE, (uintptr_t)&here);
	wrmsr(MSR_KERNEL_GS, 0x1234);
	asm volatile("mov %%gs:0, %0" : "=r"(value));
	check(value == here, "a load by GS");
	asm volatile("swapgs");
	check(rdmsr(MSR_GS_BASE) == 0x1234 && rdmsr(MSR_KERNEL_GS) == (uintptr_t)&here, "SWAPGS");
	check(TRY("rdfsbase %%rax", "i"(0)) == UD, "RDFSBASE without CR4.FSGSBASE: #UD");
	WRITE_CR(4, READ_CR(4) | CR4_FSGSBASE);
	asm volatile("wrfsbase %0" : : "r"(&here));
	asm volatile("rdfsbase %0" : "=r"(value));
	check(value == (uintptr_t)&here && rdmsr(MSR_FS_BASE) == value, "WRFSBASE and RDFSBASE");
	check(TRY("wrgsbase %0", "r"(NON_CANONICAL)) == GP, "WRGSBASE: non-canonical: #GP");
	WRITE_CR(4, READ_CR(4) & ~CR4_FSGSBASE);
}

static void test_umip(void)
{
	/* sub $64,%rsp; sgdt (%rsp); smsw %eax; sldt %eax; str %eax; ud2 */
	static const uint8_t code[] = { 0x48, 0x83, 0xec, 0x40, 0x0f, 0x01, 0x04, 0x24, 0x0f, 0x01,
					0xe0, 0x0f, 0x00, 0xc0, 0x0f, 0x00, 0xc8, 0x0f, 0x0b };

	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "SGDT, SMSW, SLDT and STR in user mode without UMIP");
	if (!(cpuid(7, 0).c & 4)) {
		check(true, "UMIP # SKIP the processor has none");
		return;
	}
	WRITE_CR(4, READ_CR(4) | CR4_UMIP);
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == GP && trap.error == 0 && trap.rip == (uintptr_t)user_code + 4,
	      "SGDT in user mode with UMIP: #GP");
	WRITE_CR(4, READ_CR(4) & ~CR4_UMIP);
}

static void test_tsd(void)
{
	static const uint8_t code[] = { 0x0f, 0x31, 0x0f, 0x0b }; /* rdtsc; ud2 */

	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "RDTSC in user mode");
	WRITE_CR(4, READ_CR(4) | CR4_TSD);
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == GP && trap.rip == (uintptr_t)user_code,
	      "RDTSC in user mode with CR4.TSD: #GP");
	WRITE_CR(4, READ_CR(4) & ~CR4_TSD);
}

/* SYSCALL lands here, keeps what it finds and goes back by SYSRET. */
extern char syscall_entry[], sysenter_entry[];
uint64_t syscall_rcx, syscall_r11, syscall_flags, syscall_cs, syscall_ss;
asm("syscall_entry:\n"
    "	mov %rcx, syscall_rcx(%rip)\n"
    "	mov %r11, syscall_r11(%rip)\n"
    "	mov %cs, %eax; mov %rax, syscall_cs(%rip)\n"
    "	mov %ss, %eax; mov %rax, syscall_ss(%rip)\n"
    "	mov %rsp, %r8\n"
    "	lea stack_top-32768(%rip), %rsp\n"
    "	pushf; pop syscall_flags(%rip)\n"
    "	mov %r8, %rsp\n"
    "	sysretq\n"
    "sysenter_entry:\n"
    "	mov %cs, %eax; mov %rax, syscall_cs(%rip)\n"
    "	mov %rsp, syscall_r11(%rip)\n"
    "	sysexitq\n");

static void test_syscall(void)
{
	/* stc; syscall; int3 */
	static const uint8_t code[] = { 0xf9, 0x0f, 0x05, 0xcc };
	/* mov %rsp,%rcx; lea 3(%rip),%rdx; sysenter; nop; int3 (at rdx) */
	static const uint8_t enter[] = { 0x48, 0x89, 0xe1, 0x48, 0x8d, 0x15, 0x03,
					 0x00, 0x00, 0x00, 0x0f, 0x34, 0x90, 0xcc };

	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "SYSCALL without EFER.SCE: #UD");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	wrmsr(MSR_STAR, (uint64_t)(SEL_USER_DATA - 8) << 48 | (uint64_t)SEL_CODE64 << 32);
	wrmsr(MSR_LSTAR, (uintptr_t)syscall_entry);
	wrmsr(MSR_FMASK, 0x401); /* DF and CF */
	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == BP && trap.rip == (uintptr_t)user_code + 4 &&
		      trap.cs == SEL_USER_CODE64,
	      "SYSCALL and SYSRET come back behind the SYSCALL");
	check(syscall_rcx == (uintptr_t)user_code + 3 && (syscall_r11 & 1),
	      "RCX and R11 hold RIP and RFLAGS");
	check(syscall_cs == SEL_CODE64 && syscall_ss == SEL_DATA, "CS and SS come from STAR");
	check(!(syscall_flags & 1) && (trap.rflags & 1), "FMASK clears, SYSRET restores");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
	wrmsr(MSR_SYSENTER, SEL_CODE64);
	wrmsr(MSR_SYSENTER + 1, (uintptr_t)stack_top - 32768);
	wrmsr(MSR_SYSENTER + 2, (uintptr_t)sysenter_entry);
	RUN_USER(enter, SEL_USER_CODE64);
	if (is_amd())
		check(trap.vector == UD, "SYSENTER in long mode on AMD: #UD");
	else
		check(trap.vector == BP && syscall_r11 == (uintptr_t)stack_top - 32768 &&
			      trap.cs == SEL_CODE64 + 35,
		      "SYSENTER and SYSEXIT");
	wrmsr(MSR_SYSENTER, 0);
	RUN_USER(enter, SEL_USER_CODE64);
	check(trap.vector == (is_amd() ? UD : GP), "SYSENTER with a null CS");
}

static void test_xsetbv(void)
{
	if (!(cpuid(1, 0).c & 1 << 26)) {
		check(true, "XSETBV # SKIP the processor has none");
		return;
	}
	check(TRY("xor %%ecx, %%ecx; xgetbv", "i"(0)) == UD, "XGETBV without CR4.OSXSAVE: #UD");
	WRITE_CR(4, READ_CR(4) | CR4_OSXSAVE | CR4_OSFXSR);
	check(cpuid(1, 0).c & 1 << 27, "CPUID shows OSXSAVE");
	check(TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $2, %%eax; xsetbv", "i"(0)) == GP,
	      "XSETBV without x87: #GP");
	check(TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $5, %%eax; xsetbv", "i"(0)) == GP,
	      "XSETBV with AVX and no SSE: #GP");
	check(TRY("mov $1, %%ecx; xor %%edx, %%edx; mov $1, %%eax; xsetbv", "i"(0)) == GP,
	      "XSETBV of XCR1: #GP");
	check(TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $3, %%eax; xsetbv", "i"(0)) == -1,
	      "XSETBV");
	check(cpuid(0xd, 0).b == 576, "CPUID shows the size of what is enabled: %u",
	      cpuid(0xd, 0).b);
}

static void test_invalid(void)
{
	check(TRY(".byte 0x0f, 0x01, 0xc1", "i"(0)) == UD || trap.vector == -1,
	      "VMCALL does not crash");
	check(TRY(".byte 0x0f, 0x01, 0xc2", "i"(0)) == UD, "C9: VMLAUNCH without VT-x: #UD");
	check(TRY(".byte 0xf3, 0x0f, 0xc7, 0x30", "i"(0)) == UD, "C9: VMXON without VT-x: #UD");
	check(TRY(".byte 0x0f, 0x01, 0xd8", "i"(0)) == UD, "C9: VMRUN without AMD-V: #UD");
	check(TRY(".byte 0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1", "i"(0)) == UD,
	      "AVX-512, which CPUID hides: #UD");
	check(TRY(".byte 0x0f, 0xaa", "i"(0)) == UD, "RSM outside SMM: #UD");
}

void test_main(void)
{
	test_control_registers();
	test_msrs();
	test_bases();
	test_umip();
	test_tsd();
	test_syscall();
	test_xsetbv();
	test_invalid();
}
