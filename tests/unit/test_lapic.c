/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APICs with the router around them: modes and IA32_APIC_BASE, register access rules,
 * priorities, IPIs and messages, the timer, the PIC's way in.
 */
#include "tests/unit/chip.h"

#include <pthread.h>
#include <sched.h>

#include "dev/lapic.h"

#define VCPUS 4

#define ID       0x020
#define VERSION  0x030
#define TPR      0x080
#define PPR      0x0a0
#define EOI      0x0b0
#define LDR      0x0d0
#define DFR      0x0e0
#define SVR      0x0f0
#define ISR      0x100
#define TMR      0x180
#define IRR      0x200
#define ESR      0x280
#define ICR      0x300
#define ICR_HIGH 0x310
#define LVTT     0x320
#define LVTPC    0x340
#define LINT0    0x350
#define LVTERR   0x370
#define INITIAL  0x380
#define CURRENT  0x390
#define DIVIDE   0x3e0

#define MASKED       0x10000
#define ENABLED      (LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE)
#define TSC_DEADLINE 0x6e0

static uint32_t get(struct chip_machine *m, unsigned vcpu, unsigned reg)
{
	struct dev_access access = { .offset = reg, .size = 4 };

	irq_apic_mmio(m->irq, vcpu, &access);
	return (uint32_t)access.value;
}

static void set(struct chip_machine *m, unsigned vcpu, unsigned reg, uint32_t value)
{
	struct dev_access access = { reg, value, 4, true };

	irq_apic_mmio(m->irq, vcpu, &access);
}

static void send(struct chip_machine *m, unsigned vcpu, uint8_t destination, uint32_t icr)
{
	set(m, vcpu, ICR_HIGH, (uint32_t)destination << 24);
	set(m, vcpu, ICR, icr);
}

static void to_x2apic(struct chip_machine *m)
{
	for (unsigned i = 0; i < VCPUS; i++)
		assert_true(
			irq_set_apic_base(m->irq, i, irq_apic_base(m->irq, i) | LAPIC_BASE_X2APIC));
}

static bool x2_write(struct chip_machine *m, unsigned vcpu, unsigned reg, uint64_t value)
{
	return irq_apic_wrmsr(m->irq, vcpu, 0x800 + reg / 16, value);
}

static uint64_t x2_read(struct chip_machine *m, unsigned vcpu, unsigned reg)
{
	uint64_t value = 0;

	assert_true(irq_apic_rdmsr(m->irq, vcpu, 0x800 + reg / 16, &value));
	return value;
}

/* Which vCPUs have something to take; takes and ends it, and checks its vector. */
static unsigned taken_by(struct chip_machine *m, uint8_t vector)
{
	unsigned set_of = 0;

	for (unsigned i = 0; i < VCPUS; i++) {
		if (!irq_pending(m->irq, i))
			continue;
		assert_int_equal(irq_accept(m->irq, i), vector);
		if (irq_apic_base(m->irq, i) & LAPIC_BASE_X2APIC)
			assert_true(x2_write(m, i, EOI, 0));
		else
			set(m, i, EOI, 0);
		set_of |= 1u << i;
	}
	return set_of;
}

static int setup(void **state)
{
	struct chip_machine *m = malloc(sizeof(*m));

	chip_machine_open(m, VCPUS);
	for (unsigned i = 0; i < VCPUS; i++)
		set(m, i, SVR, 0x1ff);
	set(m, 0, LINT0, MASKED);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	chip_machine_close(*state);
	free(*state);
	return 0;
}

/* --- modes --- */

static void apic_base_makes_only_legal_transitions(void **state)
{
	struct chip_machine *m = *state;
	struct irq *irq = m->irq;
	uint64_t off = LAPIC_DEFAULT_BASE, on = ENABLED, x2 = ENABLED | LAPIC_BASE_X2APIC;

	assert_int_equal(irq_apic_base(irq, 0), ENABLED | LAPIC_BASE_BSP);
	assert_int_equal(irq_apic_base(irq, 1), ENABLED);
	assert_false(irq_set_apic_base(irq, 1, off | LAPIC_BASE_X2APIC));
	assert_false(irq_set_apic_base(irq, 1, on | 1));
	assert_false(irq_set_apic_base(irq, 1, on | BIT(9)));
	assert_false(irq_set_apic_base(irq, 1, on | BIT(52)));
	assert_true(irq_set_apic_base(irq, 1, x2));
	assert_true(irq_set_apic_base(irq, 1, x2));
	assert_false(irq_set_apic_base(irq, 1, on));
	assert_false(irq_set_apic_base(irq, 1, off | LAPIC_BASE_X2APIC));
	assert_true(irq_set_apic_base(irq, 1, off));
	assert_false(irq_set_apic_base(irq, 1, x2));
	assert_false(irq_set_apic_base(irq, 1, off | LAPIC_BASE_X2APIC));
	assert_true(irq_set_apic_base(irq, 1, on));
	assert_true(irq_set_apic_base(irq, 1, 0xfed40000 | LAPIC_BASE_ENABLE));
	assert_int_equal(irq_apic_base(irq, 1), 0xfed40000 | LAPIC_BASE_ENABLE);
	assert_int_equal(get(m, 1, ID), 1 << 24);
}

