/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's share of the host's processors: credit, weights, and who is held when.
 */
#include "vm/share.h"

#include "vm/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#define MS 1000000ll

static void credit_is_what_was_not_used(void **state)
{
	(void)state;
	assert_int_equal(share_credit_ns(0, 1, 50, 10 * MS, 5 * MS), 0);
	assert_int_equal(share_credit_ns(0, 1, 20, 10 * MS, 10 * MS), -8 * MS);
	assert_int_equal(share_credit_ns(-8 * MS, 1, 20, 10 * MS, 0), -6 * MS);
	assert_int_equal(share_credit_ns(0, 4, 50, 10 * MS, 20 * MS), 0);
	/* Idle for long: a burst, and no more. A host that stood still: no more either. */
	assert_int_equal(share_credit_ns(0, 1, 100, 900 * MS, 0), 50 * MS);
	assert_int_equal(share_credit_ns(0, 2, 10, 3600 * 1000 * MS, 0), 10 * MS);
	assert_int_equal(share_credit_ns(0, 1, 10, 3600 * 1000 * MS, 200 * MS), -100 * MS);
}

static void weights_are_nice_values(void **state)
{
	(void)state;
	assert_int_equal(share_nice(100), 0);
	assert_int_equal(share_nice(1), 19);
	assert_int_equal(share_nice(50), 3);
	assert_int_equal(share_nice(200), -3);
	assert_int_equal(share_nice(1000), -10);
	assert_int_equal(share_nice(SHARE_WEIGHT_MAX), -20);
	for (unsigned weight = 1; weight < SHARE_WEIGHT_MAX; weight++)
		assert_true(share_nice(weight + 1) <= share_nice(weight));
}

struct fixture {
	uv_loop_t loop;
	struct share *share;
	bool is_held;
	unsigned holds;
};

static void hold(void *self, bool is_held)
{
	struct fixture *f = self;

	assert_true(f->is_held != is_held);
	f->is_held = is_held;
	f->holds += is_held;
}

static void busy(unsigned ms)
{
	struct timespec start, now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	do {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 * MS + now.tv_nsec - start.tv_nsec < ms * MS);
}

static void who_uses_too_much_is_held(void **state)
{
	struct fixture f = { .is_held = false };
	const struct share_setup setup = { 1, hold, &f };
	struct error err = { "" };

	(void)state;
	assert_int_equal(uv_loop_init(&f.loop), 0);
	assert_int_equal(share_create(&f.share, &f.loop, &setup), 0);
	assert_int_equal(share_set(f.share, 5, 50, &err), 0);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), 3);
	busy(100);
	uv_run(&f.loop, UV_RUN_ONCE);
	assert_true(f.is_held);
	for (unsigned i = 0; i < 100000 && f.is_held; i++)
		uv_run(&f.loop, UV_RUN_ONCE); /* idle, which makes up for it */
	assert_false(f.is_held);
	busy(100);
	uv_run(&f.loop, UV_RUN_ONCE);
	assert_true(f.is_held);
	assert_int_equal(share_set(f.share, 100, 50, &err), 0); /* no maximum any more */
	assert_false(f.is_held);
	assert_int_equal(f.holds, 2);
	share_destroy(f.share);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f.loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credit_is_what_was_not_used),
		cmocka_unit_test(weights_are_nice_values),
		cmocka_unit_test(who_uses_too_much_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
