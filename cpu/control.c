/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control, extended control and debug registers: which values are allowed, and what follows from a
 * change. Every function checks first and commits last.
 *
 * SDM3: "Control Registers", "Extended Control Registers (Including XCR0)", "Initializing IA-32e
 * Mode", "Debug Registers"; SDM2: "MOV - Move to/from Control Registers", "MOV - Move to/from Debug
 * Registers".
 */
#include "cpu/control.h"

#include "cpu/feature.h"
#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR0_PAGING  (CR0_WP | CR0_PG)          /* PE alone is none of the TLB's concern */
#define CR0_PDPTES  (CR0_CD | CR0_NW | CR0_PG) /* a change of these reloads the PDPTEs */
#define CR4_PAGING  (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR4_PDPTES  (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR3_PDPT    0xffffffe0ull
#define CR8_MAX     15
#define PDPTE_P     BIT(0)
#define PDPTE_FIXED (BIT(1) | BIT(2) | 0x1e0 | ~(BIT(PHYSICAL_BITS) - 1)) /* must be zero */

#define DR6_DEFINED    (0xfull | DR6_BD | DR6_BS | DR6_BT)
#define DR7_DEFINED    (0xffff0000ull | DR7_GD | 0x3ff)
#define DEBUG_RESERVED (~0xffffffffull) /* bits of DR6 and DR7 that must be zero */

struct offer {
	uint64_t bits;
	uint16_t feature;
};

static const struct offer cr4_offers[] = {
	{ CR4_VME | CR4_PVI, FEATURE_VME },
	{ CR4_TSD | CR4_PCE, FEATURE_TSC },
	{ CR4_DE, FEATURE_DE },
	{ CR4_PSE, FEATURE_PSE },
	{ CR4_PAE, FEATURE_PAE },
	{ CR4_MCE, FEATURE_MCE },
	{ CR4_PGE, FEATURE_PGE },
	{ CR4_OSFXSR, FEATURE_FXSR },
	{ CR4_OSXMMEXCPT, FEATURE_SSE },
	{ CR4_UMIP, FEATURE_UMIP },
	{ CR4_VMXE, FEATURE_VMX },
	{ CR4_FSGSBASE, FEATURE_FSGSBASE },
	{ CR4_PCIDE, FEATURE_PCID },
	{ CR4_OSXSAVE, FEATURE_XSAVE },
	{ CR4_SMEP, FEATURE_SMEP },
	{ CR4_SMAP, FEATURE_SMAP },
	{ CR4_PKE, FEATURE_PKU },
};

static const struct offer efer_offers[] = {
	{ EFER_SCE, FEATURE_SYSCALL },      { EFER_LME | EFER_LMA, FEATURE_LM },
	{ EFER_NXE, FEATURE_NX },           { EFER_SVME, FEATURE_SVM },
	{ EFER_AIBRSE, FEATURE_AUTO_IBRS },
};

static const struct offer xcr0_offers[] = {
	{ XCR0_X87 | XCR0_SSE, FEATURE_XSAVE },
	{ XCR0_AVX, FEATURE_AVX },
	{ XCR0_PKRU, FEATURE_PKU },
};

static uint64_t offered(const struct cpu *cpu, const struct offer *offers, unsigned count)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < count; i++)
		if (cpu_has(cpu, offers[i].feature))
			mask |= offers[i].bits;
	return mask;
}

uint64_t control_cr4_offered(const struct cpu *cpu)
{
	return offered(cpu, cr4_offers, ARRAY_SIZE(cr4_offers));
}

uint64_t control_efer_offered(const struct cpu *cpu)
{
	return offered(cpu, efer_offers, ARRAY_SIZE(efer_offers));
}

uint64_t control_xcr0_offered(const struct cpu *cpu)
{
	return offered(cpu, xcr0_offers, ARRAY_SIZE(xcr0_offers));
}

static _Noreturn void general_protection(struct cpu *cpu)
{
	cpu_raise_code(cpu, EXC_GP, 0);
}

/* What VMX operation fixes in CR0 and CR4. */
static void check_virt(struct cpu *cpu, unsigned n, uint64_t value)
{
	if (unlikely(cpu->virt != NULL) && !cpu->virt->cr_allowed(cpu, n, value))
		general_protection(cpu);
}

bool control_pdpte_valid(uint64_t pdpte)
{
	return !(pdpte & PDPTE_P) || !(pdpte & PDPTE_FIXED);
}

bool control_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
	uint64_t pdpte[4];

	if (!mmu_read_physical(cpu, cr3 & CR3_PDPT, pdpte, sizeof(pdpte)))
		return false; /* no RAM reads as all ones: reserved bits */
	for (unsigned i = 0; i < ARRAY_SIZE(pdpte); i++)
		if (!control_pdpte_valid(pdpte[i]))
			return false;
	memcpy(cpu->pdpte, pdpte, sizeof(pdpte));
	return true;
}

void control_check_pdptes(struct cpu *cpu, uint64_t cr3)
{
	if (!control_load_pdptes(cpu, cr3))
		general_protection(cpu);
}

/* Whether CR0.PG may go on (with EFER.LME: long mode with it). */
static void check_paging_on(struct cpu *cpu)
{
	if (!(cpu->efer & EFER_LME))
		return;
	if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[CS].ar & SEG_L))
		general_protection(cpu);
}