static void a_disabled_apic_is_gone_and_comes_back_reset(void **state)
{
	struct chip_machine *m = *state;
	uint32_t version = get(m, 1, VERSION);
	uint64_t value;

	set(m, 1, LDR, 0xff000000);
	assert_true(irq_set_apic_base(m->irq, 1, LAPIC_DEFAULT_BASE));
	assert_int_equal(get(m, 1, VERSION), 0xffffffff);
	assert_false(irq_apic_rdmsr(m->irq, 1, 0x803, &value));
	irq_set_tpr(m->irq, 1, 0x50); /* CR8 works on */
	assert_int_equal(irq_tpr(m->irq, 1), 0x50);
	send(m, 0, 1, 0x4041);
	assert_false(irq_pending(m->irq, 1));
	assert_true(irq_set_apic_base(m->irq, 1, ENABLED));
	assert_int_equal(get(m, 1, VERSION), version);
	assert_in_range(version & 0xff, 0x10, 0x15);
	assert_int_equal(get(m, 1, LDR), 0);
	assert_int_equal(get(m, 1, SVR), 0xff);
	assert_int_equal(get(m, 1, TPR), 0x50);
}

static void x2apic_registers_follow_their_rules(void **state)
{
	struct chip_machine *m = *state;
	uint64_t value;

	assert_false(irq_apic_rdmsr(m->irq, 1, 0x802, &value));
	assert_false(irq_apic_wrmsr(m->irq, 1, 0x808, 0));
	set(m, 1, TPR, 0x20);
	to_x2apic(m);
	assert_int_equal(get(m, 1, ID), 0xffffffff);
	assert_int_equal(x2_read(m, 3, ID), 3);
	assert_int_equal(x2_read(m, 3, LDR), 8);
	assert_int_equal(x2_read(m, 1, TPR), 0x20);
	for (unsigned reg = 0x800; reg < 0x900; reg++) {
		static const uint8_t read_only[] = { 0x02, 0x03, 0x0a, 0x0d, 0x39 };
		static const uint8_t absent[] = { 0x00, 0x01, 0x04, 0x09, 0x0c, 0x0e,
						  0x29, 0x2f, 0x31, 0x3a, 0x40, 0xff };

		for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
			if (reg - 0x800 == read_only[i])
				assert_false(irq_apic_wrmsr(m->irq, 1, reg, 0));
		for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
			if (reg - 0x800 == absent[i]) {
				assert_false(irq_apic_wrmsr(m->irq, 1, reg, 0));
				assert_false(irq_apic_rdmsr(m->irq, 1, reg, &value));
			}
		if (reg >= 0x810 && reg < 0x828)
			assert_false(irq_apic_wrmsr(m->irq, 1, reg, 0));
	}
	assert_false(irq_apic_rdmsr(m->irq, 1, 0x80b, &value)); /* EOI, SELF IPI: write only */
	assert_false(irq_apic_rdmsr(m->irq, 1, 0x83f, &value));
	assert_false(x2_write(m, 1, EOI, 1));
	assert_false(x2_write(m, 1, ESR, 1));
	assert_false(x2_write(m, 1, TPR, 0x100));
	assert_false(x2_write(m, 1, TPR, BIT(32)));
	assert_false(x2_write(m, 1, SVR, BIT(13)));
	assert_false(x2_write(m, 1, LVTT, BIT(19)));
	assert_false(x2_write(m, 1, DIVIDE, 4));
	assert_false(x2_write(m, 1, ICR, BIT(13)));
	assert_false(x2_write(m, 1, ICR, BIT(20)));
	assert_true(x2_write(m, 1, ICR, (uint64_t)7 << 32 | 0x4041));
	assert_int_equal(x2_read(m, 1, ICR), (uint64_t)7 << 32 | 0x4041);
}

static void software_disabling_masks_the_vector_table(void **state)
{
	struct chip_machine *m = *state;

	set(m, 1, LVTT, 0x40);
	set(m, 1, SVR, 0xff);
	assert_int_equal(get(m, 1, LVTT), 0x40 | MASKED);
	set(m, 1, LVTT, 0x41);
	assert_int_equal(get(m, 1, LVTT), 0x41 | MASKED);
	send(m, 0, 1, 0x4061);
	assert_false(irq_pending(m->irq, 1));
	send(m, 0, 1, 0x4400); /* an NMI gets through */
	assert_int_equal(m->signals[VCPU_NMI], 1);
	set(m, 1, SVR, 0x1ff);
	assert_int_equal(get(m, 1, LVTT), 0x41 | MASKED);
}

