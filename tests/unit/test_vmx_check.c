/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry: from a VMCS that passes all of them, one bad value for each rule, which
 * must be found under the manual's heading and blamed on its field; and values that look bad and
 * are not.
 */
#include "tests/unit/vcpu.h"
#include "tests/unit/vmcs.h"

#define IO_PAGES     0x10000
#define MSR_PAGE     0x12000
#define APIC_PAGE    0x13000
#define LINK_PAGE    0x14000
#define SHADOW_PAGE  0x15000
#define CURRENT_PAGE 0x16000
#define EPT_PAGE     0x17000
#define APIC_TPR     0x80

#define EPTP                 (EPT_PAGE | 3 << 3 | 6) /* write-back, four levels */
#define BEYOND_PHYSICAL      BIT(PHYSICAL_BITS)
#define NOT_CANONICAL        BIT(LINEAR_BITS)
#define PAT_GOOD             0x0007040600070406ull
#define PAT_BAD              0x0007040600070402ull
#define AR_REAL              (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED)
#define AR_V86               0xf3
#define AR_LDT               (SEG_P | SYS_LDT)
#define DPL(n)               ((uint64_t)(n) << SEG_DPL_SHIFT)
#define INJECT(type, vector) (INTERRUPTION_VALID | (uint64_t)(type) << 8 | (vector))
#define OTHER_EVENT          7

struct setting {
	unsigned field;
	uint64_t value;
	enum { KEEP, SET, OR, CLEAR } how;
};

#define SETTINGS 6

struct row {
	unsigned blamed; /* field; of rows that pass: any */
	struct setting set[SETTINGS];
};

#define IS(field, value)          \
	{                         \
		field, value, SET \
	}
#define PLUS(field, value)       \
	{                        \
		field, value, OR \
	}
#define MINUS(field, value)         \
	{                           \
		field, value, CLEAR \
	}

/* Enabled here and there below. */
#define SECONDARY         PLUS(PROC_CONTROLS, PROC_SECONDARY)
#define WITH(control)     PLUS(PROC_CONTROLS2, control)
#define WITH_EPT          IS(EPT_POINTER, EPTP), PLUS(PROC_CONTROLS2, PROC2_EPT)
#define UNRESTRICTED      SECONDARY, WITH_EPT, WITH(PROC2_UNRESTRICTED_GUEST)
#define PROTECTED_32      MINUS(ENTRY_CONTROLS, ENTRYC_IA32E), IS(GUEST_CS_AR, AR_CODE32)
#define SET_GUEST_EFER(v) PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_EFER), IS(GUEST_EFER, v)
#define HALT              IS(GUEST_ACTIVITY, CPU_HALTED)
#define BLOCKED(bits)     IS(GUEST_INTERRUPTIBILITY, bits)
#define NMI               IS(ENTRY_INTERRUPTION, INJECT(EVENT_NMI, EXC_NMI))
#define WITH_IF           IS(GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF)
#define STEPPING          IS(GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_TF)
#define LINK(addr)        IS(VMCS_LINK_POINTER, addr)

static void store_word(struct vcpu *v, gpa_t gpa, uint32_t value)
{
	assert_int_equal(memory_write(v->config.memory, gpa, &value, sizeof(value)), 0);
}

static int setup(void **state)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	vcpu_setup_nested(v, CPU_INTEL);
	v->cpu->efer = EFER_LMA | EFER_LME;
	store_word(v, LINK_PAGE, VMX_REVISION);
	store_word(v, SHADOW_PAGE, VMX_REVISION | (uint32_t)BIT(31));
	store_word(v, CURRENT_PAGE, VMX_REVISION);
	store_word(v, APIC_PAGE + APIC_TPR, 0x50);
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct vcpu *v = *state;

	vcpu_teardown(v);
	free(v);
	return 0;
}

static void apply(struct cpu *cpu, const struct row *row)
{
	vmcs_set_good(cpu, CURRENT_PAGE);
	vmx_passes(cpu);
	for (unsigned i = 0; i < SETTINGS; i++) {
		const struct setting *set = &row->set[i];
		uint64_t old = vmcs_get(cpu, set->field);

		if (set->how == SET)
			vmcs_set(cpu, set->field, set->value);
		else if (set->how == OR)
			vmcs_set(cpu, set->field, old | set->value);
		else if (set->how == CLEAR)
			vmcs_set(cpu, set->field, old & ~set->value);
	}
}

/* Which of the three stages fails, in the order of entry. */
enum stage { CONTROLS, HOST, GUEST, NONE };

static enum stage check_once(struct cpu *cpu, struct vmx_failure *failure, uint64_t *qualification)
{
	*qualification = 0;
	if (vmx_check_controls(cpu, failure))
		return CONTROLS;
	if (vmx_check_host_state(cpu, failure))
		return HOST;
	return vmx_check_guest_state(cpu, failure, qualification) ? NONE : GUEST;
}

/* All of it, and without what vmx/passed.c knows: the same comes out. */
static enum stage check(struct cpu *cpu, struct vmx_failure *failure, uint64_t *qualification)
{
	struct vmx_failure known_failure = { 0 };
	uint64_t known_qualification;
	enum stage stage, known;

	vmx_of(cpu)->is_known = vmx_has_passed(cpu);
	known = check_once(cpu, &known_failure, &known_qualification);
	vmx_of(cpu)->is_known = false;
	stage = check_once(cpu, failure, qualification);
	assert_int_equal(known, stage);
	if (stage == NONE)
		return stage;
	assert_int_equal(known_qualification, *qualification);
	assert_ptr_equal(known_failure.rule, failure->rule);
	return stage;
}

