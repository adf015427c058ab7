/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254: counting in each mode, latches and read-back, the gate and output of counter 2, and
 * counter 0's interrupt.
 */
#include "tests/unit/chip.h"

#include "dev/pit.h"

#define GSI     0
#define CONTROL 3
#define HZ      1193182
#define OUT     0x20 /* of port 61h */
#define GATE    0x01

/* Control words: counter, access, mode. */
#define WORD(counter, access, mode) ((counter) << 6 | (access) << 4 | (mode) << 1)
#define LOW                         1
#define HIGH                        2
#define BOTH                        3

struct fixture {
	struct chip_machine m;
	struct hpet *hpet;
	struct pit *pit;
};

static uint8_t in(struct fixture *f, unsigned port)
{
	return (uint8_t)chip_read(pit_access, f->pit, port, 1);
}

static void out(struct fixture *f, unsigned port, uint8_t value)
{
	chip_write(pit_access, f->pit, port, 1, value);
}

static void load(struct fixture *f, unsigned counter, unsigned mode, uint16_t count)
{
	out(f, CONTROL, (uint8_t)WORD(counter, BOTH, mode));
	out(f, counter, (uint8_t)count);
	out(f, counter, (uint8_t)(count >> 8));
}

static uint16_t count(struct fixture *f, unsigned counter)
{
	uint8_t low;

	out(f, CONTROL, (uint8_t)(counter << 6)); /* latch */
	low = in(f, counter);
	return (uint16_t)(low | in(f, counter) << 8);
}

static uint8_t port61(struct fixture *f)
{
	return (uint8_t)chip_read(pit_port61_access, f->pit, 0, 1);
}

static void set_port61(struct fixture *f, uint8_t value)
{
	chip_write(pit_port61_access, f->pit, 0, 1, value);
}

/* How long after `start` counter 2's output rises, in nanoseconds; gives up after a second. */
static uint64_t wait_out(struct fixture *f, uint64_t start)
{
	while (!(port61(f) & OUT) && clock_now_ns(f->m.clock) - start < 1000 * MS)
		;
	return clock_now_ns(f->m.clock) - start;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(GSI));
	assert_int_equal(hpet_create(&f->hpet, f->m.clock, f->m.irq), 0);
	assert_int_equal(pit_create(&f->pit, f->m.clock, f->m.irq, f->hpet), 0);
	chip_pic_take(&f->m);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chip_machine_stop(&f->m);
	pit_ops.destroy(f->pit);
	hpet_ops.destroy(f->hpet);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

static void counter_2_measures_time(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	set_port61(f, GATE);
	start = clock_now_ns(f->m.clock);
	load(f, 2, 0, HZ / 20);
	assert_false(port61(f) & OUT);
	assert_in_range(count(f, 2), 1, HZ / 20);
	assert_in_range(wait_out(f, start), 49 * MS, 1000 * MS);
	load(f, 2, 0, 60000);
	assert_false(port61(f) & OUT);
}

static void the_gate_halts_and_triggers(void **state)
{
	struct fixture *f = *state;
	uint16_t held;
	uint64_t start;

	set_port61(f, 0);
	load(f, 2, 0, 40000);
	held = count(f, 2);
	assert_int_equal(held, 40000);
	chip_sleep(&f->m, 5 * MS);
	assert_int_equal(count(f, 2), held);
	set_port61(f, GATE);
	chip_sleep(&f->m, 2 * MS);
	set_port61(f, 0);
	held = count(f, 2);
	assert_int_not_equal(held, 40000);
	chip_sleep(&f->m, 2 * MS);
	assert_int_equal(count(f, 2), held);
	/* mode 1 waits for the gate's edge, then is low for the count */
	load(f, 2, 1, HZ / 20);
	chip_sleep(&f->m, 15 * MS);
	assert_true(port61(f) & OUT);
	start = clock_now_ns(f->m.clock);
	set_port61(f, GATE);
	assert_false(port61(f) & OUT);
	assert_in_range(wait_out(f, start), 49 * MS, 1000 * MS);
}

static void square_waves_are_half_high(void **state)
{
	struct fixture *f = *state;
	unsigned high = 0, total = 0;
	uint64_t end;

	set_port61(f, GATE);
	load(f, 2, 3, HZ / 1000);
	for (end = clock_now_ns(f->m.clock) + 100 * MS; clock_now_ns(f->m.clock) < end; total++)
		high += !!(port61(f) & OUT);
	assert_in_range(high, total / 4, total * 3 / 4);
	assert_int_equal(count(f, 2) & 1, 0);
	/* a rate generator is low for one tick only */
	load(f, 2, 2, 60000);
	for (int i = 0; i < 100; i++)
		assert_in_range(count(f, 2), 1, 60000);
	set_port61(f, 0);
	assert_true(port61(f) & OUT);
}

