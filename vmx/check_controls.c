/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry on the controls, in the manual's order.
 *
 * SDM3: "Checks on VMX Controls"
 */
#include "vmx/check.h"

#define APIC_TPR         0x80 /* offset of the task-priority register in the virtual-APIC page */
#define POSTED_DESC_BITS 6

#define INFO_RESERVED   0x7ffff000u
#define TYPE_RESERVED   1
#define EXCEPTIONS      32
#define ERROR_RESERVED  0xffff0000u
#define MAX_INSN_LENGTH 15
#define MSR_ENTRY_BYTES 16

/* Exceptions that push an error code; #CP does not exist here. */
#define HAS_ERROR_CODE                                                                       \
	(BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF) | \
	 BIT(EXC_AC))

static bool are_controls_valid(const struct vmx_check *c, enum vmcs_field controls)
{
	uint64_t allowed = vmx_caps_controls(c->cpu, controls), value = field(c, controls);
	uint64_t ones = (uint32_t)allowed, may_be_ones = allowed >> 32;

	return (value & ones) == ones && !(value & ~may_be_ones);
}

/* ---- "VM-Execution Control Fields" ---- */

static bool check_execution_reserved(struct vmx_check *c)
{
	return must(c, are_controls_valid(c, PIN_CONTROLS), PIN_CONTROLS, RULE_RESERVED) &&
	       must(c, are_controls_valid(c, PROC_CONTROLS), PROC_CONTROLS, RULE_RESERVED) &&
	       must(c, !(c->proc & PROC_SECONDARY) || are_controls_valid(c, PROC_CONTROLS2),
		    PROC_CONTROLS2, RULE_RESERVED) &&
	       must(c, field(c, CR3_TARGET_COUNT) <= VMX_CR3_TARGETS, CR3_TARGET_COUNT,
		    "must not exceed 4");
}

static bool check_bitmaps(struct vmx_check *c)
{
	bool has_io = c->proc & PROC_IO_BITMAPS, has_msr = c->proc & PROC_MSR_BITMAPS;

	return must_be_page(c, has_io, IO_BITMAP_A) && must_be_page(c, has_io, IO_BITMAP_B) &&
	       must_be_page(c, has_msr, MSR_BITMAP);
}

/* Bits 7:4 of the virtual TPR. */
static unsigned virtual_tpr_class(const struct vmx_check *c)
{
	uint8_t tpr = 0xff;

	memory_read(c->cpu->soft->config.memory, field(c, VIRTUAL_APIC_PAGE) + APIC_TPR, &tpr, 1);
	return tpr >> 4;
}

static bool check_tpr_shadow(struct vmx_check *c)
{
	uint64_t threshold = field(c, TPR_THRESHOLD);

	if (!(c->proc & PROC_TPR_SHADOW))
		return true;
	if (!must_be_page(c, true, VIRTUAL_APIC_PAGE))
		return false;
	if (c->proc2 & PROC2_VIRTUAL_INTERRUPTS)
		return true;
	return must(c, threshold <= 15, TPR_THRESHOLD, "bits 31:4 must be 0") &&
	       must(c, (c->proc2 & PROC2_APIC_ACCESS) || threshold <= virtual_tpr_class(c),
		    TPR_THRESHOLD, "must not exceed bits 7:4 of the virtual TPR");
}

static bool check_nmi(struct vmx_check *c)
{
	return must(c, (c->pin & PIN_NMI) || !(c->pin & PIN_VIRTUAL_NMIS), PIN_CONTROLS,
		    "virtual NMIs need NMI exiting") &&
	       must(c, (c->pin & PIN_VIRTUAL_NMIS) || !(c->proc & PROC_NMI_WINDOW), PROC_CONTROLS,
		    "NMI-window exiting needs virtual NMIs");
}

static bool check_apic(struct vmx_check *c)
{
	uint32_t needs_shadow = PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS;

	return must_be_page(c, c->proc2 & PROC2_APIC_ACCESS, APIC_ACCESS_PAGE) &&
	       must(c, (c->proc & PROC_TPR_SHADOW) || !(c->proc2 & needs_shadow), PROC_CONTROLS2,
		    "virtualize x2APIC mode, APIC-register virtualization and virtual-interrupt "
		    "delivery need the TPR shadow") &&
	       must(c, !(c->proc2 & PROC2_X2APIC) || !(c->proc2 & PROC2_APIC_ACCESS),
		    PROC_CONTROLS2, "virtualize x2APIC mode excludes virtualize APIC accesses") &&
	       must(c, !(c->proc2 & PROC2_VIRTUAL_INTERRUPTS) || (c->pin & PIN_EXTERNAL_INTERRUPT),
		    PIN_CONTROLS, "virtual-interrupt delivery needs external-interrupt exiting");
}

