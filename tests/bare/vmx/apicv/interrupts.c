/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, APIC: virtual interrupts: recognition by priority, delivery, their end; posted ones.
 */
#include "tests/bare/vmx/apicv/apicv.h"

#define NOTIFY                        0xf2u
#define POSTED                        0x71u
#define STATUS(servicing, requesting) ((servicing) << 8 | (requesting))

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_nop, "nop");
GUEST_CODE(code_sti, "sti; nop; nop");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_write32, "mov %esi, (%rdi)");
GUEST_CODE(code_cr8, "mov %rsi, %cr8; nop");
GUEST_CODE(code_spin, "1: pause; jmp 1b");

static volatile unsigned taken;

/* In the guest: to the hypervisor, from inside the handler, and its end without EOI. */
static void on_interrupt(struct frame *frame)
{
	taken = (unsigned)frame->vector;
	asm volatile("vmcall");
}

static void fresh(uint32_t proc2)
{
	static const uint8_t vectors[] = { 0x31, 0x51, 0x61, POSTED, 0x91 };

	apicv_fresh(PROC2_APIC_ACCESS | PROC2_REGISTERS | PROC2_INTERRUPTS | proc2);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	for (unsigned i = 0; i < sizeof(vectors); i++)
		set_handler(vectors[i], on_interrupt);
	taken = 0;
}

/* The hypervisor's way to request one. */
static void request(unsigned vector)
{
	set_vector(REG_IRR, vector);
	if ((vmread(INTERRUPT_STATUS) & 0xff) < vector)
		vmwrite(INTERRUPT_STATUS, (vmread(INTERRUPT_STATUS) & 0xff00) | vector);
}

static uint32_t write_register(unsigned reg, uint32_t value)
{
	guest.rdi = ADDRESS(apic_page) + reg;
	guest.rsi = value;
	return vmx_enter_at(code_write32);
}

static void test_delivery(void)
{
	fresh(0);
	request(0x31);
	request(0x61);
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && taken == 0x61, "the highest is delivered");
	check(vmread(INTERRUPT_STATUS) == STATUS(0x61, 0x31) && has_vector(REG_ISR, 0x61) &&
		      !has_vector(REG_IRR, 0x61) && *vreg(REG_PPR) == 0x60,
	      "from requested to in service (%lx)", vmread(INTERRUPT_STATUS));
	check(!(vmread(GUEST_RFLAGS) & RFLAGS_IF), "with IF clear");
	check(vmx_skip() == EXIT_VMCALL && vmread(GUEST_RIP) == ADDRESS(code_nop) + 1 &&
		      taken == 0x61,
	      "one below it waits");
	check(write_register(REG_EOI, 0) == EXIT_VMCALL && taken == 0x31,
	      "until the end of interrupt");
	check(vmread(INTERRUPT_STATUS) == STATUS(0x31, 0) && !has_vector(REG_ISR, 0x61) &&
		      *vreg(REG_PPR) == 0x30,
	      "which clears its bit (%lx)", vmread(INTERRUPT_STATUS));
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	request(0x91);
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && taken == 0x91 &&
		      vmread(INTERRUPT_STATUS) == STATUS(0x91, 0),
	      "a higher one interrupts it");
	vmwrite(GUEST_RFLAGS, 2);
	check(write_register(REG_EOI, 0) == EXIT_VMCALL &&
		      vmread(INTERRUPT_STATUS) == STATUS(0x31, 0),
	      "and goes back to it");
}

/* What holds one back. */
static void test_blocking(void)
{
	fresh(0);
	request(0x51);
	*vreg(REG_TPR) = 0x50;
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && !taken, "the TPR holds it back");
	guest.rsi = 4;
	check(vmx_enter_at(code_cr8) == EXIT_VMCALL && taken == 0x51, "until it is lowered");
	fresh(0);
	request(0x51);
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && !taken, "IF holds it back");
	check(vmx_enter_at(code_sti) == EXIT_VMCALL && taken == 0x51, "until STI");
	fresh(0);
	request(0x51);
	vmwrite(GUEST_INTERRUPTIBILITY, BLOCKED_MOV_SS);
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && taken == 0x51, "MOV SS, for an instruction");
	fresh(0);
	request(0x51);
	vmx_set_proc(PROC_TPR_SHADOW | PROC_INT_WINDOW,
		     PROC2_APIC_ACCESS | PROC2_REGISTERS | PROC2_INTERRUPTS);
	check(vmx_enter_at(code_nop) == EXIT_INT_WINDOW && !taken,
	      "an interrupt window comes before it");
}

