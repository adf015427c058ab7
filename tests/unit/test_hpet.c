/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HPET: the counter and its halves, one-shot and periodic comparators, legacy replacement,
 * level-triggered status.
 */
#include "tests/unit/chip.h"

#include "dev/hpet.h"

#define CAPABILITIES 0x000
#define CONFIG       0x010
#define STATUS       0x020
#define COUNTER      0x0f0
#define T(n)         (0x100 + 0x20 * (n))
#define COMPARATOR   8

#define RUN      1
#define LEGACY   2
#define LEVEL    0x02
#define INTR     0x04
#define PERIODIC 0x08
#define SETVAL   0x40
#define NARROW   0x100
#define ROUTE(n) ((n) << 9)
#define TICKS_MS (MS / 10)

struct fixture {
	struct chip_machine m;
	struct hpet *hpet;
};

static uint64_t in(struct fixture *f, unsigned offset, unsigned size)
{
	return chip_read(hpet_access, f->hpet, offset, size);
}

static void out(struct fixture *f, unsigned offset, unsigned size, uint64_t value)
{
	chip_write(hpet_access, f->hpet, offset, size, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(0) | BIT(8) | BIT(10) | BIT(11));
	assert_int_equal(hpet_create(&f->hpet, f->m.clock, f->m.irq), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chip_machine_stop(&f->m);
	hpet_ops.destroy(f->hpet);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

static void capabilities(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, CAPABILITIES, 4), HPET_BLOCK_ID);
	assert_int_equal(in(f, CAPABILITIES + 4, 4), HPET_PERIOD_FS);
	assert_int_equal(in(f, CAPABILITIES, 8) >> 8 & 0x1f, HPET_TIMERS - 1);
	out(f, CAPABILITIES, 8, UINT64_MAX);
	assert_int_equal(in(f, CAPABILITIES, 4), HPET_BLOCK_ID);
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		assert_int_equal(in(f, T(i), 4) & 0x8030, 0x30);
	assert_int_equal(in(f, T(HPET_TIMERS), 8), 0);
	assert_int_equal(in(f, HPET_SIZE - 8, 8), 0);
}

static void the_counter_runs_while_enabled(void **state)
{
	struct fixture *f = *state;
	uint64_t before, ns;

	out(f, COUNTER, 8, 0xfffffff0fffffff0);
	assert_int_equal(in(f, COUNTER, 8), 0xfffffff0fffffff0);
	assert_int_equal(in(f, COUNTER, 4), 0xfffffff0);
	out(f, COUNTER + 4, 4, 0x12345678);
	assert_int_equal(in(f, COUNTER, 8), 0x12345678fffffff0);
	chip_sleep(&f->m, 2 * MS);
	assert_int_equal(in(f, COUNTER, 8), 0x12345678fffffff0);
	out(f, COUNTER, 8, 0);
	out(f, CONFIG, 4, RUN);
	ns = clock_now_ns(f->m.clock);
	before = in(f, COUNTER, 8);
	chip_sleep(&f->m, 20 * MS);
	before = in(f, COUNTER, 8) - before;
	ns = clock_now_ns(f->m.clock) - ns;
	assert_in_range(before, 20 * TICKS_MS - 10, ns / 10 + 1);
	out(f, CONFIG, 4, 0);
	before = in(f, COUNTER, 8);
	chip_sleep(&f->m, 2 * MS);
	assert_int_equal(in(f, COUNTER, 8), before);
}

