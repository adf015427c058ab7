/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions on single flags, hints, and those that do nothing but raise an exception.
 * SDM2: "CLI", "STI", "LAHF", "INT n", "BOUND", "UD", "NOP".
 */
#include <sched.h>

#include "cpu/exec/template.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define PAUSES_BEFORE_YIELD 64

void flag_undefined(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise(cpu, EXC_UD);
}

void flag_too_long(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise_code(cpu, EXC_GP, 0);
}

void flag_nop(struct cpu *cpu, const struct insn *insn)
{
	(void)cpu;
	(void)insn;
}

/* A spin loop: what it waits for may be a vCPU whose thread waits for this processor. */
static void pause_host(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	virt_intercept(cpu, INTERCEPT_PAUSE, 0);
	__builtin_ia32_pause();
	if (cpu->soft->config.vcpus > 1 && ++cpu->pauses % PAUSES_BEFORE_YIELD == 0)
		sched_yield();
}

/* With REX.B it is XCHG of R8 and the accumulator, which Zydis does not know. */
insn_fn *flag_select_pause(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	(void)operands;
	if (!(zydis->attributes & ZYDIS_ATTRIB_HAS_REX) || !zydis->raw.rex.B)
		return pause_host;
	insn->size = zydis->operand_width / 8;
	insn->dst = REG_OFFSET(R8);
	insn->src = REG_OFFSET(RAX);
	return atomic_xchg;
}

void flag_clc(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->status &= (uint16_t)~STATUS_CF;
}

void flag_stc(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->status |= STATUS_CF;
}

void flag_cmc(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->status ^= STATUS_CF;
}

void flag_cld(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->rflags &= (uint32_t)~RFLAGS_DF;
}

void flag_std(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu->rflags |= RFLAGS_DF;
}

void flag_lahf(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RAX) + 1, 1, flags_get(cpu));
}

void flag_sahf(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ah = reg_read(cpu, REG_OFFSET(RAX) + 1, 1);

	(void)insn;
	cpu->status = (uint16_t)(flags_to_status(ah) | (cpu->status & STATUS_OF));
}

void flag_salc(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	reg_write(cpu, REG_OFFSET(RAX), 1, cpu->status & STATUS_CF ? 0xff : 0);
}

/* CLI and STI work on IF, on VIF instead (VME in v8086 mode, PVI at CPL 3), or not at all. */
static bool is_if_accessible(const struct cpu *cpu)
{
	return cpu_in_real_mode(cpu) || cpu->cpl <= cpu_iopl(cpu);
}

static void check_virtual_if(struct cpu *cpu)
{
	uint64_t enable = cpu_in_v86_mode(cpu) ? CR4_VME : CR4_PVI;

	if (cpu->cpl != 3 || !(cpu->cr4 & enable))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void flag_cli(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	if (is_if_accessible(cpu)) {
		cpu->rflags &= (uint32_t)~RFLAGS_IF;
	} else {
		check_virtual_if(cpu);
		cpu->rflags &= (uint32_t)~RFLAGS_VIF;
	}
}

/* Interrupts stay out until the instruction after an STI that has set IF. */
static void set_interrupt_flag(struct cpu *cpu)
{
	if (cpu->rflags & RFLAGS_IF)
		return;
	cpu->rflags |= RFLAGS_IF;
	cpu_set_shadow(cpu, SHADOW_STI);
	cpu_leave_block(cpu);
}

void flag_sti(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	if (is_if_accessible(cpu)) {
		set_interrupt_flag(cpu);
	} else {
		check_virtual_if(cpu);
		if (cpu->rflags & RFLAGS_VIP)
			cpu_raise_code(cpu, EXC_GP, 0);
		cpu->rflags |= RFLAGS_VIF;
	}
}

void flag_int(struct cpu *cpu, const struct insn *insn)
{
	cpu_raise_software(cpu, (uint8_t)insn->imm, EVENT_SOFT_INT, insn_next_rip(cpu, insn));
}

void flag_int1(struct cpu *cpu, const struct insn *insn)
{
	cpu_raise_software(cpu, EXC_DB, EVENT_ICEBP, insn_next_rip(cpu, insn));
}

void flag_int3(struct cpu *cpu, const struct insn *insn)
{
	cpu_raise_software(cpu, EXC_BP, EVENT_SOFT_FAULT, insn_next_rip(cpu, insn));
}

void flag_into(struct cpu *cpu, const struct insn *insn)
{
	if (cpu->status & STATUS_OF)
		cpu_raise_software(cpu, EXC_OF, EVENT_SOFT_FAULT, insn_next_rip(cpu, insn));
	insn_advance(cpu, insn);
}

/* BOUND: a pair of signed limits in memory, both ends inclusive. */
void flag_bound(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size, shift = 64 - 8 * size;
	gva_t addr = insn_linear(cpu, insn, 2 * size, false);
	int64_t index = (int64_t)(reg_read(cpu, insn->dst, size) << shift);
	int64_t lower = (int64_t)(mmu_load(cpu, addr, size, insn->seg) << shift);
	int64_t upper = (int64_t)(mmu_load(cpu, (uint32_t)(addr + size), size, insn->seg) << shift);

	if (index < lower || index > upper)
		cpu_raise(cpu, EXC_BR);
}
