/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM entry behind the checks of VMLAUNCH and VMRESUME themselves: the checks of the VMCS, loading
 * guest state and MSRs, and the event that entry injects. An entry that fails late ends like a VM
 * exit.
 *
 * SDM3: "VM Entries"
 */
#include <stdio.h>

#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/mmu/mmu.h"
#include "vmx/state.h"

#define PENDING_HITS 0xfull
#define DR7_LOADED   (0xffff0000ull | DR7_GD | 0x3ff) /* of the field */

#define INTERRUPTION_VECTOR 0xffu
#define INTERRUPTION_OTHER  7 /* type: pending monitor trap */

/* --verbose: which check failed. */
static void report(const struct cpu *cpu, const struct vmx_failure *failure)
{
	if (cpu->soft->config.verbose)
		fprintf(stderr, "vCPU %u: VM entry fails: %s is %#llx: %s (SDM3: \"%s\")\n",
			cpu->index, failure->field, (unsigned long long)failure->value,
			failure->rule, failure->heading);
}

static void report_field(const struct cpu *cpu, enum vmcs_field field, const char *heading,
			 const char *rule)
{
	report(cpu, &(struct vmx_failure){ .field = vmcs_fields[field].name,
					   .heading = heading,
					   .rule = rule,
					   .value = vmcs_get(cpu, field) });
}

static void report_msr(const struct cpu *cpu, unsigned entry)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "entry %u of the list cannot be loaded", entry);
	report_field(cpu, ENTRY_MSR_LOAD, "Loading MSRs", rule);
}

/* ---- the controls ---- */

static const uint8_t *bitmap_at(const struct cpu *cpu, enum vmcs_field field)
{
	return memory_at(cpu->soft->config.memory, vmcs_get(cpu, field), PAGE_BYTES);
}

static void take_controls(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->pin = (uint32_t)vmcs_get(cpu, PIN_CONTROLS);
	vmx->proc = (uint32_t)vmcs_get(cpu, PROC_CONTROLS);
	vmx->proc2 = vmx->proc & PROC_SECONDARY ? (uint32_t)vmcs_get(cpu, PROC_CONTROLS2) : 0;
	vmx->exit_ctls = (uint32_t)vmcs_get(cpu, EXIT_CONTROLS);
	vmx->entry_ctls = (uint32_t)vmcs_get(cpu, ENTRY_CONTROLS);
	vmx->io_bitmap[0] = vmx->io_bitmap[1] = vmx->msr_bitmap = NULL;
	if (vmx->proc & PROC_IO_BITMAPS) {
		vmx->io_bitmap[0] = bitmap_at(cpu, IO_BITMAP_A);
		vmx->io_bitmap[1] = bitmap_at(cpu, IO_BITMAP_B);
	}
	if (vmx->proc & PROC_MSR_BITMAPS)
		vmx->msr_bitmap = bitmap_at(cpu, MSR_BITMAP);
	vmx->eptp = vmx->proc2 & PROC2_EPT ? vmcs_get(cpu, EPT_POINTER) : 0;
	vmx->vpid = vmx->proc2 & PROC2_VPID ? (uint16_t)vmcs_get(cpu, VPID) : 0;
}

/* ---- loading guest state ---- */

static uint64_t guest_efer(const struct cpu *cpu)
{
	bool is_long = vmx_of(cpu)->entry_ctls & ENTRYC_IA32E;
	uint64_t efer = cpu->efer & ~EFER_LMA;

	if (vmx_of(cpu)->entry_ctls & ENTRYC_LOAD_EFER)
		return vmcs_get(cpu, GUEST_EFER);
	if (cpu->cr0 & CR0_PG)
		efer &= ~EFER_LME;
	return efer | (is_long ? EFER_LMA | EFER_LME : 0);
}

/* SDM3: "Loading Guest Control Registers, Debug Registers, and MSRs" */
static void load_registers(struct cpu *cpu)
{
	uint32_t entry_ctls = vmx_of(cpu)->entry_ctls;

	cpu->cr0 = (vmcs_get(cpu, GUEST_CR0) & VMX_CR0_LOADED) | (cpu->cr0 & ~VMX_CR0_LOADED);
	cpu->cr3 = vmcs_get(cpu, GUEST_CR3);
	cpu->cr4 = vmcs_get(cpu, GUEST_CR4);
	if (entry_ctls & ENTRYC_LOAD_DEBUG) {
		cpu->dr7 = (vmcs_get(cpu, GUEST_DR7) & DR7_LOADED) | DR7_INIT;
		cpu->msr.debugctl = vmcs_get(cpu, GUEST_DEBUGCTL);
	}
	cpu->msr.sysenter_cs = vmcs_get(cpu, GUEST_SYSENTER_CS);
	cpu->msr.sysenter_esp = vmcs_get(cpu, GUEST_SYSENTER_ESP);
	cpu->msr.sysenter_eip = vmcs_get(cpu, GUEST_SYSENTER_EIP);
	cpu->efer = guest_efer(cpu);
	if (entry_ctls & ENTRYC_LOAD_PERF_GLOBAL_CTRL)
		pmu_set_global_ctrl(cpu, vmcs_get(cpu, GUEST_PERF_GLOBAL_CTRL));
	if (entry_ctls & ENTRYC_LOAD_PAT)
		cpu->msr.pat = vmcs_get(cpu, GUEST_PAT);
}

