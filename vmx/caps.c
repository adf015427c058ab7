/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this VT-x offers: one table of controls, from which the capability MSRs, the checks of VM
 * entry and the set of VMCS fields come. A control that is not implemented has no place in it.
 *
 * SDM3: "VMX Capability Reporting Facility", "Reserved Controls and Default Settings"
 */
#include "cpu/control.h"
#include "cpu/feature.h"
#include "cpu/soft.h"
#include "vmx/vmx.h"

#define ALWAYS 0xffff /* no feature of CPUID needed */

/* Controls that must be one; those in `basic` only where the TRUE MSRs are not consulted. */
static const struct fixed {
	uint16_t field;
	uint32_t always, basic;
} fixed[] = {
	{ PIN_CONTROLS, 0x16, 0x16 },
	{ PROC_CONTROLS, 0x04006172, 0x0401e172 },
	{ PROC_CONTROLS2, 0, 0 },
	{ EXIT_CONTROLS, 0x00036dfb, 0x00036dff },
	{ ENTRY_CONTROLS, 0x000011fb, 0x000011ff },
};

/* Controls that may be one: those that are implemented. */
static const struct offer {
	uint16_t field;
	uint16_t feature;
	uint64_t bits;
} offers[] = {
	{ PIN_CONTROLS, ALWAYS,
	  PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER |
		  PIN_POSTED_INTERRUPTS },
	{ PROC_CONTROLS, ALWAYS,
	  PROC_INTERRUPT_WINDOW | PROC_TSC_OFFSET | PROC_HLT | PROC_INVLPG | PROC_MWAIT |
		  PROC_RDPMC | PROC_RDTSC | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD |
		  PROC_CR8_STORE | PROC_TPR_SHADOW | PROC_NMI_WINDOW | PROC_MOV_DR |
		  PROC_UNCONDITIONAL_IO | PROC_IO_BITMAPS | PROC_MONITOR_TRAP | PROC_MSR_BITMAPS |
		  PROC_MONITOR | PROC_PAUSE | PROC_SECONDARY },
	{ PROC_CONTROLS2, ALWAYS,
	  PROC2_APIC_ACCESS | PROC2_EPT | PROC2_DESCRIPTOR_TABLE | PROC2_X2APIC |
		  PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS | PROC2_VPID | PROC2_WBINVD |
		  PROC2_UNRESTRICTED_GUEST | PROC2_PAUSE_LOOP | PROC2_VMFUNC |
		  PROC2_VMCS_SHADOWING | PROC2_PML | PROC2_EPT_VE | PROC2_MODE_BASED_EXECUTE |
		  PROC2_TSC_SCALING },
	{ PROC_CONTROLS2, FEATURE_RDTSCP, PROC2_RDTSCP },
	{ PROC_CONTROLS2, FEATURE_RDRAND, PROC2_RDRAND },
	{ PROC_CONTROLS2, FEATURE_RDSEED, PROC2_RDSEED },
	{ PROC_CONTROLS2, FEATURE_INVPCID, PROC2_INVPCID },
	{ PROC_CONTROLS2, FEATURE_XSAVES, PROC2_XSAVES },
	{ EXIT_CONTROLS, ALWAYS,
	  EXITC_SAVE_DEBUG | EXITC_HOST_64 | EXITC_LOAD_PERF_GLOBAL_CTRL | EXITC_ACK_INTERRUPT |
		  EXITC_SAVE_PAT | EXITC_LOAD_PAT | EXITC_SAVE_EFER | EXITC_LOAD_EFER |
		  EXITC_SAVE_TIMER | EXITC_SAVE_PERF_GLOBAL_CTRL },
	{ ENTRY_CONTROLS, ALWAYS,
	  ENTRYC_LOAD_DEBUG | ENTRYC_IA32E | ENTRYC_LOAD_PERF_GLOBAL_CTRL | ENTRYC_LOAD_PAT |
		  ENTRYC_LOAD_EFER },
};

