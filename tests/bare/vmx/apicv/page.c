/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, APIC: accesses of the APIC-access page: which are served, which exit and how.
 */
#include "tests/bare/vmx/apicv/apicv.h"

GUEST_CODE(code_read8, "mov (%rdi), %al");
GUEST_CODE(code_read32, "mov (%rdi), %eax");
GUEST_CODE(code_read64, "mov (%rdi), %rax");
GUEST_CODE(code_write32, "mov %esi, (%rdi)");
GUEST_CODE(code_or, "orl $0x20, (%rdi)");
GUEST_CODE(code_call, "call *%rdi");
GUEST_CODE(code_int80, "int $0x80");

#define READ  (0u << 12)
#define WRITE (1u << 12)
#define FETCH (2u << 12)
#define EVENT (3u << 12)
#define WALK  (15u << 12)

static uint32_t access_at(const void *code, unsigned offset)
{
	guest.rdi = ADDRESS(apic_page) + offset;
	return vmx_enter_at(code);
}

static bool exits_at(const void *code, unsigned offset, uint64_t qualification)
{
	return access_at(code, offset) == EXIT_APIC_ACCESS &&
	       vmread(EXIT_QUALIFICATION) == qualification && vmread(GUEST_RIP) == ADDRESS(code);
}

/* ---- registers: SDM3: "Virtualizing Reads from the APIC-Access Page" and "Writes to" it ---- */

static bool is_one_of(unsigned reg, const uint16_t *regs)
{
	for (; *regs; regs++)
		if (*regs == reg)
			return true;
	return false;
}

static const uint16_t written[] = {
	0x020, 0x080, 0x0b0, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300, 0x310,
	0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0, 0,
};

static bool is_read_served(unsigned reg, uint32_t proc2)
{
	if (!(proc2 & PROC2_REGISTERS))
		return reg == REG_TPR;
	return reg == REG_VERSION || (reg >= REG_ISR && reg < REG_ESR) || is_one_of(reg, written);
}

static bool is_write_served(unsigned reg, uint32_t proc2)
{
	static const uint16_t by_delivery[] = { REG_TPR, REG_EOI, REG_ICR, 0 };

	if (proc2 & PROC2_REGISTERS)
		return is_one_of(reg, written);
	return reg == REG_TPR || ((proc2 & PROC2_INTERRUPTS) && is_one_of(reg, by_delivery));
}

/* What a served write of zero does then. */
static uint32_t after_write(unsigned reg, uint32_t proc2)
{
	if (reg == REG_TPR || reg == REG_ICR2 || (reg == REG_EOI && (proc2 & PROC2_INTERRUPTS)))
		return EXIT_VMCALL;
	return EXIT_APIC_WRITE;
}

static void test_registers(uint32_t proc2, const char *what)
{
	unsigned wrong_reads = 0, wrong_writes = 0;

	for (unsigned reg = 0; reg < REG_END; reg += 16) {
		uint32_t reason;

		apicv_fresh(PROC2_APIC_ACCESS | proc2);
		*vreg(reg) = 0x5a;
		reason = access_at(code_read32, reg);
		wrong_reads += is_read_served(reg, proc2)
				       ? reason != EXIT_VMCALL || guest.rax != 0x5a
				       : reason != EXIT_APIC_ACCESS ||
						 vmread(EXIT_QUALIFICATION) != (READ | reg);
		guest.rsi = 0;
		reason = access_at(code_write32, reg);
		wrong_writes += is_write_served(reg, proc2)
					? reason != after_write(reg, proc2) || *vreg(reg) != 0
					: reason != EXIT_APIC_ACCESS ||
						  vmread(EXIT_QUALIFICATION) != (WRITE | reg);
		if (reason == EXIT_APIC_WRITE)
			wrong_writes += vmread(EXIT_QUALIFICATION) != reg ||
					vmread(GUEST_RIP) != ADDRESS(code_write32) + 2;
	}
	check(!wrong_reads, "%s: reads of each register (%u wrong)", what, wrong_reads);
	check(!wrong_writes, "%s: writes of each register (%u wrong)", what, wrong_writes);
}

/* ---- kinds of access ---- */