static void test_hlt(void)
{
	fresh(0);
	request(0x51);
	vmwrite(GUEST_ACTIVITY, HALTED);
	check(vmx_enter_at(code_hlt) == EXIT_VMCALL && taken == 0x51 &&
		      vmread(GUEST_ACTIVITY) == ACTIVE,
	      "HLT ends by a virtual interrupt");
}

/* Interrupts to itself, by the ICR; other IPIs exit behind the instruction. */
static void test_self(void)
{
	static const uint32_t others[] = { 0x4000 | 0x61, 0xc0061, 0x40400,
					   0x4000f,       0x48061, 0x80061 };

	fresh(0);
	check(write_register(REG_ICR, 0x40061) == EXIT_VMCALL && taken == 0x61,
	      "an interrupt to itself is delivered");
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		fresh(0);
		check(write_register(REG_ICR, others[i]) == EXIT_APIC_WRITE &&
			      vmread(EXIT_QUALIFICATION) == REG_ICR &&
			      *vreg(REG_ICR) == others[i] &&
			      vmread(GUEST_RIP) == ADDRESS(code_write32) + 2 && !taken,
		      "ICR %x exits", others[i]);
	}
}

static void test_eoi_exit(void)
{
	fresh(0);
	request(0x61);
	request(0x31);
	vmwrite(EOI_BITMAP + 2, 1ull << (0x61 - 64));
	vmx_enter_at(code_nop);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(write_register(REG_EOI, 0) == EXIT_EOI && vmread(EXIT_QUALIFICATION) == 0x61 &&
		      vmread(GUEST_RIP) == ADDRESS(code_write32) + 2,
	      "the end of one in the EOI-exit bitmap exits behind the instruction");
	check(vmread(INTERRUPT_STATUS) == STATUS(0, 0x31) && *vreg(REG_PPR) == 0,
	      "when it is done");
	check(vmx_enter() == EXIT_VMCALL && taken == 0x31,
	      "the next is delivered by the next entry");
}

/* ---- posted interrupts ---- */

static uint64_t descriptor[8] __attribute__((aligned(64)));

static void fresh_posted(void)
{
	fresh(0);
	vmx_set_pin(PIN_INTERRUPT | PIN_POSTED);
	vmwrite(POSTED_VECTOR, NOTIFY);
	vmwrite(POSTED_DESCRIPTOR, ADDRESS(descriptor));
	for (unsigned i = 0; i < 8; i++)
		descriptor[i] = 0;
}

static void post(unsigned vector)
{
	__atomic_or_fetch(&descriptor[vector / 64], 1ull << vector % 64, __ATOMIC_SEQ_CST);
	__atomic_or_fetch(&descriptor[4], 1, __ATOMIC_SEQ_CST);
}

static void test_posted(void)
{
	fresh_posted();
	post(POSTED);
	post(0x31);
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && !taken, "without notification they wait");
	apic_write(APIC_ICR, ICR_SELF | NOTIFY);
	check(vmx_enter_at(code_nop) == EXIT_VMCALL && taken == POSTED,
	      "the notification delivers them, without exit");
	check(vmread(INTERRUPT_STATUS) == STATUS(POSTED, 0x31) && has_vector(REG_IRR, 0x31),
	      "the others are requested");
	check(!descriptor[0] && !descriptor[1] && !(descriptor[4] & 1),
	      "and the descriptor is empty");
	check(!apic_read(REG_ISR + NOTIFY / 32 * 16), "it has been ended at the real APIC");
	fresh_posted();
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
	check(vmx_enter_at(code_nop) == EXIT_INTERRUPT &&
		      vmread(EXIT_INTERRUPTION) == (VALID | VECTOR),
	      "another vector exits");
	apic_write(APIC_EOI, 0);
}

static volatile bool do_post;

/* On the other processor */
static void poster(void)
{
	for (;;) {
		if (!do_post)
			continue;
		for (volatile int i = 0; i < 1000; i++)
			;
		post(POSTED);
		apic_write(APIC_ICR, ICR_OTHER | NOTIFY);
		do_post = false;
	}
}

static void test_posted_from_outside(void)
{
	if (!start_ap(poster)) {
		check(false, "a second processor");
		return;
	}
	fresh_posted();
	do_post = true;
	check(vmx_enter_at(code_spin) == EXIT_VMCALL && taken == POSTED,
	      "another processor's, while the guest runs");
	fresh_posted();
	vmwrite(GUEST_ACTIVITY, HALTED);
	do_post = true;
	check(vmx_enter_at(code_spin) == EXIT_VMCALL && taken == POSTED, "and in HLT");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_delivery();
	test_blocking();
	test_hlt();
	test_self();
	test_eoi_exit();
	test_posted();
	test_posted_from_outside();
}
