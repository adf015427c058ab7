/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SMBIOS tables as a guest walks them, and the memory size that they give. */
#include "boot_fixture.h"

#include "boot/smbios.h"

static uint8_t sum(struct fixture *f, gpa_t gpa, uint64_t len)
{
	uint8_t s = 0;

	for (uint64_t i = 0; i < len; i++)
		s = (uint8_t)(s + guest_number(f, gpa + i, 1));
	return s;
}

static void entry_points_are_valid(void **state)
{
	struct fixture *f = *state;
	gpa_t v2 = LAYOUT_SMBIOS, v3 = LAYOUT_SMBIOS + 32;

	smbios_write_tables(f->memory);
	assert_guest_bytes(f, v2, "_SM_", 4);
	assert_int_equal(sum(f, v2, guest_number(f, v2 + 5, 1)), 0);
	assert_guest_bytes(f, v2 + 16, "_DMI_", 5);
	assert_int_equal(sum(f, v2 + 16, 15), 0);
	assert_guest_bytes(f, v3, "_SM3_", 5);
	assert_int_equal(v3 % 16, 0);
	assert_int_equal(sum(f, v3, guest_number(f, v3 + 6, 1)), 0);
	assert_int_equal(guest_number(f, v2 + 24, 4), guest_number(f, v3 + 16, 8));
}

/* The structure after the one at gpa: behind its strings. */
static gpa_t next(struct fixture *f, gpa_t gpa)
{
	gpa += guest_number(f, gpa + 1, 1);
	while (guest_number(f, gpa, 2))
		gpa++;
	return gpa + 2;
}

static void structures_can_be_walked(void **state)
{
	static const uint8_t types[] = { 0, 1, 4, 16, 17, 127 };
	struct fixture *f = *state;
	gpa_t at, start, entry = LAYOUT_SMBIOS;

	smbios_write_tables(f->memory);
	at = start = guest_number(f, entry + 24, 4);
	assert_int_equal(guest_number(f, entry + 28, 2), sizeof(types));
	for (size_t i = 0; i < sizeof(types); i++) {
		assert_int_equal(guest_number(f, at, 1), types[i]);
		if (types[i] == 17)
			assert_int_equal(guest_number(f, at + 12, 2), FIXTURE_MEMORY / MIB);
		assert_in_range(next(f, at) - at, 6, guest_number(f, entry + 8, 2));
		at = next(f, at);
	}
	assert_int_equal(at - start, guest_number(f, entry + 22, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(entry_points_are_valid, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(structures_can_be_walked, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