static void init_keeps_identity_and_base(void **state)
{
	struct chip_machine *m = *state;

	to_x2apic(m);
	assert_true(x2_write(m, 2, TPR, 0x30));
	irq_apic_init(m->irq, 2);
	assert_int_equal(irq_apic_base(m->irq, 2), ENABLED | LAPIC_BASE_X2APIC);
	assert_int_equal(x2_read(m, 2, ID), 2);
	assert_int_equal(x2_read(m, 2, TPR), 0);
	assert_int_equal(x2_read(m, 2, SVR), 0xff);
}

/* --- priorities --- */

static void vectors_nest_by_class(void **state)
{
	struct chip_machine *m = *state;

	send(m, 1, 0, 0x4041);
	send(m, 1, 0, 0x4045);
	assert_int_equal(get(m, 0, IRR + 0x20), BIT(1) | BIT(5));
	assert_int_equal(irq_accept(m->irq, 0), 0x45);
	assert_int_equal(get(m, 0, ISR + 0x20), BIT(5));
	assert_int_equal(get(m, 0, PPR), 0x40);
	assert_false(irq_pending(m->irq, 0));
	assert_int_equal(irq_accept(m->irq, 0), -1);
	send(m, 1, 0, 0x4051);
	assert_int_equal(irq_accept(m->irq, 0), 0x51);
	set(m, 0, EOI, 0);
	assert_false(irq_pending(m->irq, 0));
	m->signals[VCPU_INTERRUPT] = 0;
	set(m, 0, EOI, 0);
	assert_int_equal(m->signals[VCPU_INTERRUPT], 1); /* told to look again */
	assert_int_equal(irq_accept(m->irq, 0), 0x41);
	set(m, 0, EOI, 0);
	assert_int_equal(get(m, 0, PPR), 0);
	set(m, 0, EOI, 0); /* one too many */
}

static void the_task_priority_holds_back(void **state)
{
	struct chip_machine *m = *state;

	irq_set_tpr(m->irq, 0, 0x50);
	assert_int_equal(get(m, 0, TPR), 0x50);
	m->signals[VCPU_INTERRUPT] = 0;
	send(m, 1, 0, 0x405f);
	assert_false(irq_pending(m->irq, 0));
	assert_int_equal(m->signals[VCPU_INTERRUPT], 0);
	irq_set_tpr(m->irq, 0, 0x40);
	assert_int_equal(m->signals[VCPU_INTERRUPT], 1);
	assert_int_equal(irq_accept(m->irq, 0), 0x5f);
	set(m, 0, TPR, 0x57);
	assert_int_equal(get(m, 0, PPR), 0x57); /* same class: the task's whole value */
	set(m, 0, TPR, 0x60);
	set(m, 0, EOI, 0);
	assert_int_equal(get(m, 0, PPR), 0x60);
}

/* --- IPIs and messages --- */

static void physical_destinations_and_shorthands(void **state)
{
	struct chip_machine *m = *state;

	send(m, 0, 2, 0x4061);
	assert_int_equal(taken_by(m, 0x61), 4);
	send(m, 0, 9, 0x4061);
	assert_int_equal(taken_by(m, 0x61), 0);
	send(m, 0, 0xff, 0x4061);
	assert_int_equal(taken_by(m, 0x61), 15);
	send(m, 1, 0, 0x44061);
	assert_int_equal(taken_by(m, 0x61), 2);
	send(m, 1, 0, 0x84061);
	assert_int_equal(taken_by(m, 0x61), 15);
	send(m, 1, 0, 0xc4061);
	assert_int_equal(taken_by(m, 0x61), 13);
	assert_int_equal(get(m, 1, ICR) & BIT(12), 0);
	to_x2apic(m);
	assert_true(x2_write(m, 0, ICR, 0xffffffffull << 32 | 0x4061));
	assert_int_equal(taken_by(m, 0x61), 15);
	assert_true(x2_write(m, 0, ICR, 0xffull << 32 | 0x4061));
	assert_int_equal(taken_by(m, 0x61), 0);
	assert_true(x2_write(m, 3, 0x3f0, 0x61));
	assert_int_equal(taken_by(m, 0x61), 8);
	assert_false(x2_write(m, 3, 0x3f0, 0x161));
}

