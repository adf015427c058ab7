/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM exits: the guest's state goes into the current VMCS, the host's comes out of it.
 *
 * What a reason says of itself (interruption information, addresses, instruction information) is in
 * the VMCS before; vmx_guest_left adds what depends on what the guest was doing.
 *
 * SDM3: "VM Exits"; "VM-Entry Failures During or After Loading Guest State".
 */
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/msr.h"
#include "vmx/state.h"

#define HOST_TR_LIMIT 0x67
#define HOST_LIMIT    0xffffffffu
#define HOST_AR_DATA  (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G)
#define HOST_AR_CODE  (SEG_P | SEG_S | SEG_CODE | SEG_WRITABLE | SEG_ACCESSED | SEG_G)

#define INTERRUPTION_TYPE (7u << INTERRUPTION_TYPE_SHIFT)

/* SDM3: "VMX Aborts" */
enum vmx_abort { ABORT_SAVING_MSRS = 1, ABORT_HOST_PDPTES = 2, ABORT_LOADING_MSRS = 4 };

/* ---- saving the guest ---- */

/* SDM3: "Saving Control Registers, Debug Registers, and MSRs" */
static void save_registers(struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);
	uint64_t entry_ctls = vmcs_get(cpu, ENTRY_CONTROLS) & ~ENTRYC_IA32E;

	vmcs_set(cpu, GUEST_CR0, cpu->cr0);
	vmcs_set(cpu, GUEST_CR3, cpu->cr3);
	vmcs_set(cpu, GUEST_CR4, cpu->cr4);
	vmcs_set(cpu, GUEST_SYSENTER_CS, (uint32_t)cpu->msr.sysenter_cs);
	vmcs_set(cpu, GUEST_SYSENTER_ESP, cpu->msr.sysenter_esp);
	vmcs_set(cpu, GUEST_SYSENTER_EIP, cpu->msr.sysenter_eip);
	if (vmx->exit_ctls & EXITC_SAVE_DEBUG) {
		vmcs_set(cpu, GUEST_DR7, cpu->dr7);
		vmcs_set(cpu, GUEST_DEBUGCTL, cpu->msr.debugctl);
	}
	if (vmx->exit_ctls & EXITC_SAVE_PERF_GLOBAL_CTRL)
		vmcs_set(cpu, GUEST_PERF_GLOBAL_CTRL, cpu->pmu.global_ctrl);
	if (vmx->exit_ctls & EXITC_SAVE_PAT)
		vmcs_set(cpu, GUEST_PAT, cpu->msr.pat);
	if (vmx->exit_ctls & EXITC_SAVE_EFER)
		vmcs_set(cpu, GUEST_EFER, cpu->efer);
	vmcs_set(cpu, ENTRY_CONTROLS, entry_ctls | (cpu->efer & EFER_LMA ? ENTRYC_IA32E : 0));
}

/* SDM3: "Saving Segment Registers and Descriptor-Table Registers" */
static void save_segments(struct cpu *cpu)
{
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++) {
		const struct segment *seg = vmx_segment(cpu, n);

		vmcs_set(cpu, GUEST_ES_SELECTOR + n, seg->selector);
		vmcs_set(cpu, GUEST_ES_BASE + n, seg->base);
		vmcs_set(cpu, GUEST_ES_LIMIT + n, seg->limit);
		vmcs_set(cpu, GUEST_ES_AR + n, seg->ar);
	}
	vmcs_set(cpu, GUEST_SS_AR,
		 (cpu->seg[SS].ar & ~SEG_DPL) | (uint32_t)cpu->cpl << SEG_DPL_SHIFT);
	vmcs_set(cpu, GUEST_GDTR_BASE, cpu->gdtr.base);
	vmcs_set(cpu, GUEST_GDTR_LIMIT, cpu->gdtr.limit);
	vmcs_set(cpu, GUEST_IDTR_BASE, cpu->idtr.base);
	vmcs_set(cpu, GUEST_IDTR_LIMIT, cpu->idtr.limit);
}

/* Whether the exit leaves debug exceptions pending; all others find or make them none. */
static bool keeps_pending_debug(const struct cpu *cpu, uint32_t reason)
{
	switch (reason) {
	case EXIT_INIT:
	case EXIT_MONITOR_TRAP:
	case EXIT_TPR_BELOW_THRESHOLD:
	case EXIT_VIRTUALIZED_EOI:
	case EXIT_APIC_WRITE:
		return true;
	default:
		return (cpu->shadow & ~SHADOW_OLD) == SHADOW_MOV_SS;
	}
}

static uint64_t pending_debug(const struct cpu *cpu, uint32_t reason)
{
	bool is_step = (cpu->rflags & RFLAGS_TF) && !(cpu->msr.debugctl & DEBUGCTL_BTF);
	uint64_t hits = cpu->pending_db & 0xf, pending = hits | (cpu->pending_db & DR6_BS);

	if (!keeps_pending_debug(cpu, reason))
		return 0;
	/* MOV SS holds its own single-step trap back, too. */
	if (is_step && (cpu->shadow & ~SHADOW_OLD) == SHADOW_MOV_SS)
		pending |= DR6_BS;
	return pending | (hits ? PENDING_ENABLED : 0);
}

