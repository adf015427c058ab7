/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, APIC: the MSRs of the x2APIC, which the virtual APIC serves or the processor's own does.
 */
#include "tests/bare/vmx/apicv/apicv.h"

GUEST_CODE(code_rdmsr, "rdmsr");
GUEST_CODE(code_wrmsr, "wrmsr");

static uint32_t read_msr(unsigned reg)
{
	guest.rcx = MSR_X2APIC(reg);
	return vmx_enter_at(code_rdmsr);
}

static uint32_t write_msr(unsigned reg, uint64_t value)
{
	guest.rcx = MSR_X2APIC(reg);
	guest.rax = (uint32_t)value;
	guest.rdx = value >> 32;
	return vmx_enter_at(code_wrmsr);
}

static bool is_gp(uint32_t reason)
{
	return reason == EXIT_EXCEPTION &&
	       vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | GP);
}

static void fresh(uint32_t proc2)
{
	apicv_fresh(PROC2_X2APIC | proc2);
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
}

/* The processor's own APIC is in xAPIC mode: its MSRs raise #GP. */
static void test_tpr(void)
{
	fresh(0);
	check(write_msr(REG_TPR, 0x53) == EXIT_VMCALL && *vreg(REG_TPR) == 0x53, "the TPR");
	check(read_msr(REG_TPR) == EXIT_VMCALL && guest.rax == 0x53 && guest.rdx == 0, "is read");
	check(is_gp(write_msr(REG_TPR, 0x100)), "9 bits raise #GP");
	check(is_gp(write_msr(REG_TPR, 1ull << 32)), "so does bit 32");
	check(is_gp(read_msr(REG_LVT)) && is_gp(write_msr(REG_EOI, 0)),
	      "other registers are the processor's");
	vmx_set_proc(PROC_TPR_SHADOW, 0);
	check(read_msr(REG_TPR) == EXIT_RDMSR, "without bitmaps RDMSR exits");
}

static void test_reads(void)
{
	unsigned wrong = 0;

	fresh(PROC2_REGISTERS);
	for (unsigned reg = 0; reg < REG_END; reg += 16) {
		*vreg(reg) = 0x1000 + reg;
		wrong += read_msr(reg) != EXIT_VMCALL || guest.rax != 0x1000 + reg;
	}
	check(!wrong, "APIC registers: all are read (%u wrong)", wrong);
	check(is_gp(write_msr(REG_LVT, 0)), "and written as without");
}

static void test_writes(void)
{
	fresh(PROC2_REGISTERS | PROC2_INTERRUPTS);
	check(write_msr(REG_EOI, 0) == EXIT_VMCALL, "virtual interrupts: the end of one");
	check(is_gp(write_msr(REG_EOI, 1)), "that is not 0 raises #GP");
	check(write_msr(REG_SELF, 0x61) == EXIT_VMCALL && vmread(INTERRUPT_STATUS) == 0x61 &&
		      has_vector(REG_IRR, 0x61),
	      "an interrupt to itself");
	check(is_gp(write_msr(REG_SELF, 0x161)), "of 9 bits raises #GP");
	check(write_msr(REG_SELF, 0x0f) == EXIT_APIC_WRITE &&
		      vmread(EXIT_QUALIFICATION) == REG_SELF,
	      "of a vector below 16 exits behind the instruction");
	check(is_gp(write_msr(REG_ICR, 0x40061)), "the ICR is the processor's");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_tpr();
	test_reads();
	test_writes();
}
