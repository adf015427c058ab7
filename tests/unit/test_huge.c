/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory in huge pages: aligned, zero, given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/huge.h"

static void maps_whole_huge_pages(void **state)
{
	static const size_t sizes[] = { 1, HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 1, 5 * MIB };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *p = huge_map(sizes[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % HUGE_PAGE_BYTES, 0);
		assert_int_equal(p[0], 0);
		assert_int_equal(p[sizes[i] - 1], 0);
		p[0] = p[sizes[i] - 1] = 1;
		huge_unmap(p, sizes[i]);
	}
}

/* What one of them has written is nothing that the next one sees. */
static void maps_are_apart(void **state)
{
	uint8_t *a = huge_map(HUGE_PAGE_BYTES), *b = huge_map(HUGE_PAGE_BYTES);

	(void)state;
	memset(a, 0xff, HUGE_PAGE_BYTES);
	assert_int_equal(b[0], 0);
	assert_int_equal(b[HUGE_PAGE_BYTES - 1], 0);
	huge_unmap(a, HUGE_PAGE_BYTES);
	b[0] = b[HUGE_PAGE_BYTES - 1] = 1;
	huge_unmap(b, HUGE_PAGE_BYTES);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	assert_null(huge_map((size_t)1 << 60));
	huge_unmap(NULL, HUGE_PAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_whole_huge_pages),
		cmocka_unit_test(maps_are_apart),
		cmocka_unit_test(refuses_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