static bool check_posted_interrupts(struct vmx_check *c)
{
	if (!(c->pin & PIN_POSTED_INTERRUPTS))
		return true;
	return must(c, c->proc2 & PROC2_VIRTUAL_INTERRUPTS, PROC_CONTROLS2,
		    "posted interrupts need virtual-interrupt delivery") &&
	       must(c, c->exit_ctls & EXITC_ACK_INTERRUPT, EXIT_CONTROLS,
		    "posted interrupts need acknowledge interrupt on exit") &&
	       must(c, field(c, POSTED_INTERRUPT_VECTOR) <= 0xff, POSTED_INTERRUPT_VECTOR,
		    "must be from 0 to 255") &&
	       must(c, is_physical(c, POSTED_INTERRUPT_DESCRIPTOR, POSTED_DESC_BITS),
		    POSTED_INTERRUPT_DESCRIPTOR,
		    "bits 5:0 must be 0, and none beyond the physical-address width set");
}

static bool check_ept(struct vmx_check *c)
{
	bool has_ept = c->proc2 & PROC2_EPT, has_pml = c->proc2 & PROC2_PML;

	return must(c, !(c->proc2 & PROC2_VPID) || field(c, VPID), VPID, "must not be 0") &&
	       must(c, !has_ept || vmx_eptp_valid(field(c, EPT_POINTER)), EPT_POINTER,
		    "memory type, walk length, flags and address must be supported") &&
	       must(c, has_ept || !has_pml, PROC_CONTROLS2, "PML needs EPT") &&
	       must_be_page(c, has_pml, PML_ADDRESS) &&
	       must(c, has_ept || !(c->proc2 & PROC2_UNRESTRICTED_GUEST), PROC_CONTROLS2,
		    "unrestricted guest needs EPT") &&
	       must(c, has_ept || !(c->proc2 & PROC2_MODE_BASED_EXECUTE), PROC_CONTROLS2,
		    "mode-based execute control needs EPT");
}

static bool check_vm_functions(struct vmx_check *c)
{
	uint64_t functions = field(c, VM_FUNCTION_CONTROLS);
	bool has_list = functions & VMFUNC_EPTP_SWITCHING;

	if (!(c->proc2 & PROC2_VMFUNC))
		return true;
	return must(c, !(functions & ~vmx_caps_msr(c->cpu, MSR_VMX_VMFUNC)), VM_FUNCTION_CONTROLS,
		    RULE_RESERVED) &&
	       must(c, !has_list || (c->proc2 & PROC2_EPT), PROC_CONTROLS2,
		    "EPTP switching needs EPT") &&
	       must_be_page(c, has_list, EPTP_LIST);
}

static bool check_execution(struct vmx_check *c)
{
	bool is_shadowing = c->proc2 & PROC2_VMCS_SHADOWING;

	c->heading = "VM-Execution Control Fields";
	return check_execution_reserved(c) && check_bitmaps(c) && check_tpr_shadow(c) &&
	       check_nmi(c) && check_apic(c) && check_posted_interrupts(c) && check_ept(c) &&
	       check_vm_functions(c) && must_be_page(c, is_shadowing, VMREAD_BITMAP) &&
	       must_be_page(c, is_shadowing, VMWRITE_BITMAP) &&
	       must_be_page(c, c->proc2 & PROC2_EPT_VE, VE_INFORMATION) &&
	       must(c, !(c->proc2 & PROC2_TSC_SCALING) || field(c, TSC_MULTIPLIER), TSC_MULTIPLIER,
		    "must not be 0");
}

/* ---- "VM-Exit Control Fields" ---- */

