/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock: time goes on at the host's pace, timers fire in order, once, and not early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vm/clock.h"

#define MS (NS_PER_SECOND / 1000)

struct shot {
	struct timer timer;
	uint64_t deadline_ns, fired_ns;
	atomic_uint fired;
	atomic_uint *order;
	unsigned rank; /* how many fired before */
};

static void fire(void *self)
{
	struct shot *shot = self;

	shot->fired_ns = clock_now_ns(shot->timer.clock);
	if (shot->order)
		shot->rank = atomic_fetch_add(shot->order, 1);
	atomic_fetch_add(&shot->fired, 1);
}

static void wait_ns(struct clock *clock, uint64_t ns)
{
	uint64_t end = clock_now_ns(clock) + ns;

	while (clock_now_ns(clock) < end)
		usleep(200);
}

/* Waits, ten seconds at most, until the timer fired and then a little for it to fire too often. */
static void wait_fired(struct clock *clock, struct shot *shot)
{
	for (int i = 0; i < 10000 && !atomic_load(&shot->fired); i++)
		wait_ns(clock, MS);
	wait_ns(clock, 5 * MS);
}

static int setup(void **state)
{
	return clock_create((struct clock **)state);
}

static int teardown(void **state)
{
	clock_destroy(*state);
	return 0;
}

static void time_runs_as_the_hosts(void **state)
{
	struct clock *clock = *state;
	struct timespec t0, t1;
	uint64_t n0, n1, host;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	n0 = clock_now_ns(clock);
	usleep(100000);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	n1 = clock_now_ns(clock);
	host = (uint64_t)(t1.tv_sec - t0.tv_sec) * NS_PER_SECOND + (uint64_t)t1.tv_nsec -
	       (uint64_t)t0.tv_nsec;
	assert_in_range(n1 - n0, host - host / 100, host + host / 100 + MS);
}

/* The rate is measured at each creation, in a few ms: how exact that is does not depend on luck. */
static void clocks_agree_on_the_rate(void **state)
{
	struct clock *clock;
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(clock_create(&clock), 0);
		least = MIN(least, clock_tsc_khz(clock));
		most = MAX(most, clock_tsc_khz(clock));
		clock_destroy(clock);
	}
	assert_true((most - least) * 1000000 / least <= 40);
}

static void tsc_and_nanoseconds_convert_both_ways(void **state)
{
	struct clock *clock = *state;
	uint64_t day_ns = 86400 * NS_PER_SECOND, tsc = clock_ns_to_tsc(clock, day_ns);

	assert_in_range(clock_tsc_to_ns(clock, tsc), day_ns - MS, day_ns + MS);
	assert_in_range(clock_ns_to_tsc(clock, NS_PER_SECOND), clock_tsc_khz(clock) * 1000 - 1000,
			clock_tsc_khz(clock) * 1000 + 1000);
}

static void the_bus_clock_divides_the_tsc(void **state)
{
	static const uint64_t rates_khz[] = { 1,       40000,   100000,  1000000,
					      2596132, 2599998, 3000000, 5700001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates_khz); i++) {
		uint64_t khz = rates_khz[i];
		unsigned ratio = clock_bus_ratio(khz);

		assert_true(ratio >= 1);
		if (khz >= 1000000)
			assert_in_range(khz / ratio, 66000, 155000);
		assert_int_equal(khz * 1000 % ratio, 0);
	}
	assert_int_equal(clock_bus_ratio(3000000), 30);
}

static void a_timer_fires_once_and_not_early(void **state)
{
	struct clock *clock = *state;
	struct shot shot = { .deadline_ns = clock_now_ns(clock) + 3 * MS };

	timer_init(&shot.timer, clock, fire, &shot);
	timer_set(&shot.timer, shot.deadline_ns);
	wait_fired(clock, &shot);
	assert_int_equal(shot.fired, 1);
	assert_true(shot.fired_ns >= shot.deadline_ns);
}

static void a_deadline_in_the_past_fires_at_once(void **state)
{
	struct clock *clock = *state;
	struct shot shot = { 0 };

	timer_init(&shot.timer, clock, fire, &shot);
	timer_set(&shot.timer, 0);
	wait_fired(clock, &shot);
	assert_int_equal(shot.fired, 1);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct clock *clock = *state;
	struct shot shot = { 0 };

	timer_init(&shot.timer, clock, fire, &shot);
	timer_cancel(&shot.timer);
	timer_set(&shot.timer, clock_now_ns(clock) + 200 * MS);
	timer_cancel(&shot.timer);
	wait_ns(clock, 220 * MS);
	assert_int_equal(shot.fired, 0);
}