static void logical_destinations_flat_and_cluster(void **state)
{
	struct chip_machine *m = *state;

	for (unsigned i = 0; i < VCPUS; i++)
		set(m, i, LDR, 1u << (24 + i));
	send(m, 0, 0x0a, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0xa);
	send(m, 0, 0xff, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0xf);
	send(m, 0, 0xf0, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		set(m, i, DFR, 0);
		assert_int_equal(get(m, i, DFR), 0x0fffffff);
		set(m, i, LDR, (i / 2) << 28 | 1u << (24 + i % 2)); /* clusters 0 and 1 */
	}
	send(m, 0, 0x13, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0xc);
	send(m, 0, 0x02, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0x2);
	send(m, 0, 0x2f, 0x4861);
	assert_int_equal(taken_by(m, 0x61), 0);
	to_x2apic(m);
	assert_true(x2_write(m, 0, ICR, 0x0005ull << 32 | 0x4861));
	assert_int_equal(taken_by(m, 0x61), 0x5);
	assert_true(x2_write(m, 0, ICR, 0x10001ull << 32 | 0x4861));
	assert_int_equal(taken_by(m, 0x61), 0);
	irq_send_msi(m->irq, 0xfee0d004, 0x61); /* logical, 8 bits wide: cluster 0 */
	assert_int_equal(taken_by(m, 0x61), 0xd);
}

static void nmi_init_and_sipi_become_signals(void **state)
{
	struct chip_machine *m = *state;

	send(m, 0, 1, 0x4400);
	assert_int_equal(m->signals[VCPU_NMI], 1);
	send(m, 0, 0, 0xcc500);
	assert_int_equal(m->signals[VCPU_INIT], 3);
	send(m, 0, 1, 0x8500); /* de-assert */
	assert_int_equal(m->signals[VCPU_INIT], 3);
	send(m, 0, 1, 0x4609);
	assert_int_equal(m->signals[VCPU_SIPI], 1);
	assert_int_equal(m->sipi_vector, 9);
	send(m, 0, 1, 0x4200); /* SMI and the reserved mode go nowhere */
	send(m, 0, 1, 0x4300);
	assert_int_equal(m->signals[VCPU_INTERRUPT], 0);
}

static void a_counter_overflow_masks_its_entry(void **state)
{
	struct chip_machine *m = *state;

	irq_counter_overflow(m->irq, 1); /* masked, as after reset */
	assert_int_equal(taken_by(m, 0), 0);
	set(m, 1, LVTPC, 0x51);
	irq_counter_overflow(m->irq, 1);
	irq_counter_overflow(m->irq, 1);
	assert_int_equal(get(m, 1, LVTPC), 0x51 | MASKED);
	assert_int_equal(m->signals[VCPU_INTERRUPT], 1);
	assert_int_equal(taken_by(m, 0x51), 1 << 1);
	set(m, 1, LVTPC, 0x400);
	irq_counter_overflow(m->irq, 1);
	assert_int_equal(get(m, 1, LVTPC), 0x400 | MASKED);
	assert_int_equal(m->signals[VCPU_NMI], 1);
	set(m, 1, LVTPC, 0x500); /* no INIT from there */
	irq_counter_overflow(m->irq, 1);
	assert_int_equal(m->signals[VCPU_INIT], 0);
}

static void the_lowest_priority_takes_it(void **state)
{
	struct chip_machine *m = *state;
	unsigned spread = 0;

	for (unsigned i = 0; i < VCPUS; i++) {
		set(m, i, LDR, 1u << (24 + i));
		set(m, i, TPR, i == 2 ? 0x10 : 0x40);
	}
	for (int i = 0; i < 8; i++) {
		irq_send_msi(m->irq, 0xfeeff004, 0x0161);
		assert_int_equal(taken_by(m, 0x61), 4);
	}
	set(m, 2, SVR, 0xff); /* disabled: not a candidate */
	for (int i = 0; i < 24; i++) {
		irq_send_msi(m->irq, 0xfeeff00c, 0x0061); /* redirection hint */
		spread |= taken_by(m, 0x61);
	}
	assert_int_equal(spread, 0xb);
	irq_send_msi(m->irq, 0xfeeff00c, 0x0061);
	assert_int_equal(__builtin_popcount(taken_by(m, 0x61)), 1);
	irq_send_msi(m->irq, 0xfed00000, 0x61);
	irq_send_msi(m->irq, 0x1fee00000, 0x61);
	assert_int_equal(taken_by(m, 0x61), 0);
}

