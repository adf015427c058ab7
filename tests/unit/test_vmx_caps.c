/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the capability MSRs of VT-x say: their form, that they agree with each other, with CPUID and
 * with the VMCS's fields, and that they have what hypervisors demand; and that without --nested on
 * there is nothing of it.
 */
#include "tests/unit/vmx_root.h"

#include "cpu/cpuid.h"
#include "cpu/feature.h"

#define LOW(v)  ((uint32_t)(v))
#define HIGH(v) ((uint32_t)((v) >> 32))

static uint64_t cap(struct vcpu *v, uint32_t msr)
{
	uint64_t value = 0;

	assert_true(msr_read(v->cpu, msr, &value));
	return value;
}

static void every_msr_is_there_and_constant(void **state)
{
	struct vcpu *v = *state;
	uint64_t value;

	for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++)
		assert_false(msr_write(v->cpu, msr, cap(v, msr)));
	assert_false(msr_read(v->cpu, MSR_VMX_VMFUNC + 1, &value));
}

static void basic(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = cap(v, MSR_VMX_BASIC);

	assert_int_equal(LOW(value), VMX_REVISION);
	assert_int_equal(value >> 32 & 0x1fff, VMCS_BYTES);
	assert_int_equal(value >> 50 & 0xf, 6); /* write-back */
	assert_true(value & BIT(54));
	assert_true(value & BIT(55));
	assert_int_equal(value >> 56, 0);
}

/* SDM3: "VMX Capability Reporting Facility": the old MSRs show default1 controls as ones. */
static void true_controls(void **state)
{
	static const struct {
		uint32_t old, new;
		enum vmcs_field field;
		uint32_t default1;
	} rows[] = {
		{ MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS, PIN_CONTROLS, 0x16 },
		{ MSR_VMX_PROCBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS, PROC_CONTROLS, 0x0401e172 },
		{ MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS, EXIT_CONTROLS, 0x00036dff },
		{ MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS, ENTRY_CONTROLS, 0x000011ff },
	};
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t old = cap(v, rows[i].old), new = cap(v, rows[i].new);

		assert_int_equal(LOW(old), rows[i].default1);
		assert_int_equal(HIGH(old), HIGH(new));
		assert_int_equal(LOW(new) & ~rows[i].default1, 0);
		assert_int_equal(rows[i].default1 & ~HIGH(new), 0);
		assert_int_equal(vmx_caps_controls(v->cpu, rows[i].field), new);
	}
	assert_int_equal(
		LOW(cap(v, MSR_VMX_TRUE_PROCBASED_CTLS)) & (PROC_CR3_LOAD | PROC_CR3_STORE), 0);
	assert_int_equal(LOW(cap(v, MSR_VMX_TRUE_ENTRY_CTLS)) & ENTRYC_LOAD_DEBUG, 0);
	assert_int_equal(LOW(cap(v, MSR_VMX_TRUE_EXIT_CTLS)) & EXITC_SAVE_DEBUG, 0);
	assert_int_equal(LOW(cap(v, MSR_VMX_PROCBASED_CTLS2)), 0);
}

static void assert_offers(struct vcpu *v, uint32_t msr, uint64_t bits)
{
	assert_int_equal(HIGH(cap(v, msr)) & bits, bits);
}

static void what_hypervisors_demand(void **state)
{
	struct vcpu *v = *state;

	assert_offers(v, MSR_VMX_TRUE_PINBASED_CTLS,
		      PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER);
	assert_offers(v, MSR_VMX_TRUE_PROCBASED_CTLS,
		      PROC_HLT | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_UNCONDITIONAL_IO |
			      PROC_MOV_DR | PROC_TSC_OFFSET | PROC_MWAIT | PROC_MONITOR |
			      PROC_INVLPG | PROC_RDPMC | PROC_INTERRUPT_WINDOW | PROC_CR8_LOAD |
			      PROC_CR8_STORE | PROC_TPR_SHADOW | PROC_NMI_WINDOW | PROC_IO_BITMAPS |
			      PROC_MSR_BITMAPS | PROC_SECONDARY);
	assert_offers(v, MSR_VMX_PROCBASED_CTLS2,
		      PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST | PROC2_APIC_ACCESS |
			      PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES | PROC2_VMFUNC |
			      PROC2_EPT_VE | PROC2_MODE_BASED_EXECUTE);
	assert_offers(v, MSR_VMX_TRUE_EXIT_CTLS,
		      EXITC_HOST_64 | EXITC_SAVE_DEBUG | EXITC_ACK_INTERRUPT | EXITC_SAVE_PAT |
			      EXITC_LOAD_PAT | EXITC_SAVE_EFER | EXITC_LOAD_EFER |
			      EXITC_LOAD_PERF_GLOBAL_CTRL);
	assert_offers(v, MSR_VMX_TRUE_ENTRY_CTLS,
		      ENTRYC_IA32E | ENTRYC_LOAD_DEBUG | ENTRYC_LOAD_PAT | ENTRYC_LOAD_EFER |
			      ENTRYC_LOAD_PERF_GLOBAL_CTRL);
}