/* SDM3: "Loading Guest Segment Registers and Descriptor-Table Registers" */
static void load_segments(struct cpu *cpu)
{
	for (unsigned n = 0; n < VMCS_SEGMENTS; n++)
		*vmx_segment(cpu, n) = (struct segment){
			.selector = (uint16_t)vmcs_get(cpu, GUEST_ES_SELECTOR + n),
			.base = vmcs_get(cpu, GUEST_ES_BASE + n),
			.limit = (uint32_t)vmcs_get(cpu, GUEST_ES_LIMIT + n),
			.ar = (uint32_t)vmcs_get(cpu, GUEST_ES_AR + n),
		};
	cpu->cpl = (uint8_t)seg_dpl(cpu->seg[SS].ar);
	cpu->gdtr.base = vmcs_get(cpu, GUEST_GDTR_BASE);
	cpu->gdtr.limit = (uint16_t)vmcs_get(cpu, GUEST_GDTR_LIMIT);
	cpu->idtr.base = vmcs_get(cpu, GUEST_IDTR_BASE);
	cpu->idtr.limit = (uint16_t)vmcs_get(cpu, GUEST_IDTR_LIMIT);
}

/* SDM3: "Loading Page-Directory-Pointer-Table Entries". false: those in memory are bad. */
static bool load_pdptes(struct cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PG) || !(cpu->cr4 & CR4_PAE) || cpu_in_long_mode(cpu))
		return true;
	if (!(vmx_of(cpu)->proc2 & PROC2_EPT))
		return control_load_pdptes(cpu, cpu->cr3);
	for (unsigned n = 0; n < ARRAY_SIZE(cpu->pdpte); n++)
		cpu->pdpte[n] = vmcs_get(cpu, GUEST_PDPTE0 + n);
	return true;
}

static void load_guest(struct cpu *cpu)
{
	load_registers(cpu);
	load_segments(cpu);
	/* SDM3: "Loading Guest RIP, RSP, RFLAGS, and SSP" */
	cpu->rip = vmcs_get(cpu, GUEST_RIP);
	cpu->gpr[RSP] = vmcs_get(cpu, GUEST_RSP);
	flags_set(cpu, vmcs_get(cpu, GUEST_RFLAGS));
}

/* ---- in non-root operation ---- */

static void enter_non_root(struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);

	cpu->in_guest = true;
	vmcs_subject_changed(cpu);
	cpu->has_second_stage = vmx->proc2 & PROC2_EPT;
	cpu->stage_key = mmu_stage_key(vmx->vpid, vmx->eptp);
	vmx_translation_changed(cpu, vmx->proc2 & PROC2_VPID);
}

