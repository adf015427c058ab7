/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: the virtual APIC.
 */
#include "tests/bare/vmx/ept.h"

static uint8_t vapic[4096] __attribute__((aligned(4096)));
static uint8_t apic_page[4096] __attribute__((aligned(4096)));
static struct ept ept;

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_call, "call *%rdi");
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

static void fresh(uint32_t proc2)
{
	vmx_fresh();
	vmx_set_proc(PROC_TPR_SHADOW, PROC2_EPT | PROC2_VPID | proc2);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	if (proc2 & PROC2_INTERRUPTS) {
		vmx_set_pin(PIN_INTERRUPT);
		vmx_set_exit(EXITC_ACK);
	}
	vmwrite(VIRTUAL_APIC, ADDRESS(vapic));
	vmwrite(APIC_ACCESS_PAGE, ADDRESS(apic_page));
	vmwrite(INTERRUPT_STATUS, 0);
	for (unsigned i = 0; i < 4; i++)
		vmwrite(EOI_BITMAP + 2 * i, 0);
	for (unsigned i = 0; i < sizeof(vapic); i++)
		vapic[i] = 0;
}

static bool exits_at(const void *code, unsigned offset, uint32_t reason, uint64_t qualification)
{
	guest.rdi = ADDRESS(apic_page) + offset;
	return vmx_enter_at(code) == reason && vmread(EXIT_QUALIFICATION) == qualification;
}

static void test_tpr_shadow(void)
{
	uint64_t cr8 = READ_CR(8);

	fresh(0);
	guest.rsi = 5;
	check(vmx_enter_at(code_cr8) == EXIT_VMCALL && guest.rax == 5 && *vreg(TPR) == 0x50,
	      "CR8 is the shadow's");
	check(READ_CR(8) == cr8, "and not the processor's");
	vmwrite(TPR_THRESHOLD, 4);
	guest.rsi = 4;
	check(vmx_enter_at(code_cr8) == EXIT_VMCALL, "the threshold itself is no exit");
	guest.rsi = 3;
	check(vmx_enter_at(code_cr8) == EXIT_TPR, "below it is");
	check(vmread(GUEST_RIP) == ADDRESS(code_cr8) + 4, "behind the instruction");
	check(vmx_enter() == NO_ENTRY && vmread(INSTRUCTION_ERROR) == 7, "entry refuses that");
	vmx_set_proc(PROC_TPR_SHADOW, PROC2_EPT | PROC2_VPID | PROC2_APIC_ACCESS);
	check(vmx_enter() == EXIT_TPR, "or exits at once, with virtual APIC accesses");
}

static void test_apic_page(void)
{
	fresh(PROC2_APIC_ACCESS);
	*vreg(TPR) = 0x40;
	check(exits_at(code_read32, TPR, EXIT_VMCALL, 0) && guest.rax == 0x40, "the TPR is read");
	check(exits_at(code_or, TPR, EXIT_VMCALL, 0) && *vreg(TPR) == 0x60, "and modified");
	check(exits_at(code_read32, LVT, EXIT_APIC_ACCESS, LVT), "another register exits");
	guest.rsi = 0;
	check(exits_at(code_write32, EOI, EXIT_APIC_ACCESS, EOI | 1 << 12), "so does a write");
	check(exits_at(code_read, TPR, EXIT_APIC_ACCESS, TPR), "and 8 bytes of the TPR");
	check(exits_at(code_call, 8, EXIT_APIC_ACCESS, 8 | 2 << 12), "and a fetch");
	fresh(PROC2_APIC_ACCESS | PROC2_REGISTERS);
	*vreg(LVT) = 0x10000;
	check(exits_at(code_read32, LVT, EXIT_VMCALL, 0) && guest.rax == 0x10000,
	      "APIC-register virtualization serves reads");
	guest.rsi = 0x77;
	check(exits_at(code_write32, LVT, EXIT_APIC_WRITE, LVT) && *vreg(LVT) == 0x77,
	      "its writes exit when they are done");
	check(vmx_enter() == EXIT_VMCALL, "behind the instruction");
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

	set_handler(0x61, on_interrupt);
	fresh(PROC2_X2APIC | PROC2_REGISTERS | PROC2_INTERRUPTS);
	vmwrite(MSR_BITMAP, ADDRESS(bitmap));
	vmx_set_proc(PROC_TPR_SHADOW | 1u << 28,
		     PROC2_EPT | PROC2_VPID | PROC2_X2APIC | PROC2_REGISTERS | PROC2_INTERRUPTS);
	guest.rcx = 0x808;
	guest.rsi = 0x50;
	check(vmx_enter_at(code_write_msr) == EXIT_VMCALL && *vreg(TPR) == 0x50,
	      "the x2APIC's TPR");
	check(vmx_enter_at(code_read_msr) == EXIT_VMCALL && guest.rax == 0x50, "is read as well");
	guest.rcx = 0x83f;
	guest.rsi = 0x61;
	taken = 0;
	check(vmx_enter_at(code_write_msr) == EXIT_VMCALL && taken == 0 &&
		      vmread(INTERRUPT_STATUS) == 0x61,
	      "an interrupt to itself is requested");
	check(vmx_enter_at(code_wait) == EXIT_VMCALL && taken == 0x61, "and delivered in HLT");
	check(vmread(INTERRUPT_STATUS) == 0 && *vreg(ISR + 0x30) == 0 && *vreg(IRR + 0x30) == 0,
	      "its end clears all that");
	vmwrite(EOI_BITMAP + 2, 1ull << 33);
	*vreg(IRR + 0x30) = 2;
	vmwrite(INTERRUPT_STATUS, 0x61);
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	check(vmx_enter_at(code_wait) == EXIT_EOI && vmread(EXIT_QUALIFICATION) == 0x61,
	      "the end of an interrupt in the EOI-exit bitmap exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, apic_page);
	test_tpr_shadow();
	test_apic_page();
	test_virtual_interrupts();
}
