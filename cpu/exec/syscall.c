/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT: fast system calls with flat segments that are made up, not
 * loaded. Where the vendors differ, the CPU model's vendor decides: Intel has SYSCALL in 64-bit
 * mode only and SYSENTER in all of protected mode; AMD has SYSCALL everywhere and SYSENTER in
 * legacy mode only. SDM2 and APM3: the instructions' own pages.
 */
#include "cpu/exec/syscall.h"

#include "cpu/exec/exec.h"
#include "cpu/exec/privileged.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/soft.h"

#define SYSEXIT_32 16
#define SYSEXIT_64 32

static bool is_amd(const struct cpu *cpu)
{
	return cpu->soft->config.vendor == CPU_AMD;
}

static void set_code(struct cpu *cpu, uint64_t selector, unsigned dpl, bool is_64bit)
{
	cpu->seg[CS] = (struct segment){
		.limit = SYSCALL_LIMIT,
		.ar = (uint32_t)(SYSCALL_CODE | dpl << SEG_DPL_SHIFT | (is_64bit ? SEG_L : SEG_DB)),
		.selector = (uint16_t)selector,
	};
	cpu->cpl = (uint8_t)dpl;
}

static void set_stack(struct cpu *cpu, uint64_t selector, unsigned dpl)
{
	cpu->seg[SS] = (struct segment){
		.limit = SYSCALL_LIMIT,
		.ar = (uint32_t)(SYSCALL_STACK | dpl << SEG_DPL_SHIFT),
		.selector = (uint16_t)selector,
	};
}

/* ---- SYSCALL, SYSRET ---- */

/* Whether these two trap after themselves is for the TF that they leave, not the one they found. */
static void settle_step(struct cpu *cpu)
{
	cpu->is_step_settled = true;
	if (!(cpu->rflags & RFLAGS_TF))
		return;
	cpu->pending_db |= DR6_BS;
	cpu_attention_set(cpu, ATTENTION_TRAP);
}

static void check_syscall(struct cpu *cpu)
{
	bool is_mode = is_amd(cpu) ? cpu_in_protected_mode(cpu) : cpu_in_64bit_mode(cpu);

	if (!is_mode || !(cpu->efer & EFER_SCE))
		cpu_raise(cpu, EXC_UD);
}

static void enter_long(struct cpu *cpu, uint64_t next_rip)
{
	uint64_t flags = flags_get(cpu) & ~RFLAGS_RF;

	cpu->gpr[RCX] = next_rip;
	cpu->gpr[R11] = flags;
	cpu->rip = cpu_in_64bit_mode(cpu) ? cpu->msr.lstar : cpu->msr.cstar;
	flags_set(cpu, flags & ~cpu->msr.fmask);
}

static void enter_legacy(struct cpu *cpu, uint64_t next_rip)
{
	cpu->gpr[RCX] = next_rip;
	cpu->rip = (uint32_t)cpu->msr.star;
	flags_set(cpu, flags_get(cpu) & ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
}

void syscall_syscall(struct cpu *cpu, const struct insn *insn)
{
	uint64_t next_rip = insn_next_rip(cpu, insn);
	uint64_t selector = cpu->msr.star >> STAR_SYSCALL & SYSCALL_SELECTOR;

	check_syscall(cpu);
	if (cpu_in_long_mode(cpu))
		enter_long(cpu, next_rip);
	else
		enter_legacy(cpu, next_rip);
	set_code(cpu, selector, 0, cpu_in_long_mode(cpu));
	set_stack(cpu, selector + SYSCALL_TO_SS, 0);
	cpu_update_derived(cpu);
	settle_step(cpu);
}

/* AMD leaves the hidden part of SS as it is. */
static void sysret_stack(struct cpu *cpu, uint64_t selector)
{
	if (is_amd(cpu))
		cpu->seg[SS].selector = (uint16_t)selector;
	else
		set_stack(cpu, selector, SYSCALL_USER);
}

static void return_flags(struct cpu *cpu)
{
	if (cpu_in_long_mode(cpu))
		flags_set(cpu, cpu->gpr[R11] & SYSRET_FLAGS);
	else
		flags_set(cpu, flags_get(cpu) | RFLAGS_IF);
}

void syscall_sysret(struct cpu *cpu, const struct insn *insn)
{
	uint64_t selector = (cpu->msr.star >> STAR_SYSRET & 0xffff) | SYSCALL_USER;
	bool to_64bit = cpu_in_64bit_mode(cpu) && insn->size == 8;
	uint64_t rip = to_64bit ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];

	check_syscall(cpu);
	require_cpl0(cpu);
	if (!is_amd(cpu) && !is_canonical(rip))
		cpu_raise_code(cpu, EXC_GP, 0);
	return_flags(cpu);
	set_code(cpu, to_64bit ? (selector + SYSRET_64) | SYSCALL_USER : selector, SYSCALL_USER,
		 to_64bit);
	sysret_stack(cpu, (selector + SYSCALL_TO_SS) | SYSCALL_USER);
	cpu->rip = rip;
	cpu_update_derived(cpu);
	settle_step(cpu);
}

/* ---- SYSENTER, SYSEXIT ---- */

static void check_sysenter(struct cpu *cpu)
{
	if (is_amd(cpu) && cpu_in_long_mode(cpu))
		cpu_raise(cpu, EXC_UD);
	if (cpu_in_real_mode(cpu) || !(cpu->msr.sysenter_cs & SYSCALL_SELECTOR))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void syscall_sysenter(struct cpu *cpu, const struct insn *insn)
{
	uint64_t selector = cpu->msr.sysenter_cs & SYSCALL_SELECTOR;
	bool is_long = cpu_in_long_mode(cpu);

	(void)insn;
	check_sysenter(cpu);
	flags_set(cpu, flags_get(cpu) & ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
	cpu->gpr[RSP] = is_long ? cpu->msr.sysenter_esp : (uint32_t)cpu->msr.sysenter_esp;
	cpu->rip = is_long ? cpu->msr.sysenter_eip : (uint32_t)cpu->msr.sysenter_eip;
	set_code(cpu, selector, 0, is_long);
	set_stack(cpu, selector + SYSCALL_TO_SS, 0);
	cpu_update_derived(cpu);
}

void syscall_sysexit(struct cpu *cpu, const struct insn *insn)
{
	bool to_64bit = cpu_in_64bit_mode(cpu) && insn->size == 8;
	uint64_t selector = cpu->msr.sysenter_cs & SYSCALL_SELECTOR;
	uint64_t rip = to_64bit ? cpu->gpr[RDX] : (uint32_t)cpu->gpr[RDX];
	uint64_t rsp = to_64bit ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX];

	check_sysenter(cpu);
	require_cpl0(cpu);
	if (!is_canonical(rip) || !is_canonical(rsp))
		cpu_raise_code(cpu, EXC_GP, 0);
	selector += to_64bit ? SYSEXIT_64 : SYSEXIT_32;
	set_code(cpu, selector | SYSCALL_USER, SYSCALL_USER, to_64bit);
	set_stack(cpu, (selector + SYSCALL_TO_SS) | SYSCALL_USER, SYSCALL_USER);
	cpu->rip = rip;
	cpu->gpr[RSP] = rsp;
	cpu_update_derived(cpu);
}
