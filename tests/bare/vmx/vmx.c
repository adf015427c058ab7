/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The minimal hypervisor of the bare images: see vmx.h. */
#include "tests/bare/vmx/vmx.h"

#define CR4_XSAVE  (1ull << 18)
#define REVISION   0x7fffffffu
#define FEATURE_ON 5 /* locked, VMXON outside SMX */

#define PAGE __attribute__((aligned(4096)))

struct guest_regs guest;
uint8_t vmxon_region[4096] PAGE, vmcs_region[4096] PAGE, guest_stack[4096] PAGE;
uint64_t vmx_memory[8] __attribute__((aligned(64)));
volatile unsigned vmx_handled;

extern char vmx_exited[];
bool vmx_is_launched;

/* ---- entry and exit: general registers change places ---- */

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

uint32_t vmx_enter(void)
{
	if (vmx_run(vmx_is_launched))
		return NO_ENTRY;
	if (!(vmread(EXIT_REASON) & ENTRY_FAILED))
		vmx_is_launched = true;
	return (uint32_t)vmread(EXIT_REASON);
}

uint32_t vmx_enter_at(const void *code)
{
	vmwrite(GUEST_RIP, ADDRESS(code));
	return vmx_enter();
}

uint32_t vmx_skip(void)
{
	vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_LENGTH));
	return vmx_enter();
}

/* ---- instructions ---- */

#define ON_REGION(name, mnemonic)                           \
	unsigned name(const void *region)                   \
	{                                                   \
		uint64_t address = ADDRESS(region);         \
		unsigned outcome;                           \
                                                            \
		asm volatile(mnemonic " %1\n\t" VMX_OUTCOME \
			     : "=&a"(outcome)               \
			     : "m"(address)                 \
			     : "cc", "memory");             \
		return outcome;                             \
	}
ON_REGION(vmx_on, "vmxon")
ON_REGION(vmx_clear, "vmclear")
ON_REGION(vmx_load, "vmptrld")

#define INVALIDATE(name, mnemonic)                                   \
	unsigned name(uint64_t type, uint64_t key, uint64_t address) \
	{                                                            \
		struct {                                             \
			uint64_t key, address;                       \
		} operand = { key, address };                        \
		unsigned outcome;                                    \
                                                                     \
		asm volatile(mnemonic " %1, %2\n\t" VMX_OUTCOME      \
			     : "=&a"(outcome)                        \
			     : "m"(operand), "r"(type)               \
			     : "cc", "memory");                      \
		return outcome;                                      \
	}
INVALIDATE(invept, "invept")
INVALIDATE(invvpid, "invvpid")

/* ---- controls ---- */

static uint32_t allowed(uint32_t msr, uint32_t wanted)
{
	uint64_t caps = rdmsr(msr);

	return (wanted | (uint32_t)caps) & (uint32_t)(caps >> 32);
}

void vmx_set_pin(uint32_t wanted)
{
	vmwrite(PIN_CONTROLS, allowed(MSR_VMX_TRUE_PIN, wanted));
}

void vmx_set_proc(uint32_t wanted, uint32_t wanted2)
{
	uint32_t both = wanted | (wanted2 ? PROC_SECONDARY : 0);

	vmwrite(PROC_CONTROLS, allowed(MSR_VMX_TRUE_PROC, both));
	vmwrite(PROC_CONTROLS2, allowed(MSR_VMX_PROC2, wanted2));
}

void vmx_set_exit(uint32_t wanted)
{
	vmwrite(EXIT_CONTROLS, allowed(MSR_VMX_TRUE_EXIT, wanted | EXITC_HOST_64));
}

void vmx_set_entry(uint32_t wanted)
{
	vmwrite(ENTRY_CONTROLS, allowed(MSR_VMX_TRUE_ENTRY, wanted));
}

bool vmx_has_proc(uint32_t bits, uint32_t bits2)
{
	return (allowed(MSR_VMX_TRUE_PROC, bits) & bits) == bits &&
	       (allowed(MSR_VMX_PROC2, bits2) & bits2) == bits2;
}