/* SDM3: "Saving Non-Register State" */
static void save_non_register_state(struct cpu *cpu, uint32_t reason)
{
	uint64_t blocking = cpu->nmi_blocked ? INTERRUPTIBILITY_NMI : 0;

	switch (cpu->shadow & ~SHADOW_OLD) {
	case SHADOW_STI:
		blocking |= INTERRUPTIBILITY_STI;
		break;
	case SHADOW_MOV_SS:
		blocking |= INTERRUPTIBILITY_MOV_SS;
		break;
	}
	vmcs_set(cpu, GUEST_ACTIVITY, cpu->activity == CPU_MONITORING ? CPU_ACTIVE : cpu->activity);
	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, blocking);
	vmcs_set(cpu, GUEST_PENDING_DEBUG, pending_debug(cpu, reason));
	for (unsigned n = 0; n < ARRAY_SIZE(cpu->pdpte) && cpu->has_second_stage; n++)
		vmcs_set(cpu, GUEST_PDPTE0 + n, cpu->pdpte[n]);
}

static void save_guest(struct cpu *cpu, uint32_t reason)
{
	save_registers(cpu);
	save_segments(cpu);
	/* SDM3: "Saving RIP, RSP, RFLAGS, and SSP" */
	vmcs_set(cpu, GUEST_RIP, cpu->rip);
	vmcs_set(cpu, GUEST_RSP, cpu->gpr[RSP]);
	vmcs_set(cpu, GUEST_RFLAGS, flags_get(cpu));
	save_non_register_state(cpu, reason);
}

/* ---- loading the host ---- */

/* SDM3: "Loading Host Control Registers, Debug Registers, MSRs" */
static void load_registers(struct cpu *cpu)
{
	uint32_t exit_ctls = vmx_of(cpu)->exit_ctls;
	bool is_64 = exit_ctls & EXITC_HOST_64;

	cpu->cr0 = (vmcs_get(cpu, HOST_CR0) & VMX_CR0_LOADED) | (cpu->cr0 & ~VMX_CR0_LOADED);
	cpu->cr3 = vmcs_get(cpu, HOST_CR3);
	cpu->cr4 = vmcs_get(cpu, HOST_CR4);
	cpu->cr4 = is_64 ? cpu->cr4 | CR4_PAE : cpu->cr4 & ~CR4_PCIDE;
	cpu->dr7 = DR7_INIT;
	cpu->msr.debugctl = 0;
	cpu->msr.sysenter_cs = vmcs_get(cpu, HOST_SYSENTER_CS);
	cpu->msr.sysenter_esp = vmcs_get(cpu, HOST_SYSENTER_ESP);
	cpu->msr.sysenter_eip = vmcs_get(cpu, HOST_SYSENTER_EIP);
	cpu->efer &= ~(EFER_LMA | EFER_LME);
	cpu->efer |= is_64 ? EFER_LMA | EFER_LME : 0;
	if (exit_ctls & EXITC_LOAD_EFER)
		cpu->efer = vmcs_get(cpu, HOST_EFER);
	if (exit_ctls & EXITC_LOAD_PERF_GLOBAL_CTRL)
		pmu_set_global_ctrl(cpu, vmcs_get(cpu, HOST_PERF_GLOBAL_CTRL));
	if (exit_ctls & EXITC_LOAD_PAT)
		cpu->msr.pat = vmcs_get(cpu, HOST_PAT);
}

static struct segment data_segment(uint64_t selector, uint64_t base)
{
	return (struct segment){ .selector = (uint16_t)selector,
				 .base = base,
				 .limit = HOST_LIMIT,
				 .ar = HOST_AR_DATA | (selector ? 0 : SEG_UNUSABLE) };
}

/* SDM3: "Loading Host Segment and Descriptor-Table Registers" */
static void load_segments(struct cpu *cpu)
{
	bool is_64 = vmx_of(cpu)->exit_ctls & EXITC_HOST_64;

	cpu->seg[ES] = data_segment(vmcs_get(cpu, HOST_ES_SELECTOR), 0);
	cpu->seg[SS] = data_segment(vmcs_get(cpu, HOST_SS_SELECTOR), 0);
	cpu->seg[DS] = data_segment(vmcs_get(cpu, HOST_DS_SELECTOR), 0);
	cpu->seg[FS] = data_segment(vmcs_get(cpu, HOST_FS_SELECTOR), vmcs_get(cpu, HOST_FS_BASE));
	cpu->seg[GS] = data_segment(vmcs_get(cpu, HOST_GS_SELECTOR), vmcs_get(cpu, HOST_GS_BASE));
	cpu->seg[CS] = (struct segment){ .selector = (uint16_t)vmcs_get(cpu, HOST_CS_SELECTOR),
					 .limit = HOST_LIMIT,
					 .ar = HOST_AR_CODE | (is_64 ? SEG_L : SEG_DB) };
	cpu->tr = (struct segment){ .selector = (uint16_t)vmcs_get(cpu, HOST_TR_SELECTOR),
				    .base = vmcs_get(cpu, HOST_TR_BASE),
				    .limit = HOST_TR_LIMIT,
				    .ar = SEG_P | SYS_TSS_BUSY };
	cpu->ldtr = (struct segment){ .ar = SEG_UNUSABLE };
	cpu->cpl = 0;
	cpu->gdtr = (struct table_register){ vmcs_get(cpu, HOST_GDTR_BASE), UINT16_MAX };
	cpu->idtr = (struct table_register){ vmcs_get(cpu, HOST_IDTR_BASE), UINT16_MAX };
}

