/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual APIC: which accesses it serves and which exit, what a write does at the boundary
 * behind it, virtual interrupts from request to EOI, posted interrupts.
 */
#include "tests/unit/cpu_bench.h"

#include "cpu/mmu/mmu.h"
#include "vmx/vmx.h"

#define VAPIC  0x310000ull
#define ACCESS 0x311000ull /* the APIC-access page: unmapped otherwise */
#define POSTED 0x312000ull

#define TPR 0x80u
#define PPR 0xa0u
#define EOI 0xb0u
#define ISR 0x100u
#define IRR 0x200u
#define ICR 0x300u
#define LVT 0x320u

#define NOTIFICATION 0xf2
#define DONE         0x1000 /* no exit */
#define INJECTED     0x1001

#define ALL (PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)

static uint32_t reg(struct bench *b, unsigned offset)
{
	return (uint32_t)load_le(b->mem->base + VAPIC + offset, 4);
}

static void set_reg(struct bench *b, unsigned offset, uint32_t value)
{
	store_le(b->mem->base + VAPIC + offset, value, 4);
}

static void enter(struct bench *b, uint32_t proc2)
{
	struct cpu *cpu = b->cpu;
	struct vmx *vmx = vmx_of(cpu);

	vmx->proc = PROC_TPR_SHADOW | PROC_SECONDARY;
	vmx->proc2 = proc2 | PROC2_VPID;
	cpu->in_guest = true;
	cpu->stage_key = mmu_stage_key(1, 0);
	cpu->rflags |= RFLAGS_IF;
	cpu->cr0 = CR0_PE;
	mmu_flush_vpid(cpu, 1, false);
	mmu_stage_changed(cpu);
	cpu_update_derived(cpu);
	vmx_apic_entered(cpu);
}

static int set_up(void **state)
{
	struct vmx *vmx = calloc(1, sizeof(*vmx));
	struct bench *b;

	bench_set_up(state);
	b = *state;
	b->cpu->virt = &virt_vmx;
	b->cpu->virt_state = vmx;
	assert_int_equal(clock_create(&b->soft->config.clock), 0);
	assert_int_equal(irq_create(&b->soft->config.irq, b->soft->config.clock, 1), 0);
	vmcs_set(b->cpu, VIRTUAL_APIC_PAGE, VAPIC);
	vmcs_set(b->cpu, APIC_ACCESS_PAGE, ACCESS);
	vmcs_set(b->cpu, POSTED_INTERRUPT_DESCRIPTOR, POSTED);
	vmcs_set(b->cpu, POSTED_INTERRUPT_VECTOR, NOTIFICATION);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	clock_destroy(b->soft->config.clock);
	irq_destroy(b->soft->config.irq);
	free(b->cpu->virt_state);
	return bench_tear_down(state);
}

static unsigned outcome(struct bench *b, int how)
{
	return how == UNWIND_INJECT ? INJECTED : (unsigned)vmcs_get(b->cpu, EXIT_REASON);
}

static unsigned boundary(struct bench *b)
{
	int how = setjmp(b->cpu->unwind);

	if (how)
		return outcome(b, how);
	vmx_apic_boundary(b->cpu, BOUNDARY_BEFORE_TRAPS);
	vmx_apic_boundary(b->cpu, BOUNDARY_BEFORE_INTERRUPT);
	return DONE;
}

static uint64_t loaded;

static unsigned load(struct bench *b, unsigned offset, unsigned size)
{
	int how = setjmp(b->cpu->unwind);

	if (how)
		return outcome(b, how);
	loaded = mmu_load(b->cpu, ACCESS + offset, size, DS);
	return DONE;
}

/* The store, and the boundary behind it. */
static unsigned store(struct bench *b, unsigned offset, unsigned size, uint64_t value)
{
	int how = setjmp(b->cpu->unwind);

	if (how)
		return outcome(b, how);
	mmu_store(b->cpu, ACCESS + offset, size, value, DS);
	return boundary(b);
}

#define assert_exit(b, reason, qual, call)                                      \
	do {                                                                    \
		assert_int_equal(call, reason);                                 \
		assert_int_equal(vmcs_get((b)->cpu, EXIT_QUALIFICATION), qual); \
	} while (0)

