/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: the second stage (violations, misconfigurations, mode-based execute control, accessed and
 * dirty flags, the log of modified pages, INVEPT and INVVPID) and the virtual APIC.
 */
#include "ept.h"

#define ON_HLT        (1u << 7)
#define ON_CR8        (3u << 19)
#define TPR_SHADOW    (1u << 21)
#define APIC_ACCESS   (1u << 0)
#define EPT           (1u << 1)
#define X2APIC        (1u << 4)
#define VPID_ON       (1u << 5)
#define REGISTERS     (1u << 8)
#define INTERRUPTS    (1u << 9)
#define PML           (1u << 17)
#define MODE_BASED    (1u << 22)
#define PIN_INTERRUPT (1u << 0)
#define ACK_INTERRUPT (1u << 15)

enum { VPID = 0x0, INTERRUPT_STATUS = 0x810, PML_INDEX = 0x812, PML_ADDRESS = 0x200e };
enum { VIRTUAL_APIC = 0x2012, APIC_ACCESS_PAGE = 0x2014, EOI_BITMAP = 0x201c };
enum { GUEST_PHYSICAL = 0x2400, TPR_THRESHOLD = 0x401c };

enum {
	VMCALL = 18,
	TPR_BELOW = 43,
	APIC_ACCESS_EXIT = 44,
	EOI_EXIT = 45,
	VIOLATION = 48,
	MISCONFIGURATION = 49,
	APIC_WRITE = 56,
	PML_FULL = 62,
};

/* What the guest sees at one of the pages, by default the first. */
static uint8_t data[3][4096] __attribute__((aligned(4096)));
static uint64_t log[512] __attribute__((aligned(4096)));
static uint8_t vapic[4096] __attribute__((aligned(4096)));

static struct ept ept;

static uint64_t *entry(const void *address)
{
	return ept_entry(&ept, address);
}

static void fresh(uint32_t proc, uint32_t proc2, uint64_t eptp_bits)
{
	vmx_set_controls();
	vmx_set_guest();
	vmx_set_proc(proc, proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | eptp_bits);
	vmwrite(VPID, 1);
	vmwrite(TPR_THRESHOLD, 0);
	*entry(data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_write, "mov %rsi, (%rdi)");
GUEST_CODE(code_call, "call *%rdi");
GUEST_CODE(code_invlpg, "mov (%rdi), %rax; invlpg (%rdi); mov (%rdi), %rbx");

static bool violates(const void *code, uint64_t qualification)
{
	return vmx_enter_at(code) == VIOLATION && vmread(EXIT_QUALIFICATION) == qualification &&
	       vmread(GUEST_PHYSICAL) == guest.rdi && vmread(GUEST_LINEAR) == guest.rdi;
}

/* ---- the second stage ---- */

static void test_rights(void)
{
	*(uint64_t *)(void *)(data[0] + 0x128) = 0xc3; /* RET */
	fresh(0, EPT, 0);
	check(vmx_enter_at(code_read) == VMCALL && guest.rax == 0xc3, "a guest behind EPT reads");
	fresh(0, EPT, 0);
	*entry(data[0]) = 0;
	check(violates(code_read, 0x581), "a read of what is not present: %lx, %lx",
	      vmread(EXIT_REASON), vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_RIP) == ADDRESS(code_read), "and RIP is that of the instruction");
	*entry(data[0]) = ADDRESS(data[0]) | R | WB;
	check(vmx_enter() == VMCALL, "it goes on with a page that is there");
	guest.rsi = 0xc3c3;
	check(violates(code_write, 0x58a), "a write to a read-only page");
	check(violates(code_call, 0x58c), "a fetch from a page without execution");
	*entry(data[0]) = ADDRESS(data[0]) | X | WB;
	invept(1, vmread(EPT_POINTER), 0);
	check(vmx_enter_at(code_call) == VMCALL, "code runs in an execute-only page");
	check(violates(code_read, 0x5a1), "which may not be read");
	*entry(data[0]) = ADDRESS(data[0]) | W | WB;
	invept(1, vmread(EPT_POINTER), 0);
	check(vmx_enter_at(code_read) == MISCONFIGURATION && vmread(GUEST_PHYSICAL) == guest.rdi,
	      "a page that may be written but not read is a misconfiguration");
	*entry(data[0]) = ADDRESS(data[0]) | R | 2 << 3;
	check(vmx_enter_at(code_read) == MISCONFIGURATION, "so is a reserved memory type");
}