static void a_one_shot_fires_once(void **state)
{
	struct fixture *f = *state;
	uint64_t when;

	out(f, CONFIG, 4, RUN);
	out(f, T(2), 4, INTR | ROUTE(10));
	when = in(f, COUNTER, 8) + 5 * TICKS_MS;
	out(f, T(2) + COMPARATOR, 8, when);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
	assert_true(in(f, COUNTER, 8) >= when);
	chip_sleep(&f->m, 10 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
	assert_int_equal(in(f, STATUS, 4), 0);
	/* one that lies behind does not come back soon */
	out(f, T(2) + COMPARATOR, 8, when);
	chip_sleep(&f->m, 10 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
	/* a stopped counter fires nothing */
	out(f, T(2) + COMPARATOR, 8, in(f, COUNTER, 8) + 10 * TICKS_MS);
	out(f, CONFIG, 4, 0);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
	out(f, CONFIG, 4, RUN);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
}

static void a_narrow_one_wraps(void **state)
{
	struct fixture *f = *state;

	out(f, COUNTER, 8, 0x5fffffffful - 5 * TICKS_MS);
	out(f, T(1), 4, INTR | NARROW | ROUTE(11));
	out(f, T(1) + COMPARATOR, 4, 100);
	out(f, CONFIG, 4, RUN);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 11);
	assert_int_equal(in(f, COUNTER, 8) >> 32, 6);
}

/* First so late that the machine gets there in time, however busy it is. */
#define FIRST_MS 500

static void periodic_goes_on(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	out(f, CONFIG, 4, RUN);
	out(f, T(0), 4, INTR | PERIODIC | SETVAL | NARROW | ROUTE(10));
	start = in(f, COUNTER, 4);
	out(f, T(0) + COMPARATOR, 4, start + FIRST_MS * TICKS_MS);
	assert_int_equal(in(f, T(0), 4) & SETVAL, 0);
	out(f, T(0) + COMPARATOR, 4, 2 * TICKS_MS);
	for (int i = 0; i < 5; i++)
		assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
	assert_true(in(f, COUNTER, 4) - start >= (FIRST_MS + 8) * TICKS_MS);
	assert_int_equal((in(f, T(0) + COMPARATOR, 4) - start) % (2 * TICKS_MS), 0);
	out(f, T(0) + COMPARATOR, 4, 1); /* an absurd rate does no harm */
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
}

/* Half of the counter's range and more: what lies that far ahead is not behind. */
static void an_endless_period_fires_once(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	out(f, CONFIG, 4, RUN);
	out(f, T(0), 4, INTR | PERIODIC | SETVAL | ROUTE(10));
	start = in(f, COUNTER, 8);
	out(f, T(0) + COMPARATOR, 8, start + 2 * TICKS_MS);
	out(f, T(0) + COMPARATOR, 8, BIT(63) + 2 * TICKS_MS);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
	chip_sleep(&f->m, 10 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
}

static void legacy_replacement_takes_lines_0_and_8(void **state)
{
	struct fixture *f = *state;
	uint64_t now;

	assert_false(hpet_owns_legacy_lines(NULL));
	assert_false(hpet_owns_legacy_lines(f->hpet));
	out(f, CONFIG, 4, RUN | LEGACY);
	assert_true(hpet_owns_legacy_lines(f->hpet));
	now = in(f, COUNTER, 8);
	out(f, T(0), 4, INTR | ROUTE(10));
	out(f, T(0) + COMPARATOR, 8, now + TICKS_MS);
	out(f, T(1), 4, INTR | ROUTE(10));
	out(f, T(1) + COMPARATOR, 8, now + 20 * TICKS_MS);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 0);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 8);
	out(f, CONFIG, 4, RUN);
	assert_false(hpet_owns_legacy_lines(f->hpet));
}

static void levels_follow_the_status_bit(void **state)
{
	struct fixture *f = *state;

	chip_write(irq_elcr_access, f->m.irq, 0, 2, BIT(10));
	out(f, CONFIG, 4, RUN);
	out(f, T(1), 4, INTR | LEVEL | ROUTE(10));
	out(f, T(1) + COMPARATOR, 8, in(f, COUNTER, 8) + TICKS_MS);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), 10);
	assert_int_equal(in(f, STATUS, 4), 2);
	assert_int_equal(chip_pic_take(&f->m), 10); /* still high */
	out(f, STATUS, 4, 1);
	assert_int_equal(chip_pic_take(&f->m), 10);
	out(f, STATUS, 4, 2);
	assert_int_equal(in(f, STATUS, 4), 0);
	assert_int_equal(chip_pic_take(&f->m), -1);
	/* a route that is not offered leads nowhere */
	out(f, T(1), 4, INTR | ROUTE(1));
	out(f, T(1) + COMPARATOR, 8, in(f, COUNTER, 8) + TICKS_MS);
	chip_sleep(&f->m, 10 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 200000; i++) {
		chip_random_access(hpet_access, f->hpet, i % 4 ? 0x180 : HPET_SIZE, 8, &seed);
		if (i % 64 == 0)
			out(f, CONFIG, 4, RUN);
	}
	hpet_ops.reset(f->hpet);
	chip_pic_setup(&f->m, BIT(10));
	a_one_shot_fires_once(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capabilities),
		TEST(the_counter_runs_while_enabled),
		TEST(a_one_shot_fires_once),
		TEST(a_narrow_one_wraps),
		TEST(periodic_goes_on),
		TEST(an_endless_period_fires_once),
		TEST(legacy_replacement_takes_lines_0_and_8),
		TEST(levels_follow_the_status_bit),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