static bool check_msr_list(struct vmx_check *c, enum vmcs_field count, enum vmcs_field address)
{
	uint64_t last = field(c, address) + field(c, count) * MSR_ENTRY_BYTES - 1;

	if (!field(c, count))
		return true;
	return must(c, is_physical(c, address, MSR_LIST_ALIGN_BITS), address,
		    "bits 3:0 must be 0, and none beyond the physical-address width set") &&
	       must(c, !(last >> PHYSICAL_BITS), address,
		    "the list must end within the physical-address width");
}

static bool check_exit(struct vmx_check *c)
{
	c->heading = "VM-Exit Control Fields";
	return must(c, are_controls_valid(c, EXIT_CONTROLS), EXIT_CONTROLS, RULE_RESERVED) &&
	       must(c, (c->pin & PIN_PREEMPTION_TIMER) || !(c->exit_ctls & EXITC_SAVE_TIMER),
		    EXIT_CONTROLS, "saving the preemption timer needs the timer") &&
	       check_msr_list(c, EXIT_MSR_STORE_COUNT, EXIT_MSR_STORE) &&
	       check_msr_list(c, EXIT_MSR_LOAD_COUNT, EXIT_MSR_LOAD);
}

/* ---- "VM-Entry Control Fields" ---- */

static bool is_vector_valid(const struct vmx_check *c)
{
	switch (entry_type(c)) {
	case EVENT_NMI:
		return entry_vector(c) == EXC_NMI;
	case EVENT_FAULT:
		return entry_vector(c) < EXCEPTIONS;
	case ENTRY_OTHER:
		return entry_vector(c) == 0; /* pending monitor trap */
	default:
		return true;
	}
}

/* Whether the event pushes an error code, as entry must say. */
static bool pushes_error_code(const struct vmx_check *c)
{
	bool is_real = (c->proc2 & PROC2_UNRESTRICTED_GUEST) && !(field(c, GUEST_CR0) & CR0_PE);

	return entry_type(c) == EVENT_FAULT && !is_real && (HAS_ERROR_CODE >> entry_vector(c) & 1);
}

static bool is_software_event(const struct vmx_check *c)
{
	unsigned type = entry_type(c);

	return type == EVENT_SOFT_INT || type == EVENT_ICEBP || type == EVENT_SOFT_FAULT;
}

static bool check_injection(struct vmx_check *c)
{
	bool has_error = c->info & INTERRUPTION_ERROR;

	if (!(c->info & INTERRUPTION_VALID))
		return true;
	return must(c, entry_type(c) != TYPE_RESERVED, ENTRY_INTERRUPTION,
		    "the type is reserved") &&
	       must(c, is_vector_valid(c), ENTRY_INTERRUPTION, "the vector must fit the type") &&
	       must(c, has_error == pushes_error_code(c), ENTRY_INTERRUPTION,
		    "the error-code bit must be set for exceptions that have one, and for no "
		    "other event") &&
	       must(c, !(c->info & INFO_RESERVED), ENTRY_INTERRUPTION, "bits 30:12 must be 0") &&
	       must(c, !has_error || !(field(c, ENTRY_ERROR_CODE) & ERROR_RESERVED),
		    ENTRY_ERROR_CODE, "bits 31:16 must be 0") &&
	       must(c,
		    !is_software_event(c) || field(c, ENTRY_INSTRUCTION_LENGTH) <= MAX_INSN_LENGTH,
		    ENTRY_INSTRUCTION_LENGTH, "must be from 0 to 15");
}

static bool check_entry(struct vmx_check *c)
{
	c->heading = "VM-Entry Control Fields";
	return must(c, are_controls_valid(c, ENTRY_CONTROLS), ENTRY_CONTROLS, RULE_RESERVED) &&
	       check_injection(c) && check_msr_list(c, ENTRY_MSR_LOAD_COUNT, ENTRY_MSR_LOAD) &&
	       must(c, !(c->entry_ctls & (ENTRYC_SMM | ENTRYC_DEACTIVATE_DUAL)), ENTRY_CONTROLS,
		    "entry to SMM and deactivate dual-monitor treatment are for SMM");
}

enum vmx_error vmx_check_controls(struct cpu *cpu, struct vmx_failure *failure)
{
	struct vmx_check c = vmx_check_begin(cpu, failure);

	if (c.is_known && check_tpr_shadow(&c) && check_injection(&c))
		return 0;
	if (check_execution(&c) && check_exit(&c) && check_entry(&c))
		return 0;
	return VMXERR_ENTRY_CONTROLS;
}
