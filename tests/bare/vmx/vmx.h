/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A minimal hypervisor for bare images: one VMCS, and a 64-bit guest that shares the image's page
 * tables, GDT and IDT and runs pieces of code until their next exit.
 *
 * An image's test_main calls vmx_begin once and vmx_fresh before each test: then nothing exits that
 * need not, and vmx_set_* add what the test is about.
 */
#ifndef BARE_VMX_H
#define BARE_VMX_H

#include "tests/bare/apic.h"
#include "tests/bare/bare.h"

#define MSR_FEATURE_CONTROL 0x3a
#define MSR_DEBUGCTL        0x1d9
#define MSR_PAT             0x277
#define MSR_EFER            0xc0000080
#define MSR_VMX_BASIC       0x480
#define MSR_VMX_MISC        0x485
#define MSR_VMX_TRUE_PIN    0x48d
#define MSR_VMX_TRUE_PROC   0x48e
#define MSR_VMX_TRUE_EXIT   0x48f
#define MSR_VMX_TRUE_ENTRY  0x490
#define MSR_VMX_PROC2       0x48b

/* Fields. SDM3: "Field Encoding in VMCS" */
enum vmcs_encoding {
	VPID = 0x0,
	POSTED_VECTOR = 0x2,
	EPTP_INDEX = 0x4,
	GUEST_ES = 0x800, /* selectors; + 2 each: CS SS DS FS GS LDTR TR */
	INTERRUPT_STATUS = 0x810,
	PML_INDEX = 0x812,
	HOST_ES = 0xc00, /* the same without LDTR */
	IO_BITMAP_A = 0x2000,
	IO_BITMAP_B = 0x2002,
	MSR_BITMAP = 0x2004,
	EXIT_MSR_STORE = 0x2006,
	EXIT_MSR_LOAD = 0x2008,
	ENTRY_MSR_LOAD = 0x200a,
	PML_ADDRESS = 0x200e,
	TSC_OFFSET = 0x2010,
	VIRTUAL_APIC = 0x2012,
	APIC_ACCESS_PAGE = 0x2014,
	POSTED_DESCRIPTOR = 0x2016,
	FUNCTION_CONTROLS = 0x2018,
	EPT_POINTER = 0x201a,
	EOI_BITMAP = 0x201c, /* four of them */
	EPTP_LIST = 0x2024,
	VMREAD_BITMAP = 0x2026,
	VMWRITE_BITMAP = 0x2028,
	VE_AREA = 0x202a,
	XSS_BITMAP = 0x202c,
	TSC_MULTIPLIER = 0x2032,
	GUEST_PHYSICAL = 0x2400,
	LINK_POINTER = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PERF_GLOBAL_CTRL = 0x2808,
	GUEST_PDPTE = 0x280a, /* four of them */
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,
	HOST_PERF_GLOBAL_CTRL = 0x2c04,
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	PF_MASK = 0x4006,
	PF_MATCH = 0x4008,
	CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORE_COUNT = 0x400e,
	EXIT_MSR_LOAD_COUNT = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_INTERRUPTION = 0x4016,
	ENTRY_ERROR_CODE = 0x4018,
	ENTRY_LENGTH = 0x401a,
	TPR_THRESHOLD = 0x401c,
	PROC_CONTROLS2 = 0x401e,
	PLE_GAP = 0x4020,
	PLE_WINDOW = 0x4022,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_INTERRUPTION = 0x4404,
	EXIT_INTERRUPTION_ERROR = 0x4406,
	IDT_VECTORING = 0x4408,
	IDT_VECTORING_ERROR = 0x440a,
	EXIT_LENGTH = 0x440c,
	EXIT_INFORMATION = 0x440e,
	GUEST_ES_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_ES_RIGHTS = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	GUEST_SYSENTER_CS = 0x482a,
	PREEMPTION_TIMER = 0x482e,
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	CR3_TARGET = 0x6008, /* four of them */
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
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10,
	HOST_SYSENTER_EIP = 0x6c12,
	HOST_RSP = 0x6c14,
	HOST_RIP = 0x6c16,
};

#define VE 20 /* virtualization exception */

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

/* Pin-based controls */
#define PIN_INTERRUPT (1u << 0)
#define PIN_NMI       (1u << 3)
#define PIN_VNMI      (1u << 5)
#define PIN_TIMER     (1u << 6)
#define PIN_POSTED    (1u << 7)