static void test_tpr_alone(void **state)
{
	struct bench *b = *state;

	set_reg(b, TPR, 0x50);
	enter(b, PROC2_APIC_ACCESS);
	assert_int_equal(boundary(b), DONE);
	assert_int_equal(load(b, TPR, 4), DONE);
	assert_int_equal(loaded, 0x50);
	assert_int_equal(load(b, TPR, 1), DONE);
	assert_int_equal(store(b, TPR, 4, 0xabcd30), DONE);
	assert_int_equal(reg(b, TPR), 0x30);
	assert_exit(b, EXIT_APIC_ACCESS, TPR | 0 << 12, load(b, TPR, 8));
	enter(b, PROC2_APIC_ACCESS);
	assert_exit(b, EXIT_APIC_ACCESS, (TPR + 2) | 0 << 12, load(b, TPR + 2, 4));
	enter(b, PROC2_APIC_ACCESS);
	assert_exit(b, EXIT_APIC_ACCESS, EOI | 1 << 12, store(b, EOI, 4, 0));
	enter(b, PROC2_APIC_ACCESS);
	assert_exit(b, EXIT_APIC_ACCESS, LVT | 0 << 12, load(b, LVT, 4));
	enter(b, PROC2_APIC_ACCESS);
	b->cpu->in_delivery = true;
	assert_exit(b, EXIT_APIC_ACCESS, LVT | 3 << 12, load(b, LVT, 4));
	enter(b, PROC2_APIC_ACCESS);
	if (!setjmp(b->cpu->unwind))
		mmu_fetch(b->cpu, ACCESS + 8);
	assert_int_equal(vmcs_get(b->cpu, EXIT_QUALIFICATION), 8 | 2 << 12);
	assert_int_equal(load(b, TPR, 4), DONE); /* in root operation it is a page as any other */
	assert_int_equal(loaded, 0);
}

static void test_tpr_threshold(void **state)
{
	struct bench *b = *state;

	set_reg(b, TPR, 0x50);
	vmcs_set(b->cpu, TPR_THRESHOLD, 5);
	enter(b, 0);
	assert_int_equal(vmx_apic_cr8(b->cpu), 5);
	vmx_apic_set_cr8(b->cpu, 6);
	assert_int_equal(boundary(b), DONE);
	vmx_apic_set_cr8(b->cpu, 4);
	assert_int_equal(reg(b, TPR), 0x40);
	assert_int_equal(boundary(b), EXIT_TPR_BELOW_THRESHOLD);
	enter(b, PROC2_APIC_ACCESS); /* still below */
	assert_int_equal(boundary(b), EXIT_TPR_BELOW_THRESHOLD);
}

static void test_register_virtualization(void **state)
{
	struct bench *b = *state;

	set_reg(b, LVT, 0x10000);
	enter(b, PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS);
	assert_int_equal(load(b, LVT, 4), DONE);
	assert_int_equal(loaded, 0x10000);
	assert_exit(b, EXIT_APIC_WRITE, LVT, store(b, LVT, 4, 0x20));
	assert_int_equal(reg(b, LVT), 0x20);
	enter(b, PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS);
	assert_exit(b, EXIT_APIC_WRITE, EOI, store(b, EOI, 4, 0));
	enter(b, PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS);
	assert_exit(b, EXIT_APIC_ACCESS, PPR | 0 << 12, load(b, PPR, 4));
	enter(b, PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS);
	assert_exit(b, EXIT_APIC_ACCESS, ISR | 1 << 12, store(b, ISR, 4, 0));
}

static void test_virtual_interrupt(void **state)
{
	struct bench *b = *state;

	set_reg(b, IRR + 0x10, BIT(1)); /* vector 21h */
	set_reg(b, IRR + 0x20, BIT(1)); /* vector 41h */
	vmcs_set(b->cpu, GUEST_INTERRUPT_STATUS, 0x41);
	enter(b, ALL);
	b->cpu->rflags &= ~(uint32_t)RFLAGS_IF;
	assert_int_equal(boundary(b), DONE);
	b->cpu->rflags |= RFLAGS_IF;
	assert_int_equal(boundary(b), INJECTED);
	assert_int_equal(b->cpu->fault.vector, 0x41);
	assert_int_equal(b->cpu->fault.type, EVENT_EXTERNAL);
	assert_int_equal(vmcs_get(b->cpu, GUEST_INTERRUPT_STATUS), 0x4121);
	assert_int_equal(reg(b, ISR + 0x20), BIT(1));
	assert_int_equal(reg(b, IRR + 0x20), 0);
	assert_int_equal(reg(b, PPR), 0x40);
	assert_int_equal(boundary(b), DONE); /* 21h waits behind 41h */
	assert_int_equal(store(b, EOI, 4, 7), INJECTED);
	assert_int_equal(reg(b, EOI), 0);
	assert_int_equal(b->cpu->fault.vector, 0x21);
	vmcs_set(b->cpu, EOI_EXIT_BITMAP0, BIT(0x21));
	assert_exit(b, EXIT_VIRTUALIZED_EOI, 0x21, store(b, EOI, 4, 0));
	assert_int_equal(vmcs_get(b->cpu, GUEST_INTERRUPT_STATUS), 0);
}

