/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reset and derived state of a vCPU.
 *
 * SDM3: "Processor State After Reset", "INIT"
 */
#include "cpu/cpu.h"

#include "cpu/cpuid.h"
#include "cpu/exec/vector.h"
#include "cpu/flags.h"
#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define AR_CODE_DATA (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED)

/* Any offset may be read and written. */
static bool is_wide(const struct segment *seg)
{
	const uint32_t kind = SEG_UNUSABLE | SEG_S | SEG_CODE | SEG_EXPAND | SEG_WRITABLE;

	return seg->limit == UINT32_MAX && (seg->ar & kind) == (SEG_S | SEG_WRITABLE);
}

/* What MODE_FLAT says of the segments, for code of 32 bits. */
static bool is_flat(const struct cpu *cpu)
{
	static const uint8_t data[] = { DS, ES, SS };

	if (!cpu_in_protected_mode(cpu) || cpu->seg[CS].base || cpu->seg[CS].limit != UINT32_MAX ||
	    !(cpu->seg[SS].ar & SEG_DB))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		if (cpu->seg[data[i]].base || !is_wide(&cpu->seg[data[i]]))
			return false;
	return true;
}

static enum cpu_mode code_mode(const struct cpu *cpu)
{
	uint32_t ar = cpu->seg[CS].ar;

	if (cpu_in_long_mode(cpu) && (ar & SEG_L))
		return MODE_64;
	if (!(ar & SEG_DB) || cpu_in_v86_mode(cpu))
		return MODE_16;
	return is_flat(cpu) ? MODE_FLAT : MODE_32;
}

void cpu_update_mode(struct cpu *cpu)
{
	cpu->mode = code_mode(cpu);
	if (cpu->mode == MODE_64)
		return;
	cpu->is_wide[0] = is_wide(&cpu->seg[FS]);
	cpu->is_wide[1] = is_wide(&cpu->seg[GS]);
}

/* Whether any breakpoint of DR7 is enabled on instruction execution. */
static bool has_code_breakpoint(const struct cpu *cpu)
{
	for (unsigned n = 0; n < 4; n++)
		if ((cpu->dr7 >> (2 * n) & 3) && !(cpu->dr7 >> (16 + 4 * n) & 3))
			return true;
	return false;
}

void cpu_update_derived(struct cpu *cpu)
{
	bool step = (cpu->rflags & (RFLAGS_TF | RFLAGS_RF)) ||
		    (unlikely(cpu->dr7 & DR7_ENABLES) && has_code_breakpoint(cpu));
	uint32_t attention = __atomic_load_n(&cpu->attention, __ATOMIC_RELAXED);

	cpu_update_mode(cpu);
	mmu_privilege_changed(cpu);
	if (step && !(attention & ATTENTION_STEP))
		cpu_attention_set(cpu, ATTENTION_STEP);
	else if (!step && (attention & ATTENTION_STEP))
		cpu_attention_clear(cpu, ATTENTION_STEP);
}

static void reset_segments(struct cpu *cpu)
{
	struct segment data = { .limit = 0xffff, .ar = AR_CODE_DATA };

	for (unsigned i = 0; i < SEGMENTS; i++)
		cpu->seg[i] = data;
	cpu->seg[CS].selector = 0xf000;
	cpu->seg[CS].base = 0xffff0000;
	cpu->seg[CS].ar |= SEG_CODE;
	cpu->ldtr = (struct segment){ .limit = 0xffff, .ar = SEG_P | SYS_LDT };
	cpu->tr = (struct segment){ .limit = 0xffff, .ar = SEG_P | SYS_TSS_BUSY };
	cpu->gdtr = cpu->idtr = (struct table_register){ .limit = 0xffff };
}

/* What power-on and INIT have in common. */
static void reset_common(struct cpu *cpu, uint64_t cr0)
{
	memset(cpu->regs, 0, sizeof(cpu->regs));
	cpu->rip = 0xfff0;
	cpu->gpr[RDX] = cpuid_query(cpu, 1, 0).eax;
	flags_set(cpu, RFLAGS_ONE);
	cpu->cpl = 0;
	cpu->shadow = SHADOW_NONE;
	cpu->nmi_blocked = false;
	cpu->nmis_waiting = 0;
	__atomic_store_n(&cpu->nmis_arrived, 0, __ATOMIC_SEQ_CST);
	reset_segments(cpu);
	cpu->cr0 = cr0;
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr6 = DR6_INIT;
	cpu->dr7 = DR7_INIT;
	cpu->pending_db = 0;
	cpu->pkru = 0;
	cpu->monitor.is_armed = false;
	/* The first vCPU is the bootstrap processor; the others wait for its start-up message. */
	cpu->activity = cpu->index ? CPU_WAIT_FOR_SIPI : CPU_ACTIVE;
	cpu_attention_clear(cpu, ATTENTION_SHADOW | ATTENTION_TRAP | ATTENTION_NMI |
					 ATTENTION_INTERRUPT | ATTENTION_HALT | ATTENTION_VIRT);
	if (cpu->activity != CPU_ACTIVE)
		cpu_attention_set(cpu, ATTENTION_HALT);
	msr_tsc_changed(cpu);
	cpu_update_derived(cpu);
	mmu_mode_changed(cpu);
	mmu_flush_everything(cpu);
}

static void reset_virt(struct cpu *cpu)
{
	cpu->in_guest = cpu->has_second_stage = false;
	cpu->is_init_blocked = cpu->nmi_is_virtual = cpu->iret_keeps_nmi = false;
	cpu->iret_unblocks_nmi = false;
	__atomic_store_n(&cpu->interrupts_exit, false, __ATOMIC_SEQ_CST);
	cpu->stage_key = 0;
	if (cpu->virt)
		cpu->virt->reset(cpu);
}

void cpu_reset(struct cpu *cpu)
{
	reset_virt(cpu);
	cpu->xcr0 = XCR0_X87;
	vector_reset(cpu);
	msr_reset(cpu);
	reset_common(cpu, CR0_CD | CR0_NW | CR0_ET);
}

void cpu_init_reset(struct cpu *cpu)
{
	reset_common(cpu, (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET);
}