static uint32_t call_with(uint64_t rights)
{
	*entry(data[0]) = ADDRESS(data[0]) | WB | rights;
	invept(2, 0, 0);
	return vmx_enter_at(code_call);
}

/* The page decides which of the two bits counts, not the privilege level. */
static void test_mode_based_execute(void)
{
	*(uint64_t *)(void *)(data[0] + 0x128) = 0xc3;
	fresh(0, EPT | MODE_BASED, 0);
	check(call_with(R | X) == VMCALL, "a supervisor's page: bit 2 lets code run");
	check(call_with(X) == VMCALL, "alone, too");
	check(call_with(R | XU) == VIOLATION && vmread(EXIT_QUALIFICATION) == 0x5cc,
	      "bit 10 does not: %lx", vmread(EXIT_QUALIFICATION));
	make_user(data[0]);
	check(call_with(R | XU) == VMCALL, "a user's page: bit 10 lets code run");
	check(call_with(XU) == VMCALL, "alone, too");
	check(call_with(R | X) == VIOLATION && vmread(EXIT_QUALIFICATION) == 0x7ac,
	      "bit 2 does not: %lx", vmread(EXIT_QUALIFICATION));
	check(call_with(W | XU) == MISCONFIGURATION, "writable and not readable stays wrong");
	fresh(0, EPT, 0);
	check(call_with(R | X) == VMCALL && call_with(XU) == VIOLATION &&
		      vmread(EXIT_QUALIFICATION) == 0x784,
	      "without the control bit 10 does not count: %lx", vmread(EXIT_QUALIFICATION));
	fresh(0, MODE_BASED, 0);
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "it needs EPT");
	set_pte(data[0], 0, PTE_U);
}

static void test_flags(void)
{
	fresh(0, EPT, EPTP_FLAGS);
	vmx_enter_at(code_read);
	check((*entry(data[0]) & (A | D)) == A && (ept.root[0] & A),
	      "a read sets the accessed flags");
	vmx_enter_at(code_write);
	check((*entry(data[0]) & (A | D)) == (A | D), "a write after it the dirty flag");
	fresh(0, EPT, 0);
	vmx_enter_at(code_write);
	check(!(*entry(data[0]) & (A | D)), "none without EPTP's bit 6");
}

static void test_log(void)
{
	fresh(0, EPT | PML, EPTP_FLAGS);
	vmwrite(PML_ADDRESS, ADDRESS(log));
	vmwrite(PML_INDEX, 511);
	check(vmx_enter_at(code_write) == VMCALL, "a guest with a log of modified pages runs");
	check(log[(uint16_t)vmread(PML_INDEX) + 1] == ADDRESS(data[0]), "it names the page");
	*entry(data[0]) &= ~D;
	invept(2, 0, 0);
	vmwrite(PML_INDEX, 0xffff);
	check(vmx_enter_at(code_write) == PML_FULL && !(*entry(data[0]) & D), "it is full");
	vmwrite(PML_INDEX, 511);
	check(vmx_enter() == VMCALL && log[511] == ADDRESS(data[0]), "and emptied");
}