static void check_rows(struct vcpu *v, const struct row *rows, unsigned count, enum stage stage,
		       const char *heading, uint64_t qualification)
{
	for (unsigned i = 0; i < count; i++) {
		struct vmx_failure failure = { 0 };
		uint64_t got;

		apply(v->cpu, &rows[i]);
		if (check(v->cpu, &failure, &got) != stage)
			fail_msg("row %u of \"%s\": blamed %s (%s: %s)", i, heading,
				 failure.field ? failure.field : "nothing",
				 failure.heading ? failure.heading : "-",
				 failure.rule ? failure.rule : "-");
		assert_string_equal(failure.heading, heading);
		if (strcmp(failure.field, vmcs_fields[rows[i].blamed].name) != 0)
			fail_msg("row %u of \"%s\": blamed %s, not %s", i, heading, failure.field,
				 vmcs_fields[rows[i].blamed].name);
		assert_int_equal(failure.value, vmcs_get(v->cpu, rows[i].blamed));
		assert_int_equal(got, qualification);
	}
}

#define CHECK(state, rows, stage, heading) \
	check_rows(*(state), rows, ARRAY_SIZE(rows), stage, heading, 0)

static void execution_controls(void **state)
{
	static const struct row rows[] = {
		{ PIN_CONTROLS, { IS(PIN_CONTROLS, 0) } },
		{ PIN_CONTROLS, { PLUS(PIN_CONTROLS, BIT(31)) } },
		{ PROC_CONTROLS, { PLUS(PROC_CONTROLS, BIT(0)) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(BIT(31)) } },
		{ CR3_TARGET_COUNT, { IS(CR3_TARGET_COUNT, 5) } },
		{ IO_BITMAP_A,
		  { PLUS(PROC_CONTROLS, PROC_IO_BITMAPS), IS(IO_BITMAP_A, IO_PAGES + 8) } },
		{ IO_BITMAP_B,
		  { PLUS(PROC_CONTROLS, PROC_IO_BITMAPS), IS(IO_BITMAP_B, BEYOND_PHYSICAL) } },
		{ MSR_BITMAP,
		  { PLUS(PROC_CONTROLS, PROC_MSR_BITMAPS), IS(MSR_BITMAP, MSR_PAGE + 1) } },
		{ PIN_CONTROLS, { PLUS(PIN_CONTROLS, PIN_VIRTUAL_NMIS) } },
		{ PROC_CONTROLS, { PLUS(PROC_CONTROLS, PROC_NMI_WINDOW) } },
		{ VPID, { SECONDARY, WITH(PROC2_VPID) } },
		{ EPT_POINTER, { SECONDARY, WITH_EPT, IS(EPT_POINTER, EPTP | 1) } },
		{ EPT_POINTER, { SECONDARY, WITH_EPT, IS(EPT_POINTER, EPTP ^ 1 << 3) } },
		{ EPT_POINTER, { SECONDARY, WITH_EPT, IS(EPT_POINTER, EPTP | 1 << 7) } },
		{ EPT_POINTER, { SECONDARY, WITH_EPT, IS(EPT_POINTER, EPTP | BEYOND_PHYSICAL) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(PROC2_PML) } },
		{ PML_ADDRESS, { SECONDARY, WITH_EPT, WITH(PROC2_PML), IS(PML_ADDRESS, 8) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(PROC2_UNRESTRICTED_GUEST) } },
		{ VMREAD_BITMAP, { SECONDARY, WITH(PROC2_VMCS_SHADOWING), IS(VMREAD_BITMAP, 8) } },
		{ VMWRITE_BITMAP,
		  { SECONDARY, WITH(PROC2_VMCS_SHADOWING), IS(VMWRITE_BITMAP, BEYOND_PHYSICAL) } },
		{ TSC_MULTIPLIER, { SECONDARY, WITH(PROC2_TSC_SCALING) } },
	};

	CHECK(state, rows, CONTROLS, "VM-Execution Control Fields");
}

/* Rules of controls that may not be offered: then the control itself is refused. */
static void apic_controls(void **state)
{
	static const struct row rows[] = {
		{ VIRTUAL_APIC_PAGE,
		  { PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), IS(VIRTUAL_APIC_PAGE, 8) } },
		{ TPR_THRESHOLD,
		  { PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), IS(VIRTUAL_APIC_PAGE, APIC_PAGE),
		    IS(TPR_THRESHOLD, 16) } },
		{ TPR_THRESHOLD,
		  { PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), IS(VIRTUAL_APIC_PAGE, APIC_PAGE),
		    IS(TPR_THRESHOLD, 6) } },
		{ APIC_ACCESS_PAGE,
		  { SECONDARY, WITH(PROC2_APIC_ACCESS), IS(APIC_ACCESS_PAGE, 8) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(PROC2_X2APIC) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(PROC2_APIC_REGISTERS) } },
		{ PROC_CONTROLS2, { SECONDARY, WITH(PROC2_VIRTUAL_INTERRUPTS) } },
		{ PROC_CONTROLS2,
		  { PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), SECONDARY,
		    WITH(PROC2_X2APIC | PROC2_APIC_ACCESS) } },
		{ PIN_CONTROLS,
		  { PLUS(PROC_CONTROLS, PROC_TPR_SHADOW), SECONDARY,
		    WITH(PROC2_VIRTUAL_INTERRUPTS) } },
		{ PROC_CONTROLS2, { PLUS(PIN_CONTROLS, PIN_POSTED_INTERRUPTS) } },
	};
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_failure failure = { 0 };
		const char *blamed = vmcs_fields[rows[i].blamed].name;

		apply(v->cpu, &rows[i]);
		assert_int_equal(vmx_check_controls(v->cpu, &failure), VMXERR_ENTRY_CONTROLS);
		assert_string_equal(failure.heading, "VM-Execution Control Fields");
		if (!strstr(failure.rule, "capability MSRs"))
			assert_string_equal(failure.field, blamed);
	}
}

