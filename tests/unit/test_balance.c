/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a guest at run time, over a real balloon with a small driver: static memory,
 * dynamic memory, and neither while a hypervisor runs in the guest.
 */
#define DRIVER_MEMORY (256 * MIB)
#include "tests/unit/virtio_driver.h"

#include "vm/balance.h"

#include <errno.h>
#include <linux/virtio_balloon.h>

#define STATS     2
#define QUEUES    3
#define FEATURES  (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BALLOON_F_STATS_VQ))
#define RAM       DRIVER_MEMORY
#define STARTUP   (128 * MIB)
#define MINIMUM   (64 * MIB)
#define TICKS_MAX 200

struct fixture {
	struct driver d;
	uv_loop_t loop;
	struct virtio_balloon *balloon;
	struct balance *balance;
	bool nested;
	uint64_t host_available_bytes;
	struct error err;
};

static bool is_nested(void *self)
{
	return ((struct fixture *)self)->nested;
}

static void tell_host(void *self, struct balance_host *host)
{
	*host = (struct balance_host){ 16 * GIB, ((struct fixture *)self)->host_available_bytes };
}

static void open_machine(void **state, bool is_dynamic)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct balance_setup setup = {
		.ram_bytes = RAM,
		.startup_bytes = is_dynamic ? STARTUP : RAM,
		.is_dynamic = is_dynamic,
		.limits = { MINIMUM, 1024 * GIB, 20, BALANCE_PRIORITY_DEFAULT },
		.period_ms = 1,
		.nested_active = is_nested,
		.host = tell_host,
		.self = f,
	};

	f->host_available_bytes = 16 * GIB;
	driver_open(&f->d);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(virtio_balloon_create(&f->balloon, &f->d.place, is_dynamic), 0);
	driver_probe(&f->d);
	setup.balloon = f->balloon;
	assert_int_equal(balance_create(&f->balance, &f->loop, &setup), 0);
	*state = f;
}

static int setup_static(void **state)
{
	open_machine(state, false);
	return 0;
}

static int setup_dynamic(void **state)
{
	open_machine(state, true);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	balance_destroy(f->balance);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	virtio_balloon_dev_ops.destroy(f->balloon);
	driver_close(&f->d);
	free(f);
	return 0;
}

static uint64_t target(struct fixture *f)
{
	return RAM - mmio_read(&f->d, f->d.device, 4) * PAGE_BYTES;
}

static uint64_t assigned(struct fixture *f)
{
	struct balance_report report;

	balance_report(f->balance, &report);
	assert_int_equal(report.ram_bytes, RAM);
	return report.assigned_bytes;
}

/* The driver does what it is asked to. */
static void obey(struct fixture *f)
{
	mmio_write(&f->d, f->d.device + 4, 4, mmio_read(&f->d, f->d.device, 4));
}

/* One period passes with a guest that needs so much. */
static void tick(struct fixture *f, uint64_t demand)
{
	uint64_t has = assigned(f);
	struct virtio_balloon_stat stat = { VIRTIO_BALLOON_S_AVAIL, has - MIN(demand, has) };
	struct driver_segment segment = { DRIVER_DATA, sizeof(stat), false };

	if (driver_has_used(&f->d, STATS))
		driver_wait(&f->d, STATS, NULL);
	memory_write(f->d.memory, DRIVER_DATA, &stat, sizeof(stat));
	driver_add(&f->d, STATS, &segment, 1);
	driver_kick(&f->d, STATS);
	uv_run(&f->loop, UV_RUN_ONCE);
	obey(f);
}

/* D2: static memory of a running VM can be resized. */
static void test_static(void **state)
{
	struct fixture *f = *state;
	const struct balance_limits limits = { MINIMUM, RAM, 20, 50 };

	assert_int_equal(assigned(f), RAM);
	assert_int_equal(balance_resize(f->balance, 64 * MIB, &f->err), -ENODEV);
	driver_start(&f->d, FEATURES, QUEUES);
	assert_int_equal(balance_resize(f->balance, 64 * MIB, &f->err), 0);
	assert_int_equal(target(f), 64 * MIB);
	obey(f);
	assert_int_equal(assigned(f), 64 * MIB);
	assert_int_equal(balance_resize(f->balance, RAM, &f->err), 0);
	assert_int_equal(target(f), RAM);
	assert_int_equal(balance_resize(f->balance, RAM + 2 * MIB, &f->err), -ERANGE);
	assert_non_null(strstr(f->err.text, "256 MB"));
	assert_int_equal(balance_set_limits(f->balance, &limits, &f->err), -ENOTSUP);
}

/* D4, D6 */
static void test_static_nested(void **state)
{
	struct fixture *f = *state;

	driver_start(&f->d, FEATURES, QUEUES);
	f->nested = true;
	assert_int_equal(balance_resize(f->balance, 64 * MIB, &f->err), -EBUSY);
	assert_int_equal(target(f), RAM);
	f->nested = false;
	assert_int_equal(balance_resize(f->balance, 64 * MIB, &f->err), 0);
}