/* SDM3: "Delivery of Pending Debug Exceptions after VM Entry" */
static uint64_t pending_debug(const struct cpu *cpu)
{
	uint64_t info = vmcs_get(cpu, ENTRY_INTERRUPTION);
	uint64_t pending = vmcs_get(cpu, GUEST_PENDING_DEBUG);
	bool is_held = vmcs_get(cpu, GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS;

	if (!(pending & (PENDING_ENABLED | DR6_BS)))
		return 0;
	if (info & INTERRUPTION_VALID) {
		switch (bits(info, 10, 8)) {
		case EVENT_SOFT_INT:
		case EVENT_SOFT_FAULT:
			return is_held ? pending & (PENDING_HITS | DR6_BS) : 0;
		case INTERRUPTION_OTHER:
			break;
		default:
			return 0;
		}
	}
	if (cpu->activity == CPU_SHUTDOWN || cpu->activity == CPU_WAIT_FOR_SIPI)
		return 0;
	return pending & (PENDING_HITS | DR6_BS);
}

/* SDM3: "Guest Non-Register State" of the guest-state area, as the run loop knows it. */
static void load_non_register_state(struct cpu *cpu)
{
	uint64_t blocking = vmcs_get(cpu, GUEST_INTERRUPTIBILITY);

	cpu_attention_clear(cpu, ATTENTION_SHADOW | ATTENTION_TRAP | ATTENTION_HALT);
	vmx_look_for_events(cpu);
	cpu->nmi_blocked = blocking & INTERRUPTIBILITY_NMI;
	cpu->monitor.is_armed = false;
	cpu->shadow = SHADOW_NONE;
	if (blocking & INTERRUPTIBILITY_STI)
		cpu_set_shadow(cpu, SHADOW_STI);
	if (blocking & INTERRUPTIBILITY_MOV_SS)
		cpu_set_shadow(cpu, SHADOW_MOV_SS);
	cpu->activity = (uint8_t)vmcs_get(cpu, GUEST_ACTIVITY);
	if (cpu->activity != CPU_ACTIVE)
		cpu_attention_set(cpu, ATTENTION_HALT);
	cpu->pending_db = pending_debug(cpu);
	if (cpu->pending_db)
		cpu_attention_set(cpu, ATTENTION_TRAP);
}

/* SDM3: "Event Injection". Goes to the run loop, which delivers the event. */
static _Noreturn void inject(struct cpu *cpu, uint64_t info)
{
	struct event event = {
		.vector = info & INTERRUPTION_VECTOR,
		.type = bits(info, 10, 8),
		.has_error = info & INTERRUPTION_ERROR,
		.error = (uint32_t)vmcs_get(cpu, ENTRY_ERROR_CODE),
		.next_rip = cpu_wrap_rip(cpu, cpu->rip + vmcs_get(cpu, ENTRY_INSTRUCTION_LENGTH)),
	};

	if (event.type == EVENT_NMI)
		cpu->nmi_blocked = true;
	cpu_inject(cpu, &event);
}

static _Noreturn void start_guest(struct cpu *cpu)
{
	uint64_t info = vmcs_get(cpu, ENTRY_INTERRUPTION);
	bool is_other = bits(info, 10, 8) == INTERRUPTION_OTHER;

	cpu->insn = NULL;
	if ((info & INTERRUPTION_VALID) && !is_other)
		inject(cpu, info);
	if (info & INTERRUPTION_VALID) {
		vmx_of(cpu)->is_monitor_trap_pending = true;
		cpu_attention_set(cpu, ATTENTION_VIRT);
	}
	cpu_unwind_exit(cpu);
}

/* ---- the entry ---- */

/* false: has failed as the instruction does. */
static bool check_before_loading(struct cpu *cpu, const struct insn *insn)
{
	struct vmx_failure failure = { 0 };
	enum vmx_error error = vmx_check_controls(cpu, &failure);

	if (!error)
		error = vmx_check_host_state(cpu, &failure);
	if (!error)
		return true;
	report(cpu, &failure);
	vmx_fail(cpu, insn, error);
	return false;
}

/* Returns only where all is well. */
static void check_and_load_guest(struct cpu *cpu)
{
	struct vmx_failure failure = { 0 };
	uint64_t qualification = 0;
	unsigned bad_msr;

	if (!vmx_check_guest_state(cpu, &failure, &qualification)) {
		report(cpu, &failure);
		vmx_exit_failed_entry(cpu, EXIT_INVALID_GUEST_STATE, qualification);
	}
	if (!vmx_of(cpu)->is_known)
		vmx_passes(cpu);
	load_guest(cpu);
	if (!load_pdptes(cpu)) {
		report_field(cpu, GUEST_CR3, "Checks on Guest Page-Directory-Pointer-Table Entries",
			     "the PDPTEs in memory must have no reserved bits set");
		vmx_exit_failed_entry(cpu, EXIT_INVALID_GUEST_STATE, QUALIFICATION_PDPTE);
	}
	bad_msr = vmx_load_msr_list(cpu, vmcs_get(cpu, ENTRY_MSR_LOAD),
				    (uint32_t)vmcs_get(cpu, ENTRY_MSR_LOAD_COUNT));
	if (bad_msr) {
		report_msr(cpu, bad_msr);
		vmx_exit_failed_entry(cpu, EXIT_MSR_LOADING, bad_msr);
	}
}

void vmx_enter(struct cpu *cpu, const struct insn *insn, bool is_launch)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->is_known = vmx_has_passed(cpu);
	if (!check_before_loading(cpu, insn))
		return;
	take_controls(cpu);
	pmu_break_block(cpu, true);
	check_and_load_guest(cpu);
	if (is_launch) {
		vmx->vmcs.is_launched = true;
		vmx->vmcs.launched_in = vmx->operations;
	}
	enter_non_root(cpu);
	load_non_register_state(cpu);
	vmx_apic_entered(cpu);
	cpu->stats.count[STAT_VM_ENTRIES]++;
	vmx_guest_entered(cpu);
	start_guest(cpu);
}