static void test_ipi(void **state)
{
	struct bench *b = *state;

	enter(b, ALL);
	assert_int_equal(store(b, ICR, 4, 0x40035), INJECTED);
	assert_int_equal(b->cpu->fault.vector, 0x35);
	assert_exit(b, EXIT_APIC_WRITE, ICR, store(b, ICR, 4, 0x35)); /* to someone else */
	enter(b, ALL);
	assert_exit(b, EXIT_APIC_WRITE, ICR, store(b, ICR, 4, 0x40005)); /* an illegal vector */
}

static void test_x2apic(void **state)
{
	uint32_t controls = PROC2_X2APIC | PROC2_VIRTUAL_INTERRUPTS;
	struct bench *b = *state;
	uint64_t value = 0x50;
	bool is_valid = true;

	set_reg(b, LVT, 0x10000);
	enter(b, controls);
	assert_true(vmx_apic_msr(b->cpu, 0x808, true, &value, &is_valid));
	assert_true(is_valid);
	assert_int_equal(reg(b, TPR), 0x50);
	assert_int_equal(boundary(b), DONE);
	assert_int_equal(reg(b, PPR), 0x50);
	value = 0x100;
	assert_true(vmx_apic_msr(b->cpu, 0x808, true, &value, &is_valid));
	assert_false(is_valid);
	assert_false(vmx_apic_msr(b->cpu, 0x832, false, &value, &is_valid));
	assert_false(vmx_apic_msr(b->cpu, 0x6e0, false, &value, &is_valid));
	is_valid = true;
	value = 0x61;
	assert_true(vmx_apic_msr(b->cpu, 0x83f, true, &value, &is_valid));
	assert_int_equal(boundary(b), INJECTED);
	assert_int_equal(b->cpu->fault.vector, 0x61);
	enter(b, controls | PROC2_APIC_REGISTERS);
	assert_true(vmx_apic_msr(b->cpu, 0x832, false, &value, &is_valid));
	assert_int_equal(value, 0x10000);
	assert_false(vmx_apic_msr(b->cpu, 0x832, true, &value, &is_valid));
}

static void test_posted(void **state)
{
	struct bench *b = *state;

	*bench_at(b, POSTED + 8) = BIT(2) | BIT(40); /* vectors 42h and 68h */
	*bench_at(b, POSTED + 32) = 3;
	enter(b, ALL);
	vmx_of(b->cpu)->pin = PIN_POSTED_INTERRUPTS | PIN_EXTERNAL_INTERRUPT;
	assert_false(vmx_apic_take_posted(b->cpu, NOTIFICATION + 1));
	assert_true(vmx_apic_take_posted(b->cpu, NOTIFICATION));
	assert_int_equal(*bench_at(b, POSTED + 8), 0);
	assert_int_equal(*bench_at(b, POSTED + 32), 2);
	assert_int_equal(reg(b, IRR + 0x20), BIT(2));
	assert_int_equal(reg(b, IRR + 0x30), BIT(8));
	assert_int_equal(boundary(b), INJECTED);
	assert_int_equal(b->cpu->fault.vector, 0x68);
	assert_int_equal(vmcs_get(b->cpu, GUEST_INTERRUPT_STATUS), 0x6842);
}

static void test_outside_memory(void **state)
{
	struct bench *b = *state;

	vmcs_set(b->cpu, VIRTUAL_APIC_PAGE, 0x3ffffffff000);
	vmcs_set(b->cpu, POSTED_INTERRUPT_DESCRIPTOR, 0x3fffffffffc0);
	enter(b, ALL);
	assert_int_equal(store(b, TPR, 4, 0x30), DONE);
	assert_int_equal(load(b, TPR, 4), DONE);
	assert_int_equal(loaded, 0x30);
	assert_int_equal(store(b, EOI, 4, 0), DONE);
}

static void test_reset(void **state)
{
	struct bench *b = *state;

	enter(b, ALL);
	assert_ptr_not_equal(b->cpu->virtual_apic, NULL);
	virt_vmx.reset(b->cpu);
	assert_null(b->cpu->virtual_apic);
	assert_int_equal(b->cpu->apic_access_page, NO_APIC_PAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tpr_alone),
		TEST(tpr_threshold),
		TEST(register_virtualization),
		TEST(virtual_interrupt),
		TEST(ipi),
		TEST(x2apic),
		TEST(posted),
		TEST(outside_memory),
		TEST(reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