static void rearming_moves_the_deadline(void **state)
{
	struct clock *clock = *state;
	struct shot shot = { .deadline_ns = clock_now_ns(clock) + 5 * MS };

	timer_init(&shot.timer, clock, fire, &shot);
	timer_set(&shot.timer, UINT64_MAX);
	timer_set(&shot.timer, clock_now_ns(clock) + 1000 * NS_PER_SECOND);
	timer_set(&shot.timer, shot.deadline_ns);
	wait_fired(clock, &shot);
	assert_int_equal(shot.fired, 1);
	assert_true(shot.fired_ns >= shot.deadline_ns);
}

#define MANY 200

/* A random set, some set twice and some cancelled, fires in the order of deadlines. */
static void many_timers_fire_in_order(void **state)
{
	struct clock *clock = *state;
	struct shot *shot = calloc(MANY, sizeof(*shot));
	uint64_t now = clock_now_ns(clock) + 200 * MS;
	atomic_uint order = 0;
	unsigned armed = 0;

	for (unsigned i = 0; i < MANY; i++) {
		timer_init(&shot[i].timer, clock, fire, &shot[i]);
		shot[i].order = &order;
		timer_set(&shot[i].timer, now + (unsigned)rand() % (20 * MS));
	}
	for (unsigned i = 0; i < MANY; i++) {
		shot[i].deadline_ns = now + (unsigned)rand() % (20 * MS);
		if (i % 5 == 0)
			timer_cancel(&shot[i].timer);
		else
			timer_set(&shot[i].timer, shot[i].deadline_ns);
		armed += i % 5 != 0;
	}
	for (int i = 0; i < 10000 && order < armed; i++)
		wait_ns(clock, MS);
	assert_int_equal(order, armed);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(shot[i].fired, i % 5 != 0);
		for (unsigned j = 0; j < i && i % 5; j++)
			if (j % 5 && shot[i].deadline_ns != shot[j].deadline_ns)
				assert_int_equal(shot[i].deadline_ns < shot[j].deadline_ns,
						 shot[i].rank < shot[j].rank);
	}
	free(shot);
}

static void *storm(void *arg)
{
	struct shot *shot = arg;
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 20000; i++) {
		struct shot *s = &shot[rand_r(&seed) % 8];

		if (rand_r(&seed) % 4)
			timer_set(&s->timer, clock_now_ns(s->timer.clock) + rand_r(&seed) % 50000);
		else
			timer_cancel(&s->timer);
	}
	return NULL;
}

static void threads_may_set_and_cancel_at_once(void **state)
{
	struct clock *clock = *state;
	struct shot shot[8] = { 0 };
	unsigned before;
	pthread_t thread[2];

	for (int i = 0; i < 8; i++)
		timer_init(&shot[i].timer, clock, fire, &shot[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, storm, shot), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < 8; i++)
		timer_cancel(&shot[i].timer);
	wait_ns(clock, 5 * MS);
	before = atomic_exchange(&shot[0].fired, 0);
	timer_set(&shot[0].timer, 0);
	wait_fired(clock, &shot[0]);
	assert_int_equal(shot[0].fired, 1);
	assert_true(before > 0);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Prints rather than judges: a busy machine delays any thread. */
static void lateness(void **state)
{
	struct clock *clock = *state;
	uint64_t late[51];

	for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
		struct shot shot = { .deadline_ns = clock_now_ns(clock) + MS };

		timer_init(&shot.timer, clock, fire, &shot);
		timer_set(&shot.timer, shot.deadline_ns);
		while (!atomic_load(&shot.fired))
			usleep(300);
		late[i] = shot.fired_ns - shot.deadline_ns;
	}
	qsort(late, ARRAY_SIZE(late), sizeof(late[0]), by_value);
	print_message("median lateness %u ns\n", (unsigned)late[ARRAY_SIZE(late) / 2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_runs_as_the_hosts),
		cmocka_unit_test(clocks_agree_on_the_rate),
		cmocka_unit_test(tsc_and_nanoseconds_convert_both_ways),
		cmocka_unit_test(the_bus_clock_divides_the_tsc),
		cmocka_unit_test(a_timer_fires_once_and_not_early),
		cmocka_unit_test(a_deadline_in_the_past_fires_at_once),
		cmocka_unit_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(rearming_moves_the_deadline),
		cmocka_unit_test(many_timers_fire_in_order),
		cmocka_unit_test(threads_may_set_and_cancel_at_once),
		cmocka_unit_test(lateness),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