static void illegal_vectors_set_error_bits(void **state)
{
	struct chip_machine *m = *state;

	set(m, 0, LVTERR, 0x71);
	send(m, 0, 1, 0x4005);
	assert_int_equal(get(m, 0, ESR), 0);
	set(m, 0, ESR, 0);
	assert_int_equal(get(m, 0, ESR), BIT(5));
	assert_int_equal(irq_accept(m->irq, 0), 0x71);
	set(m, 0, EOI, 0);
	irq_send_msi(m->irq, 0xfee00000, 0x05);
	set(m, 0, ESR, 0);
	assert_int_equal(get(m, 0, ESR), BIT(6));
	get(m, 0, 0x010);
	set(m, 0, ESR, 0);
	assert_int_equal(get(m, 0, ESR), BIT(7));
	set(m, 0, ESR, 0);
	assert_int_equal(get(m, 0, ESR), 0);
	set(m, 0, LVTERR, 0x01); /* itself illegal */
	irq_send_msi(m->irq, 0xfee00000, 0x05);
	set(m, 0, ESR, 0);
	assert_int_equal(get(m, 0, ESR), BIT(6));
}

/* --- the IOAPIC behind it --- */

static void ioapic_set(struct chip_machine *m, unsigned reg, uint32_t value)
{
	chip_write(irq_ioapic_access, m->irq, 0x00, 4, reg);
	chip_write(irq_ioapic_access, m->irq, 0x10, 4, value);
}

static uint32_t ioapic_get(struct chip_machine *m, unsigned reg)
{
	chip_write(irq_ioapic_access, m->irq, 0x00, 4, reg);
	return (uint32_t)chip_read(irq_ioapic_access, m->irq, 0x10, 4);
}

static void eoi_reaches_the_ioapic_by_the_trigger_mode(void **state)
{
	struct chip_machine *m = *state;

	ioapic_set(m, 0x10 + 2 * 14, 0x8079);
	irq_set_line(m->irq, 14, true);
	assert_int_equal(irq_accept(m->irq, 0), 0x79);
	assert_true(get(m, 0, TMR + 0x30) & BIT(0x19));
	assert_false(irq_pending(m->irq, 0));
	set(m, 0, EOI, 0);
	assert_int_equal(irq_accept(m->irq, 0), 0x79); /* still asserted */
	irq_set_line(m->irq, 14, false);
	set(m, 0, EOI, 0);
	assert_false(irq_pending(m->irq, 0));
	assert_int_equal(ioapic_get(m, 0x10 + 2 * 14), 0x8079);
	/* with broadcasts suppressed the IOAPIC's own register ends it */
	set(m, 0, SVR, 0x11ff);
	irq_set_line(m->irq, 14, true);
	irq_set_line(m->irq, 14, false);
	assert_int_equal(irq_accept(m->irq, 0), 0x79);
	set(m, 0, EOI, 0);
	assert_int_equal(ioapic_get(m, 0x10 + 2 * 14), 0xc079);
	chip_write(irq_ioapic_access, m->irq, 0x40, 4, 0x79);
	assert_int_equal(ioapic_get(m, 0x10 + 2 * 14), 0x8079);
	/* an edge clears the trigger-mode bit */
	set(m, 0, SVR, 0x1ff);
	ioapic_set(m, 0x10 + 2 * 14, 0x79);
	irq_set_line(m->irq, 14, true);
	assert_int_equal(irq_accept(m->irq, 0), 0x79);
	assert_false(get(m, 0, TMR + 0x30) & BIT(0x19));
	set(m, 0, EOI, 0);
}

static void line_0_arrives_at_pin_2(void **state)
{
	struct chip_machine *m = *state;

	chip_pic_setup(m, 0); /* its output goes to pin 0 */
	ioapic_set(m, 0x10, 0x50);
	ioapic_set(m, 0x14, 0x52);
	irq_set_line(m->irq, 0, true);
	assert_int_equal(taken_by(m, 0x52), 1);
	irq_set_line(m->irq, 2, true);
	irq_set_line(m->irq, 24, true);
	irq_set_line(m->irq, 4000000000u, true);
	assert_int_equal(taken_by(m, 0), 0);
}

static void the_pic_comes_by_lint0_or_past_a_disabled_apic(void **state)
{
	struct chip_machine *m = *state;

	chip_pic_setup(m, BIT(3));
	irq_set_line(m->irq, 3, true);
	assert_false(irq_pending(m->irq, 0));
	m->signals[VCPU_INTERRUPT] = 0;
	set(m, 0, LINT0, 0x700);
	assert_int_equal(m->signals[VCPU_INTERRUPT], 1);
	irq_set_tpr(m->irq, 0, 0xff); /* no matter to ExtINT */
	assert_true(irq_pending(m->irq, 0));
	assert_false(irq_pending(m->irq, 1));
	assert_int_equal(chip_pic_take(m), 3);
	irq_set_line(m->irq, 3, false);
	set(m, 0, LINT0, MASKED | 0x700);
	irq_set_line(m->irq, 3, true);
	assert_false(irq_pending(m->irq, 0));
	assert_true(irq_set_apic_base(m->irq, 0, LAPIC_DEFAULT_BASE));
	assert_int_equal(chip_pic_take(m), 3);
	irq_set_line(m->irq, 3, false);
	irq_reset(m->irq);
	chip_pic_setup(m, BIT(3)); /* out of reset: virtual wire */
	irq_set_line(m->irq, 3, true);
	assert_int_equal(chip_pic_take(m), 3);
}

