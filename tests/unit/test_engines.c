/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The choice of an engine, and what of the KVM engine can be seen without KVM: CPUID, segments, and
 * interrupts on their way to local APICs that are not ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "kvm/cpuid.h"
#include "kvm/kvm.h"
#include "vm/engines.h"

/* ---- the choice ---- */

static void soft_runs_what_it_can(void **state)
{
	struct config config;
	struct error why = { "" }, err = { "" };

	(void)state;
	config_init(&config);
	config.engine = &engine_soft;
	config.nested = true;
	assert_int_equal(engines_choose(&config, &why, &err), 0);
	assert_ptr_equal(config.engine, &engine_soft);
	assert_int_equal(config.vendor, CPU_INTEL);
	config.vendor = CPU_AMD;
	config.any_vendor = false;
	assert_int_equal(engines_choose(&config, &why, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "--engine soft: --nested on: --cpu amd has no AMD-V"));
}

/* Whatever this host has: somebody runs it, and there is a reason. */
static void auto_finds_one(void **state)
{
	struct config config;
	struct error why = { "" }, err = { "" };

	(void)state;
	config_init(&config);
	assert_int_equal(engines_choose(&config, &why, &err), 0);
	assert_non_null(config.engine);
	assert_true(*why.text);
}

/* No host has both vendors' processors. */
static void kvm_has_one_vendor(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct engine_wish wish = { .vendor = (enum cpu_vendor)vendor };
		struct error err = { "" };
		enum cpu_vendor found;

		if (engine_kvm.probe(&wish, &found, &err)) {
			refused++;
			assert_true(*err.text);
		} else {
			assert_int_equal(found, vendor);
		}
	}
	assert_true(refused >= 1);
}

/* ---- CPUID ---- */

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[KVM_CPUID_ENTRIES];
};

