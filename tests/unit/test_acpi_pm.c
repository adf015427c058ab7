/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI's fixed hardware: the PM timer's rate, the power button's way to SCI, S5; and the debug-exit
 * port, the other way for a guest to end.
 */
#include "tests/unit/chip.h"

#include "dev/acpi_pm.h"
#include "dev/debug_exit.h"

#define STATUS  0
#define ENABLE  2
#define CONTROL 4
#define TIMER   8
#define BUTTON  0x100

struct fixture {
	struct chip_machine m;
	struct acpi_pm *pm;
};

static uint32_t in(struct fixture *f, unsigned offset, unsigned size)
{
	return (uint32_t)chip_read(acpi_pm_access, f->pm, offset, size);
}

static void out(struct fixture *f, unsigned offset, unsigned size, uint32_t value)
{
	chip_write(acpi_pm_access, f->pm, offset, size, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(ACPI_SCI_GSI));
	assert_int_equal(acpi_pm_create(&f->pm, f->m.clock, f->m.irq, &f->m.power), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chip_machine_stop(&f->m);
	acpi_pm_ops.destroy(f->pm);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

static void the_timer_runs_at_its_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t ns = clock_now_ns(f->m.clock);
	uint32_t ticks = in(f, TIMER, 4), expected;

	chip_sleep(&f->m, 50 * MS);
	ticks = in(f, TIMER, 4) - ticks;
	ns = clock_now_ns(f->m.clock) - ns;
	expected = (uint32_t)(ns * 3579545 / NS_PER_SECOND);
	/* a pause between the two looks at the clock only makes `expected` larger */
	assert_in_range(ticks, 50 * 3579 - 10, expected + 1);
}

static void the_button_raises_sci(void **state)
{
	struct fixture *f = *state;

	acpi_pm_press_button(f->pm);
	assert_int_equal(in(f, STATUS, 2), BUTTON);
	assert_int_equal(chip_pic_take(&f->m), -1);
	out(f, ENABLE, 2, 0xffff);
	assert_int_equal(in(f, ENABLE, 2) & BUTTON, BUTTON);
	assert_int_equal(chip_pic_take(&f->m), ACPI_SCI_GSI);
	out(f, STATUS + 1, 1, 0x01);
	assert_int_equal(in(f, STATUS, 2), 0);
	acpi_pm_press_button(f->pm);
	assert_int_equal(chip_pic_take(&f->m), ACPI_SCI_GSI);
	out(f, STATUS, 4, 0xffff | BUTTON << 16);
	assert_int_equal(in(f, STATUS, 4), BUTTON << 16);
	acpi_pm_ops.reset(f->pm);
	assert_int_equal(in(f, STATUS, 4), 0);
}

static void s5_switches_off(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, CONTROL, 2), 1);
	out(f, CONTROL, 2, 0);
	assert_int_equal(in(f, CONTROL, 2), 1);
	out(f, CONTROL, 2, 5 << 10);
	assert_int_equal(f->m.powered, -1);
	assert_int_equal(in(f, CONTROL, 2), 5 << 10 | 1);
	out(f, CONTROL, 2, 1 << 13 | 3 << 10);
	assert_int_equal(f->m.powered, -1);
	out(f, CONTROL, 2, 1 << 13 | 5 << 10);
	assert_int_equal(f->m.powered, POWER_OFF);
	assert_int_equal(in(f, CONTROL, 2), 5 << 10 | 1);
	f->m.powered = -1;
	out(f, CONTROL + 1, 1, 0x34);
	assert_int_equal(f->m.powered, POWER_OFF);
}

static void the_event_block_is_empty(void **state)
{
	struct fixture *f = *state;

	out(f, ACPI_GPE0, 4, 0xffffffff);
	assert_int_equal(in(f, ACPI_GPE0, 4), 0);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 300000; i++)
		chip_random_access(acpi_pm_access, f->pm, ACPI_PM_SIZE, 4, &seed);
}

static void debug_exit_makes_a_status(void **state)
{
	struct fixture *f = *state;
	struct debug_exit *d;
	static const struct {
		uint32_t value;
		unsigned size, status;
	} cases[] = {
		{ 0, 1, 1 }, { 1, 4, 3 }, { 0x10, 1, 0x21 }, { 0xffffffff, 4, 0xff }, { 0x80, 4, 1 }
	};

	assert_int_equal(debug_exit_create(&d, &f->m.power), 0);
	assert_int_equal(chip_read(debug_exit_access, d, 0, 1), 0);
	assert_int_equal(f->m.powered, -1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->m.powered = -1;
		chip_write(debug_exit_access, d, 0, cases[i].size, cases[i].value);
		assert_int_equal(f->m.powered, POWER_EXIT);
		assert_int_equal(f->m.status, cases[i].status);
	}
	debug_exit_ops.reset(d);
	debug_exit_ops.destroy(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_timer_runs_at_its_rate),
		TEST(the_button_raises_sci),
		TEST(s5_switches_off),
		TEST(the_event_block_is_empty),
		TEST(random_accesses_do_no_harm),
		TEST(debug_exit_makes_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