/* What no code implements must not be offered. */
static void what_is_not_implemented(void **state)
{
	struct vcpu *v = *state;

	assert_false(HIGH(cap(v, MSR_VMX_TRUE_ENTRY_CTLS)) & (ENTRYC_SMM | ENTRYC_DEACTIVATE_DUAL));
}

/* Controls for an instruction are there where CPUID has the instruction. */
static void controls_follow_cpuid(void **state)
{
	static const struct {
		unsigned feature;
		uint64_t bits;
	} rows[] = { { FEATURE_RDTSCP, PROC2_RDTSCP },
		     { FEATURE_RDRAND, PROC2_RDRAND },
		     { FEATURE_RDSEED, PROC2_RDSEED },
		     { FEATURE_INVPCID, PROC2_INVPCID },
		     { FEATURE_XSAVES, PROC2_XSAVES } };
	struct vcpu *v = *state;
	uint32_t *words = v->cpu->soft->features;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		words[rows[i].feature / 32] |= FEATURE_MASK(rows[i].feature);
		assert_true(HIGH(cap(v, MSR_VMX_PROCBASED_CTLS2)) & rows[i].bits);
		words[rows[i].feature / 32] &= ~FEATURE_MASK(rows[i].feature);
		assert_false(HIGH(cap(v, MSR_VMX_PROCBASED_CTLS2)) & rows[i].bits);
	}
}

static void fixed_bits(void **state)
{
	struct vcpu *v = *state;
	struct cpu *cpu = v->cpu;
	uint64_t cr0_ones = cap(v, MSR_VMX_CR0_FIXED0), cr0_may = cap(v, MSR_VMX_CR0_FIXED1);
	uint64_t cr4_ones = cap(v, MSR_VMX_CR4_FIXED0), cr4_may = cap(v, MSR_VMX_CR4_FIXED1);

	assert_int_equal(cr0_ones, CR0_PE | CR0_NE | CR0_PG);
	assert_int_equal(cr0_may, 0xffffffff);
	assert_int_equal(cr4_ones, CR4_VMXE);
	assert_int_equal(cr4_may, control_cr4_offered(cpu));
	for (unsigned bit = 0; bit < 64; bit++) {
		bool may = cr0_may >> bit & 1, must = cr0_ones >> bit & 1;

		assert_int_equal(vmx_caps_cr0_valid(cr0_ones | BIT(bit), false), may);
		assert_int_equal(vmx_caps_cr0_valid(cr0_ones & ~BIT(bit), false), !must);
		assert_int_equal(vmx_caps_cr0_valid(cr0_ones & ~BIT(bit), true),
				 !(BIT(bit) & CR0_NE));
		assert_int_equal(vmx_caps_cr4_valid(cpu, cr4_ones | BIT(bit)), cr4_may >> bit & 1);
		assert_int_equal(vmx_caps_cr4_valid(cpu, cr4_ones & ~BIT(bit)),
				 !(cr4_ones >> bit & 1));
	}
}

static void misc(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = cap(v, MSR_VMX_MISC);

	assert_int_equal(value & 0x1f, VMX_TIMER_RATE);
	assert_int_equal(value >> 5 & 0xf, 0xf); /* LMA; HLT, shutdown, wait for SIPI */
	assert_int_equal(value >> 16 & 0x1ff, VMX_CR3_TARGETS);
	assert_int_equal(value >> 25 & 7, 0); /* MSR lists of 512 */
	assert_int_equal(value >> 29, 3);
}