/* D1: dynamic memory follows what the guest needs. */
static void test_dynamic(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(assigned(f), STARTUP);
	driver_start(&f->d, FEATURES, QUEUES);
	assert_int_equal(target(f), STARTUP);
	obey(f);
	tick(f, 125 * MIB);
	assert_int_equal(assigned(f), 150 * MIB);
	tick(f, 10 * GIB);
	assert_true(assigned(f) > 150 * MIB);
	for (unsigned i = 0; i < 10; i++)
		tick(f, 10 * GIB);
	assert_int_equal(assigned(f), RAM);
	tick(f, 0);
	assert_true(assigned(f) < RAM && assigned(f) > RAM / 2); /* in steps */
	for (unsigned i = 0; i < 30; i++)
		tick(f, 0);
	assert_true(assigned(f) >= MINIMUM && assigned(f) <= MINIMUM + 16 * MIB);
	assert_int_equal(balance_resize(f->balance, 64 * MIB, &f->err), -ENOTSUP);
	virtio_balloon_dev_ops.reset(f->balloon);
	uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(target(f), STARTUP);
}

/* D3, D5, D6 */
static void test_dynamic_nested(void **state)
{
	struct fixture *f = *state;
	const struct balance_limits limits = { 32 * MIB, RAM, 50, 50 },
				    odd = { RAM + 1, RAM, 5, 50 };

	driver_start(&f->d, FEATURES, QUEUES);
	obey(f);
	f->nested = true;
	tick(f, RAM);
	tick(f, RAM);
	assert_int_equal(assigned(f), STARTUP);
	assert_int_equal(balance_set_limits(f->balance, &limits, &f->err), -EBUSY);
	f->nested = false;
	assert_int_equal(balance_set_limits(f->balance, &odd, &f->err), -EINVAL);
	assert_int_equal(balance_set_limits(f->balance, &limits, &f->err), 0);
	tick(f, 100 * MIB);
	assert_int_equal(assigned(f), 150 * MIB);
}

/* It converges, whatever the guest needs, and never leaves the limits. */
static void test_next(void **state)
{
	const struct balance_limits limits = { 64 * MIB, GIB, 20, 50 };

	(void)state;
	for (uint64_t demand = 0; demand <= 2 * GIB; demand += 37 * MIB) {
		uint64_t has = demand % 2 ? 0 : 4 * GIB, wanted = demand * 120 / 100;
		unsigned n = 0;

		for (uint64_t next; (next = balance_next(&limits, has, demand, UINT64_MAX)) != has;
		     n++)
			has = next;
		assert_true(n < TICKS_MAX);
		assert_true(has >= limits.minimum_bytes && has <= limits.maximum_bytes);
		wanted = MAX(limits.minimum_bytes, MIN(wanted, limits.maximum_bytes));
		assert_true(has + 16 * MIB >= wanted && has <= wanted + 16 * MIB);
	}
}

/* Where the host is short, the last of it is for high priorities, and nobody has a buffer. */
static void test_priority(void **state)
{
	const struct balance_limits limits = { 64 * MIB, GIB, 20, 50 };
	const struct balance_host plenty = { 16 * GIB, 8 * GIB }, little = { 16 * GIB, 600 * MIB };

	(void)state;
	assert_int_equal(balance_spare(0, &plenty), 7 * GIB);
	assert_int_equal(balance_spare(100, &plenty), 8 * GIB);
	assert_int_equal(balance_spare(0, &little), 0);
	assert_int_equal(balance_spare(50, &little), 88 * MIB);
	assert_int_equal(balance_spare(100, &little), 600 * MIB);
	assert_int_equal(balance_next(&limits, 200 * MIB, 500 * MIB, 88 * MIB), 288 * MIB);
	assert_int_equal(balance_next(&limits, 200 * MIB, 500 * MIB, 0), 200 * MIB);
	assert_int_equal(balance_next(&limits, 240 * MIB, 200 * MIB, GIB), 240 * MIB);
	assert_true(balance_next(&limits, 240 * MIB, 200 * MIB, 0) < 240 * MIB);
}

/* The same for a machine that runs: it asks the host each time. */
static void test_short_host(void **state)
{
	struct fixture *f = *state;

	driver_start(&f->d, FEATURES, QUEUES);
	obey(f);
	f->host_available_bytes = 0;
	for (unsigned i = 0; i < 5; i++)
		tick(f, 200 * MIB);
	assert_int_equal(assigned(f), STARTUP);
	f->host_available_bytes = 16 * GIB;
	for (unsigned i = 0; i < 5; i++)
		tick(f, 200 * MIB);
	assert_true(assigned(f) > STARTUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_static, setup_static, teardown),
		cmocka_unit_test_setup_teardown(test_static_nested, setup_static, teardown),
		cmocka_unit_test_setup_teardown(test_dynamic, setup_dynamic, teardown),
		cmocka_unit_test_setup_teardown(test_dynamic_nested, setup_dynamic, teardown),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_priority),
		cmocka_unit_test_setup_teardown(test_short_host, setup_dynamic, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
