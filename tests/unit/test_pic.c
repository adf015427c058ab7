/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259s: initialization, priorities, every kind of EOI, poll, ELCR, spurious requests.
 */
#include "tests/unit/chip.h"

#include "dev/pic.h"

#define MASTER false
#define SLAVE  true

static void command(struct pic *pic, bool slave, uint8_t value)
{
	struct dev_access access = { 0, value, 1, true };

	pic_access(pic, slave, &access);
}

static void data(struct pic *pic, bool slave, uint8_t value)
{
	struct dev_access access = { 1, value, 1, true };

	pic_access(pic, slave, &access);
}

static uint8_t in(struct pic *pic, bool slave, unsigned port)
{
	struct dev_access access = { port, 0, 1, false };

	pic_access(pic, slave, &access);
	return (uint8_t)access.value;
}

static uint8_t read_irr(struct pic *pic, bool slave)
{
	command(pic, slave, 0x0a);
	return in(pic, slave, 0);
}

static uint8_t read_isr(struct pic *pic, bool slave)
{
	command(pic, slave, 0x0b);
	return in(pic, slave, 0);
}

static void elcr(struct pic *pic, uint16_t value)
{
	struct dev_access access = { 0, value, 2, true };

	pic_elcr_access(pic, &access);
}

static void pulse(struct pic *pic, unsigned line)
{
	pic_set_line(pic, line, true);
	pic_set_line(pic, line, false);
}

/* Vectors 20h and 28h; icw4 as given; everything unmasked. */
static void init_pics(struct pic *pic, uint8_t icw4)
{
	for (int i = 0; i < 2; i++) {
		command(pic, i, 0x11);
		data(pic, i, i ? 0x28 : 0x20);
		data(pic, i, i ? 2 : 4);
		data(pic, i, icw4);
		data(pic, i, 0);
	}
}

static int setup(void **state)
{
	struct pic *pic;

	if (pic_create(&pic))
		return -1;
	init_pics(pic, 1);
	*state = pic;
	return 0;
}

static int teardown(void **state)
{
	pic_destroy(*state);
	return 0;
}

static void an_edge_is_latched_and_acknowledged(void **state)
{
	struct pic *pic = *state;

	assert_true(pic_set_line(pic, 3, true));
	assert_true(pic_output(pic));
	assert_int_equal(read_irr(pic, MASTER), 0x08);
	assert_int_equal(pic_acknowledge(pic), 0x23);
	assert_int_equal(read_irr(pic, MASTER), 0);
	assert_int_equal(read_isr(pic, MASTER), 0x08);
	assert_false(pic_output(pic));
	command(pic, MASTER, 0x20);
	assert_int_equal(read_isr(pic, MASTER), 0);
	/* the line is still high: no new edge, no new request */
	assert_false(pic_set_line(pic, 3, true));
	assert_false(pic_output(pic));
}

static void the_slave_comes_through_the_cascade(void **state)
{
	struct pic *pic = *state;

	assert_true(pic_set_line(pic, 12, true));
	assert_int_equal(pic_acknowledge(pic), 0x2c);
	assert_int_equal(read_isr(pic, MASTER), 0x04);
	assert_int_equal(read_isr(pic, SLAVE), 0x10);
	command(pic, SLAVE, 0x20);
	command(pic, MASTER, 0x20);
	assert_int_equal(read_isr(pic, MASTER) | read_isr(pic, SLAVE), 0);
	assert_false(pic_set_line(pic, 2, true)); /* not a line */
}

static void service_blocks_equal_and_lower_priorities(void **state)
{
	struct pic *pic = *state;

	pulse(pic, 4);
	assert_int_equal(pic_acknowledge(pic), 0x24);
	pulse(pic, 5);
	assert_false(pic_output(pic));
	pulse(pic, 1);
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), 0x21);
	command(pic, MASTER, 0x20); /* ends 1 */
	assert_false(pic_output(pic));
	command(pic, MASTER, 0x64); /* specific: ends 4 */
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), 0x25);
}

static void masks_hide_and_keep_requests(void **state)
{
	struct pic *pic = *state;

	data(pic, MASTER, 0x10);
	assert_int_equal(in(pic, MASTER, 1), 0x10);
	pulse(pic, 4);
	assert_false(pic_output(pic));
	data(pic, MASTER, 0);
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), 0x24);
}

static void a_vanished_request_is_spurious(void **state)
{
	struct pic *pic = *state;

	pulse(pic, 4);
	data(pic, MASTER, 0xff);
	assert_int_equal(pic_acknowledge(pic), 0x27);
	assert_int_equal(read_isr(pic, MASTER), 0);
	data(pic, MASTER, 0);
	assert_int_equal(pic_acknowledge(pic), 0x24);
	command(pic, MASTER, 0x20);
	elcr(pic, 0x0800);
	pic_set_line(pic, 11, true);
	pic_set_line(pic, 11, false);
	assert_false(pic_output(pic));
}

static void level_lines_ask_until_they_drop(void **state)
{
	struct pic *pic = *state;

	elcr(pic, 0xffff);
	pic_set_line(pic, 10, true);
	assert_int_equal(pic_acknowledge(pic), 0x2a);
	command(pic, SLAVE, 0x20);
	command(pic, MASTER, 0x20);
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), 0x2a);
	pic_set_line(pic, 10, false);
	command(pic, SLAVE, 0x20);
	command(pic, MASTER, 0x20);
	assert_false(pic_output(pic));
	/* timer, keyboard, cascade, RTC and FPU cannot be level-triggered */
	struct dev_access access = { 0, 0, 2, false };
	pic_elcr_access(pic, &access);
	assert_int_equal(access.value, 0xdef8);
}

