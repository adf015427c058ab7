/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU in 64-bit mode with VT-x, memory mapped one to one, that executes VMX instructions: the
 * bytes of each, and how it ended.
 */
#ifndef TESTS_UNIT_VMX_ROOT_H
#define TESTS_UNIT_VMX_ROOT_H

#include "cpu/control.h"
#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"
#include "tests/unit/step.h"
#include "vmx/vmx.h"

#define PML4         0x2000
#define PDPT         0x3000
#define OPERAND      0x4000 /* memory operands: RSI points here */
#define VMXON_REGION 0x10000
#define VMCS_A       0x11000
#define VMCS_B       0x12000
#define NOT_RAM      0x40000000ull
#define PAGE_TABLE   3ull /* present, writable */
#define PAGE_1G      BIT(7)

#define MSR_FEATURE_CONTROL 0x3a

/* How a VMX instruction ended: the vector of a fault, or one of these; the number of VMfailValid is
 * added. */
#define SUCCEED 0x100
#define INVALID 0x200
#define FAIL    0x300

static inline unsigned root_outcome(struct cpu *cpu, int step)
{
	uint64_t flags = flags_get(cpu) & RFLAGS_STATUS;

	if (step >= 0)
		return (unsigned)step;
	if (!flags)
		return SUCCEED;
	if (flags == RFLAGS_CF)
		return INVALID;
	assert_int_equal(flags, RFLAGS_ZF);
	return FAIL + (unsigned)vmcs_get(cpu, INSTRUCTION_ERROR);
}

/* Begins with status flags that no VMX instruction leaves. */
#define ROOT(cpu, ...)                                             \
	__extension__({                                            \
		flags_set(cpu, RFLAGS_CF | RFLAGS_ZF | RFLAGS_SF); \
		root_outcome(cpu, STEP(cpu, __VA_ARGS__));         \
	})

/* Memory operands are [RSI]. */
static inline void set_operand(struct vcpu *v, uint64_t value)
{
	store_le(step_memory(v, OPERAND), value, 8);
	v->cpu->gpr[RSI] = OPERAND;
}

static inline unsigned vmxon(struct vcpu *v, gpa_t region)
{
	set_operand(v, region);
	return ROOT(v->cpu, 0xf3, 0x0f, 0xc7, 0x36);
}

static inline unsigned vmclear(struct vcpu *v, gpa_t region)
{
	set_operand(v, region);
	return ROOT(v->cpu, 0x66, 0x0f, 0xc7, 0x36);
}

static inline unsigned vmptrld(struct vcpu *v, gpa_t region)
{
	set_operand(v, region);
	return ROOT(v->cpu, 0x0f, 0xc7, 0x36);
}

static inline uint64_t vmptrst(struct vcpu *v)
{
	set_operand(v, 0);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0xc7, 0x3e), SUCCEED);
	return load_le(step_memory(v, OPERAND), 8);
}

/* VMREAD RAX, RCX and VMWRITE RCX, RAX. */
static inline unsigned vmread(struct vcpu *v, uint64_t encoding, uint64_t *value)
{
	unsigned how;

	v->cpu->gpr[RCX] = encoding;
	v->cpu->gpr[RAX] = *value;
	how = ROOT(v->cpu, 0x0f, 0x78, 0xc8);
	*value = v->cpu->gpr[RAX];
	return how;
}

static inline unsigned vmwrite(struct vcpu *v, uint64_t encoding, uint64_t value)
{
	v->cpu->gpr[RCX] = encoding;
	v->cpu->gpr[RAX] = value;
	return ROOT(v->cpu, 0x0f, 0x79, 0xc8);
}

static inline void put_revision(struct vcpu *v, gpa_t region, uint32_t revision)
{
	store_le(step_memory(v, region), revision, 4);
}

/* 64-bit mode with paging, as VMXON wants it. */
static inline void root_mode(struct vcpu *v)
{
	struct cpu *cpu = v->cpu;

	store_le(step_memory(v, PML4), PDPT | PAGE_TABLE, 8);
	store_le(step_memory(v, PDPT), PAGE_1G | PAGE_TABLE, 8);
	store_le(step_memory(v, PDPT) + 8, NOT_RAM | PAGE_1G | PAGE_TABLE, 8);
	step_in_64_bit_mode(cpu);
	cpu->cpl = 0;
	cpu->cr0 = CR0_PE | CR0_NE | CR0_PG | CR0_ET;
	cpu->cr3 = PML4;
	cpu->cr4 = CR4_PAE | CR4_VMXE;
	cpu_update_derived(cpu);
	mmu_mode_changed(cpu);
}

/* The state of a test: in root operation, with VMCS_A current. */
static inline int root_setup(void **state)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	vcpu_setup_nested(v, CPU_INTEL);
	root_mode(v);
	put_revision(v, VMXON_REGION, VMX_REVISION);
	put_revision(v, VMCS_A, VMX_REVISION);
	put_revision(v, VMCS_B, VMX_REVISION);
	assert_true(msr_write(v->cpu, MSR_FEATURE_CONTROL,
			      FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON));
	assert_int_equal(vmxon(v, VMXON_REGION), SUCCEED);
	assert_int_equal(vmclear(v, VMCS_A), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	*state = v;
	return 0;
}

static inline int root_teardown(void **state)
{
	struct vcpu *v = *state;

	vcpu_teardown(v);
	free(v);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, root_setup, root_teardown)

#endif