static void the_pic_comes_through_the_ioapic(void **state)
{
	struct chip_machine *m = *state;

	chip_pic_setup(m, BIT(3));
	ioapic_set(m, 0x10, 0x700);
	ioapic_set(m, 0x11, 0x01000000);
	irq_set_line(m->irq, 3, true);
	assert_false(irq_pending(m->irq, 0));
	assert_true(irq_pending(m->irq, 1));
	assert_int_equal(irq_accept(m->irq, 1), 0x23);
	assert_false(irq_pending(m->irq, 1));
}

/* Two requests wait and no EOI comes between them, so that the output never falls. */
static void automatic_eoi_through_the_ioapic_loses_nothing(void **state)
{
	static const uint8_t icw[] = { 0x20, 0x04, 0x03 };
	struct chip_machine *m = *state;

	chip_write(irq_pic_master_access, m->irq, 0, 1, 0x11);
	for (size_t i = 0; i < ARRAY_SIZE(icw); i++)
		chip_write(irq_pic_master_access, m->irq, 1, 1, icw[i]);
	ioapic_set(m, 0x10, 0x700);
	ioapic_set(m, 0x11, 0x01000000);
	irq_set_line(m->irq, 3, true);
	irq_set_line(m->irq, 4, true);
	assert_int_equal(irq_accept(m->irq, 1), 0x23);
	assert_true(irq_pending(m->irq, 1));
	assert_int_equal(irq_accept(m->irq, 1), 0x24);
	assert_false(irq_pending(m->irq, 1));
}

/* --- the timer --- */

static bool wait_pending(struct chip_machine *m, unsigned vcpu)
{
	uint64_t end = clock_now_ns(m->clock) + 5000 * MS;

	while (!irq_pending(m->irq, vcpu) && clock_now_ns(m->clock) < end)
		usleep(50);
	return irq_pending(m->irq, vcpu);
}

/* What the undivided timer counts in a millisecond. */
static uint32_t counts_ms(struct chip_machine *m)
{
	uint64_t khz = clock_tsc_khz(m->clock);

	return (uint32_t)(khz / clock_bus_ratio(khz));
}

static void one_shot_counts_down_once(void **state)
{
	struct chip_machine *m = *state;
	uint64_t start = clock_now_ns(m->clock);

	set(m, 0, LVTT, 0xee);
	set(m, 0, DIVIDE, 0xb);
	set(m, 0, INITIAL, 5 * counts_ms(m));
	assert_in_range(get(m, 0, CURRENT), 1, 5 * counts_ms(m));
	assert_true(wait_pending(m, 0));
	assert_true(clock_now_ns(m->clock) - start >= 5 * MS - 100 * US);
	assert_int_equal(taken_by(m, 0xee), 1);
	assert_int_equal(get(m, 0, CURRENT), 0);
	chip_sleep(m, 20 * MS);
	assert_false(irq_pending(m->irq, 0));
	/* masked it counts too; stopped it does not come */
	set(m, 0, LVTT, 0xee | MASKED);
	set(m, 0, INITIAL, 2 * counts_ms(m));
	chip_sleep(m, 10 * MS);
	assert_int_equal(get(m, 0, CURRENT), 0);
	set(m, 0, LVTT, 0xee);
	set(m, 0, INITIAL, 20 * counts_ms(m));
	set(m, 0, INITIAL, 0);
	chip_sleep(m, 40 * MS);
	assert_false(irq_pending(m->irq, 0));
}

static void the_divider_slows(void **state)
{
	struct chip_machine *m = *state;
	static const uint8_t by_8 = 2;
	uint32_t before;

	set(m, 0, DIVIDE, by_8);
	set(m, 0, INITIAL, 1000 * counts_ms(m));
	chip_sleep(m, 16 * MS);
	before = get(m, 0, CURRENT);
	assert_in_range(1000 * counts_ms(m) - before, 2 * counts_ms(m), 900 * counts_ms(m));
	set(m, 0, DIVIDE, 0xb);
	assert_in_range(get(m, 0, CURRENT), 1, before);
	assert_int_equal(get(m, 0, INITIAL), 1000 * counts_ms(m));
	assert_int_equal(get(m, 0, DIVIDE), 0xb);
}

