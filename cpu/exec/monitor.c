/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MONITOR and MWAIT. MONITOR keeps a copy of the line; a store is what makes the line differ from
 * it. MWAIT leaves the waiting to the run loop, which looks between blocks and for a short time
 * only: a program must look itself after MWAIT anyhow.
 *
 * IA32_MISC_ENABLE switches both off at reset, as the firmware of a machine may, so that kernels
 * idle in HLT, which costs the host nothing.
 * SDM2: "MONITOR", "MWAIT".
 */
#include "cpu/exec/exec.h"
#include "cpu/exec/privileged.h"
#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"
#include "cpu/segment.h"
#include "cpu/virt.h"

#define MWAIT_BREAKS_ON_MASKED BIT(0) /* of ECX: interrupts end it though RFLAGS.IF is clear */

static void require_monitor(struct cpu *cpu)
{
	if (cpu->cpl || !(cpu->msr.misc_enable & MISC_ENABLE_MONITOR))
		cpu_raise(cpu, EXC_UD);
}

/* The extensions in ECX, in 64-bit mode RCX. */
static void check_extensions(struct cpu *cpu, uint64_t allowed)
{
	if (reg_read(cpu, REG_OFFSET(RCX), native_size(cpu)) & ~allowed)
		cpu_raise_code(cpu, EXC_GP, 0);
}

static void monitor(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ea = cpu->gpr[RAX] & size_mask(insn->addr_size);
	const void *line;
	gva_t addr;

	require_monitor(cpu);
	virt_intercept(cpu, INTERCEPT_MONITOR, 0);
	check_extensions(cpu, 0);
	addr = segment_linear(cpu, insn->seg, ea, 1, false);
	mmu_load(cpu, addr, 1, insn->seg);
	addr &= ~(gva_t)(MONITOR_LINE_BYTES - 1);
	line = mmu_span(cpu, addr, MONITOR_LINE_BYTES, false, insn->seg);
	cpu->monitor.is_armed = true;
	cpu->monitor.line = line;
	if (line)
		memcpy(cpu->monitor.seen, line, MONITOR_LINE_BYTES);
}

void monitor_mwait(struct cpu *cpu, const struct insn *insn)
{
	require_monitor(cpu);
	virt_intercept(cpu, INTERCEPT_MWAIT, cpu->monitor.is_armed);
	check_extensions(cpu, MWAIT_BREAKS_ON_MASKED);
	if (cpu->monitor.is_armed) {
		cpu->monitor.breaks_on_masked = cpu->gpr[RCX] & MWAIT_BREAKS_ON_MASKED;
		cpu->activity = CPU_MONITORING;
		cpu_attention_set(cpu, ATTENTION_HALT);
	}
	insn_advance(cpu, insn);
}

/* Zydis names no memory operand, so the segment is that of the prefixes. */
insn_fn *monitor_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			struct insn *insn)
{
	static const struct {
		ZydisInstructionAttributes attribute;
		uint8_t seg;
	} overrides[] = {
		{ ZYDIS_ATTRIB_HAS_SEGMENT_ES, ES }, { ZYDIS_ATTRIB_HAS_SEGMENT_CS, CS },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_SS, SS }, { ZYDIS_ATTRIB_HAS_SEGMENT_FS, FS },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_GS, GS },
	};

	(void)operands;
	for (unsigned i = 0; i < ARRAY_SIZE(overrides); i++)
		if (zydis->attributes & overrides[i].attribute)
			insn->seg = overrides[i].seg;
	return monitor;
}