/* Primary processor-based controls */
#define PROC_INT_WINDOW  (1u << 2)
#define PROC_TSC_OFFSET  (1u << 3)
#define PROC_HLT         (1u << 7)
#define PROC_INVLPG      (1u << 9)
#define PROC_MWAIT       (1u << 10)
#define PROC_RDPMC       (1u << 11)
#define PROC_RDTSC       (1u << 12)
#define PROC_CR3_LOAD    (1u << 15)
#define PROC_CR3_STORE   (1u << 16)
#define PROC_CR8_LOAD    (1u << 19)
#define PROC_CR8_STORE   (1u << 20)
#define PROC_TPR_SHADOW  (1u << 21)
#define PROC_NMI_WINDOW  (1u << 22)
#define PROC_MOV_DR      (1u << 23)
#define PROC_IO          (1u << 24)
#define PROC_IO_BITMAPS  (1u << 25)
#define PROC_MTF         (1u << 27)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_MONITOR     (1u << 29)
#define PROC_PAUSE       (1u << 30)
#define PROC_SECONDARY   (1u << 31)

/* Secondary processor-based controls */
#define PROC2_APIC_ACCESS  (1u << 0)
#define PROC2_EPT          (1u << 1)
#define PROC2_TABLES       (1u << 2)
#define PROC2_RDTSCP       (1u << 3)
#define PROC2_X2APIC       (1u << 4)
#define PROC2_VPID         (1u << 5)
#define PROC2_WBINVD       (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_REGISTERS    (1u << 8)
#define PROC2_INTERRUPTS   (1u << 9)
#define PROC2_PAUSE_LOOP   (1u << 10)
#define PROC2_RDRAND       (1u << 11)
#define PROC2_INVPCID      (1u << 12)
#define PROC2_VMFUNC       (1u << 13)
#define PROC2_SHADOWING    (1u << 14)
#define PROC2_RDSEED       (1u << 16)
#define PROC2_PML          (1u << 17)
#define PROC2_VE           (1u << 18)
#define PROC2_XSAVES       (1u << 20)
#define PROC2_MODE_EXECUTE (1u << 22)
#define PROC2_TSC_SCALING  (1u << 25)

/* Exit and entry controls */
#define EXITC_SAVE_DEBUG     (1u << 2)
#define EXITC_HOST_64        (1u << 9)
#define EXITC_ACK            (1u << 15)
#define EXITC_SAVE_PAT       (1u << 18)
#define EXITC_LOAD_PAT       (1u << 19)
#define EXITC_SAVE_EFER      (1u << 20)
#define EXITC_LOAD_EFER      (1u << 21)
#define EXITC_SAVE_TIMER     (1u << 22)
#define EXITC_LOAD_COUNTERS  (1u << 12)
#define EXITC_SAVE_COUNTERS  (1u << 30)
#define ENTRYC_LOAD_COUNTERS (1u << 13)
#define ENTRYC_LOAD_DEBUG    (1u << 2)
#define ENTRYC_IA32E         (1u << 9)
#define ENTRYC_SMM           (1u << 10)
#define ENTRYC_LOAD_PAT      (1u << 14)
#define ENTRYC_LOAD_EFER     (1u << 15)

/* Reasons. SDM3: "VMX Basic Exit Reasons" */
enum exit_reason {
	EXIT_EXCEPTION = 0,
	EXIT_INTERRUPT = 1,
	EXIT_TRIPLE_FAULT = 2,
	EXIT_INIT = 3,
	EXIT_SIPI = 4,
	EXIT_INT_WINDOW = 7,
	EXIT_NMI_WINDOW = 8,
	EXIT_TASK_SWITCH = 9,
	EXIT_CPUID = 10,
	EXIT_HLT = 12,
	EXIT_INVD = 13,
	EXIT_INVLPG = 14,
	EXIT_RDPMC = 15,
	EXIT_RDTSC = 16,
	EXIT_VMCALL = 18,
	EXIT_VMCLEAR = 19,
	EXIT_VMLAUNCH = 20,
	EXIT_VMPTRLD = 21,
	EXIT_VMPTRST = 22,
	EXIT_VMREAD = 23,
	EXIT_VMRESUME = 24,
	EXIT_VMWRITE = 25,
	EXIT_VMXOFF = 26,
	EXIT_VMXON = 27,
	EXIT_CR = 28,
	EXIT_DR = 29,
	EXIT_IO = 30,
	EXIT_RDMSR = 31,
	EXIT_WRMSR = 32,
	EXIT_BAD_GUEST = 33,
	EXIT_BAD_MSR = 34,
	EXIT_MWAIT = 36,
	EXIT_MTF = 37,
	EXIT_MONITOR = 39,
	EXIT_PAUSE = 40,
	EXIT_TPR = 43,
	EXIT_APIC_ACCESS = 44,
	EXIT_EOI = 45,
	EXIT_GDTR_IDTR = 46,
	EXIT_LDTR_TR = 47,
	EXIT_VIOLATION = 48,
	EXIT_MISCONFIGURATION = 49,
	EXIT_INVEPT = 50,
	EXIT_RDTSCP = 51,
	EXIT_TIMER = 52,
	EXIT_INVVPID = 53,
	EXIT_WBINVD = 54,
	EXIT_XSETBV = 55,
	EXIT_APIC_WRITE = 56,
	EXIT_RDRAND = 57,
	EXIT_INVPCID = 58,
	EXIT_VMFUNC = 59,
	EXIT_RDSEED = 61,
	EXIT_PML_FULL = 62,
	EXIT_XSAVES = 63,
	EXIT_XRSTORS = 64,
};

