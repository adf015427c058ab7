/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC: registers, edges, levels with Remote IRR, masks, end of interrupt.
 */
#include "tests/unit/chip.h"

#include "dev/ioapic.h"

#define MASKED (1u << 16)
#define LEVEL  (1u << 15)
#define IRR    (1u << 14)
#define LOGIC  (1u << 11)

struct fixture {
	struct ioapic *ioapic;
	struct ioapic_messages sent; /* by the last call */
};

static void store(struct fixture *f, uint64_t offset, uint32_t value)
{
	struct dev_access access = { offset, value, 4, true };

	f->sent.count = 0;
	ioapic_access(f->ioapic, &access, &f->sent);
}

static uint32_t load(struct fixture *f, uint64_t offset)
{
	struct dev_access access = { .offset = offset, .size = 4 };

	f->sent.count = 0;
	ioapic_access(f->ioapic, &access, &f->sent);
	return (uint32_t)access.value;
}

static uint32_t get(struct fixture *f, unsigned reg)
{
	store(f, 0x00, reg);
	return load(f, 0x10);
}

static void set(struct fixture *f, unsigned reg, uint32_t value)
{
	store(f, 0x00, reg);
	store(f, 0x10, value);
}

/* How many messages a change of the line sends. */
static unsigned line(struct fixture *f, unsigned pin, bool level)
{
	f->sent.count = 0;
	ioapic_set_line(f->ioapic, pin, level, &f->sent);
	return f->sent.count;
}

static unsigned end(struct fixture *f, uint8_t vector)
{
	f->sent.count = 0;
	ioapic_end_of_interrupt(f->ioapic, vector, &f->sent);
	return f->sent.count;
}

static uint32_t entry(struct fixture *f, unsigned pin)
{
	return get(f, 0x10 + 2 * pin);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return ioapic_create(&f->ioapic);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ioapic_destroy(f->ioapic);
	free(f);
	return 0;
}

static void registers_keep_what_is_writable(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 1), 0x00170020);
	set(f, 1, 0xffffffff);
	assert_int_equal(get(f, 1), 0x00170020);
	set(f, 0, 0xffffffff);
	assert_int_equal(get(f, 0), 0x0f000000);
	assert_int_equal(get(f, 2), 0x0f000000);
	set(f, 2, 0);
	assert_int_equal(get(f, 2), 0x0f000000);
	assert_int_equal(entry(f, 23), MASKED);
	set(f, 0x10, 0xffffffff);
	set(f, 0x11, 0xffffffff);
	assert_int_equal(get(f, 0x10), 0x0001afff);
	assert_int_equal(get(f, 0x11), 0xff000000);
	assert_int_equal(get(f, 0x40), 0);
	assert_int_equal(get(f, 0xff), 0);
}

static void an_edge_sends_once(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 5, 0x76 | LOGIC);
	set(f, 0x11 + 2 * 5, 0x0d000000);
	assert_int_equal(line(f, 5, true), 1);
	assert_int_equal(f->sent.message[0].vector, 0x76);
	assert_int_equal(f->sent.message[0].destination, 0x0d);
	assert_true(f->sent.message[0].logical);
	assert_false(f->sent.message[0].level);
	assert_int_equal(f->sent.message[0].delivery, APIC_FIXED);
	assert_int_equal(line(f, 5, true), 0);
	assert_int_equal(line(f, 5, false), 0);
	assert_int_equal(line(f, 5, true), 1);
	assert_int_equal(entry(f, 5) & IRR, 0);
}

static void an_edge_while_masked_is_lost(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 5, 0x76 | MASKED);
	assert_int_equal(line(f, 5, true), 0);
	set(f, 0x10 + 2 * 5, 0x76);
	assert_int_equal(f->sent.count, 0);
	line(f, 5, false);
	assert_int_equal(line(f, 5, true), 1);
}

static void a_level_waits_for_its_end(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 9, 0x55 | LEVEL);
	assert_int_equal(line(f, 9, true), 1);
	assert_true(f->sent.message[0].level);
	assert_true(entry(f, 9) & IRR);
	assert_int_equal(line(f, 9, false), 0);
	assert_int_equal(line(f, 9, true), 0);
	assert_int_equal(end(f, 0x54), 0);
	assert_true(entry(f, 9) & IRR);
	assert_int_equal(end(f, 0x55), 1); /* still asserted: again */
	line(f, 9, false);
	assert_int_equal(end(f, 0x55), 0);
	assert_int_equal(entry(f, 9) & IRR, 0);
}

static void masks_hold_a_level_back(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 9, 0x55 | LEVEL | MASKED);
	assert_int_equal(line(f, 9, true), 0);
	set(f, 0x10 + 2 * 9, 0x55 | LEVEL);
	assert_int_equal(f->sent.count, 1);
	/* masked in service: the end clears Remote IRR, the unmasking sends */
	set(f, 0x10 + 2 * 9, 0x55 | LEVEL | MASKED);
	assert_true(entry(f, 9) & IRR);
	assert_int_equal(end(f, 0x55), 0);
	assert_int_equal(entry(f, 9) & IRR, 0);
	set(f, 0x10 + 2 * 9, 0x55 | LEVEL);
	assert_int_equal(f->sent.count, 1);
}

static void remote_irr_survives_a_new_destination(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 9, 0x55 | LEVEL);
	line(f, 9, true);
	line(f, 9, false);
	set(f, 0x11 + 2 * 9, 0x01000000);
	assert_int_equal(f->sent.count, 0);
	assert_true(entry(f, 9) & IRR);
	set(f, 0x10 + 2 * 9, 0x55); /* an edge entry has none */
	assert_int_equal(entry(f, 9) & IRR, 0);
}

static void the_eoi_register_ends_too(void **state)
{
	struct fixture *f = *state;

	set(f, 0x10 + 2 * 9, 0x55 | LEVEL);
	line(f, 9, true);
	store(f, 0x40, 0x55);
	assert_int_equal(f->sent.count, 1);
	line(f, 9, false);
	store(f, 0x40, 0x55);
	assert_int_equal(entry(f, 9) & IRR, 0);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 300000; i++) {
		static const uint16_t offsets[] = { 0, 0, 0x10, 0x10, 0x10, 0x40, 0x11, 0xffc };
		struct dev_access access = {
			.offset = offsets[chip_random(&seed) % ARRAY_SIZE(offsets)],
			.value = chip_random(&seed),
			.size = (uint8_t)(1u << chip_random(&seed) % 4),
			.is_write = chip_random(&seed) % 2,
		};

		access.value &= size_mask(access.size);
		f->sent.count = 0;
		if (chip_random(&seed) % 3 == 0)
			ioapic_set_line(f->ioapic, chip_random(&seed) % 40, chip_random(&seed) % 2,
					&f->sent);
		else if (chip_random(&seed) % 5 == 0)
			ioapic_end_of_interrupt(f->ioapic, (uint8_t)chip_random(&seed), &f->sent);
		else
			ioapic_access(f->ioapic, &access, &f->sent);
		assert_true(f->sent.count <= IOAPIC_PINS);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_keep_what_is_writable), TEST(an_edge_sends_once),
		TEST(an_edge_while_masked_is_lost),    TEST(a_level_waits_for_its_end),
		TEST(masks_hold_a_level_back),         TEST(remote_irr_survives_a_new_destination),
		TEST(the_eoi_register_ends_too),       TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