static void access_modes_and_latches(void **state)
{
	struct fixture *f = *state;
	uint8_t low;

	set_port61(f, 0); /* halted: counts stand still */
	out(f, CONTROL, WORD(2, LOW, 0));
	out(f, 2, 0x34);
	assert_int_equal(in(f, 2), 0x34);
	assert_int_equal(in(f, 2), 0x34);
	out(f, CONTROL, WORD(2, HIGH, 0));
	out(f, 2, 0x12);
	assert_int_equal(in(f, 2), 0x12);
	load(f, 2, 0, 0x5678);
	assert_int_equal(in(f, 2), 0x78);
	assert_int_equal(in(f, 2), 0x56);
	/* a latch holds until it is read, whatever happens meanwhile */
	out(f, CONTROL, 2 << 6);
	out(f, CONTROL, 2 << 6);
	low = in(f, 2);
	assert_int_equal(in(f, 2) << 8 | low, 0x5678);
	/* zero is the largest count */
	load(f, 2, 0, 0);
	assert_int_equal(count(f, 2), 0);
	out(f, CONTROL, WORD(2, BOTH, 0) | 1); /* BCD */
	out(f, 2, 0x99);
	out(f, 2, 0x19);
	assert_int_equal(count(f, 2), 0x1999);
}

static void read_back_latches_status_and_count(void **state)
{
	struct fixture *f = *state;
	uint8_t low;

	set_port61(f, 0);
	out(f, CONTROL, WORD(2, BOTH, 0));
	out(f, CONTROL, 0xe8);                        /* status of counter 2 */
	assert_int_equal(in(f, 2), 0x40 | BOTH << 4); /* no count yet */
	load(f, 2, 0, 0x4321);
	out(f, CONTROL, 0xc8); /* both */
	assert_int_equal(in(f, 2), BOTH << 4);
	low = in(f, 2);
	assert_int_equal(in(f, 2) << 8 | low, 0x4321);
	out(f, CONTROL, WORD(2, BOTH, 7)); /* 7 is 3 */
	out(f, CONTROL, 0xe8);
	assert_int_equal(in(f, 2) & 0xbf, 0x80 | BOTH << 4 | 7 << 1);
	assert_int_equal(in(f, CONTROL), 0);
}

static void counter_0_interrupts_periodically(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	chip_pic_take(&f->m);
	start = clock_now_ns(f->m.clock);
	load(f, 0, 2, HZ / 500);
	chip_pic_take(&f->m); /* the line rose when the counter was set */
	for (int i = 0; i < 10; i++)
		assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	assert_true(clock_now_ns(f->m.clock) - start >= 19 * MS);
	load(f, 0, 3, HZ / 500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	load(f, 0, 3, 1); /* an absurd rate does no harm */
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
}

static void counter_0_interrupts_once_in_mode_0(void **state)
{
	struct fixture *f = *state;

	for (unsigned mode = 0; mode <= 4; mode += 4) {
		load(f, 0, mode, HZ / 200);
		chip_pic_take(&f->m);
		assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
		chip_sleep(&f->m, 20 * MS);
		assert_int_equal(chip_pic_take(&f->m), -1);
	}
	/* a control word alone stops it */
	load(f, 0, 2, HZ / 200);
	out(f, CONTROL, WORD(0, BOTH, 0));
	chip_pic_take(&f->m);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
}

static void the_hpet_may_take_its_line(void **state)
{
	struct fixture *f = *state;

	chip_write(hpet_access, f->hpet, 0x10, 4, 2);
	load(f, 0, 2, HZ / 500);
	chip_pic_take(&f->m);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
	chip_write(hpet_access, f->hpet, 0x10, 4, 0);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
}

static void port_61h_reads_back(void **state)
{
	struct fixture *f = *state;
	unsigned seen = 0;
	uint64_t end = clock_now_ns(f->m.clock) + 100 * MS;

	set_port61(f, 0xff);
	assert_int_equal(port61(f) & 0xcf, 0x0f);
	while (seen != 3 && clock_now_ns(f->m.clock) < end)
		seen |= port61(f) & 0x10 ? 1 : 2; /* memory refresh goes on */
	assert_int_equal(seen, 3);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 300000; i++)
		if (i % 8)
			chip_random_access(pit_access, f->pit, 4, 4, &seed);
		else
			chip_random_access(pit_port61_access, f->pit, 1, 1, &seed);
	pit_ops.reset(f->pit);
	load(f, 0, 2, 0);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counter_2_measures_time),
		TEST(the_gate_halts_and_triggers),
		TEST(square_waves_are_half_high),
		TEST(access_modes_and_latches),
		TEST(read_back_latches_status_and_count),
		TEST(counter_0_interrupts_periodically),
		TEST(counter_0_interrupts_once_in_mode_0),
		TEST(the_hpet_may_take_its_line),
		TEST(port_61h_reads_back),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