/* Fields, from `first` to `last`, that exist where one of `bits` may be one. */
static const struct need {
	uint16_t first, last, controls;
	uint64_t bits;
} needs[] = {
	{ VPID, VPID, PROC_CONTROLS2, PROC2_VPID },
	{ POSTED_INTERRUPT_VECTOR, POSTED_INTERRUPT_VECTOR, PIN_CONTROLS, PIN_POSTED_INTERRUPTS },
	{ EPTP_INDEX, EPTP_INDEX, PROC_CONTROLS2, PROC2_EPT_VE },
	{ GUEST_INTERRUPT_STATUS, GUEST_INTERRUPT_STATUS, PROC_CONTROLS2,
	  PROC2_VIRTUAL_INTERRUPTS },
	{ PML_INDEX, PML_INDEX, PROC_CONTROLS2, PROC2_PML },
	{ PML_ADDRESS, PML_ADDRESS, PROC_CONTROLS2, PROC2_PML },
	{ VIRTUAL_APIC_PAGE, VIRTUAL_APIC_PAGE, PROC_CONTROLS, PROC_TPR_SHADOW },
	{ APIC_ACCESS_PAGE, APIC_ACCESS_PAGE, PROC_CONTROLS2, PROC2_APIC_ACCESS },
	{ POSTED_INTERRUPT_DESCRIPTOR, POSTED_INTERRUPT_DESCRIPTOR, PIN_CONTROLS,
	  PIN_POSTED_INTERRUPTS },
	{ VM_FUNCTION_CONTROLS, VM_FUNCTION_CONTROLS, PROC_CONTROLS2, PROC2_VMFUNC },
	{ EPT_POINTER, EPT_POINTER, PROC_CONTROLS2, PROC2_EPT },
	{ EOI_EXIT_BITMAP0, EOI_EXIT_BITMAP3, PROC_CONTROLS2, PROC2_VIRTUAL_INTERRUPTS },
	{ EPTP_LIST, EPTP_LIST, PROC_CONTROLS2, PROC2_VMFUNC },
	{ VMREAD_BITMAP, VMWRITE_BITMAP, PROC_CONTROLS2, PROC2_VMCS_SHADOWING },
	{ VE_INFORMATION, VE_INFORMATION, PROC_CONTROLS2, PROC2_EPT_VE },
	{ XSS_EXIT_BITMAP, XSS_EXIT_BITMAP, PROC_CONTROLS2, PROC2_XSAVES },
	{ TSC_MULTIPLIER, TSC_MULTIPLIER, PROC_CONTROLS2, PROC2_TSC_SCALING },
	{ GUEST_PHYSICAL_ADDRESS, GUEST_PHYSICAL_ADDRESS, PROC_CONTROLS2, PROC2_EPT },
	{ GUEST_PERF_GLOBAL_CTRL, GUEST_PERF_GLOBAL_CTRL, ENTRY_CONTROLS,
	  ENTRYC_LOAD_PERF_GLOBAL_CTRL },
	{ GUEST_PDPTE0, GUEST_PDPTE3, PROC_CONTROLS2, PROC2_EPT },
	{ HOST_PERF_GLOBAL_CTRL, HOST_PERF_GLOBAL_CTRL, EXIT_CONTROLS,
	  EXITC_LOAD_PERF_GLOBAL_CTRL },
	{ TPR_THRESHOLD, TPR_THRESHOLD, PROC_CONTROLS, PROC_TPR_SHADOW },
	{ PLE_GAP, PLE_WINDOW, PROC_CONTROLS2, PROC2_PAUSE_LOOP },
	{ PREEMPTION_TIMER, PREEMPTION_TIMER, PIN_CONTROLS, PIN_PREEMPTION_TIMER },
};

/* IA32_VMX_BASIC */
#define BASIC_BYTES      ((uint64_t)VMCS_BYTES << 32)
#define BASIC_WRITE_BACK (6ull << 50)
#define BASIC_INS_OUTS   BIT(54) /* exits by INS and OUTS have instruction information */
#define BASIC_TRUE       BIT(55) /* there are TRUE MSRs */

/* IA32_VMX_MISC */
#define MISC_TIMER_RATE      VMX_TIMER_RATE
#define MISC_STORE_LMA       BIT(5)
#define MISC_HLT             BIT(6)
#define MISC_SHUTDOWN        BIT(7)
#define MISC_WAIT_FOR_SIPI   BIT(8)
#define MISC_CR3_TARGETS     ((uint64_t)VMX_CR3_TARGETS << 16)
#define MISC_WRITE_ANY_FIELD BIT(29)
#define MISC_ZERO_LENGTH     BIT(30) /* software events may be injected with length 0 */

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_EXECUTE_ONLY BIT(0)
#define EPT_4_LEVELS     BIT(6)
#define EPT_UC           BIT(8)
#define EPT_WB           BIT(14)
#define EPT_2M           BIT(16)
#define EPT_1G           BIT(17)
#define EPT_INVEPT       BIT(20)
#define EPT_ACCESSED     BIT(21)
#define EPT_ADVANCED     BIT(22) /* exits say what the guest's own paging structures do */
#define EPT_INVEPT_TYPES (BIT(25) | BIT(26))
#define VPID_INVVPID     BIT(32)
#define VPID_TYPES       (BIT(40) | BIT(41) | BIT(42) | BIT(43))

#define CR0_FIXED0 (CR0_PE | CR0_NE | CR0_PG)
#define CR0_FIXED1 0xffffffffull
#define CR4_FIXED0 CR4_VMXE

static const struct fixed *fixed_of(unsigned field)
{
	const struct fixed *row = fixed;

	while (row->field != field)
		row++;
	return row;
}

