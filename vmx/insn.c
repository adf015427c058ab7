/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX instructions: how they begin (mode, VMX operation, exits in non-root operation,
 * privilege) and how they end (VMsucceed, VMfail); VMXON, VMXOFF, VMCALL, INVEPT, INVVPID. VM entry
 * is entry.c's, what concerns a VMCS is vmcs.c's, VMFUNC is functions.c's.
 *
 * SDM2: "VMX Instruction Reference", "Conventions"
 */
#include <Zydis/Zydis.h>

#include "cpu/control.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/privileged.h"
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

	if (cpu->cpl || !vmx_caps_cr0_valid(cpu->cr0, false) ||
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
	vmx->operations++;
	vmx->vmxon_region = addr;
	vmx->current = NO_VMCS;
	vmcs_subject_changed(cpu);
	cpu->is_init_blocked = true;
	vmx_succeed(cpu, insn);
}

static void vmxoff(struct cpu *cpu, const struct insn *insn)
{
	struct vmx *vmx = vmx_of(cpu);

	vmcs_write_back(cpu);
	vmx->is_on = false;
	vmx->current = NO_VMCS;
	vmcs_subject_changed(cpu);
	cpu->is_init_blocked = false;
	vmx_succeed(cpu, insn);
}

static void vmcall(struct cpu *cpu, const struct insn *insn)
{
	vmx_fail(cpu, insn, VMXERR_VMCALL_IN_ROOT);
}

/* ---- VM entry ---- */

static void enter(struct cpu *cpu, const struct insn *insn, bool is_launch)
{
	const struct vmx *vmx = vmx_of(cpu);

	if (vmx->current == NO_VMCS || (vmx->vmcs.revision & VMCS_SHADOW))
		vmx_fail_invalid(cpu, insn);
	else if ((cpu->shadow & ~SHADOW_OLD) == SHADOW_MOV_SS)
		vmx_fail(cpu, insn, VMXERR_ENTRY_MOV_SS);
	else if (is_launch && vmx->vmcs.is_launched)
		vmx_fail(cpu, insn, VMXERR_VMLAUNCH_NOT_CLEAR);
	else if (!is_launch && !vmx->vmcs.is_launched)
		vmx_fail(cpu, insn, VMXERR_VMRESUME_NOT_LAUNCHED);
	else if (!is_launch && vmx->vmcs.launched_in != vmx->operations)
		vmx_fail(cpu, insn, VMXERR_VMRESUME_AFTER_VMXOFF);
	else
		vmx_enter(cpu, insn, is_launch);
}

static void vmlaunch(struct cpu *cpu, const struct insn *insn)
{
	enter(cpu, insn, true);
}

static void vmresume(struct cpu *cpu, const struct insn *insn)
{
	enter(cpu, insn, false);
}

/* ---- INVEPT, INVVPID ---- */

static uint64_t type_operand(struct cpu *cpu, const struct insn *insn)
{
	return reg_read(cpu, insn->dst, native_size(cpu));
}

static void read_descriptor(struct cpu *cpu, const struct insn *insn, struct descriptor *d)
{
	mmu_read_bytes(cpu, insn_linear(cpu, insn, sizeof(*d), false), d, sizeof(*d), insn->seg);
}

static bool invalidate_ept(struct cpu *cpu, uint64_t type, const struct descriptor *d)
{
	vmx_forget_places(cpu);
	if (type == INVEPT_ALL)
		mmu_flush_roots(cpu);
	else if (vmx_eptp_valid(d->key))
		mmu_flush_root(cpu, d->key);
	else
		return false;
	return true;
}

static void invept(struct cpu *cpu, const struct insn *insn)
{
	uint64_t type = type_operand(cpu, insn);
	struct descriptor d;

	if (type != INVEPT_SINGLE && type != INVEPT_ALL) {
		vmx_fail(cpu, insn, VMXERR_INVEPT_INVVPID_OPERAND);
		return;
	}
	read_descriptor(cpu, insn, &d);
	if (invalidate_ept(cpu, type, &d))
		vmx_succeed(cpu, insn);
	else
		vmx_fail(cpu, insn, VMXERR_INVEPT_INVVPID_OPERAND);
}

static bool invalidate_vpid(struct cpu *cpu, uint64_t type, const struct descriptor *d)
{
	uint16_t vpid = (uint16_t)d->key;

	if (d->key > UINT16_MAX || (type != INVVPID_ALL && !vpid))
		return false;
	if (type == INVVPID_ADDRESS && !is_canonical(d->addr))
		return false;
	if (type == INVVPID_ALL)
		mmu_flush_vpids(cpu);
	else if (type == INVVPID_ADDRESS)
		mmu_flush_vpid_address(cpu, vpid, d->addr);
	else
		mmu_flush_vpid(cpu, vpid, type == INVVPID_SINGLE_LOCAL);
	return true;
}

