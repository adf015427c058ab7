/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMFUNC: what a guest may do by itself once the hypervisor has enabled it. There is one function,
 * EPTP switching: another second stage out of a list, by which a bank of the TLB is selected and
 * nothing is flushed.
 *
 * SDM3: "VM Functions"
 */
#include "vmx/state.h"

#include "cpu/exec/exec.h"
#include "cpu/mmu/mmu.h"

#define FUNCTIONS         64
#define EPTP_LIST_ENTRIES 512

/* The entry of the EPTP list. false: there is none, or it is no EPT pointer. */
static bool read_list(struct cpu *cpu, uint32_t index, uint64_t *eptp)
{
	gpa_t entry = vmcs_get(cpu, EPTP_LIST) + index * sizeof(*eptp);

	return index < EPTP_LIST_ENTRIES &&
	       !memory_read(cpu->soft->config.memory, entry, eptp, sizeof(*eptp)) &&
	       vmx_eptp_valid(*eptp);
}

/* SDM3: "EPTP Switching" */
static void switch_eptp(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);
	uint32_t index = (uint32_t)cpu->gpr[RCX];
	uint64_t eptp;

	if (!read_list(cpu, index, &eptp))
		vmx_exit(cpu, EXIT_VMFUNC, 0);
	vmcs_set(cpu, EPT_POINTER, eptp);
	vmcs_set(cpu, EPTP_INDEX, (uint16_t)index);
	vmx->eptp = eptp;
	cpu->stage_key = mmu_stage_key(vmx->vpid, eptp);
	vmx_translation_changed(cpu, true);
}

void vmx_function(struct cpu *cpu, const struct insn *insn)
{
	uint32_t function = (uint32_t)cpu->gpr[RAX];

	if (!cpu->in_guest || !(vmx_of(cpu)->proc2 & PROC2_VMFUNC) || function >= FUNCTIONS)
		cpu_raise(cpu, EXC_UD);
	if (!(vmcs_get(cpu, VM_FUNCTION_CONTROLS) & BIT(function)))
		vmx_exit(cpu, EXIT_VMFUNC, 0);
	switch_eptp(cpu); /* entry allows no other */
	insn_advance(cpu, insn);
}
