/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX instructions: how they begin (mode, VMX operation, exits in non-root operation,
 * privilege) and how they end (VMsucceed, VMfail); VMXON, VMXOFF, VMCALL, INVEPT, INVVPID. VM entry
 * is entry.c's, what concerns a VMCS is vmcs.c's. VMFUNC is not here: no VM function is offered, so
 * it is #UD everywhere.
 *
 * SDM2: "VMX Instruction Reference", "Conventions"
 */
#include <Zydis/Zydis.h>

#include "cpu/control.h"
#include "cpu/exec/exec.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/soft.h"
#include "vmx/vmx.h"

enum { INVEPT_SINGLE = 1, INVEPT_ALL };
enum { INVVPID_ADDRESS, INVVPID_SINGLE, INVVPID_ALL, INVVPID_SINGLE_LOCAL };

/* The operand of INVEPT (EPTP, reserved) and INVVPID (VPID, linear address). */
struct descriptor {
	uint64_t key, addr;
};

/* ---- how they end ---- */

static void finish(struct cpu *cpu, const struct insn *insn, uint16_t status)
{
	cpu->status = flags_to_status(status);
	if (insn->flags & INSN_ENDS_BLOCK)
		insn_advance(cpu, insn);
}

void vmx_succeed(struct cpu *cpu, const struct insn *insn)
{
	finish(cpu, insn, 0);
}

void vmx_fail(struct cpu *cpu, const struct insn *insn, enum vmx_error error)
{
	if (vmx_of(cpu)->current == NO_VMCS) {
		vmx_fail_invalid(cpu, insn);
		return;
	}
	vmcs_set(cpu, INSTRUCTION_ERROR, error);
	finish(cpu, insn, RFLAGS_ZF);
}

void vmx_fail_invalid(struct cpu *cpu, const struct insn *insn)
{
	finish(cpu, insn, RFLAGS_CF);
}

/* ---- VMX operation ---- */

bool vmx_region_valid(gpa_t addr)
{
	return !(addr % VMCS_BYTES) && !(addr >> PHYSICAL_BITS);
}

uint32_t vmx_region_revision(const struct cpu *cpu, gpa_t addr)
{
	uint32_t revision = ~0u; /* what no RAM reads as */

	memory_read(cpu->soft->config.memory, addr, &revision, sizeof(revision));
	return revision;
}

static void check_vmxon(struct cpu *cpu)
{
	const uint64_t enabled = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON;

	if (cpu->cpl || !vmx_caps_cr0_valid(cpu, cpu->cr0, false) ||
	    !vmx_caps_cr4_valid(cpu, cpu->cr4) ||
	    (vmx_of(cpu)->feature_control & enabled) != enabled)
		cpu_raise_code(cpu, EXC_GP, 0);
}

static void vmxon(struct cpu *cpu, const struct insn *insn)
{
	struct vmx *vmx = vmx_of(cpu);
	gpa_t addr;

	if (vmx->is_on) {
		vmx_fail(cpu, insn, VMXERR_VMXON_IN_ROOT);
		return;
	}
	check_vmxon(cpu);
	addr = mmu_load(cpu, insn_linear(cpu, insn, sizeof(addr), false), sizeof(addr), insn->seg);
	if (!vmx_region_valid(addr) || vmx_region_revision(cpu, addr) != VMX_REVISION) {
		vmx_fail_invalid(cpu, insn);
		return;
	}
	vmx->is_on = true;
	vmx->vmxon_region = addr;
	vmx->current = NO_VMCS;
	cpu->is_init_blocked = true;
	vmx_succeed(cpu, insn);
}

static void vmxoff(struct cpu *cpu, const struct insn *insn)
{
	struct vmx *vmx = vmx_of(cpu);

	vmcs_write_back(cpu);
	vmx->is_on = false;
	vmx->current = NO_VMCS;
	cpu->is_init_blocked = false;
	vmx_succeed(cpu, insn);
}

static void vmcall(struct cpu *cpu, const struct insn *insn)
{
	vmx_fail(cpu, insn, VMXERR_VMCALL_IN_ROOT);
}

/* ---- dispatch ---- */

/* The most frequent ones come first. */
static const struct vmx_insn {
	uint16_t mnemonic;
	insn_fn *exec; /* in root operation, or on a shadow VMCS */
} instructions[] = {
	{ ZYDIS_MNEMONIC_VMREAD, vmcs_read },   { ZYDIS_MNEMONIC_VMWRITE, vmcs_write },
	{ ZYDIS_MNEMONIC_VMPTRLD, vmcs_load },  { ZYDIS_MNEMONIC_VMPTRST, vmcs_store },
	{ ZYDIS_MNEMONIC_VMCLEAR, vmcs_clear }, { ZYDIS_MNEMONIC_VMXON, vmxon },
	{ ZYDIS_MNEMONIC_VMXOFF, vmxoff },      { ZYDIS_MNEMONIC_VMCALL, vmcall },
};

static const struct vmx_insn *find(unsigned mnemonic)
{
	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++)
		if (instructions[i].mnemonic == mnemonic)
			return &instructions[i];
	return NULL;
}

static void check_mode(struct cpu *cpu, unsigned mnemonic)
{
	bool is_on = vmx_of(cpu)->is_on;

	if (!is_on && mnemonic == ZYDIS_MNEMONIC_VMXON)
		is_on = cpu->cr4 & CR4_VMXE;
	if (!is_on || !cpu_in_protected_mode(cpu) ||
	    (cpu_in_long_mode(cpu) && !cpu_in_64bit_mode(cpu)))
		cpu_raise(cpu, EXC_UD);
}

void vmx_execute(struct cpu *cpu, const struct insn *insn)
{
	const struct vmx_insn *row = find(insn->mnemonic);

	/* Outside VMX operation the hypervisor below is the one that is called: us. */
	if (insn->mnemonic == ZYDIS_MNEMONIC_VMCALL && !vmx_of(cpu)->is_on) {
		system_hypercall(cpu, insn);
		return;
	}
	check_mode(cpu, insn->mnemonic);
	if (!row)
		cpu_raise(cpu, EXC_UD);
	if (cpu->cpl)
		cpu_raise_code(cpu, EXC_GP, 0);
	row->exec(cpu, insn);
}