static void exit_controls(void **state)
{
	static const struct row rows[] = {
		{ EXIT_CONTROLS, { PLUS(EXIT_CONTROLS, BIT(31)) } },
		{ EXIT_CONTROLS, { PLUS(EXIT_CONTROLS, EXITC_SAVE_TIMER) } },
		{ EXIT_MSR_STORE, { IS(EXIT_MSR_STORE_COUNT, 1), IS(EXIT_MSR_STORE, 8) } },
		{ EXIT_MSR_STORE,
		  { IS(EXIT_MSR_STORE_COUNT, 2), IS(EXIT_MSR_STORE, BEYOND_PHYSICAL - 16) } },
		{ EXIT_MSR_LOAD,
		  { IS(EXIT_MSR_LOAD_COUNT, 1), IS(EXIT_MSR_LOAD, BEYOND_PHYSICAL) } },
		{ EXIT_MSR_LOAD, { IS(EXIT_MSR_LOAD_COUNT, 1), IS(EXIT_MSR_LOAD, 15) } },
	};

	CHECK(state, rows, CONTROLS, "VM-Exit Control Fields");
}

static void entry_controls(void **state)
{
	static const struct row rows[] = {
		{ ENTRY_CONTROLS, { PLUS(ENTRY_CONTROLS, BIT(31)) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(1, 0)) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(EVENT_NMI, 3)) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, 32)) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(OTHER_EVENT, 1)) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_GP)) } },
		{ ENTRY_INTERRUPTION,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_UD) | INTERRUPTION_ERROR) } },
		{ ENTRY_INTERRUPTION,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_SOFT_INT, EXC_GP) | INTERRUPTION_ERROR) } },
		{ ENTRY_INTERRUPTION,
		  { UNRESTRICTED, MINUS(GUEST_CR0, CR0_PE),
		    IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_GP) | INTERRUPTION_ERROR) } },
		{ ENTRY_INTERRUPTION, { IS(ENTRY_INTERRUPTION, INJECT(EVENT_NMI, 2) | BIT(12)) } },
		{ ENTRY_ERROR_CODE,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_GP) | INTERRUPTION_ERROR),
		    IS(ENTRY_ERROR_CODE, 0x10000) } },
		{ ENTRY_INSTRUCTION_LENGTH,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_SOFT_INT, 0x80)),
		    IS(ENTRY_INSTRUCTION_LENGTH, 16) } },
		{ ENTRY_INSTRUCTION_LENGTH,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_ICEBP, EXC_DB)),
		    IS(ENTRY_INSTRUCTION_LENGTH, 16) } },
		{ ENTRY_INSTRUCTION_LENGTH,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_SOFT_FAULT, EXC_BP)),
		    IS(ENTRY_INSTRUCTION_LENGTH, 16) } },
		{ ENTRY_MSR_LOAD, { IS(ENTRY_MSR_LOAD_COUNT, 1), IS(ENTRY_MSR_LOAD, 4) } },
		{ ENTRY_CONTROLS, { PLUS(ENTRY_CONTROLS, ENTRYC_SMM) } },
		{ ENTRY_CONTROLS, { PLUS(ENTRY_CONTROLS, ENTRYC_DEACTIVATE_DUAL) } },
	};

	CHECK(state, rows, CONTROLS, "VM-Entry Control Fields");
}

static void host_registers(void **state)
{
	static const struct row rows[] = {
		{ HOST_CR0, { MINUS(HOST_CR0, CR0_PE) } },
		{ HOST_CR0, { PLUS(HOST_CR0, BIT(32)) } },
		{ HOST_CR4, { MINUS(HOST_CR4, CR4_VMXE) } },
		{ HOST_CR4, { PLUS(HOST_CR4, BIT(63)) } },
		{ HOST_CR3, { IS(HOST_CR3, BEYOND_PHYSICAL) } },
		{ HOST_SYSENTER_ESP, { IS(HOST_SYSENTER_ESP, NOT_CANONICAL) } },
		{ HOST_SYSENTER_EIP, { IS(HOST_SYSENTER_EIP, NOT_CANONICAL) } },
		{ HOST_PERF_GLOBAL_CTRL,
		  { PLUS(EXIT_CONTROLS, EXITC_LOAD_PERF_GLOBAL_CTRL),
		    IS(HOST_PERF_GLOBAL_CTRL, BIT(4)) } },
		{ HOST_PAT, { PLUS(EXIT_CONTROLS, EXITC_LOAD_PAT), IS(HOST_PAT, PAT_BAD) } },
		{ HOST_EFER, { PLUS(EXIT_CONTROLS, EXITC_LOAD_EFER), IS(HOST_EFER, EFER_LMA) } },
		{ HOST_EFER,
		  { PLUS(EXIT_CONTROLS, EXITC_LOAD_EFER),
		    IS(HOST_EFER, EFER_LMA | EFER_LME | BIT(1)) } },
	};

	CHECK(state, rows, HOST, "Checks on Host Control Registers, MSRs, and SSP");
}