static uint64_t offered(const struct cpu *cpu, unsigned field)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offers); i++)
		if (offers[i].field == field &&
		    (offers[i].feature == ALWAYS || cpu_has(cpu, offers[i].feature)))
			bits |= offers[i].bits;
	return bits;
}

static uint64_t control_msr(const struct cpu *cpu, unsigned field, uint32_t must)
{
	return (offered(cpu, field) | fixed_of(field)->basic) << 32 | must;
}

uint64_t vmx_caps_controls(const struct cpu *cpu, enum vmcs_field controls)
{
	return control_msr(cpu, controls, fixed_of(controls)->always);
}

bool vmx_caps_has_field(const struct cpu *cpu, enum vmcs_field field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
		if (field >= needs[i].first && field <= needs[i].last)
			return offered(cpu, needs[i].controls) & needs[i].bits;
	return true;
}

uint64_t vmx_caps_ept_vpid(void)
{
	return EPT_EXECUTE_ONLY | EPT_4_LEVELS | EPT_UC | EPT_WB | EPT_2M | EPT_1G | EPT_INVEPT |
	       EPT_ACCESSED | EPT_ADVANCED | EPT_INVEPT_TYPES | VPID_INVVPID | VPID_TYPES;
}

bool vmx_caps_cr0_valid(uint64_t cr0, bool is_unrestricted)
{
	uint64_t must = CR0_FIXED0;

	if (is_unrestricted)
		must &= ~(CR0_PE | CR0_PG);
	return (cr0 & must) == must && !(cr0 & ~CR0_FIXED1);
}

bool vmx_caps_cr4_valid(const struct cpu *cpu, uint64_t cr4)
{
	return (cr4 & CR4_FIXED0) == CR4_FIXED0 && !(cr4 & ~control_cr4_offered(cpu));
}

/* The highest index of any field, in bits 9:1. */
static uint64_t vmcs_enum(const struct cpu *cpu)
{
	uint64_t highest = 0;

	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if (vmx_caps_has_field(cpu, i))
			highest = MAX(highest, vmcs_fields[i].encoding & VMCS_INDEX);
	return highest;
}

/* The controls that the MSR is of, or VMCS_FIELDS. */
static unsigned controls_of(uint32_t msr)
{
	switch (msr) {
	case MSR_VMX_PINBASED_CTLS:
	case MSR_VMX_TRUE_PINBASED_CTLS:
		return PIN_CONTROLS;
	case MSR_VMX_PROCBASED_CTLS:
	case MSR_VMX_TRUE_PROCBASED_CTLS:
		return PROC_CONTROLS;
	case MSR_VMX_PROCBASED_CTLS2:
		return PROC_CONTROLS2;
	case MSR_VMX_EXIT_CTLS:
	case MSR_VMX_TRUE_EXIT_CTLS:
		return EXIT_CONTROLS;
	case MSR_VMX_ENTRY_CTLS:
	case MSR_VMX_TRUE_ENTRY_CTLS:
		return ENTRY_CONTROLS;
	default:
		return VMCS_FIELDS;
	}
}

static uint64_t constant(uint32_t msr)
{
	switch (msr) {
	case MSR_VMX_BASIC:
		return VMX_REVISION | BASIC_BYTES | BASIC_WRITE_BACK | BASIC_INS_OUTS | BASIC_TRUE;
	case MSR_VMX_MISC:
		return MISC_TIMER_RATE | MISC_STORE_LMA | MISC_HLT | MISC_SHUTDOWN |
		       MISC_WAIT_FOR_SIPI | MISC_CR3_TARGETS | MISC_WRITE_ANY_FIELD |
		       MISC_ZERO_LENGTH;
	case MSR_VMX_CR0_FIXED0:
		return CR0_FIXED0;
	case MSR_VMX_CR0_FIXED1:
		return CR0_FIXED1;
	case MSR_VMX_VMFUNC:
		return VMFUNC_EPTP_SWITCHING;
	default:
		return CR4_FIXED0;
	}
}

uint64_t vmx_caps_msr(const struct cpu *cpu, uint32_t msr)
{
	unsigned controls = controls_of(msr);

	if (controls != VMCS_FIELDS && msr < MSR_VMX_TRUE_PINBASED_CTLS)
		return control_msr(cpu, controls, fixed_of(controls)->basic);
	if (controls != VMCS_FIELDS)
		return vmx_caps_controls(cpu, controls);
	if (msr == MSR_VMX_CR4_FIXED1)
		return control_cr4_offered(cpu);
	if (msr == MSR_VMX_VMCS_ENUM)
		return vmcs_enum(cpu);
	if (msr == MSR_VMX_EPT_VPID_CAP)
		return vmx_caps_ept_vpid();
	return constant(msr);
}
