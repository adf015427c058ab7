/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyboard controller as a driver probes it, its keyboard, and the ways to reset by it.
 */
#include "tests/unit/chip.h"

#include "dev/i8042.h"

#define KEYBOARD 1
#define FULL     0x01

struct fixture {
	struct chip_machine m;
	struct i8042 *i8042;
};

static uint8_t status(struct fixture *f)
{
	return (uint8_t)chip_read(i8042_command_access, f->i8042, 0, 1);
}

static void command(struct fixture *f, uint8_t value)
{
	chip_write(i8042_command_access, f->i8042, 0, 1, value);
}

static void data(struct fixture *f, uint8_t value)
{
	chip_write(i8042_data_access, f->i8042, 0, 1, value);
}

/* The byte in the output buffer, or -1. */
static int take(struct fixture *f)
{
	if (!(status(f) & FULL))
		return -1;
	return (int)chip_read(i8042_data_access, f->i8042, 0, 1);
}

static void configure(struct fixture *f, uint8_t value)
{
	command(f, 0x60);
	data(f, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(KEYBOARD));
	assert_int_equal(i8042_create(&f->i8042, f->m.irq, &f->m.power), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	i8042_ops.destroy(f->i8042);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

static void a_driver_finds_the_controller(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(status(f) & ~0x1c, 0);
	command(f, 0xaa);
	assert_int_equal(take(f), 0x55);
	assert_int_equal(take(f), -1);
	command(f, 0xab);
	assert_int_equal(take(f), 0);
	configure(f, 0x43);
	command(f, 0x20);
	assert_int_equal(take(f), 0x43);
	command(f, 0xad);
	command(f, 0x20);
	assert_int_equal(take(f), 0x53);
	command(f, 0xae);
	command(f, 0x20);
	assert_int_equal(take(f), 0x43);
	command(f, 0x7f);
	data(f, 0x99);
	command(f, 0x3f);
	assert_int_equal(take(f), 0x99);
}

static void there_is_no_second_port(void **state)
{
	struct fixture *f = *state;

	command(f, 0xd3);
	data(f, 0xa5);
	assert_int_equal(status(f) & 0x20, 0); /* not as the second port's */
	assert_int_equal(take(f), 0xa5);
	command(f, 0xa9);
	assert_int_not_equal(take(f), 0);
	command(f, 0xd4);
	data(f, 0xff);
	assert_int_equal(status(f) & 0x60, 0x60);
	assert_int_equal(take(f), 0xfe);
	assert_int_equal(status(f) & 0x60, 0);
}

static void expect_answer(struct fixture *f, int first, int second, int third)
{
	assert_int_equal(take(f), first);
	assert_int_equal(take(f), second);
	assert_int_equal(take(f), third);
	assert_int_equal(take(f), -1);
}

static void the_keyboard_answers(void **state)
{
	struct fixture *f = *state;

	configure(f, 0x05); /* no translation */
	data(f, 0xff);
	expect_answer(f, 0xfa, 0xaa, -1);
	data(f, 0xf2);
	expect_answer(f, 0xfa, 0xab, 0x83);
	data(f, 0xed);
	expect_answer(f, 0xfa, -1, -1);
	data(f, 0x02);
	expect_answer(f, 0xfa, -1, -1);
	data(f, 0xee);
	expect_answer(f, 0xee, -1, -1);
	data(f, 0xf0);
	expect_answer(f, 0xfa, -1, -1);
	data(f, 0x00);
	expect_answer(f, 0xfa, 0x02, -1);
	data(f, 0xf0);
	take(f);
	data(f, 0x03);
	expect_answer(f, 0xfa, -1, -1);
	data(f, 0xf0);
	take(f);
	data(f, 0x00);
	expect_answer(f, 0xfa, 0x03, -1);
	data(f, 0xfe);
	expect_answer(f, 0x03, -1, -1);
	data(f, 0x12);
	expect_answer(f, 0xfe, -1, -1);
	data(f, 0xed);
	take(f);
	data(f, 0xf4); /* a command instead of the parameter */
	expect_answer(f, 0xfa, -1, -1);
	configure(f, 0x45);
	data(f, 0xf2);
	expect_answer(f, 0xfa, 0xab, 0x41);
}

static void each_byte_interrupts(void **state)
{
	struct fixture *f = *state;

	configure(f, 0x41);
	data(f, 0xff);
	assert_int_equal(chip_pic_take(&f->m), KEYBOARD);
	assert_int_equal(chip_pic_take(&f->m), -1);
	assert_int_equal(take(f), 0xfa);
	assert_int_equal(chip_pic_take(&f->m), KEYBOARD);
	assert_int_equal(take(f), 0xaa);
	assert_int_equal(chip_pic_take(&f->m), -1);
	configure(f, 0x40);
	data(f, 0xee);
	assert_int_equal(chip_pic_take(&f->m), -1);
	assert_int_equal(take(f), 0xee);
}

static void a_disabled_keyboard_keeps_its_bytes(void **state)
{
	struct fixture *f = *state;

	data(f, 0xf2);
	command(f, 0xad);
	assert_int_equal(take(f), 0xfa);
	assert_int_equal(take(f), -1);
	command(f, 0xae);
	assert_int_equal(take(f), 0xab);
}

static void resets_by_pulse_port_and_port_92h(void **state)
{
	struct fixture *f = *state;

	command(f, 0xff);
	data(f, 0xf4);
	assert_int_equal(f->m.powered, -1);
	command(f, 0xfe);
	assert_int_equal(f->m.powered, POWER_RESET);
	f->m.powered = -1;
	command(f, 0xd1);
	data(f, 0xdf);
	assert_int_equal(f->m.powered, -1);
	command(f, 0xd1);
	data(f, 0xde);
	assert_int_equal(f->m.powered, POWER_RESET);
	f->m.powered = -1;
	chip_write(i8042_port92_access, f->i8042, 0, 1, 2);
	assert_int_equal(f->m.powered, -1);
	chip_write(i8042_port92_access, f->i8042, 0, 1, 1);
	assert_int_equal(f->m.powered, POWER_RESET);
}

static void a20_reads_back_everywhere(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chip_read(i8042_port92_access, f->i8042, 0, 1), 2);
	command(f, 0xdd);
	assert_int_equal(chip_read(i8042_port92_access, f->i8042, 0, 1), 0);
	command(f, 0xd0);
	assert_int_equal(take(f) & 3, 1);
	chip_write(i8042_port92_access, f->i8042, 0, 1, 2);
	command(f, 0xd0);
	assert_int_equal(take(f) & 3, 3);
	command(f, 0xd1);
	data(f, 1);
	assert_int_equal(chip_read(i8042_port92_access, f->i8042, 0, 1), 0);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	dev_access_fn *const ports[] = { i8042_data_access, i8042_command_access,
					 i8042_port92_access };
	uint64_t seed = chip_seed();

	for (int i = 0; i < 300000; i++)
		chip_random_access(ports[chip_random(&seed) % 3], f->i8042, 1, 1, &seed);
	i8042_ops.reset(f->i8042);
	a_driver_finds_the_controller(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_driver_finds_the_controller),
		TEST(there_is_no_second_port),
		TEST(the_keyboard_answers),
		TEST(each_byte_interrupts),
		TEST(a_disabled_keyboard_keeps_its_bytes),
		TEST(resets_by_pulse_port_and_port_92h),
		TEST(a20_reads_back_everywhere),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
