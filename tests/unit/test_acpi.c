/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables as a guest finds them: from the RSDP down, with lengths and checksums, and what
 * they say of the machine.
 */
#include "boot_fixture.h"

#include "boot/acpi.h"
#include "boot/aml.h"
#include "dev/acpi_pm.h"
#include "dev/pci/pci.h"

static gpa_t write_tables(struct fixture *f, unsigned cpus)
{
	const struct acpi_config config = { .cpus = cpus };
	gpa_t rsdp;

	assert_int_equal(acpi_write_tables(f->memory, &config, &rsdp, &f->err), 0);
	return rsdp;
}

static void assert_sum_zero(struct fixture *f, gpa_t gpa, uint64_t len)
{
	const uint8_t *p = memory_at(f->memory, gpa, len);
	uint8_t sum = 0;

	assert_non_null(p);
	for (uint64_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	assert_int_equal(sum, 0);
}

static gpa_t check_table(struct fixture *f, gpa_t gpa, const char *signature)
{
	assert_guest_bytes(f, gpa, signature, 4);
	assert_sum_zero(f, gpa, guest_number(f, gpa + 4, 4));
	return gpa;
}

static gpa_t find_table(struct fixture *f, gpa_t rsdp, const char *signature)
{
	gpa_t xsdt = check_table(f, guest_number(f, rsdp + 24, 8), "XSDT");

	for (uint64_t at = 36; at < guest_number(f, xsdt + 4, 4); at += 8) {
		gpa_t table = guest_number(f, xsdt + at, 8);

		if (!memcmp(memory_at(f->memory, table, 4), signature, 4))
			return check_table(f, table, signature);
	}
	fail_msg("no table %s", signature);
	return 0;
}

static void root_is_found(void **state)
{
	struct fixture *f = *state;
	gpa_t rsdp = write_tables(f, 2), rsdt, xsdt;

	assert_int_equal(rsdp % 16, 0);
	assert_in_range(rsdp, 0xe0000, 0xfffff);
	assert_guest_bytes(f, rsdp, "RSD PTR ", 8);
	assert_sum_zero(f, rsdp, 20);
	assert_sum_zero(f, rsdp, 36);
	rsdt = check_table(f, guest_number(f, rsdp + 16, 4), "RSDT");
	xsdt = check_table(f, guest_number(f, rsdp + 24, 8), "XSDT");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(guest_number(f, rsdt + 36 + 4 * i, 4),
				 guest_number(f, xsdt + 36 + 8 * i, 8));
}

static void fadt_describes_fixed_hardware(void **state)
{
	struct fixture *f = *state;
	gpa_t fadt = find_table(f, write_tables(f, 1), "FACP"), facs;

	assert_int_equal(guest_number(f, fadt + 4, 4), 276);
	assert_true(guest_number(f, fadt + 8, 1) >= 5);
	facs = guest_number(f, fadt + 36, 4);
	assert_int_equal(facs % 64, 0);
	assert_guest_bytes(f, facs, "FACS", 4);
	assert_int_equal(guest_number(f, facs + 4, 4), 64);
	check_table(f, guest_number(f, fadt + 40, 4), "DSDT");
	assert_int_equal(guest_number(f, fadt + 140, 8), guest_number(f, fadt + 40, 4));
	assert_int_equal(guest_number(f, fadt + 46, 2), 9);
	assert_int_equal(guest_number(f, fadt + 48, 4), 0);
	assert_int_equal(guest_number(f, fadt + 56, 4), ACPI_PM_BASE + ACPI_PM1_EVT);
	assert_int_equal(guest_number(f, fadt + 64, 4), ACPI_PM_BASE + ACPI_PM1_CNT);
	assert_int_equal(guest_number(f, fadt + 76, 4), ACPI_PM_BASE + ACPI_PM_TMR);
	assert_int_equal(guest_number(f, fadt + 91, 1), 4);
	assert_true(guest_number(f, fadt + 112, 4) & BIT(10)); /* a reset register: */
	assert_int_equal(guest_number(f, fadt + 116, 1), 1);
	assert_int_equal(guest_number(f, fadt + 120, 8), 0xcf9);
	assert_int_equal(guest_number(f, fadt + 128, 1), 6);
	assert_int_equal(guest_number(f, fadt + 212, 8), ACPI_PM_BASE + ACPI_PM_TMR);
}

static void madt_lists_controllers(void **state)
{
	struct fixture *f = *state;
	gpa_t madt = find_table(f, write_tables(f, 3), "APIC");
	uint64_t end = guest_number(f, madt + 4, 4);
	unsigned count[256] = { 0 };

	for (uint64_t at = 44; at < end; at += guest_number(f, madt + at + 1, 1)) {
		unsigned type = (unsigned)guest_number(f, madt + at, 1);

		if (type == 0)
			assert_int_equal(guest_number(f, madt + at + 3, 1), count[0]);
		if (type == 1)
			assert_int_equal(guest_number(f, madt + at + 4, 4), IOAPIC_BASE);
		count[type]++;
		assert_int_not_equal(guest_number(f, madt + at + 1, 1), 0);
	}
	assert_int_equal(count[0], 3);
	assert_int_equal(count[1], 1);
	assert_int_equal(count[2], 2);
	assert_int_equal(count[4], 1);
}

static void mcfg_and_hpet(void **state)
{
	struct fixture *f = *state;
	gpa_t rsdp = write_tables(f, 1), mcfg = find_table(f, rsdp, "MCFG");

	assert_int_equal(guest_number(f, mcfg + 44, 8), PCI_ECAM_BASE);
	assert_int_equal(guest_number(f, mcfg + 55, 1), 255);
	assert_int_equal(guest_number(f, find_table(f, rsdp, "HPET") + 44, 8), 0xfed00000);
}

static void any_number_of_processors_fits(void **state)
{
	struct fixture *f = *state;

	for (unsigned cpus = 1; cpus <= IRQ_MAX_VCPUS; cpus += 127)
		find_table(f, write_tables(f, cpus), "APIC");
}

/* Encodings, byte by byte, against the specification's own examples. */
static void aml_encodings(void **state)
{
	uint8_t bytes[64];
	struct blob aml = { .bytes = bytes, .size = sizeof(bytes) };
	aml_mark mark;

	(void)state;
	aml_name_eisa_id(&aml, "_HID", "PNP0A08");
	assert_memory_equal(bytes, "\x08_HID\x0c\x41\xd0\x0a\x08", 10);
	aml.len = 0;
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 0xfe);
	aml_integer(&aml, 0x1234);
	aml_integer(&aml, 0x12345678);
	assert_memory_equal(bytes, "\x00\x01\x0a\xfe\x0b\x34\x12\x0c\x78\x56\x34\x12", 12);
	aml.len = 0;
	mark = aml_device_begin(&aml, "PCI0");
	aml_end(&aml, mark);
	assert_memory_equal(bytes, "\x5b\x82\x87\x00\x00PCI0", 9);
	aml.len = 0;
	aml_string(&aml, "a string that is longer than the room which is left in the blob, by far");
	assert_true(aml.full);
	assert_in_range(aml.len, 0, sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(root_is_found, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(fadt_describes_fixed_hardware, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(madt_lists_controllers, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(mcfg_and_hpet, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(any_number_of_processors_fits, fixture_setup,
						fixture_teardown),
		cmocka_unit_test(aml_encodings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
