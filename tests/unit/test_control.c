/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control, extended control and debug registers: which values raise #GP(0), and how the processor
 * gets into long mode and out of it.
 */
#include "tests/unit/vcpu.h"

#include "cpu/control.h"
#include "cpu/feature.h"

#define PG_PE    (CR0_PG | CR0_PE | CR0_ET)
#define PDPT     0x8000
#define LONG_CR4 CR4_PAE

static void store(struct vcpu *v, gpa_t gpa, uint64_t value)
{
	assert_int_equal(memory_write(v->config.memory, gpa, &value, sizeof(value)), 0);
}

static void enter_long_mode(struct vcpu *v)
{
	struct cpu *cpu = v->cpu;

	assert_passes(cpu, control_write_cr0(cpu, CR0_PE));
	assert_passes(cpu, control_write_cr4(cpu, LONG_CR4));
	assert_true(control_write_efer(cpu, EFER_LME));
	assert_passes(cpu, control_write_cr0(cpu, PG_PE));
	assert_true(cpu->efer & EFER_LMA);
}

static void cr0_combinations(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, CR0_PG));
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, CR0_NW));
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, BIT(32)));
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_NW | CR0_CD));
	assert_passes(v.cpu, control_write_cr0(v.cpu, 0xffffffff & ~CR0_PG));
	assert_int_equal(v.cpu->cr0, CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP |
					     CR0_AM | CR0_NW | CR0_CD);
	vcpu_teardown(&v);
}

static void long_mode_in_and_out(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_PE));
	assert_true(control_write_efer(v.cpu, EFER_LME));
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, PG_PE)); /* without PAE */
	assert_passes(v.cpu, control_write_cr4(v.cpu, CR4_PAE));
	v.cpu->seg[CS].ar |= SEG_L;
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, PG_PE)); /* with CS.L */
	v.cpu->seg[CS].ar &= ~SEG_L;
	assert_passes(v.cpu, control_write_cr0(v.cpu, PG_PE));
	assert_int_equal(v.cpu->efer, EFER_LME | EFER_LMA);

	assert_false(control_write_efer(v.cpu, 0));                  /* LME while paging */
	assert_true(control_write_efer(v.cpu, EFER_LME | EFER_NXE)); /* LMA is not for writing */
	assert_int_equal(v.cpu->efer, EFER_LME | EFER_LMA | EFER_NXE);
	assert_raises(v.cpu, EXC_GP, control_write_cr4(v.cpu, 0));

	v.cpu->seg[CS].ar |= SEG_L;
	cpu_update_derived(v.cpu);
	assert_int_equal(v.cpu->mode, MODE_64);
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, CR0_PE)); /* from 64-bit mode */
	v.cpu->seg[CS].ar &= ~SEG_L;
	cpu_update_derived(v.cpu);
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_PE));
	assert_int_equal(v.cpu->efer, EFER_LME | EFER_NXE);
	vcpu_teardown(&v);
}

static void cr4_takes_what_cpuid_shows(void **state)
{
	struct vcpu v;
	uint64_t offered;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	offered = control_cr4_offered(v.cpu);
	assert_true(offered & CR4_SMAP);
	assert_false(offered & CR4_VMXE);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool good = (offered & BIT(bit)) && BIT(bit) != CR4_PCIDE;

		assert_int_equal(RAISED(v.cpu, control_write_cr4(v.cpu, BIT(bit))),
				 good ? -1 : EXC_GP);
	}
	vcpu_teardown(&v);
}

static void pcids_need_long_mode_and_a_clean_cr3(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_raises(v.cpu, EXC_GP, control_write_cr4(v.cpu, CR4_PAE | CR4_PCIDE));
	enter_long_mode(&v);
	assert_raises(v.cpu, EXC_GP, control_write_cr3(v.cpu, CR3_NOFLUSH));
	assert_passes(v.cpu, control_write_cr3(v.cpu, 0x1003));
	assert_raises(v.cpu, EXC_GP, control_write_cr4(v.cpu, LONG_CR4 | CR4_PCIDE));
	assert_passes(v.cpu, control_write_cr3(v.cpu, 0x1000));
	assert_passes(v.cpu, control_write_cr4(v.cpu, LONG_CR4 | CR4_PCIDE));
	assert_passes(v.cpu, control_write_cr3(v.cpu, CR3_NOFLUSH | 0x1003));
	assert_int_equal(v.cpu->cr3, 0x1003);
	assert_raises(v.cpu, EXC_GP, control_write_cr3(v.cpu, BIT(PHYSICAL_BITS)));
	assert_raises(v.cpu, EXC_GP, control_write_cr0(v.cpu, CR0_PE));
	vcpu_teardown(&v);
}