static void check_paging_off(struct cpu *cpu)
{
	if ((cpu->cr4 & CR4_PCIDE) || cpu_in_64bit_mode(cpu))
		general_protection(cpu);
}

void control_write_cr0(struct cpu *cpu, uint64_t value)
{
	uint64_t changed;

	if (value >> 32)
		general_protection(cpu);
	value = (value & CR0_DEFINED) | CR0_ET;
	changed = value ^ cpu->cr0;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		general_protection(cpu);
	check_virt(cpu, 0, value);
	if ((changed & CR0_PG) && (value & CR0_PG))
		check_paging_on(cpu);
	else if (changed & CR0_PG)
		check_paging_off(cpu);
	if ((value & CR0_PG) && (changed & CR0_PDPTES) && (cpu->cr4 & CR4_PAE) &&
	    !(cpu->efer & EFER_LME))
		control_check_pdptes(cpu, cpu->cr3);

	cpu->cr0 = value;
	if ((value & CR0_PG) && (cpu->efer & EFER_LME))
		cpu->efer |= EFER_LMA;
	else
		cpu->efer &= ~EFER_LMA;
	if (changed & CR0_PAGING)
		mmu_mode_changed(cpu);
	cpu_update_derived(cpu);
}

void control_write_cr3(struct cpu *cpu, uint64_t value)
{
	bool keep = false;

	if (cpu->cr4 & CR4_PCIDE) {
		keep = value & CR3_NOFLUSH;
		value &= ~CR3_NOFLUSH;
	}
	if (value >> PHYSICAL_BITS)
		general_protection(cpu);
	if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !cpu_in_long_mode(cpu))
		control_check_pdptes(cpu, value);
	cpu->cr3 = value;
	mmu_load_cr3(cpu, keep);
}

static void check_cr4(struct cpu *cpu, uint64_t value)
{
	uint64_t set = value & ~cpu->cr4;

	if (value & ~control_cr4_offered(cpu))
		general_protection(cpu);
	if (cpu_in_long_mode(cpu) && !(value & CR4_PAE))
		general_protection(cpu);
	if ((set & CR4_PCIDE) && (!cpu_in_long_mode(cpu) || (cpu->cr3 & CR3_PCID)))
		general_protection(cpu);
}

void control_write_cr4(struct cpu *cpu, uint64_t value)
{
	uint64_t changed = value ^ cpu->cr4;

	check_cr4(cpu, value);
	check_virt(cpu, 4, value);
	if ((cpu->cr0 & CR0_PG) && (value & CR4_PAE) && (changed & CR4_PDPTES) &&
	    !cpu_in_long_mode(cpu))
		control_check_pdptes(cpu, cpu->cr3);
	cpu->cr4 = value;
	if (changed & CR4_PAGING)
		mmu_mode_changed(cpu);
	msr_tsc_changed(cpu);
	cpu_update_derived(cpu);
}

uint64_t control_read_cr8(struct cpu *cpu)
{
	return irq_tpr(cpu->soft->config.irq, cpu->index) >> 4;
}

void control_write_cr8(struct cpu *cpu, uint64_t value)
{
	if (value > CR8_MAX)
		general_protection(cpu);
	irq_set_tpr(cpu->soft->config.irq, cpu->index, (uint8_t)(value << 4));
	cpu_attention_interrupt(cpu);
}

void control_write_xcr0(struct cpu *cpu, uint64_t value)
{
	if ((value & ~control_xcr0_offered(cpu)) || !(value & XCR0_X87))
		general_protection(cpu);
	if ((value & XCR0_AVX) && !(value & XCR0_SSE))
		general_protection(cpu);
	cpu->xcr0 = value;
}

bool control_write_efer(struct cpu *cpu, uint64_t value)
{
	uint64_t changed;

	if (value & ~control_efer_offered(cpu))
		return false;
	value = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA);
	changed = value ^ cpu->efer;
	if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
		return false;
	cpu->efer = value;
	if (changed & EFER_NXE)
		mmu_mode_changed(cpu);
	cpu_update_derived(cpu);
	return true;
}

/* DR4 and DR5 are DR6 and DR7, or nothing; GD traps every access. */
static unsigned check_dr(struct cpu *cpu, unsigned n)
{
	if ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE))
		cpu_raise(cpu, EXC_UD);
	if (cpu->dr7 & DR7_GD)
		cpu_raise_debug(cpu, DR6_BD);
	return n == 4 || n == 5 ? n + 2 : n;
}

uint64_t control_read_dr(struct cpu *cpu, unsigned n)
{
	n = check_dr(cpu, n);
	if (n < 4)
		return cpu->dr[n];
	return n == 6 ? cpu->dr6 : cpu->dr7;
}

void control_write_dr(struct cpu *cpu, unsigned n, uint64_t value)
{
	bool watches = cpu->dr7 & DR7_ENABLES;

	n = check_dr(cpu, n);
	if (n >= 6 && (value & DEBUG_RESERVED))
		general_protection(cpu);
	if (n == 6) {
		cpu->dr6 = (value & DR6_DEFINED) | DR6_INIT;
		return;
	}
	if (n == 7)
		cpu->dr7 = (value & DR7_DEFINED) | DR7_INIT;
	else
		cpu->dr[n] = value;
	if (watches || (cpu->dr7 & DR7_ENABLES))
		mmu_breakpoints_changed(cpu);
	cpu_update_derived(cpu);
}