static void test_sizes(void)
{
	apicv_fresh(PROC2_APIC_ACCESS);
	*vreg(REG_TPR) = 0x40;
	check(access_at(code_read8, REG_TPR) == EXIT_VMCALL && (uint8_t)guest.rax == 0x40,
	      "a byte of the TPR");
	check(access_at(code_read8, REG_TPR + 3) == EXIT_VMCALL, "its last one");
	check(exits_at(code_read8, REG_TPR + 4, READ | (REG_TPR + 4)), "the byte behind it exits");
	check(exits_at(code_read32, REG_TPR + 2, READ | (REG_TPR + 2)), "4 bytes, not aligned");
	check(exits_at(code_read64, REG_TPR, READ | REG_TPR), "and 8 bytes");
	check(access_at(code_or, REG_TPR) == EXIT_VMCALL && *vreg(REG_TPR) == 0x60,
	      "a read and a write");
	check(exits_at(code_read32, 0x400, READ | 0x400), "behind all registers");
	check(exits_at(code_or, REG_LVT, READ | REG_LVT) ||
		      exits_at(code_or, REG_LVT, WRITE | REG_LVT),
	      "a read and a write of another register");
}

static void test_kinds(void)
{
	apicv_fresh(PROC2_APIC_ACCESS);
	check(exits_at(code_call, REG_TPR, FETCH | REG_TPR) ||
		      vmread(EXIT_QUALIFICATION) == (FETCH | REG_TPR),
	      "a fetch exits");
	check(vmread(GUEST_RIP) == ADDRESS(apic_page) + REG_TPR, "at its address");
	vmwrite(GUEST_RSP, ADDRESS(apic_page) + 0x800);
	check(vmx_enter_at(code_int80) == EXIT_APIC_ACCESS &&
		      (vmread(EXIT_QUALIFICATION) & 0xf000) == EVENT &&
		      vmread(IDT_VECTORING) == (VALID | TYPE_SOFT_INT | 0x80),
	      "the delivery of an event exits, with what is delivered");
	vmx_set_proc(0, PROC2_APIC_ACCESS);
	check(exits_at(code_read32, REG_TPR, READ | REG_TPR), "without TPR shadow all exit");
	vmx_set_proc(PROC_TPR_SHADOW, 0);
	check(access_at(code_read32, REG_TPR) == EXIT_VMCALL, "without the control it is memory");
}

/* The page is told by its physical address; behind EPT by the one in the hypervisor's memory. */
static void test_ept(void)
{
	static uint8_t window[4096] __attribute__((aligned(4096)));
	static struct ept ept;

	ept_make(&ept, window);
	apicv_fresh(PROC2_APIC_ACCESS | PROC2_EPT);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	*ept_entry(&ept, window) = ADDRESS(apic_page) | R | W | X | WB;
	invept(2, 0, 0);
	*vreg(REG_TPR) = 0x77;
	guest.rdi = ADDRESS(window) + REG_TPR;
	check(vmx_enter_at(code_read32) == EXIT_VMCALL && guest.rax == 0x77,
	      "behind EPT, at another address");
	guest.rdi = ADDRESS(window) + REG_LVT;
	check(vmx_enter_at(code_read32) == EXIT_APIC_ACCESS &&
		      vmread(EXIT_QUALIFICATION) == (READ | REG_LVT),
	      "another register exits");
	*ept_entry(&ept, window) = ADDRESS(apic_page) | X | WB;
	invept(2, 0, 0);
	check(vmx_enter_at(code_read32) == EXIT_VIOLATION, "a violation comes first");
	*ept_entry(&ept, window) = ADDRESS(apic_page) | R | W | X | WB;
	invept(2, 0, 0);
	vmwrite(GUEST_CR3, ADDRESS(window));
	check(vmx_enter_at(code_read32) == EXIT_APIC_ACCESS &&
		      (vmread(EXIT_QUALIFICATION) & 0xf000) == WALK,
	      "a page table there exits");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_registers(0, "TPR shadow");
	test_registers(PROC2_INTERRUPTS, "virtual interrupts");
	test_registers(PROC2_REGISTERS, "APIC registers");
	test_registers(PROC2_REGISTERS | PROC2_INTERRUPTS, "both");
	test_sizes();
	test_kinds();
	test_ept();
}