static void periodic_goes_on(void **state)
{
	struct chip_machine *m = *state;

	set(m, 0, LVTT, 0x200ee);
	set(m, 0, DIVIDE, 0xb);
	set(m, 0, INITIAL, 3 * counts_ms(m));
	for (int i = 0; i < 5; i++) {
		assert_true(wait_pending(m, 0));
		assert_int_equal(taken_by(m, 0xee), 1);
	}
	set(m, 0, INITIAL, 1); /* an absurd rate does no harm */
	assert_true(wait_pending(m, 0));
}

static void a_change_of_mode_keeps_the_count(void **state)
{
	struct chip_machine *m = *state;
	uint32_t count = 400 * counts_ms(m);

	set(m, 0, LVTT, MASKED | 0xee);
	set(m, 0, DIVIDE, 0xb);
	set(m, 0, INITIAL, count);
	chip_sleep(m, 220 * MS);
	set(m, 0, LVTT, MASKED | 0x200ee);
	assert_in_range(get(m, 0, CURRENT), 1, count / 2);
	chip_sleep(m, 200 * MS);
	assert_in_range(get(m, 0, CURRENT), 1, count); /* went round */
	set(m, 0, LVTT, MASKED | 0xee);
	chip_sleep(m, 410 * MS);
	assert_int_equal(get(m, 0, CURRENT), 0);
	set(m, 0, LVTT, MASKED | 0x200ee);
	assert_int_equal(get(m, 0, CURRENT), 0); /* and stays there */
	assert_int_equal(get(m, 0, INITIAL), count);
	set(m, 0, LVTT, MASKED | 0x400ee);
	assert_int_equal(get(m, 0, INITIAL), 0);
}

static uint64_t deadline(struct chip_machine *m)
{
	uint64_t value;

	assert_true(irq_apic_rdmsr(m->irq, 0, TSC_DEADLINE, &value));
	return value;
}

static void tsc_deadlines(void **state)
{
	struct chip_machine *m = *state;
	uint64_t ms = clock_tsc_khz(m->clock), when;

	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, 1)); /* in another mode: ignored */
	assert_int_equal(deadline(m), 0);
	set(m, 0, LVTT, 0x400ef);
	set(m, 0, INITIAL, 1000);
	assert_int_equal(get(m, 0, CURRENT), 0);
	/* one that has passed fires inside the write */
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, clock_tsc(m->clock)));
	assert_int_equal(deadline(m), 0);
	assert_int_equal(taken_by(m, 0xef), 1);
	when = clock_tsc(m->clock) + 5 * ms;
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, when));
	assert_true(wait_pending(m, 0));
	assert_true(clock_tsc(m->clock) >= when);
	assert_int_equal(deadline(m), 0);
	assert_int_equal(taken_by(m, 0xef), 1);
	/* by this vCPU's own TSC */
	when = clock_tsc(m->clock) + 100000 * ms;
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, when));
	assert_int_equal(deadline(m), when);
	irq_set_tsc_offset(m->irq, 0, 200000 * ms);
	assert_int_equal(taken_by(m, 0xef), 1);
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, when + 100005 * ms));
	assert_true(wait_pending(m, 0));
	assert_int_equal(taken_by(m, 0xef), 1);
	/* zero disarms, another mode too */
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, UINT64_MAX));
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, 0));
	assert_int_equal(deadline(m), 0);
	assert_true(irq_apic_wrmsr(m->irq, 0, TSC_DEADLINE, UINT64_MAX));
	set(m, 0, LVTT, 0xef);
	assert_int_equal(deadline(m), 0);
}

/* --- hostile --- */

static void random_access(struct chip_machine *m, unsigned vcpu, uint64_t *seed)
{
	struct dev_access access = { .value = chip_random(seed),
				     .size = (uint8_t)(1u << chip_random(seed) % 4),
				     .is_write = chip_random(seed) % 2 };
	uint64_t value;

	access.value &= size_mask(access.size);
	access.offset = chip_random(seed) % 3 ? chip_random(seed) % 64 * 16
					      : chip_random(seed) % (4096 - access.size);
	switch (chip_random(seed) % 8) {
	case 0:
		irq_apic_rdmsr(m->irq, vcpu, 0x800 + chip_random(seed) % 256, &value);
		break;
	case 1:
		irq_apic_wrmsr(m->irq, vcpu, 0x800 + chip_random(seed) % 64,
			       chip_random(seed) >> chip_random(seed) % 64);
		break;
	case 2:
		irq_apic_wrmsr(m->irq, vcpu, TSC_DEADLINE, chip_random(seed));
		break;
	case 3:
		irq_set_apic_base(m->irq, vcpu, LAPIC_DEFAULT_BASE | (chip_random(seed) & 0xd00));
		break;
	case 4:
		if (irq_pending(m->irq, vcpu))
			irq_accept(m->irq, vcpu);
		break;
	case 5:
		irq_send_msi(m->irq, 0xfee00000 | (chip_random(seed) & 0xfffff),
			     (uint32_t)chip_random(seed));
		break;
	case 6:
		irq_set_line(m->irq, chip_random(seed) % 26, chip_random(seed) % 2);
		break;
	default:
		irq_apic_mmio(m->irq, vcpu, &access);
	}
}