#define ENTRY_FAILED 0x80000000u /* in an exit reason */
#define NO_ENTRY     0xffffffffu /* VMLAUNCH or VMRESUME has failed */

/* Interruption information, of events to inject, of exits and of deliveries */
#define VALID          0x80000000u
#define HAS_ERROR      0x800u
#define NMI_UNBLOCKED  0x1000u
#define TYPE_EXTERNAL  0x000u
#define TYPE_NMI       0x200u
#define TYPE_FAULT     0x300u
#define TYPE_SOFT_INT  0x400u
#define TYPE_INT1      0x500u
#define TYPE_SOFT_TRAP 0x600u
#define TYPE_OTHER     0x700u

#define BLOCKED_STI    1u
#define BLOCKED_MOV_SS 2u
#define BLOCKED_NMI    8u

enum { ACTIVE, HALTED, SHUTDOWN, WAIT_FOR_SIPI };

#define CR0_MP    2ull
#define CR0_TS    8ull
#define CR4_VMXE  (1ull << 13)
#define RFLAGS_TF 0x100ull
#define RFLAGS_IF 0x200ull
#define RFLAGS_RF 0x10000ull

#define RIGHTS_CODE64 0xa09bu
#define RIGHTS_DATA   0xc093u
#define RIGHTS_TSS    0x8bu
#define UNUSABLE      0x10000u

#define VECTOR 0x60u /* of the tests' own interrupts */

#define ADDRESS(x) ((uintptr_t)(x))

/* The guest's general registers but RSP, before an entry and after an exit. */
struct guest_regs {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

extern struct guest_regs guest;
extern uint8_t vmxon_region[4096], vmcs_region[4096], guest_stack[4096];
extern uint64_t vmx_memory[8];      /* something for the guest's memory operands */
extern char stubs[], idt_pointer[]; /* of the image: entries, 16 bytes each; for LIDT */

/* A piece of guest code, which ends in VMCALL. */
#define GUEST_CODE(name, body)    \
	extern const char name[]; \
	asm(".globl " #name "\n" #name ": " body "\n\tvmcall\n\tjmp .\n")

/* The instruction's outcome stays in the flags: 0 is success, 1 VMfailInvalid, 2 VMfailValid. */
#define VMX_OUTCOME "setc %%al; setz %%ah; add %%ah, %%ah; or %%ah, %%al; movzbl %%al, %%eax"

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
unsigned vmx_on(const void *region);
unsigned vmx_clear(const void *region);
unsigned vmx_load(const void *region);
unsigned invept(uint64_t type, uint64_t key, uint64_t address);
unsigned invvpid(uint64_t type, uint64_t key, uint64_t address);

/* Into VMX operation, with a current VMCS whose guest can be entered, and no interrupts but those
 * of the tests. Where that fails it is a failed check, and false. */
bool vmx_begin(void);
void vmx_set_up(void); /* zeroes the VMCS, clears it and fills it in again */
/* No controls but those that must be; the guest as at first. */
void vmx_fresh(void);
void vmx_set_host(void); /* as this processor is now */
/* `wanted`, what must be, and nothing that may not be; bits2 turns the secondary controls on. */
void vmx_set_pin(uint32_t wanted);
void vmx_set_proc(uint32_t wanted, uint32_t wanted2);
void vmx_set_exit(uint32_t wanted);
void vmx_set_entry(uint32_t wanted);
bool vmx_has_proc(uint32_t bits, uint32_t bits2); /* whether these controls may be one */
void vmx_set_segment(unsigned n, uint64_t selector, uint64_t base, uint32_t limit, uint32_t rights);

/* VMRESUME or VMLAUNCH: 0 after an exit, 1 after VMfailInvalid, 2 after VMfailValid. */
uint64_t vmx_run(uint64_t is_launched);
extern bool vmx_is_launched; /* what vmx_enter does */

/* Enters as the VMCS stands. Returns the exit reason, or NO_ENTRY. */
uint32_t vmx_enter(void);
uint32_t vmx_enter_at(const void *code); /* the same from the beginning of a piece of code */
uint32_t vmx_skip(void);                 /* on behind the instruction that has caused the exit */

/* Handlers for set_handler: count in vmx_handled; and the end of an interrupt to the APIC. */
extern volatile unsigned vmx_handled;
void vmx_count(struct frame *frame);
void vmx_count_eoi(struct frame *frame);

static inline uint64_t rdtsc(void)
{
	return (uint64_t)__builtin_ia32_rdtsc();
}

#endif