static void host_segments(void **state)
{
	static const struct row rows[] = {
		{ HOST_CS_SELECTOR, { IS(HOST_CS_SELECTOR, 0x13) } },
		{ HOST_SS_SELECTOR, { IS(HOST_SS_SELECTOR, 0x14) } },
		{ HOST_DS_SELECTOR, { IS(HOST_DS_SELECTOR, 0x13) } },
		{ HOST_ES_SELECTOR, { IS(HOST_ES_SELECTOR, 0x13) } },
		{ HOST_FS_SELECTOR, { IS(HOST_FS_SELECTOR, 0x13) } },
		{ HOST_GS_SELECTOR, { IS(HOST_GS_SELECTOR, 0x14) } },
		{ HOST_TR_SELECTOR, { IS(HOST_TR_SELECTOR, 0x14) } },
		{ HOST_CS_SELECTOR, { MINUS(HOST_CS_SELECTOR, 0xffff) } },
		{ HOST_TR_SELECTOR, { MINUS(HOST_TR_SELECTOR, 0xffff) } },
		{ HOST_SS_SELECTOR,
		  { MINUS(HOST_SS_SELECTOR, 0xffff), MINUS(EXIT_CONTROLS, EXITC_HOST_64) } },
		{ HOST_FS_BASE, { IS(HOST_FS_BASE, NOT_CANONICAL) } },
		{ HOST_GS_BASE, { IS(HOST_GS_BASE, NOT_CANONICAL) } },
		{ HOST_GDTR_BASE, { IS(HOST_GDTR_BASE, NOT_CANONICAL) } },
		{ HOST_IDTR_BASE, { IS(HOST_IDTR_BASE, NOT_CANONICAL) } },
		{ HOST_TR_BASE, { IS(HOST_TR_BASE, NOT_CANONICAL) } },
	};

	CHECK(state, rows, HOST, "Checks on Host Segment and Descriptor-Table Registers");
}

static void address_space(void **state)
{
	static const struct row from_long[] = {
		{ EXIT_CONTROLS, { MINUS(EXIT_CONTROLS, EXITC_HOST_64) } },
		{ HOST_CR4, { MINUS(HOST_CR4, CR4_PAE) } },
		{ HOST_RIP, { IS(HOST_RIP, NOT_CANONICAL) } },
	};
	static const struct row from_legacy[] = {
		{ ENTRY_CONTROLS, { MINUS(EXIT_CONTROLS, EXITC_HOST_64) } },
		{ EXIT_CONTROLS, { PROTECTED_32 } },
		{ HOST_CR4,
		  { PROTECTED_32, MINUS(EXIT_CONTROLS, EXITC_HOST_64),
		    PLUS(HOST_CR4, CR4_PCIDE) } },
		{ HOST_RIP,
		  { PROTECTED_32, MINUS(EXIT_CONTROLS, EXITC_HOST_64), IS(HOST_RIP, BIT(32)) } },
	};
	struct vcpu *v = *state;

	CHECK(state, from_long, HOST, "Checks Related to Address-Space Size");
	v->cpu->efer = 0;
	CHECK(state, from_legacy, HOST, "Checks Related to Address-Space Size");
}