/* SDM3: "Updating Non-Register State" */
static void settle_non_register_state(struct cpu *cpu)
{
	cpu->activity = CPU_ACTIVE;
	cpu->monitor.is_armed = false;
	cpu->shadow = SHADOW_NONE;
	cpu->pending_db = 0;
	cpu->in_delivery = false;
	cpu_attention_clear(cpu, ATTENTION_SHADOW | ATTENTION_TRAP | ATTENTION_HALT);
	vmx_look_for_events(cpu);
}

/* SDM3: "VMX Aborts": the indicator goes to memory, the processor into shutdown, which ends run().
 */
static void abort_vmx(struct cpu *cpu, enum vmx_abort code)
{
	uint32_t indicator = code;

	memory_write(cpu->soft->config.memory, vmx_of(cpu)->current + offsetof(struct vmcs, abort),
		     &indicator, sizeof(indicator));
	cpu->activity = CPU_SHUTDOWN;
	cpu_attention_set(cpu, ATTENTION_HALT | ATTENTION_KICK);
}

/* Out of non-root operation, into the host that the VMCS describes. */
static void load_host(struct cpu *cpu)
{
	bool has_vpid = vmx_of(cpu)->proc2 & PROC2_VPID;

	cpu->in_guest = false;
	vmcs_subject_changed(cpu);
	cpu->has_second_stage = false;
	cpu->stage_key = 0;
	vmx_apic_left(cpu);
	load_registers(cpu);
	load_segments(cpu);
	cpu->rip = vmcs_get(cpu, HOST_RIP);
	cpu->gpr[RSP] = vmcs_get(cpu, HOST_RSP);
	flags_set(cpu, RFLAGS_ONE);
	settle_non_register_state(cpu);
	msr_tsc_changed(cpu);
	vmx_translation_changed(cpu, has_vpid);
	if ((cpu->cr4 & CR4_PAE) && !cpu_in_long_mode(cpu) && !control_load_pdptes(cpu, cpu->cr3))
		abort_vmx(cpu, ABORT_HOST_PDPTES);
	else if (vmx_load_msr_list(cpu, vmcs_get(cpu, EXIT_MSR_LOAD),
				   (uint32_t)vmcs_get(cpu, EXIT_MSR_LOAD_COUNT)))
		abort_vmx(cpu, ABORT_LOADING_MSRS);
}

/* ---- the exit ---- */

static bool is_nmi_exit(const struct cpu *cpu, uint32_t reason)
{
	return reason == EXIT_EXCEPTION_NMI &&
	       (vmcs_get(cpu, EXIT_INTERRUPTION) & INTERRUPTION_TYPE) ==
		       EVENT_NMI << INTERRUPTION_TYPE_SHIFT;
}

void vmx_exit(struct cpu *cpu, enum vmx_exit_reason reason, uint64_t qualification)
{
	bool is_stored;

	vmx_guest_left(cpu, reason);
	pmu_break_block(cpu, false);
	if (cpu->insn)
		cpu->rip = insn_rip(cpu, cpu->insn);
	cpu->insn = NULL;
	vmcs_set(cpu, EXIT_REASON, reason);
	cpu->stats.vm_exits[reason % STATS_EXIT_REASONS]++;
	vmcs_set(cpu, EXIT_QUALIFICATION, qualification);
	vmcs_set(cpu, ENTRY_INTERRUPTION, vmcs_get(cpu, ENTRY_INTERRUPTION) & ~INTERRUPTION_VALID);
	save_guest(cpu, reason);

	/* Virtual NMIs leave NMIs open; the exit of an NMI blocks the next. */
	if (vmx_of(cpu)->pin & PIN_VIRTUAL_NMIS)
		cpu->nmi_blocked = false;
	if (is_nmi_exit(cpu, reason))
		cpu->nmi_blocked = true;
	cpu->in_guest = false;
	is_stored = vmx_store_msr_list(cpu, vmcs_get(cpu, EXIT_MSR_STORE),
				       (uint32_t)vmcs_get(cpu, EXIT_MSR_STORE_COUNT));
	load_host(cpu);
	if (!is_stored)
		abort_vmx(cpu, ABORT_SAVING_MSRS);
	cpu_unwind_exit(cpu);
}

void vmx_exit_failed_entry(struct cpu *cpu, enum vmx_exit_reason reason, uint64_t qualification)
{
	vmcs_set(cpu, EXIT_REASON, reason | EXIT_ENTRY_FAILURE);
	vmcs_set(cpu, EXIT_QUALIFICATION, qualification);
	cpu->insn = NULL;
	load_host(cpu);
	cpu_unwind_exit(cpu);
}