static void ept_and_vpid(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = cap(v, MSR_VMX_EPT_VPID_CAP);

	assert_int_equal(value, vmx_caps_ept_vpid());
	assert_int_equal(value, BIT(0) | BIT(6) | BIT(8) | BIT(14) | BIT(16) | BIT(17) | BIT(20) |
					BIT(21) | BIT(22) | BIT(25) | BIT(26) | BIT(32) | BIT(40) |
					BIT(41) | BIT(42) | BIT(43));
}

static void the_highest_index_is_of_a_field_that_exists(void **state)
{
	struct vcpu *v = *state;
	uint64_t highest = cap(v, MSR_VMX_VMCS_ENUM);
	bool is_reached = false;

	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		if (!vmx_caps_has_field(v->cpu, i))
			continue;
		assert_true((vmcs_fields[i].encoding & VMCS_INDEX) <= highest);
		is_reached |= (vmcs_fields[i].encoding & VMCS_INDEX) == highest;
	}
	assert_true(is_reached);
}

/* A field of a control that is not offered does not exist, one of a control that is does. */
static void fields_follow_controls(void **state)
{
	struct vcpu *v = *state;

	assert_true(vmx_caps_has_field(v->cpu, EPT_POINTER));
	assert_true(vmx_caps_has_field(v->cpu, GUEST_PDPTE3));
	assert_true(vmx_caps_has_field(v->cpu, VMWRITE_BITMAP));
	assert_true(vmx_caps_has_field(v->cpu, XSS_EXIT_BITMAP));
	assert_true(vmx_caps_has_field(v->cpu, TPR_THRESHOLD));
	assert_true(vmx_caps_has_field(v->cpu, VM_FUNCTION_CONTROLS));
	assert_true(vmx_caps_has_field(v->cpu, EPTP_LIST));
	assert_true(vmx_caps_has_field(v->cpu, VE_INFORMATION));
	assert_true(vmx_caps_has_field(v->cpu, EPTP_INDEX));
	assert_true(vmx_caps_has_field(v->cpu, GUEST_PERF_GLOBAL_CTRL));
	assert_true(vmx_caps_has_field(v->cpu, HOST_PERF_GLOBAL_CTRL));
}

static void feature_control_locks(void **state)
{
	struct vcpu *v = *state;

	engine_soft.reset(v->handle);
	assert_int_equal(cap(v, MSR_FEATURE_CONTROL), 0);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(msr_write(v->cpu, MSR_FEATURE_CONTROL, BIT(bit) & ~1ull),
				 bit == 0 || bit == 2);
	assert_true(msr_write(v->cpu, MSR_FEATURE_CONTROL,
			      FEATURE_CONTROL_VMXON | FEATURE_CONTROL_LOCKED));
	assert_false(msr_write(v->cpu, MSR_FEATURE_CONTROL, 0));
	assert_false(msr_write(v->cpu, MSR_FEATURE_CONTROL, 5));
	cpu_init_reset(v->cpu);
	assert_int_equal(cap(v, MSR_FEATURE_CONTROL), 5);
}

static bool shows_vmx(struct cpu *cpu)
{
	return cpuid_query(cpu, 1, 0).ecx & FEATURE_MASK(FEATURE_VMX);
}

static void nothing_of_it_without_nested(void **state)
{
	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		uint64_t value;
		struct vcpu v;

		vcpu_setup(&v, vendor);
		assert_null(v.cpu->virt);
		assert_false(shows_vmx(v.cpu));
		assert_false(control_cr4_offered(v.cpu) & CR4_VMXE);
		for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++)
			assert_false(msr_read(v.cpu, msr, &value));
		root_mode(&v);
		assert_int_equal(vmxon(&v, VMXON_REGION), EXC_UD);
		vcpu_teardown(&v);
	}
}

static void nested_shows_it(void **state)
{
	struct vcpu *v = *state;

	assert_true(shows_vmx(v->cpu));
	assert_true(control_cr4_offered(v->cpu) & CR4_VMXE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_msr_is_there_and_constant),
		TEST(basic),
		TEST(true_controls),
		TEST(what_hypervisors_demand),
		TEST(what_is_not_implemented),
		TEST(controls_follow_cpuid),
		TEST(fixed_bits),
		TEST(misc),
		TEST(ept_and_vpid),
		TEST(the_highest_index_is_of_a_field_that_exists),
		TEST(fields_follow_controls),
		TEST(feature_control_locks),
		cmocka_unit_test(nothing_of_it_without_nested),
		TEST(nested_shows_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
