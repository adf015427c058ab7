/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch's process: clients that come, go, send nonsense or do not read; its requests; its end.
 */
#include "switch_fixture.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_start(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

static void frames_go_between_ports(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6], two[6];

	fixture_mac(1, one);
	fixture_mac(2, two);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "");
	fixture_send(f, 1, one, two);
	assert_string_equal(fixture_receivers(f), "2");
	assert_int_equal(f->station[2].frame[0].bytes, 60);
	assert_memory_equal(f->station[2].frame[0].data, two, 6);
	assert_memory_equal(f->station[2].frame[0].data + 6, one, 6);
	fixture_send(f, 1, one, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "23");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_go_between_ports, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
