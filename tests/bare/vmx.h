/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A minimal hypervisor for bare images: one VMCS, a 64-bit guest that shares the image's page
 * tables, GDT and IDT, and runs pieces of code until their next exit.
 */
#ifndef BARE_VMX_H
#define BARE_VMX_H

#include "bare.h"

#define MSR_FEATURE_CONTROL 0x3a
#define MSR_VMX_BASIC       0x480
#define MSR_VMX_TRUE_PIN    0x48d
#define MSR_VMX_TRUE_PROC   0x48e
#define MSR_VMX_TRUE_EXIT   0x48f
#define MSR_VMX_TRUE_ENTRY  0x490
#define MSR_VMX_PROC2       0x48b

enum vmcs_encoding {
	IO_BITMAP_A = 0x2000,
	IO_BITMAP_B = 0x2002,
	MSR_BITMAP = 0x2004,
	TSC_OFFSET = 0x2010,
	EPT_POINTER = 0x201a,
	TSC_MULTIPLIER = 0x2032,
	LINK_POINTER = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	PF_MASK = 0x4006,
	PF_MATCH = 0x4008,
	CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_INTERRUPTION = 0x4016,
	ENTRY_ERROR_CODE = 0x4018,
	ENTRY_LENGTH = 0x401a,
	PROC_CONTROLS2 = 0x401e,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_INTERRUPTION = 0x4404,
	EXIT_INTERRUPTION_ERROR = 0x4406,
	IDT_VECTORING = 0x4408,
	IDT_VECTORING_ERROR = 0x440a,
	EXIT_LENGTH = 0x440c,
	EXIT_INFORMATION = 0x440e,
	GUEST_ES = 0x800, /* selectors; + 2 each: CS SS DS FS GS LDTR TR */
	GUEST_ES_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_RIGHTS = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	PREEMPTION_TIMER = 0x482e,
	HOST_ES = 0xc00,
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	CR3_TARGET = 0x6008,
	EXIT_QUALIFICATION = 0x6400,
	GUEST_LINEAR = 0x640a,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_ES_BASE = 0x6806,
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_RSP = 0x6c14,
	HOST_RIP = 0x6c16,
};

#define EXIT_HOST_64  (1u << 9)
#define ENTRY_IA32E   (1u << 9)
#define VALID         (1u << 31)
#define CR4_VMXE      (1ull << 13)
#define RIGHTS_CODE64 0xa09bu
#define RIGHTS_DATA   0xc093u
#define RIGHTS_TSS    0x8bu
#define UNUSABLE      0x10000u