static void test_invalidation(void)
{
	uint64_t *linear = pte(data[0]), old = *linear;

	data[0][0x128] = 1;
	data[1][0x128] = 2;
	fresh(0, EPT | VPID_ON, 0);
	vmx_enter_at(code_read);
	*entry(data[0]) = ADDRESS(data[1]) | R | W | X | WB;
	check(invept(1, vmread(EPT_POINTER), 0) == 0, "INVEPT of one context");
	vmx_enter_at(code_read);
	check((uint8_t)guest.rax == 2, "its mappings have gone");
	*entry(data[0]) = ADDRESS(data[0]) | R | W | X | WB;
	check(invept(2, 0, 0) == 0, "INVEPT of all");
	vmx_enter_at(code_read);
	check((uint8_t)guest.rax == 1, "its mappings have gone");
	check(invept(3, 0, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVEPT of another type");
	check(invept(1, 1, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVEPT of a bad pointer");
	for (unsigned type = 0; type < 4; type++) {
		*linear = (old & 0xfff) | ADDRESS(data[type % 2 ? 0 : 1]);
		check(invvpid(type, type == 2 ? 0 : 1, ADDRESS(data[0])) == 0, "INVVPID %u", type);
		vmx_enter_at(code_read);
		check((uint8_t)guest.rax == (type % 2 ? 1 : 2), "its mappings have gone");
	}
	*linear = old;
	invvpid(1, 1, 0);
	check(invvpid(1, 0, 0) == 2 && vmread(INSTRUCTION_ERROR) == 28, "INVVPID of VPID 0");
	check(invvpid(0, 1, 1ull << 50) == 2, "INVVPID of an address that is not canonical");
	check(invvpid(1, 0x10001, 0) == 2, "INVVPID with reserved bits");
	asm volatile("invlpg %0" : : "m"(data[0][0]) : "memory");
	check(vmx_enter_at(code_invlpg) == VMCALL, "INVLPG in the guest");
}

/* ---- the virtual APIC ---- */

#define TPR 0x80
#define EOI 0xb0
#define ISR 0x100
#define IRR 0x200
#define LVT 0x320

static uint32_t *vreg(unsigned offset)
{
	return (uint32_t *)(void *)(vapic + offset);
}

GUEST_CODE(code_cr8, "mov %rsi, %cr8; mov %cr8, %rax");
GUEST_CODE(code_read32, "mov (%rdi), %eax");
GUEST_CODE(code_write32, "mov %esi, (%rdi)");
GUEST_CODE(code_or, "orl $0x20, (%rdi)");
GUEST_CODE(code_write_msr, "xor %edx, %edx; mov %esi, %eax; wrmsr");
GUEST_CODE(code_read_msr, "rdmsr");
GUEST_CODE(code_wait, "sti; 1: hlt; jmp 1b");

static void fresh_apic(uint32_t proc2)
{
	fresh(TPR_SHADOW, EPT | VPID_ON | proc2, 0);
	if (proc2 & INTERRUPTS) {
		vmx_set_pin(PIN_INTERRUPT);
		vmx_set_exit(ACK_INTERRUPT);
	}
	vmwrite(VIRTUAL_APIC, ADDRESS(vapic));
	vmwrite(APIC_ACCESS_PAGE, ADDRESS(data[2]));
	vmwrite(INTERRUPT_STATUS, 0);
	for (unsigned i = 0; i < 4; i++)
		vmwrite(EOI_BITMAP + 2 * i, 0);
	for (unsigned i = 0; i < sizeof(vapic); i++)
		vapic[i] = 0;
}

static bool exits_at(const void *code, unsigned offset, uint32_t reason, uint64_t qualification)
{
	guest.rdi = ADDRESS(data[2]) + offset;
	return vmx_enter_at(code) == reason && vmread(EXIT_QUALIFICATION) == qualification;
}

static void test_tpr_shadow(void)
{
	uint64_t cr8 = READ_CR(8);

	fresh_apic(0);
	guest.rsi = 5;
	check(vmx_enter_at(code_cr8) == VMCALL && guest.rax == 5 && *vreg(TPR) == 0x50,
	      "CR8 is the shadow's");
	check(READ_CR(8) == cr8, "and not the processor's");
	vmwrite(TPR_THRESHOLD, 4);
	guest.rsi = 4;
	check(vmx_enter_at(code_cr8) == VMCALL, "the threshold itself is no exit");
	guest.rsi = 3;
	check(vmx_enter_at(code_cr8) == TPR_BELOW, "below it is");
	check(vmread(GUEST_RIP) == ADDRESS(code_cr8) + 4, "behind the instruction");
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "entry refuses that");
	vmx_set_proc(TPR_SHADOW, EPT | VPID_ON | APIC_ACCESS);
	check(vmx_enter() == TPR_BELOW, "or exits at once, with virtual APIC accesses");
}

static void test_apic_page(void)
{
	fresh_apic(APIC_ACCESS);
	*vreg(TPR) = 0x40;
	check(exits_at(code_read32, TPR, VMCALL, 0) && guest.rax == 0x40, "the TPR is read");
	check(exits_at(code_or, TPR, VMCALL, 0) && *vreg(TPR) == 0x60, "and modified");
	check(exits_at(code_read32, LVT, APIC_ACCESS_EXIT, LVT), "another register exits");
	guest.rsi = 0;
	check(exits_at(code_write32, EOI, APIC_ACCESS_EXIT, EOI | 1 << 12), "so does a write");
	check(exits_at(code_read, TPR, APIC_ACCESS_EXIT, TPR), "and 8 bytes of the TPR");
	check(exits_at(code_call, 8, APIC_ACCESS_EXIT, 8 | 2 << 12), "and a fetch");
	fresh_apic(APIC_ACCESS | REGISTERS);
	*vreg(LVT) = 0x10000;
	check(exits_at(code_read32, LVT, VMCALL, 0) && guest.rax == 0x10000,
	      "APIC-register virtualization serves reads");
	guest.rsi = 0x77;
	check(exits_at(code_write32, LVT, APIC_WRITE, LVT) && *vreg(LVT) == 0x77,
	      "its writes exit when they are done");
	check(vmx_enter() == VMCALL, "behind the instruction");
}

static volatile unsigned taken;

static void on_interrupt(struct frame *frame)
{
	taken = (unsigned)frame->vector;
	asm volatile("xor %%eax, %%eax; xor %%edx, %%edx; mov $0x80b, %%ecx; wrmsr; vmcall"
		     :
		     :
		     : "rax", "rcx", "rdx");
}

static void test_virtual_interrupts(void)
{
	uint8_t *bitmap = page_alloc(); /* no MSR exits */

	/* No interrupts from outside: they would exit. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	set_handler(0x61, on_interrupt);
	fresh_apic(X2APIC | REGISTERS | INTERRUPTS);
	vmwrite(MSR_BITMAP, ADDRESS(bitmap));
	vmx_set_proc(TPR_SHADOW | 1u << 28, EPT | VPID_ON | X2APIC | REGISTERS | INTERRUPTS);
	guest.rcx = 0x808;
	guest.rsi = 0x50;
	check(vmx_enter_at(code_write_msr) == VMCALL && *vreg(TPR) == 0x50, "the x2APIC's TPR");
	check(vmx_enter_at(code_read_msr) == VMCALL && guest.rax == 0x50, "is read as well");
	guest.rcx = 0x83f;
	guest.rsi = 0x61;
	taken = 0;
	check(vmx_enter_at(code_write_msr) == VMCALL && taken == 0 &&
		      vmread(INTERRUPT_STATUS) == 0x61,
	      "an interrupt to itself is requested");
	check(vmx_enter_at(code_wait) == VMCALL && taken == 0x61, "and delivered in HLT");
	check(vmread(INTERRUPT_STATUS) == 0 && *vreg(ISR + 0x30) == 0 && *vreg(IRR + 0x30) == 0,
	      "its end clears all that");
	vmwrite(EOI_BITMAP + 2, 1ull << 33);
	*vreg(IRR + 0x30) = 2;
	vmwrite(INTERRUPT_STATUS, 0x61);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	check(vmx_enter_at(code_wait) == EOI_EXIT && vmread(EXIT_QUALIFICATION) == 0x61,
	      "the end of an interrupt in the EOI-exit bitmap exits");
}

void test_main(void)
{
	if (!vmx_start()) {
		check(false, "VMX operation");
		return;
	}
	vmx_set_up();
	ept_make(&ept, data);
	test_rights();
	test_mode_based_execute();
	test_flags();
	test_log();
	test_invalidation();
	test_tpr_shadow();
	test_apic_page();
	test_virtual_interrupts();
}