static void invvpid(struct cpu *cpu, const struct insn *insn)
{
	uint64_t type = type_operand(cpu, insn);
	struct descriptor d;

	if (type > INVVPID_SINGLE_LOCAL) {
		vmx_fail(cpu, insn, VMXERR_INVEPT_INVVPID_OPERAND);
		return;
	}
	read_descriptor(cpu, insn, &d);
	if (invalidate_vpid(cpu, type, &d))
		vmx_succeed(cpu, insn);
	else
		vmx_fail(cpu, insn, VMXERR_INVEPT_INVVPID_OPERAND);
}

/* ---- dispatch ---- */

/* The most frequent ones come first. */
static const struct vmx_insn {
	uint16_t mnemonic;
	uint16_t reason; /* of the exit in non-root operation */
	insn_fn *exec;
} instructions[] = {
	{ ZYDIS_MNEMONIC_VMREAD, EXIT_VMREAD, vmcs_read },
	{ ZYDIS_MNEMONIC_VMWRITE, EXIT_VMWRITE, vmcs_write },
	{ ZYDIS_MNEMONIC_VMRESUME, EXIT_VMRESUME, vmresume },
	{ ZYDIS_MNEMONIC_VMPTRLD, EXIT_VMPTRLD, vmcs_load },
	{ ZYDIS_MNEMONIC_VMLAUNCH, EXIT_VMLAUNCH, vmlaunch },
	{ ZYDIS_MNEMONIC_INVEPT, EXIT_INVEPT, invept },
	{ ZYDIS_MNEMONIC_INVVPID, EXIT_INVVPID, invvpid },
	{ ZYDIS_MNEMONIC_VMCALL, EXIT_VMCALL, vmcall },
	{ ZYDIS_MNEMONIC_VMPTRST, EXIT_VMPTRST, vmcs_store },
	{ ZYDIS_MNEMONIC_VMCLEAR, EXIT_VMCLEAR, vmcs_clear },
	{ ZYDIS_MNEMONIC_VMXON, EXIT_VMXON, vmxon },
	{ ZYDIS_MNEMONIC_VMXOFF, EXIT_VMXOFF, vmxoff },
};

static const struct vmx_insn *find(unsigned mnemonic)
{
	const struct vmx_insn *row = instructions;

	while (row->mnemonic != mnemonic)
		row++;
	return row;
}

static bool is_mode_right(const struct cpu *cpu)
{
	return cpu_in_protected_mode(cpu) && (!cpu_in_long_mode(cpu) || cpu_in_64bit_mode(cpu));
}

/* VMCALL exits from any mode; VMREAD and VMWRITE may be let through to the shadow VMCS. */
static void check_guest(struct cpu *cpu, const struct insn *insn, const struct vmx_insn *row)
{
	if (insn->mnemonic != ZYDIS_MNEMONIC_VMCALL && !is_mode_right(cpu))
		cpu_raise(cpu, EXC_UD);
	if (insn->mnemonic == ZYDIS_MNEMONIC_VMREAD && vmcs_is_shadowed(cpu, insn, false))
		return;
	if (insn->mnemonic == ZYDIS_MNEMONIC_VMWRITE && vmcs_is_shadowed(cpu, insn, true))
		return;
	vmx_exit_with_operands(cpu, row->reason);
}

static void check_root(struct cpu *cpu, const struct insn *insn)
{
	bool is_on = vmx_of(cpu)->is_on;

	if (insn->mnemonic == ZYDIS_MNEMONIC_VMXON)
		is_on |= (cpu->cr4 & CR4_VMXE) != 0;
	if (!is_on || !is_mode_right(cpu))
		cpu_raise(cpu, EXC_UD);
}

void vmx_execute(struct cpu *cpu, const struct insn *insn)
{
	const struct vmx_insn *row;

	if (insn->mnemonic == ZYDIS_MNEMONIC_VMFUNC) {
		vmx_function(cpu, insn);
		return;
	}
	/* Outside VMX operation it is the hypervisor below that is called. */
	if (insn->mnemonic == ZYDIS_MNEMONIC_VMCALL && !vmx_of(cpu)->is_on) {
		system_hypercall(cpu, insn);
		return;
	}
	row = find(insn->mnemonic);
	if (cpu->in_guest)
		check_guest(cpu, insn, row);
	else
		check_root(cpu, insn);
	if (cpu->cpl)
		cpu_raise_code(cpu, EXC_GP, 0);
	row->exec(cpu, insn);
}