static void priorities_rotate(void **state)
{
	struct pic *pic = *state;

	command(pic, MASTER, 0xc0 | 4); /* 4 is lowest, 5 highest */
	pulse(pic, 1);
	pulse(pic, 6);
	assert_int_equal(pic_acknowledge(pic), 0x26);
	command(pic, MASTER, 0xa0); /* ends 6, which becomes lowest */
	pulse(pic, 6);
	assert_int_equal(pic_acknowledge(pic), 0x21);
	command(pic, MASTER, 0xe1); /* ends 1, which becomes lowest */
	pulse(pic, 0);
	assert_int_equal(pic_acknowledge(pic), 0x26);
}

static void automatic_eoi_keeps_nothing_in_service(void **state)
{
	struct pic *pic = *state;

	init_pics(pic, 3);
	command(pic, MASTER, 0x80); /* and rotates */
	pulse(pic, 3);
	assert_int_equal(pic_acknowledge(pic), 0x23);
	assert_int_equal(read_isr(pic, MASTER), 0);
	pulse(pic, 3);
	pulse(pic, 5);
	assert_int_equal(pic_acknowledge(pic), 0x25);
	assert_int_equal(pic_acknowledge(pic), 0x23);
}

static void special_mask_mode_lets_lower_priorities_in(void **state)
{
	struct pic *pic = *state;

	pulse(pic, 1);
	pic_acknowledge(pic);
	pulse(pic, 5);
	assert_false(pic_output(pic));
	command(pic, MASTER, 0x68);
	data(pic, MASTER, 0x02);
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), 0x25);
	command(pic, MASTER, 0x20); /* passes over the masked one */
	assert_int_equal(read_isr(pic, MASTER), 0x02);
	command(pic, MASTER, 0x48);
	command(pic, MASTER, 0x20);
	assert_int_equal(read_isr(pic, MASTER), 0);
}

static void special_fully_nested_mode_lets_the_slave_nest(void **state)
{
	struct pic *pic = *state;

	pulse(pic, 12);
	pic_acknowledge(pic);
	pulse(pic, 9);
	assert_false(pic_output(pic));
	command(pic, SLAVE, 0x20);
	command(pic, MASTER, 0x20);
	assert_int_equal(pic_acknowledge(pic), 0x29);
	init_pics(pic, 0x01);
	command(pic, MASTER, 0x11);
	data(pic, MASTER, 0x20);
	data(pic, MASTER, 4);
	data(pic, MASTER, 0x11);
	pulse(pic, 12);
	pic_acknowledge(pic);
	pulse(pic, 9);
	assert_int_equal(pic_acknowledge(pic), 0x29);
}

static void polling_is_an_acknowledgement(void **state)
{
	struct pic *pic = *state;

	command(pic, MASTER, 0x0c);
	assert_int_equal(in(pic, MASTER, 0), 0);
	pulse(pic, 6);
	command(pic, MASTER, 0x0c);
	assert_int_equal(in(pic, MASTER, 0), 0x86);
	assert_false(pic_output(pic));
	assert_int_equal(read_isr(pic, MASTER), 0x40);
}

static void initialization_clears_the_chip(void **state)
{
	struct pic *pic = *state;

	data(pic, MASTER, 0xff);
	pulse(pic, 6);
	command(pic, MASTER, 0x12); /* single, no ICW4 */
	data(pic, MASTER, 0x47);
	data(pic, MASTER, 0xa5); /* a mask again */
	assert_int_equal(in(pic, MASTER, 1), 0xa5);
	assert_int_equal(read_irr(pic, MASTER), 0);
	pulse(pic, 1);
	assert_int_equal(pic_acknowledge(pic), 0x41);
}

static void random_accesses_do_no_harm(void **state)
{
	struct pic *pic = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 300000; i++) {
		struct dev_access access = {
			.offset = chip_random(&seed) % 2,
			.value = chip_random(&seed),
			.size = (uint8_t)(1u << chip_random(&seed) % 3),
			.is_write = chip_random(&seed) % 2,
		};

		access.value &= size_mask(access.size);
		switch (chip_random(&seed) % 4) {
		case 0:
			pic_elcr_access(pic, &access);
			break;
		case 1:
			pic_set_line(pic, chip_random(&seed) % 20, chip_random(&seed) % 2);
			break;
		case 2:
			if (pic_output(pic))
				pic_acknowledge(pic);
			break;
		default:
			pic_access(pic, chip_random(&seed) % 2, &access);
		}
	}
	pic_reset(pic);
	assert_false(pic_output(pic));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_edge_is_latched_and_acknowledged),
		TEST(the_slave_comes_through_the_cascade),
		TEST(service_blocks_equal_and_lower_priorities),
		TEST(masks_hide_and_keep_requests),
		TEST(a_vanished_request_is_spurious),
		TEST(level_lines_ask_until_they_drop),
		TEST(priorities_rotate),
		TEST(automatic_eoi_keeps_nothing_in_service),
		TEST(special_mask_mode_lets_lower_priorities_in),
		TEST(special_fully_nested_mode_lets_the_slave_nest),
		TEST(polling_is_an_acknowledgement),
		TEST(initialization_clears_the_chip),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