struct attacker {
	struct chip_machine *m;
	unsigned vcpu;
	uint64_t seed;
};

static void *attack(void *arg)
{
	struct attacker *a = arg;

	for (int i = 0; i < 100000; i++) {
		random_access(a->m, a->vcpu, &a->seed);
		if (i % 16 == 0)
			chip_random_access(irq_ioapic_access, a->m->irq, 0x44, 8, &a->seed);
		if (i % 64 == 0)
			chip_random_access(irq_pic_master_access, a->m->irq, 2, 2, &a->seed);
	}
	return NULL;
}

static void random_accesses_from_all_vcpus_do_no_harm(void **state)
{
	struct chip_machine *m = *state;
	struct attacker a[VCPUS];
	pthread_t thread[VCPUS];
	uint64_t seed = chip_seed();

	for (unsigned i = 0; i < VCPUS; i++) {
		a[i] = (struct attacker){ m, i, seed + i };
		assert_int_equal(pthread_create(&thread[i], NULL, attack, &a[i]), 0);
	}
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	irq_reset(m->irq);
	set(m, 1, SVR, 0x1ff);
	send(m, 0, 1, 0x4061);
	assert_int_equal(irq_accept(m->irq, 1), 0x61);
}

/* Every IPI of one thread arrives at another: no lost wake-up between IRR and PPR. */
#define IPIS 20000

struct post {
	struct chip_machine *m;
	atomic_uint arrived;
	atomic_bool over;
};

static void *send_ipis(void *arg)
{
	struct post *post = arg;

	for (unsigned i = 0; i < IPIS && !atomic_load(&post->over); i++) {
		send(post->m, 1, 0, 0x4000 | (0x31 + i % 3 * 0x20));
		while (atomic_load(&post->arrived) <= i && !atomic_load(&post->over))
			sched_yield();
	}
	return NULL;
}

static void no_interrupt_is_lost_between_threads(void **state)
{
	struct chip_machine *m = *state;
	struct post post = { .m = m };
	pthread_t thread;
	uint64_t end = clock_now_ns(m->clock) + 60000 * MS;

	assert_int_equal(pthread_create(&thread, NULL, send_ipis, &post), 0);
	while (atomic_load(&post.arrived) < IPIS && clock_now_ns(m->clock) < end) {
		/* a vCPU looks only after a signal; and plays with its priority meanwhile */
		irq_set_tpr(m->irq, 0, 0xf0);
		irq_set_tpr(m->irq, 0, 0x00);
		if (!atomic_exchange(&m->signals[VCPU_INTERRUPT], 0)) {
			sched_yield();
			continue;
		}
		if (irq_pending(m->irq, 0) && irq_accept(m->irq, 0) >= 0) {
			set(m, 0, EOI, 0);
			atomic_fetch_add(&post.arrived, 1);
		}
	}
	atomic_store(&post.over, true);
	pthread_join(thread, NULL);
	assert_int_equal(post.arrived, IPIS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(apic_base_makes_only_legal_transitions),
		TEST(a_disabled_apic_is_gone_and_comes_back_reset),
		TEST(x2apic_registers_follow_their_rules),
		TEST(software_disabling_masks_the_vector_table),
		TEST(init_keeps_identity_and_base),
		TEST(vectors_nest_by_class),
		TEST(the_task_priority_holds_back),
		TEST(physical_destinations_and_shorthands),
		TEST(logical_destinations_flat_and_cluster),
		TEST(nmi_init_and_sipi_become_signals),
		TEST(a_counter_overflow_masks_its_entry),
		TEST(the_lowest_priority_takes_it),
		TEST(illegal_vectors_set_error_bits),
		TEST(eoi_reaches_the_ioapic_by_the_trigger_mode),
		TEST(line_0_arrives_at_pin_2),
		TEST(the_pic_comes_by_lint0_or_past_a_disabled_apic),
		TEST(the_pic_comes_through_the_ioapic),
		TEST(automatic_eoi_through_the_ioapic_loses_nothing),
		TEST(one_shot_counts_down_once),
		TEST(the_divider_slows),
		TEST(periodic_goes_on),
		TEST(a_change_of_mode_keeps_the_count),
		TEST(tsc_deadlines),
		TEST(random_accesses_from_all_vcpus_do_no_harm),
		TEST(no_interrupt_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
