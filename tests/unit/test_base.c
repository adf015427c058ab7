/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inline functions of lib/base.h: bit fields, masks, alignment, little-endian access.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base.h"

static void bits_takes_both_ends(void **state)
{
	(void)state;
	assert_int_equal(bits(0xabcd, 7, 4), 0xc);
	assert_int_equal(bits(0x8000000000000000ull, 63, 63), 1);
	assert_int_equal(bits(~0ull, 63, 0), ~0ull);
}

static void size_mask_covers_each_operand_size(void **state)
{
	(void)state;
	assert_int_equal(size_mask(1), 0xff);
	assert_int_equal(size_mask(2), 0xffff);
	assert_int_equal(size_mask(4), 0xffffffffull);
	assert_int_equal(size_mask(8), ~0ull);
}

static void align_rounds_down_and_up(void **state)
{
	(void)state;
	assert_int_equal(align_down(0x1fff, 0x1000), 0x1000);
	assert_int_equal(align_up(0x1001, 0x1000), 0x2000);
	assert_int_equal(align_up(0x1000, 0x1000), 0x1000);
}

static void little_endian_access_keeps_its_neighbours(void **state)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 };

	(void)state;
	assert_int_equal(load_le(bytes + 1, 2), 0x0302);
	store_le(bytes + 1, 0xaabb, 2);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(bytes[1], 0xbb);
	assert_int_equal(bytes[2], 0xaa);
	assert_int_equal(bytes[3], 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_takes_both_ends),
		cmocka_unit_test(size_mask_covers_each_operand_size),
		cmocka_unit_test(align_rounds_down_and_up),
		cmocka_unit_test(little_endian_access_keeps_its_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