static void guest_registers(void **state)
{
	static const struct row rows[] = {
		{ GUEST_CR0, { MINUS(GUEST_CR0, CR0_NE) } },
		{ GUEST_CR0, { PLUS(GUEST_CR0, BIT(32)) } },
		{ GUEST_CR0, { UNRESTRICTED, MINUS(GUEST_CR0, CR0_PE) } },
		{ GUEST_CR4, { MINUS(GUEST_CR4, CR4_VMXE) } },
		{ GUEST_CR4, { PLUS(GUEST_CR4, BIT(63)) } },
		{ GUEST_DEBUGCTL,
		  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_DEBUG), IS(GUEST_DEBUGCTL, BIT(5)) } },
		{ GUEST_CR0, { UNRESTRICTED, MINUS(GUEST_CR0, CR0_PG) } },
		{ GUEST_CR4, { MINUS(GUEST_CR4, CR4_PAE) } },
		{ GUEST_CR4, { PROTECTED_32, PLUS(GUEST_CR4, CR4_PCIDE) } },
		{ GUEST_CR3, { IS(GUEST_CR3, BEYOND_PHYSICAL) } },
		{ GUEST_CR3, { IS(GUEST_CR3, BIT(63)) } },
		{ GUEST_DR7, { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_DEBUG), IS(GUEST_DR7, BIT(32)) } },
		{ GUEST_SYSENTER_ESP, { IS(GUEST_SYSENTER_ESP, NOT_CANONICAL) } },
		{ GUEST_SYSENTER_EIP, { IS(GUEST_SYSENTER_EIP, NOT_CANONICAL) } },
		{ GUEST_PERF_GLOBAL_CTRL,
		  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_PERF_GLOBAL_CTRL),
		    IS(GUEST_PERF_GLOBAL_CTRL, BIT(35)) } },
		{ GUEST_PAT, { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_PAT), IS(GUEST_PAT, PAT_BAD) } },
		{ GUEST_EFER, { SET_GUEST_EFER(EFER_LMA | EFER_LME | BIT(1)) } },
		{ GUEST_EFER, { SET_GUEST_EFER(0) } },
		{ GUEST_EFER, { SET_GUEST_EFER(EFER_LMA) } },
		{ GUEST_EFER, { PROTECTED_32, SET_GUEST_EFER(EFER_LME) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Control Registers, Debug Registers, and MSRs");
}

static void guest_segments(void **state)
{
	static const struct row rows[] = {
		{ GUEST_TR_SELECTOR, { IS(GUEST_TR_SELECTOR, 0x1c) } },
		{ GUEST_LDTR_SELECTOR,
		  { IS(GUEST_LDTR_SELECTOR, 0x1c), IS(GUEST_LDTR_AR, AR_LDT) } },
		{ GUEST_SS_SELECTOR, { IS(GUEST_SS_SELECTOR, 0x13) } },
		{ GUEST_TR_BASE, { IS(GUEST_TR_BASE, NOT_CANONICAL) } },
		{ GUEST_FS_BASE, { IS(GUEST_FS_BASE, NOT_CANONICAL) } },
		{ GUEST_GS_BASE, { IS(GUEST_GS_BASE, NOT_CANONICAL) } },
		{ GUEST_LDTR_BASE,
		  { IS(GUEST_LDTR_BASE, NOT_CANONICAL), IS(GUEST_LDTR_AR, AR_LDT) } },
		{ GUEST_CS_BASE, { IS(GUEST_CS_BASE, BIT(32)) } },
		{ GUEST_SS_BASE, { IS(GUEST_SS_BASE, BIT(32)) } },
		{ GUEST_DS_BASE, { IS(GUEST_DS_BASE, BIT(32)) } },
		{ GUEST_ES_BASE, { IS(GUEST_ES_BASE, BIT(32)) } },
		/* Types and S */
		{ GUEST_CS_AR, { IS(GUEST_CS_AR, AR_CODE64 & ~SEG_ACCESSED) } },
		{ GUEST_CS_AR, { IS(GUEST_CS_AR, AR_DATA) } },
		{ GUEST_SS_AR, { IS(GUEST_SS_AR, AR_DATA & ~SEG_WRITABLE) } },
		{ GUEST_SS_AR, { IS(GUEST_SS_AR, AR_DATA | SEG_CODE) } },
		{ GUEST_DS_AR, { IS(GUEST_DS_AR, AR_DATA & ~SEG_ACCESSED) } },
		{ GUEST_ES_AR, { IS(GUEST_ES_AR, (AR_DATA | SEG_CODE) & ~SEG_WRITABLE) } },
		{ GUEST_CS_AR, { MINUS(GUEST_CS_AR, SEG_S) } },
		{ GUEST_FS_AR, { MINUS(GUEST_FS_AR, SEG_S) } },
		/* DPL */
		{ GUEST_CS_AR, { PLUS(GUEST_CS_AR, DPL(1)) } },
		{ GUEST_CS_AR, { PLUS(GUEST_CS_AR, SEG_EXPAND | DPL(1)) } },
		{ GUEST_CS_AR, { UNRESTRICTED, IS(GUEST_CS_AR, (AR_DATA & ~SEG_DB) | DPL(1)) } },
		{ GUEST_SS_AR, { PLUS(GUEST_SS_AR, DPL(1)), PLUS(GUEST_CS_AR, DPL(1)) } },
		{ GUEST_SS_AR,
		  { UNRESTRICTED, IS(GUEST_CS_AR, AR_DATA & ~SEG_DB), PLUS(GUEST_SS_AR, DPL(1)) } },
		{ GUEST_DS_AR, { IS(GUEST_DS_SELECTOR, 0x13) } },
		{ GUEST_GS_AR, { IS(GUEST_GS_SELECTOR, 0x11) } },
		/* P, reserved bits, G, D */
		{ GUEST_CS_AR, { MINUS(GUEST_CS_AR, SEG_P) } },
		{ GUEST_DS_AR, { MINUS(GUEST_DS_AR, SEG_P) } },
		{ GUEST_CS_AR, { PLUS(GUEST_CS_AR, BIT(8)) } },
		{ GUEST_ES_AR, { PLUS(GUEST_ES_AR, BIT(11)) } },
		{ GUEST_CS_AR, { MINUS(GUEST_CS_AR, SEG_G) } },
		{ GUEST_SS_AR, { IS(GUEST_SS_LIMIT, 0xfffffffe) } },
		{ GUEST_CS_AR, { PLUS(GUEST_CS_AR, BIT(17)) } },
		{ GUEST_GS_AR, { PLUS(GUEST_GS_AR, BIT(31)) } },
		{ GUEST_CS_AR, { PLUS(GUEST_CS_AR, SEG_DB) } },
		/* TR and LDTR */
		{ GUEST_TR_AR, { IS(GUEST_TR_AR, SEG_P | SYS_TSS_AVAIL) } },
		{ GUEST_TR_AR, { IS(GUEST_TR_AR, SEG_P | SYS_TSS16_BUSY) } },
		{ GUEST_TR_AR, { PLUS(GUEST_TR_AR, SEG_S) } },
		{ GUEST_TR_AR, { MINUS(GUEST_TR_AR, SEG_P) } },
		{ GUEST_TR_AR, { PLUS(GUEST_TR_AR, BIT(8)) } },
		{ GUEST_TR_AR, { IS(GUEST_TR_LIMIT, 0x100000) } },
		{ GUEST_TR_AR, { PLUS(GUEST_TR_AR, SEG_UNUSABLE) } },
		{ GUEST_TR_AR, { PLUS(GUEST_TR_AR, BIT(17)) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, SEG_P | SYS_TSS_BUSY) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, AR_LDT | SEG_S) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, SYS_LDT) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, AR_LDT | BIT(9)) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, AR_LDT | SEG_G) } },
		{ GUEST_LDTR_AR, { IS(GUEST_LDTR_AR, AR_LDT | BIT(20)) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Segment Registers");
}

static void set_v86(struct cpu *cpu)
{
	vmcs_set_good(cpu, CURRENT_PAGE);
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) & ~ENTRYC_IA32E);
	vmcs_set(cpu, GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_VM);
	for (unsigned n = 0; n < SEGMENTS; n++) {
		vmcs_set(cpu, GUEST_ES_SELECTOR + n, 0x1234);
		vmcs_set(cpu, GUEST_ES_BASE + n, 0x12340);
		vmcs_set(cpu, GUEST_ES_LIMIT + n, 0xffff);
		vmcs_set(cpu, GUEST_ES_AR + n, AR_V86);
	}
}