static void clear_controls(void)
{
	static const uint16_t zero[] = {
		EXCEPTION_BITMAP,
		PF_MASK,
		PF_MATCH,
		CR3_TARGET_COUNT,
		CR0_MASK,
		CR4_MASK,
		CR0_SHADOW,
		CR4_SHADOW,
		TPR_THRESHOLD,
		INTERRUPT_STATUS,
		TSC_OFFSET,
		EXIT_MSR_STORE_COUNT,
		EXIT_MSR_LOAD_COUNT,
		ENTRY_MSR_LOAD_COUNT,
	};

	vmx_set_pin(0);
	vmx_set_proc(0, 0);
	vmx_set_exit(0);
	for (unsigned i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		vmwrite(zero[i], 0);
	vmwrite(VPID, 1);
	vmwrite(LINK_POINTER, ~0ull);
}

/* ---- host and guest ---- */

struct __attribute__((packed)) table {
	uint16_t limit;
	uint64_t base;
};

static uint64_t tss_base(void)
{
	uint64_t low = gdt[SEL_TSS / 8];

	return (low >> 16 & 0xffffff) | (low >> 56 << 24) | gdt[SEL_TSS / 8 + 1] << 32;
}

void vmx_set_host(void)
{
	struct table table;

	vmwrite(HOST_CR0, READ_CR(0));
	vmwrite(HOST_CR3, READ_CR(3));
	vmwrite(HOST_CR4, READ_CR(4));
	for (unsigned n = 0; n < 7; n++)
		vmwrite(HOST_ES + 2 * n, n == SEG_CS ? SEL_CODE64 : n == 6 ? SEL_TSS : SEL_DATA);
	vmwrite(HOST_TR_BASE, tss_base());
	asm volatile("sgdt %0" : "=m"(table));
	vmwrite(HOST_GDTR_BASE, table.base);
	asm volatile("sidt %0" : "=m"(table));
	vmwrite(HOST_IDTR_BASE, table.base);
	vmwrite(HOST_RIP, ADDRESS(vmx_exited));
}

void vmx_set_segment(unsigned n, uint64_t selector, uint64_t base, uint32_t limit, uint32_t rights)
{
	vmwrite(GUEST_ES + 2 * n, selector);
	vmwrite(GUEST_ES_BASE + 2 * n, base);
	vmwrite(GUEST_ES_LIMIT + 2 * n, limit);
	vmwrite(GUEST_ES_RIGHTS + 2 * n, rights);
}

static void set_guest_segments(void)
{
	struct table table;

	for (unsigned n = 0; n < SEG_LDTR; n++)
		vmx_set_segment(n, SEL_DATA, 0, 0xffffffff, RIGHTS_DATA);
	vmx_set_segment(SEG_CS, SEL_CODE64, 0, 0xffffffff, RIGHTS_CODE64);
	vmx_set_segment(SEG_LDTR, 0, 0, 0, UNUSABLE);
	vmx_set_segment(SEG_TR, SEL_TSS, tss_base(), 0x67, RIGHTS_TSS);
	asm volatile("sgdt %0" : "=m"(table));
	vmwrite(GUEST_GDTR_BASE, table.base);
	vmwrite(GUEST_GDTR_LIMIT, table.limit);
	asm volatile("sidt %0" : "=m"(table));
	vmwrite(GUEST_IDTR_BASE, table.base);
	vmwrite(GUEST_IDTR_LIMIT, table.limit);
}

static void set_guest(void)
{
	vmwrite(GUEST_CR0, READ_CR(0));
	vmwrite(GUEST_CR3, READ_CR(3));
	vmwrite(GUEST_CR4, READ_CR(4));
	set_guest_segments();
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_DEBUGCTL, 0);
	vmwrite(GUEST_ACTIVITY, ACTIVE);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_RSP, ADDRESS(guest_stack) + sizeof(guest_stack) - 64);
	vmwrite(ENTRY_INTERRUPTION, 0);
	vmx_set_entry(ENTRYC_IA32E);
}

void vmx_fresh(void)
{
	clear_controls();
	set_guest();
	vmx_handled = 0;
}

/* ---- the beginning ---- */

static void set_revision(void *region)
{
	*(uint32_t *)region = (uint32_t)rdmsr(MSR_VMX_BASIC) & REVISION;
}

void vmx_set_up(void)
{
	vmx_clear(vmcs_region);
	for (unsigned i = 0; i < sizeof(vmcs_region); i++)
		vmcs_region[i] = 0;
	set_revision(vmcs_region);
	vmx_clear(vmcs_region);
	vmx_load(vmcs_region);
	vmx_is_launched = false;
	vmx_set_host();
	vmx_fresh();
}

static bool start(void)
{
	if (!(cpuid(1, 0).c >> 5 & 1))
		return false;
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, FEATURE_ON);
	set_revision(vmxon_region);
	WRITE_CR(4, READ_CR(4) | CR4_VMXE | CR4_XSAVE);
	return vmx_on(vmxon_region) == 0;
}

bool vmx_begin(void)
{
	if (!start()) {
		check(false, "VMX operation");
		return false;
	}
	out8(0x21, 0xff); /* the interrupt controllers of the board */
	out8(0xa1, 0xff);
	apic_write(APIC_SVR, APIC_ENABLE);
	vmx_set_up();
	return true;
}

/* ---- interrupts ---- */

void vmx_count(struct frame *frame)
{
	(void)frame;
	vmx_handled++;
}

void vmx_count_eoi(struct frame *frame)
{
	vmx_count(frame);
	apic_write(APIC_EOI, 0);
}