static void pae_loads_its_pdptes(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_PE));
	assert_passes(v.cpu, control_write_cr4(v.cpu, CR4_PAE));
	store(&v, PDPT, 0x9001);
	store(&v, PDPT + 8, 0x6); /* not present: anything goes */
	assert_passes(v.cpu, control_write_cr3(v.cpu, PDPT));
	assert_passes(v.cpu, control_write_cr0(v.cpu, PG_PE));
	assert_int_equal(v.cpu->pdpte[0], 0x9001);
	store(&v, PDPT + 24, 0xa003);
	assert_raises(v.cpu, EXC_GP, control_write_cr3(v.cpu, PDPT));
	assert_raises(v.cpu, EXC_GP, control_write_cr4(v.cpu, CR4_PAE | CR4_PGE));
	assert_int_equal(v.cpu->cr4, CR4_PAE);
	assert_int_equal(v.cpu->pdpte[3], 0);
	assert_raises(v.cpu, EXC_GP, control_write_cr3(v.cpu, 0xfee00000)); /* no memory */
	store(&v, PDPT + 24, 0xa001);
	assert_passes(v.cpu, control_write_cr3(v.cpu, PDPT));
	assert_int_equal(v.cpu->pdpte[3], 0xa001);
	vcpu_teardown(&v);
}

static void efer_takes_what_cpuid_shows(void **state)
{
	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct vcpu v;

		vcpu_setup(&v, vendor);
		assert_true(control_write_efer(v.cpu, EFER_SCE | EFER_NXE | EFER_LMA));
		assert_int_equal(v.cpu->efer, EFER_SCE | EFER_NXE);
		assert_false(control_write_efer(v.cpu, EFER_SVME));
		assert_false(control_write_efer(v.cpu, EFER_LMSLE));
		assert_int_equal(control_write_efer(v.cpu, EFER_AIBRSE), vendor == CPU_AMD);
		vcpu_teardown(&v);
	}
}

static void xcr0_combinations(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_raises(v.cpu, EXC_GP, control_write_xcr0(v.cpu, 0));
	assert_raises(v.cpu, EXC_GP, control_write_xcr0(v.cpu, XCR0_SSE));
	assert_raises(v.cpu, EXC_GP, control_write_xcr0(v.cpu, XCR0_X87 | XCR0_AVX));
	assert_raises(v.cpu, EXC_GP, control_write_xcr0(v.cpu, XCR0_X87 | BIT(5)));
	assert_passes(v.cpu, control_write_xcr0(v.cpu, XCR0_X87 | XCR0_SSE | XCR0_PKRU));
	if (cpu_has(v.cpu, FEATURE_AVX))
		assert_passes(v.cpu, control_write_xcr0(v.cpu, control_xcr0_offered(v.cpu)));
	vcpu_teardown(&v);
}

static void cr8_is_the_task_priority(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_passes(v.cpu, control_write_cr8(v.cpu, 9));
	assert_int_equal(control_read_cr8(v.cpu), 9);
	assert_int_equal(irq_tpr(v.config.irq, 0), 0x90);
	assert_raises(v.cpu, EXC_GP, control_write_cr8(v.cpu, 16));
	vcpu_teardown(&v);
}

static void debug_registers(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_passes(v.cpu, control_write_dr(v.cpu, 6, 0xffffffff));
	assert_int_equal(control_read_dr(v.cpu, 4), 0xffffefff); /* an alias of DR6 */
	assert_passes(v.cpu, control_write_dr(v.cpu, 6, 0));
	assert_int_equal(v.cpu->dr6, DR6_INIT);
	assert_passes(v.cpu, control_write_dr(v.cpu, 7, 0xffffdfff));
	assert_int_equal(v.cpu->dr7, 0xffff07ff);
	assert_raises(v.cpu, EXC_GP, control_write_dr(v.cpu, 7, BIT(32)));
	assert_raises(v.cpu, EXC_GP, control_write_dr(v.cpu, 6, BIT(63)));

	assert_passes(v.cpu, control_write_cr4(v.cpu, CR4_DE));
	assert_raises(v.cpu, EXC_UD, control_read_dr(v.cpu, 5));
	assert_passes(v.cpu, control_write_dr(v.cpu, 7, DR7_GD));
	assert_raises(v.cpu, EXC_DB, control_read_dr(v.cpu, 0));
	assert_int_equal(v.cpu->fault.payload, DR6_BD);
	vcpu_teardown(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cr0_combinations),
		cmocka_unit_test(long_mode_in_and_out),
		cmocka_unit_test(cr4_takes_what_cpuid_shows),
		cmocka_unit_test(pcids_need_long_mode_and_a_clean_cr3),
		cmocka_unit_test(pae_loads_its_pdptes),
		cmocka_unit_test(efer_takes_what_cpuid_shows),
		cmocka_unit_test(xcr0_combinations),
		cmocka_unit_test(cr8_is_the_task_priority),
		cmocka_unit_test(debug_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