static void guest_v86(void **state)
{
	static const uint16_t first[] = { GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_AR };
	struct vmx_failure failure = { 0 };
	struct cpu *cpu = ((struct vcpu *)*state)->cpu;
	uint64_t qualification;

	set_v86(cpu);
	assert_int_equal(check(cpu, &failure, &qualification), NONE);
	for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
		for (unsigned n = 0; n < SEGMENTS; n++) {
			set_v86(cpu);
			vmcs_set(cpu, first[i] + n, 0x12341);
			assert_int_equal(check(cpu, &failure, &qualification), GUEST);
			assert_string_equal(failure.field, vmcs_fields[first[i] + n].name);
		}
}

static void guest_tables(void **state)
{
	static const struct row rows[] = {
		{ GUEST_GDTR_BASE, { IS(GUEST_GDTR_BASE, NOT_CANONICAL) } },
		{ GUEST_IDTR_BASE, { IS(GUEST_IDTR_BASE, NOT_CANONICAL) } },
		{ GUEST_GDTR_LIMIT, { IS(GUEST_GDTR_LIMIT, 0x10000) } },
		{ GUEST_IDTR_LIMIT, { IS(GUEST_IDTR_LIMIT, 0x10000) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Descriptor-Table Registers");
}

static void guest_rip_and_flags(void **state)
{
	static const struct row rows[] = {
		{ GUEST_RIP, { IS(GUEST_RIP, NOT_CANONICAL) } },
		{ GUEST_RIP, { PROTECTED_32, IS(GUEST_RIP, BIT(32)) } },
		{ GUEST_RIP, { IS(GUEST_CS_AR, AR_CODE32), IS(GUEST_RIP, BIT(32)) } },
		{ GUEST_RFLAGS, { IS(GUEST_RFLAGS, RFLAGS_ONE | BIT(3)) } },
		{ GUEST_RFLAGS, { IS(GUEST_RFLAGS, RFLAGS_ONE | BIT(22)) } },
		{ GUEST_RFLAGS, { IS(GUEST_RFLAGS, RFLAGS_CF) } },
		{ GUEST_RFLAGS, { IS(ENTRY_INTERRUPTION, INJECT(EVENT_EXTERNAL, 0x20)) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest RIP, RFLAGS, and SSP");
}

/* Virtual-8086 mode where there can be none. */
static void guest_flags_vm(void **state)
{
	struct cpu *cpu = ((struct vcpu *)*state)->cpu;
	struct vmx_failure failure = { 0 };
	uint64_t qualification;

	set_v86(cpu);
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) | ENTRYC_IA32E);
	assert_int_equal(check(cpu, &failure, &qualification), GUEST);
	assert_string_equal(failure.field, vmcs_fields[GUEST_RFLAGS].name);
}

static void guest_activity(void **state)
{
	static const struct row rows[] = {
		{ GUEST_ACTIVITY, { IS(GUEST_ACTIVITY, 4) } },
		{ GUEST_ACTIVITY,
		  { HALT, IS(GUEST_SS_SELECTOR, 0x13), IS(GUEST_CS_SELECTOR, 0xb),
		    PLUS(GUEST_SS_AR, DPL(3)), PLUS(GUEST_CS_AR, DPL(3)) } },
		{ GUEST_ACTIVITY,
		  { HALT, WITH_IF, IS(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
		{ GUEST_ACTIVITY, { HALT, IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_UD)) } },
		{ GUEST_ACTIVITY, { HALT, IS(ENTRY_INTERRUPTION, INJECT(EVENT_SOFT_INT, 0x20)) } },
		{ GUEST_ACTIVITY,
		  { IS(GUEST_ACTIVITY, CPU_SHUTDOWN),
		    IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_DB)) } },
		{ GUEST_ACTIVITY,
		  { IS(GUEST_ACTIVITY, CPU_WAIT_FOR_SIPI),
		    IS(ENTRY_INTERRUPTION, INJECT(EVENT_NMI, EXC_NMI)) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Non-Register State");
}

static void guest_interruptibility(void **state)
{
	static const struct row rows[] = {
		{ GUEST_INTERRUPTIBILITY, { BLOCKED(BIT(5)) } },
		{ GUEST_INTERRUPTIBILITY, { BLOCKED(BIT(4)) } },
		{ GUEST_INTERRUPTIBILITY,
		  { WITH_IF, BLOCKED(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) } },
		{ GUEST_INTERRUPTIBILITY, { BLOCKED(INTERRUPTIBILITY_STI) } },
		{ GUEST_INTERRUPTIBILITY,
		  { WITH_IF, BLOCKED(INTERRUPTIBILITY_STI),
		    IS(ENTRY_INTERRUPTION, INJECT(EVENT_EXTERNAL, 0x20)) } },
		{ GUEST_INTERRUPTIBILITY, { BLOCKED(INTERRUPTIBILITY_MOV_SS), NMI } },
		{ GUEST_INTERRUPTIBILITY, { BLOCKED(INTERRUPTIBILITY_SMI) } },
		{ GUEST_INTERRUPTIBILITY,
		  { PLUS(PIN_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMIS), BLOCKED(INTERRUPTIBILITY_NMI),
		    NMI } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Non-Register State");
}

static void guest_pending_debug(void **state)
{
	static const struct row rows[] = {
		{ GUEST_PENDING_DEBUG, { IS(GUEST_PENDING_DEBUG, BIT(4)) } },
		{ GUEST_PENDING_DEBUG, { IS(GUEST_PENDING_DEBUG, BIT(13)) } },
		{ GUEST_PENDING_DEBUG, { IS(GUEST_PENDING_DEBUG, BIT(16)) } },
		{ GUEST_PENDING_DEBUG, { STEPPING, BLOCKED(INTERRUPTIBILITY_MOV_SS) } },
		{ GUEST_PENDING_DEBUG, { STEPPING, HALT } },
		{ GUEST_PENDING_DEBUG, { HALT, IS(GUEST_PENDING_DEBUG, DR6_BS) } },
		{ GUEST_PENDING_DEBUG,
		  { STEPPING, BLOCKED(INTERRUPTIBILITY_MOV_SS), IS(GUEST_PENDING_DEBUG, DR6_BS),
		    PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_DEBUG), IS(GUEST_DEBUGCTL, DEBUGCTL_BTF) } },
	};

	CHECK(state, rows, GUEST, "Checks on Guest Non-Register State");
}

static void guest_link_pointer(void **state)
{
	static const struct row rows[] = {
		{ VMCS_LINK_POINTER, { LINK(LINK_PAGE + 8) } },
		{ VMCS_LINK_POINTER, { LINK(BEYOND_PHYSICAL) } },
		{ VMCS_LINK_POINTER, { LINK(VCPU_MEMORY_BYTES) } },
		{ VMCS_LINK_POINTER, { LINK(APIC_PAGE) } },
		{ VMCS_LINK_POINTER, { LINK(SHADOW_PAGE) } },
		{ VMCS_LINK_POINTER, { SECONDARY, WITH(PROC2_VMCS_SHADOWING), LINK(LINK_PAGE) } },
		{ VMCS_LINK_POINTER, { LINK(CURRENT_PAGE) } },
	};

	check_rows(*state, rows, ARRAY_SIZE(rows), GUEST, "Checks on Guest Non-Register State", 4);
}

static void guest_pdptes(void **state)
{
	static const struct row rows[] = {
		{ GUEST_PDPTE0, { SECONDARY, WITH_EPT, PROTECTED_32, IS(GUEST_PDPTE0, 3) } },
		{ GUEST_PDPTE3,
		  { SECONDARY, WITH_EPT, PROTECTED_32, IS(GUEST_PDPTE3, BEYOND_PHYSICAL | 1) } },
	};

	check_rows(*state, rows, ARRAY_SIZE(rows), GUEST,
		   "Checks on Guest Page-Directory-Pointer-Table Entries", 2);
}

/* What is allowed, or not looked at. */
static void good_values(void **state)
{
	static const struct row rows[] = {
		{ 0, { IS(CR3_TARGET_COUNT, 4) } },
		{ 0, { IS(PROC_CONTROLS2, 0xffffffff) } }, /* not activated */
		{ 0, { IS(IO_BITMAP_A, 1), IS(MSR_BITMAP, 1), IS(EPT_POINTER, 1) } },
		{ 0, { IS(EXIT_MSR_LOAD, 1) } }, /* an empty list */
		{ 0, { IS(EXIT_MSR_LOAD_COUNT, 1), IS(EXIT_MSR_LOAD, BEYOND_PHYSICAL - 16) } },
		{ 0, { IS(ENTRY_INTERRUPTION, 0x7fffffff) } },
		{ 0,
		  { IS(ENTRY_INTERRUPTION, INJECT(EVENT_SOFT_INT, 0x80)),
		    IS(ENTRY_INSTRUCTION_LENGTH, 0) } },
		{ 0, { IS(ENTRY_INTERRUPTION, INJECT(OTHER_EVENT, 0)) } },
		{ 0, { MINUS(HOST_SS_SELECTOR, 0xffff), MINUS(HOST_FS_SELECTOR, 0xffff) } },
		{ 0, { IS(HOST_EFER, ~0ull), IS(HOST_PAT, ~0ull) } }, /* not loaded */
		{ 0, { PLUS(GUEST_CR0, CR0_CD | CR0_NW) } },
		{ 0, { IS(GUEST_RIP, BIT(47)) } },
		{ 0, { IS(GUEST_DEBUGCTL, ~0ull), IS(GUEST_DR7, ~0ull) } }, /* not loaded */
		{ 0, { IS(GUEST_DS_AR, SEG_UNUSABLE), IS(GUEST_DS_BASE, ~0ull) } },
		{ 0, { IS(GUEST_LDTR_BASE, NOT_CANONICAL), IS(GUEST_LDTR_SELECTOR, 4) } },
		{ 0,
		  { IS(GUEST_DS_AR, AR_DATA | SEG_CODE | SEG_EXPAND), IS(GUEST_DS_SELECTOR, 3) } },
		{ 0, { PROTECTED_32, IS(GUEST_TR_AR, SEG_P | SYS_TSS16_BUSY) } },
		{ 0, { LINK(LINK_PAGE) } },
		{ 0, { SECONDARY, WITH(PROC2_VMCS_SHADOWING), LINK(SHADOW_PAGE) } },
		{ 0, { HALT, WITH_IF, IS(ENTRY_INTERRUPTION, INJECT(EVENT_EXTERNAL, 0x20)) } },
		{ 0, { HALT, IS(ENTRY_INTERRUPTION, INJECT(EVENT_FAULT, EXC_MC)) } },
		{ 0, { IS(GUEST_ACTIVITY, CPU_SHUTDOWN), NMI } },
		{ 0, { IS(GUEST_ACTIVITY, CPU_WAIT_FOR_SIPI) } },
		{ 0,
		  { STEPPING, BLOCKED(INTERRUPTIBILITY_MOV_SS), IS(GUEST_PENDING_DEBUG, DR6_BS) } },
		{ 0, { PLUS(PIN_CONTROLS, PIN_NMI), BLOCKED(INTERRUPTIBILITY_NMI), NMI } },
		{ 0, { SET_GUEST_EFER(EFER_LMA | EFER_LME | EFER_SCE | EFER_NXE) } },
		{ 0, { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_PAT), IS(GUEST_PAT, PAT_GOOD) } },
		{ 0, { SECONDARY, WITH_EPT, IS(GUEST_PDPTE0, ~0ull) } }, /* 4-level paging */
		{ 0,
		  { PLUS(ENTRY_CONTROLS, ENTRYC_LOAD_PERF_GLOBAL_CTRL),
		    IS(GUEST_PERF_GLOBAL_CTRL, PMU_GLOBAL_ENABLE) } },
		{ 0, { IS(GUEST_PERF_GLOBAL_CTRL, ~0ull), IS(HOST_PERF_GLOBAL_CTRL, ~0ull) } },
	};
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_failure failure = { 0 };
		uint64_t qualification;

		apply(v->cpu, &rows[i]);
		if (check(v->cpu, &failure, &qualification) != NONE)
			fail_msg("row %u: %s: %s (%s)", i, failure.field, failure.rule,
				 failure.heading);
	}
}

/* An unrestricted guest in real mode, with data in CS and selectors of any RPL. */
static void real_mode(void **state)
{
	struct cpu *cpu = ((struct vcpu *)*state)->cpu;
	struct row unrestricted = { 0, { UNRESTRICTED } };
	struct vmx_failure failure = { 0 };
	uint64_t qualification;

	apply(cpu, &unrestricted);
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) & ~ENTRYC_IA32E);
	vmcs_set(cpu, GUEST_CR0, CR0_NE | CR0_ET);
	for (unsigned n = 0; n < SEGMENTS; n++) {
		vmcs_set(cpu, GUEST_ES_SELECTOR + n, 0x1233);
		vmcs_set(cpu, GUEST_ES_BASE + n, 0x12330);
		vmcs_set(cpu, GUEST_ES_LIMIT + n, 0xffff);
		vmcs_set(cpu, GUEST_ES_AR + n, AR_REAL);
	}
	assert_int_equal(check(cpu, &failure, &qualification), NONE);
	vmcs_set(cpu, GUEST_SS_AR, AR_REAL | DPL(3));
	assert_int_equal(check(cpu, &failure, &qualification), GUEST);
	assert_string_equal(failure.field, vmcs_fields[GUEST_SS_AR].name);
}

/* Any field changes after an entry that has passed: what is left out of the comparison matters not,
 * or is looked at all the same. */
static void changed_fields(void **state)
{
	struct cpu *cpu = ((struct vcpu *)*state)->cpu;
	unsigned known = 0, failed = 0;
	uint64_t qualification;

	for (unsigned n = 0; n < VMCS_FIELDS * 64; n++) {
		struct vmx_failure failure = { 0 };
		unsigned field = n / 64;
		uint64_t bit = BIT(n % 64) & vmcs_field_mask(vmcs_fields[field].encoding);

		apply(cpu, &(const struct row){ 0, { NMI, PLUS(PROC_CONTROLS, PROC_TPR_SHADOW) } });
		vmcs_set(cpu, VIRTUAL_APIC_PAGE, APIC_PAGE);
		assert_int_equal(check(cpu, &failure, &qualification), NONE);
		vmx_passes(cpu);
		vmcs_set(cpu, field, vmcs_get(cpu, field) ^ bit);
		failed += check(cpu, &failure, &qualification) != NONE;
		known += vmx_has_passed(cpu);
	}
	assert_true(known > 100 && failed > 100);
	/* The mode counts, too. */
	vmcs_set_good(cpu, CURRENT_PAGE);
	vmx_passes(cpu);
	assert_true(vmx_has_passed(cpu));
	cpu->efer = 0;
	assert_false(vmx_has_passed(cpu));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(execution_controls),  TEST(apic_controls),      TEST(exit_controls),
		TEST(entry_controls),      TEST(host_registers),     TEST(host_segments),
		TEST(address_space),       TEST(guest_registers),    TEST(guest_segments),
		TEST(guest_v86),           TEST(guest_tables),       TEST(guest_rip_and_flags),
		TEST(guest_flags_vm),      TEST(guest_activity),     TEST(guest_interruptibility),
		TEST(guest_pending_debug), TEST(guest_link_pointer), TEST(guest_pdptes),
		TEST(good_values),         TEST(real_mode),          TEST(changed_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