static const struct kvm_cpuid_entry2 intel[] = {
	{ .function = 0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
	{ .function = 1, .eax = 0x806f8, .ebx = 0x01100800, .ecx = 0x20, .edx = 0x1 },
	{ .function = 4, .index = 0, .flags = 1, .eax = 0xfc004121 },
	{ .function = 4, .index = 1, .flags = 1, .eax = 0xfc01c163 },
	{ .function = 7, .index = 0, .flags = 1, .ebx = 0x24, .ecx = 0x40000000 },
	{ .function = 0xb, .index = 0, .flags = 1, .edx = 7 },
	{ .function = 0x12, .index = 0, .flags = 1, .eax = 1 },
	{ .function = 0x1f, .index = 0, .flags = 1, .edx = 7 },
	{ .function = 0x80000001, .ecx = 0x121 },
	{ .function = 0x80000008, .eax = 0x302e },
};

static const struct kvm_cpuid_entry2 amd[] = {
	{ .function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65 },
	{ .function = 1, .eax = 0xa10f11 },
	{ .function = 0x80000001, .ecx = 0x4 },
	{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x7007 },
	{ .function = 0x8000000a, .eax = 1 },
	{ .function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x1c163 },
	{ .function = 0x8000001e, .eax = 9, .ebx = 0x109, .ecx = 0x1 },
};

static void fill(struct table *table, const struct kvm_cpuid_entry2 *from, unsigned count)
{
	memset(table, 0, sizeof(*table));
	table->head.nent = count;
	memcpy(table->entry, from, count * sizeof(*from));
}

static const struct kvm_cpuid_entry2 *at(const struct table *table, uint32_t function,
					 uint32_t index)
{
	for (unsigned i = 0; i < table->head.nent; i++)
		if (table->entry[i].function == function && table->entry[i].index == index)
			return &table->entry[i];
	return NULL;
}

static void cpuid_of_intel(void **state)
{
	const struct kvm_cpuid_shape shape = { .index = 2, .vcpus = 3, .has_deadline = true };
	struct table table;

	(void)state;
	fill(&table, intel, ARRAY_SIZE(intel));
	assert_int_equal(kvm_cpuid_vendor(&table.head), CPU_INTEL);
	assert_true(kvm_cpuid_has_nesting(&table.head));
	assert_int_equal(kvm_cpuid_physical_bits(&table.head), 46);
	kvm_cpuid_shape(&table.head, &shape);
	assert_int_equal(at(&table, 1, 0)->ebx, 0x02040800);
	/* no VMX; x2APIC, TSC deadline, hypervisor */
	assert_int_equal(at(&table, 1, 0)->ecx, 0x81200000);
	assert_int_equal(at(&table, 1, 0)->edx, 0x10000001);
	assert_int_equal(at(&table, 4, 0)->eax, 0x0c000121);
	assert_int_equal(at(&table, 4, 1)->eax, 0x0c00c163);
	assert_int_equal(at(&table, 7, 0)->ebx, 0x20);
	assert_int_equal(at(&table, 7, 0)->ecx, 0);
	assert_null(at(&table, 0x12, 0));
	assert_null(at(&table, 0x1f, 0));
	assert_int_equal(at(&table, 0xb, 0)->edx, 2);
	assert_int_equal(at(&table, 0xb, 1)->eax, 2);
	assert_int_equal(at(&table, 0xb, 1)->ebx, 3);
	assert_true(at(&table, 0xb, 1)->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

static void cpuid_of_amd(void **state)
{
	const struct kvm_cpuid_shape shape = { .index = 1, .vcpus = 2 };
	struct table table;

	(void)state;
	fill(&table, amd, ARRAY_SIZE(amd));
	assert_int_equal(kvm_cpuid_vendor(&table.head), CPU_AMD);
	assert_true(kvm_cpuid_has_nesting(&table.head));
	kvm_cpuid_shape(&table.head, &shape);
	assert_int_equal(at(&table, 0x80000001, 0)->ecx, 0x2);
	assert_int_equal(at(&table, 0x80000008, 0)->ecx, 0x1001);
	assert_null(at(&table, 0x8000000a, 0));
	assert_int_equal(at(&table, 0x8000001d, 3)->eax, 0x4163);
	assert_int_equal(at(&table, 0x8000001e, 0)->eax, 1);
	assert_int_equal(at(&table, 0x8000001e, 0)->ebx, 1);
	assert_int_equal(at(&table, 1, 0)->ecx & BIT(24), 0);
	assert_false(kvm_cpuid_has_nesting(&table.head));
}

/* Shown where it is wanted, and only where the host has it. */
static void cpuid_of_nesting(void **state)
{
	const struct kvm_cpuid_shape shape = { .vcpus = 1, .nested = true };
	struct table table;

	(void)state;
	fill(&table, intel, ARRAY_SIZE(intel));
	kvm_cpuid_shape(&table.head, &shape);
	assert_true(at(&table, 1, 0)->ecx & 0x20);
	fill(&table, amd, ARRAY_SIZE(amd));
	table.entry[2].ecx = 0;
	kvm_cpuid_shape(&table.head, &shape);
	assert_int_equal(at(&table, 0x80000001, 0)->ecx, 0);
	assert_non_null(at(&table, 0x8000000a, 0));
}

/* A table that is full stays within its bounds. */
static void cpuid_of_a_full_table(void **state)
{
	const struct kvm_cpuid_shape shape = { .vcpus = 64, .index = 63 };
	struct table table;

	(void)state;
	fill(&table, intel, 1);
	for (unsigned i = 1; i < KVM_CPUID_ENTRIES; i++)
		table.entry[i].function = 0x1000 + i;
	table.head.nent = KVM_CPUID_ENTRIES;
	kvm_cpuid_shape(&table.head, &shape);
	assert_int_equal(table.head.nent, KVM_CPUID_ENTRIES);
}

/* ---- segments ---- */

static void segments_there_and_back(void **state)
{
	static const struct engine_segment cases[] = {
		{ 0x10, 0, 0xffffffff, 0xc09b },
		{ 0x10, 0, 0xffffffff, 0xa09b },
		{ 0xf000, 0xffff0000, 0xffff, 0x93 },
		{ 0x33, 1ull << 47, 0, 0xf3 },
		{ 0, 0, 0, 0x10000 },
		{ 0x40, 0xfffffe0000003000, 0x4087, 0x108b },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_segment in = kvm_segment_in(&cases[i]);
		struct engine_segment out = kvm_segment_out(&in);

		assert_int_equal(out.selector, cases[i].selector);
		assert_int_equal(out.base, cases[i].base);
		assert_int_equal(out.limit, cases[i].limit);
		assert_int_equal(out.attributes, cases[i].attributes);
	}
	assert_int_equal(kvm_segment_in(&cases[3]).dpl, 3);
	assert_int_equal(kvm_segment_in(&cases[1]).l, 1);
	assert_int_equal(kvm_segment_in(&cases[4]).unusable, 1);
}

/* ---- interrupts ---- */

struct sent {
	struct clock *clock;
	struct irq *irq;
	unsigned messages, changes, signals;
	uint64_t address;
	uint32_t data;
};

static void on_send(void *self, uint64_t address, uint32_t data)
{
	struct sent *sent = self;

	sent->messages++;
	sent->address = address;
	sent->data = data;
}

static void on_change(void *self)
{
	((struct sent *)self)->changes++;
}

static void on_signal(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	(void)vector;
	assert_int_equal(vcpu, 0);
	assert_int_equal(what, VCPU_INTERRUPT);
	((struct sent *)self)->signals++;
}

static void ioapic_write(struct irq *irq, uint8_t reg, uint32_t value)
{
	struct dev_access select = { .offset = 0, .size = 4, .is_write = true, .value = reg };
	struct dev_access window = { .offset = 16, .size = 4, .is_write = true, .value = value };

	irq_ioapic_access(irq, &select);
	irq_ioapic_access(irq, &window);
}

static int make_irq(void **state)
{
	static const struct irq_apics apics = { on_send, on_change };
	struct sent *sent = test_calloc(1, sizeof(*sent));

	assert_int_equal(clock_create(&sent->clock), 0);
	assert_int_equal(irq_create(&sent->irq, sent->clock, 2), 0);
	irq_set_apics(sent->irq, &apics, sent);
	irq_set_sink(sent->irq, on_signal, sent);
	*state = sent;
	return 0;
}

static int drop_irq(void **state)
{
	struct sent *sent = *state;

	clock_destroy(sent->clock);
	irq_destroy(sent->irq);
	test_free(sent);
	return 0;
}

static void pins_send_messages(void **state)
{
	struct sent *sent = *state;
	uint64_t address;
	uint32_t data;

	assert_false(irq_pin_message(sent->irq, 5, &address, &data));
	ioapic_write(sent->irq, 0x10 + 2 * 5 + 1, 1u << 24);
	ioapic_write(sent->irq, 0x10 + 2 * 5, 0x8041); /* level, vector 41h, to APIC 1 */
	assert_true(sent->changes >= 2);
	assert_true(irq_pin_message(sent->irq, 5, &address, &data));
	assert_int_equal(address, 0xfee01000);
	assert_int_equal(data, 0xc041);

	irq_set_line(sent->irq, 5, true);
	assert_int_equal(sent->messages, 1);
	assert_int_equal(sent->address, 0xfee01000);
	assert_int_equal(sent->data, 0xc041);
	irq_end_of_interrupt(sent->irq, 0x42);
	assert_int_equal(sent->messages, 1);
	irq_end_of_interrupt(sent->irq, 0x41); /* the line is still up */
	assert_int_equal(sent->messages, 2);
	irq_set_line(sent->irq, 5, false);
	irq_end_of_interrupt(sent->irq, 0x41);
	assert_int_equal(sent->messages, 2);
}

static void msis_pass_through(void **state)
{
	struct sent *sent = *state;

	irq_send_msi(sent->irq, 0xfee01004, 0x4123);
	assert_int_equal(sent->messages, 1);
	assert_int_equal(sent->address, 0xfee01004);
	assert_int_equal(sent->data, 0x123);
	irq_send_msi(sent->irq, 0xfec00000, 0x4123); /* not an MSI's address */
	irq_send_msi(sent->irq, 0xfee01004, 0x4223); /* SMI: nobody has system management mode */
	assert_int_equal(sent->messages, 1);
}

static void pic_write(dev_access_fn *pic, void *self, uint64_t port, uint8_t value)
{
	struct dev_access access = { .offset = port, .size = 1, .is_write = true, .value = value };

	pic(self, &access);
}

/* Whether vCPU 0 takes them is for its local APIC, which is not ours to ask. */
static void pic_asks_vcpu_0(void **state)
{
	struct sent *sent = *state;

	pic_write(irq_pic_master_access, sent->irq, 0, 0x11);
	pic_write(irq_pic_master_access, sent->irq, 1, 0x20);
	pic_write(irq_pic_master_access, sent->irq, 1, 0x04);
	pic_write(irq_pic_master_access, sent->irq, 1, 0x01);
	pic_write(irq_pic_master_access, sent->irq, 1, 0x00);
	assert_false(irq_pending(sent->irq, 0));
	irq_set_line(sent->irq, 3, true);
	assert_int_equal(sent->signals, 1);
	assert_true(irq_pending(sent->irq, 0));
	assert_false(irq_pending(sent->irq, 1));
	assert_int_equal(irq_accept(sent->irq, 0), 0x23);
	assert_false(irq_pending(sent->irq, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(soft_runs_what_it_can),
		cmocka_unit_test(auto_finds_one),
		cmocka_unit_test(kvm_has_one_vendor),
		cmocka_unit_test(cpuid_of_intel),
		cmocka_unit_test(cpuid_of_amd),
		cmocka_unit_test(cpuid_of_nesting),
		cmocka_unit_test(cpuid_of_a_full_table),
		cmocka_unit_test(segments_there_and_back),
		cmocka_unit_test_setup_teardown(pins_send_messages, make_irq, drop_irq),
		cmocka_unit_test_setup_teardown(msis_pass_through, make_irq, drop_irq),
		cmocka_unit_test_setup_teardown(pic_asks_vcpu_0, make_irq, drop_irq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