/* The guest's general registers but RSP, before an entry and after an exit. */
struct guest_regs {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

struct guest_regs guest;
uint64_t vmx_run(uint64_t is_launched);
extern char vmx_exited[];

static uint8_t vmxon_region[4096] __attribute__((aligned(4096)));
static uint8_t vmcs_region[4096] __attribute__((aligned(4096)));
static uint8_t guest_stack[4096] __attribute__((aligned(4096)));
static uint64_t vmx_is_launched;

/* The instruction's outcome stays in the flags: 0 is success, 1 VMfailInvalid, 2 VMfailValid. */
#define VMX_OUTCOME "setc %%al; setz %%ah; add %%ah, %%ah; or %%ah, %%al; movzbl %%al, %%eax"

asm(".globl vmx_run, vmx_exited\n"
    "vmx_run:\n\t"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n\t"
    "mov $0x6c14, %eax; vmwrite %rsp, %rax\n\t"
    "test %rdi, %rdi\n\t"
    "mov guest+8, %rcx; mov guest+16, %rdx; mov guest+24, %rbx; mov guest+32, %rbp\n\t"
    "mov guest+40, %rsi; mov guest+48, %rdi; mov guest+56, %r8; mov guest+64, %r9\n\t"
    "mov guest+72, %r10; mov guest+80, %r11; mov guest+88, %r12; mov guest+96, %r13\n\t"
    "mov guest+104, %r14; mov guest+112, %r15; mov guest, %rax\n\t"
    "jnz 1f; vmlaunch; jmp 2f\n"
    "1: vmresume\n"
    "2: setz %al; inc %al; movzbl %al, %eax; jmp 3f\n"
    "vmx_exited:\n\t"
    "mov %rax, guest; mov %rcx, guest+8; mov %rdx, guest+16; mov %rbx, guest+24\n\t"
    "mov %rbp, guest+32; mov %rsi, guest+40; mov %rdi, guest+48; mov %r8, guest+56\n\t"
    "mov %r9, guest+64; mov %r10, guest+72; mov %r11, guest+80; mov %r12, guest+88\n\t"
    "mov %r13, guest+96; mov %r14, guest+104; mov %r15, guest+112\n\t"
    "xor %eax, %eax\n"
    "3: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

static inline void vmwrite(uint64_t field, uint64_t value)
{
	asm volatile("vmwrite %1, %0" : : "r"(field), "rm"(value) : "cc");
}

static inline uint64_t vmread(uint64_t field)
{
	uint64_t value = 0;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

/* Each instruction on a region: what VMX_OUTCOME says. */
#define VMX_REGION(name, mnemonic)                          \
	static inline unsigned name(const void *region)     \
	{                                                   \
		uint64_t address = (uintptr_t)region;       \
		unsigned outcome;                           \
                                                            \
		asm volatile(mnemonic " %1\n\t" VMX_OUTCOME \
			     : "=&a"(outcome)               \
			     : "m"(address)                 \
			     : "cc", "memory");             \
		return outcome;                             \
	}
VMX_REGION(vmx_on, "vmxon")
VMX_REGION(vmx_clear, "vmclear")
VMX_REGION(vmx_load, "vmptrld")

/* Controls: what is wanted, what must be, and nothing that may not be. */
static inline uint32_t vmx_allowed(uint32_t msr, uint32_t wanted)
{
	uint64_t caps = rdmsr(msr);

	return (wanted | (uint32_t)caps) & (uint32_t)(caps >> 32);
}

static inline void vmx_set_pin(uint32_t bits)
{
	vmwrite(PIN_CONTROLS, vmx_allowed(MSR_VMX_TRUE_PIN, bits));
}

static inline void vmx_set_proc(uint32_t bits, uint32_t bits2)
{
	vmwrite(PROC_CONTROLS, vmx_allowed(MSR_VMX_TRUE_PROC, bits | (bits2 ? VALID : 0)));
	vmwrite(PROC_CONTROLS2, vmx_allowed(MSR_VMX_PROC2, bits2));
}

static inline void vmx_set_exit(uint32_t bits)
{
	vmwrite(EXIT_CONTROLS, vmx_allowed(MSR_VMX_TRUE_EXIT, bits | EXIT_HOST_64));
}

/* Into VMX operation. Returns whether that is possible at all. */
static inline bool vmx_start(void)
{
	uint32_t revision;

	if (!(cpuid(1, 0).c >> 5 & 1))
		return false;
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	revision = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	*(uint32_t *)vmxon_region = *(uint32_t *)vmcs_region = revision;
	WRITE_CR(4, READ_CR(4) | CR4_VMXE);
	return vmx_on(vmxon_region) == 0;
}

static inline void vmx_set_segment(unsigned n, uint64_t selector, uint64_t base, uint32_t limit,
				   uint32_t rights)
{
	vmwrite(GUEST_ES + 2 * n, selector);
	vmwrite(GUEST_ES_BASE + 2 * n, base);
	vmwrite(GUEST_ES_LIMIT + 2 * n, limit);
	vmwrite(GUEST_ES_RIGHTS + 2 * n, rights);
}

struct __attribute__((packed)) vmx_table {
	uint16_t limit;
	uint64_t base;
};

static inline uint64_t vmx_tss_base(void)
{
	uint64_t low = gdt[SEL_TSS / 8];

	return (low >> 16 & 0xffffff) | (low >> 56 << 24) | gdt[SEL_TSS / 8 + 1] << 32;
}

static inline void vmx_set_host(void)
{
	struct vmx_table table;

	vmwrite(HOST_CR0, READ_CR(0));
	vmwrite(HOST_CR3, READ_CR(3));
	vmwrite(HOST_CR4, READ_CR(4));
	for (unsigned n = 0; n < 7; n++)
		vmwrite(HOST_ES + 2 * n, n == 1 ? SEL_CODE64 : n == 6 ? SEL_TSS : SEL_DATA);
	vmwrite(HOST_TR_BASE, vmx_tss_base());
	asm volatile("sgdt %0" : "=m"(table));
	vmwrite(HOST_GDTR_BASE, table.base);
	asm volatile("sidt %0" : "=m"(table));
	vmwrite(HOST_IDTR_BASE, table.base);
	vmwrite(HOST_RIP, (uintptr_t)vmx_exited);
}

/* What a guest may have changed: back to the 64-bit code of this image. */
static inline void vmx_set_guest(void)
{
	struct vmx_table table;

	vmwrite(GUEST_CR0, READ_CR(0));
	vmwrite(GUEST_CR3, READ_CR(3));
	vmwrite(GUEST_CR4, READ_CR(4));
	for (unsigned n = 0; n < 6; n++)
		vmx_set_segment(n, SEL_DATA, 0, 0xffffffff, RIGHTS_DATA);
	vmx_set_segment(1, SEL_CODE64, 0, 0xffffffff, RIGHTS_CODE64);
	vmx_set_segment(6, 0, 0, 0, UNUSABLE);
	vmx_set_segment(7, SEL_TSS, vmx_tss_base(), 0x67, RIGHTS_TSS);
	asm volatile("sgdt %0" : "=m"(table));
	vmwrite(GUEST_GDTR_BASE, table.base);
	vmwrite(GUEST_GDTR_LIMIT, table.limit);
	asm volatile("sidt %0" : "=m"(table));
	vmwrite(GUEST_IDTR_BASE, table.base);
	vmwrite(GUEST_IDTR_LIMIT, table.limit);
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_DEBUGCTL, 0);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_RSP, (uintptr_t)guest_stack + sizeof(guest_stack) - 64);
	vmwrite(ENTRY_CONTROLS, vmx_allowed(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
	vmwrite(ENTRY_INTERRUPTION, 0);
}

/* No controls but those that must be. */
static inline void vmx_set_controls(void)
{
	vmx_set_pin(0);
	vmx_set_proc(0, 0);
	vmx_set_exit(0);
	vmwrite(EXCEPTION_BITMAP, 0);
	vmwrite(PF_MASK, 0);
	vmwrite(PF_MATCH, 0);
	vmwrite(CR3_TARGET_COUNT, 0);
	vmwrite(CR0_MASK, 0);
	vmwrite(CR4_MASK, 0);
	vmwrite(CR0_SHADOW, 0);
	vmwrite(CR4_SHADOW, 0);
	vmwrite(LINK_POINTER, ~0ull);
}

/* A cleared VMCS, current, with a guest that can be entered. */
static inline void vmx_set_up(void)
{
	vmx_clear(vmcs_region);
	vmx_load(vmcs_region);
	vmx_is_launched = false;
	vmx_set_controls();
	vmx_set_host();
	vmx_set_guest();
}

#define NO_ENTRY 0xffffffffu

/* Enters as the VMCS stands. Returns the exit reason, or NO_ENTRY. */
static inline uint32_t vmx_enter(void)
{
	if (vmx_run(vmx_is_launched))
		return NO_ENTRY;
	if (!(vmread(EXIT_REASON) & VALID))
		vmx_is_launched = true;
	return (uint32_t)vmread(EXIT_REASON);
}

/* The same from the beginning of a piece of code. */
static inline uint32_t vmx_enter_at(const void *code)
{
	vmwrite(GUEST_RIP, (uintptr_t)code);
	return vmx_enter();
}

/* On behind the instruction that has caused the exit. */
static inline uint32_t vmx_skip(void)
{
	vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_LENGTH));
	return vmx_enter();
}

/* A piece of guest code, which ends in VMCALL. */
#define GUEST_CODE(name, body)    \
	extern const char name[]; \
	asm(".globl " #name "\n" #name ": " body "\n\tvmcall\n\tjmp .\n")

#endif
