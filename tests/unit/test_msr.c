/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every row of the MSR table: order, reserved bits, features, reset values; then the MSRs with
 * checks of their own.
 */
#include "tests/unit/vcpu.h"

#include "cpu/feature.h"
#include "cpu/msr.h"

static uint64_t read_ok(struct vcpu *v, uint32_t msr)
{
	uint64_t value = 0;

	assert_true(msr_read(v->cpu, msr, &value));
	return value;
}

static void the_table_is_sorted(void **state)
{
	unsigned count;
	const struct msr_row *rows = msr_table(&count);

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		assert_true(rows[i].count > 0);
		if (i)
			assert_true(rows[i].first >= rows[i - 1].first + rows[i - 1].count);
	}
}

static bool has_row(const struct vcpu *v, const struct msr_row *row)
{
	unsigned feature = row->feature[v->config.vendor];

	return feature == MSR_ALWAYS || (feature != MSR_NEVER && cpu_has(v->cpu, feature));
}

static void check_reserved_bits(struct vcpu *v, const struct msr_row *row, uint32_t msr)
{
	uint64_t before = 0, after = 0;
	bool readable = msr_read(v->cpu, msr, &before);

	for (unsigned bit = 0; bit < 64; bit++)
		if (!(row->writable & BIT(bit)))
			assert_false(msr_write(v->cpu, msr, before | BIT(bit)));
	assert_int_equal(msr_read(v->cpu, msr, &after), readable);
	if (msr != 0x10)
		assert_int_equal(before, after);
}

static void reserved_bits_fault_and_change_nothing(void **state)
{
	unsigned count;
	const struct msr_row *rows = msr_table(&count);

	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct vcpu v;

		vcpu_setup(&v, vendor);
		for (unsigned i = 0; i < count; i++)
			for (uint32_t n = 0; n < rows[i].count && has_row(&v, &rows[i]); n++)
				check_reserved_bits(&v, &rows[i], rows[i].first + n);
		vcpu_teardown(&v);
	}
}

static void absent_msrs_fault(void **state)
{
	static const uint32_t absent[] = { 0x0,   0x480,      0x18a,      0x1a2,
					   0x428, 0xc0000104, 0xc0010117, 0xffffffff };
	unsigned count;
	const struct msr_row *rows = msr_table(&count);

	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct vcpu v;
		uint64_t value;

		vcpu_setup(&v, vendor);
		for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
			assert_false(msr_read(v.cpu, absent[i], &value));
			assert_false(msr_write(v.cpu, absent[i], 0));
		}
		for (unsigned i = 0; i < count; i++)
			if (!has_row(&v, &rows[i]))
				assert_false(msr_read(v.cpu, rows[i].first, &value));
		vcpu_teardown(&v);
	}
}

static void storage_keeps_what_is_written(void **state)
{
	unsigned count;
	const struct msr_row *rows = msr_table(&count);
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = rows[i].writable & 0x5a5a5a5a5a5a5a5aull;

		if (rows[i].write != msr_write_storage || !has_row(&v, &rows[i]))
			continue;
		assert_int_equal(read_ok(&v, rows[i].first), rows[i].value);
		assert_true(msr_write(v.cpu, rows[i].first, value));
		assert_int_equal(read_ok(&v, rows[i].first), value);
	}
	msr_reset(v.cpu);
	assert_int_equal(read_ok(&v, 0xc0000081), 0);
	assert_int_equal(read_ok(&v, 0x277), 0x0007040600070406ull);
	vcpu_teardown(&v);
}

static void addresses_must_be_canonical(void **state)
{
	static const uint32_t msrs[] = { 0x175,      0x176,      0xc0000082, 0xc0000083,
					 0xc0000100, 0xc0000101, 0xc0000102 };
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_true(msr_write(v.cpu, msrs[i], 0xffff800000001234ull));
		assert_false(msr_write(v.cpu, msrs[i], 0x0000800000000000ull));
		assert_int_equal(read_ok(&v, msrs[i]), 0xffff800000001234ull);
	}
	assert_int_equal(v.cpu->seg[FS].base, 0xffff800000001234ull);
	vcpu_teardown(&v);
}

static void memory_types_are_checked(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_true(msr_write(v.cpu, 0x277, 0x0706050401000007ull));
	assert_false(msr_write(v.cpu, 0x277, 0x0706050402000007ull));
	assert_false(msr_write(v.cpu, 0x277, 8));
	assert_true(msr_write(v.cpu, 0x250, 0x0606060606060606ull));
	assert_false(msr_write(v.cpu, 0x250, 0x0606060606060607ull));
	assert_true(msr_write(v.cpu, 0x200, 0xc0000006));
	assert_false(msr_write(v.cpu, 0x200, 0xc0000002));
	assert_false(msr_write(v.cpu, 0x200, 0xc0000106));
	assert_true(msr_write(v.cpu, 0x201, 0x3fffc0000800ull));
	assert_false(msr_write(v.cpu, 0x201, 0x400000000800ull));
	assert_int_equal(read_ok(&v, 0x201), 0x3fffc0000800ull);
	assert_true(msr_write(v.cpu, 0x2ff, 0xc06));
	assert_false(msr_write(v.cpu, 0x2ff, 0xc07));
	vcpu_teardown(&v);
}

static void machine_check_banks_take_what_hardware_takes(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_AMD);
	assert_int_equal(read_ok(&v, 0x179) & 0xff, 10);
	assert_true(msr_write(v.cpu, 0x400, ~0ull));
	assert_false(msr_write(v.cpu, 0x400, 2));
	assert_true(msr_write(v.cpu, 0x401, 0));
	assert_false(msr_write(v.cpu, 0x401, 1));
	assert_true(msr_write(v.cpu, 0xc0010015, BIT(18) | BIT(24)));
	assert_true(msr_write(v.cpu, 0x401, 1));
	assert_int_equal(read_ok(&v, 0x401), 1);
	vcpu_teardown(&v);
}

static void the_tsc_moves_with_its_adjustment(void **state)
{
	struct vcpu v;
	uint64_t before;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_int_equal(read_ok(&v, 0x3b), 0);
	before = read_ok(&v, 0x10);
	assert_true(msr_write(v.cpu, 0x3b, 1ull << 50));
	assert_true(read_ok(&v, 0x10) - before >= 1ull << 50);
	assert_true(msr_write(v.cpu, 0x10, 0));
	assert_true(read_ok(&v, 0x10) < 1ull << 40);
	assert_int_equal(read_ok(&v, 0x3b), v.cpu->msr.tsc_offset);
	vcpu_teardown(&v);
}

static void the_apic_page_follows_its_base(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_int_equal(read_ok(&v, 0x1b), 0xfee00900);
	assert_int_equal(v.cpu->apic_page, 0xfee00000);
	assert_true(msr_write(v.cpu, 0x1b, 0xfed00900));
	assert_int_equal(v.cpu->apic_page, 0xfed00000);
	assert_false(msr_write(v.cpu, 0x1b, BIT(PHYSICAL_BITS) | 0x900));
	assert_true(msr_write(v.cpu, 0x1b, 0xfee00d00));
	assert_int_equal(v.cpu->apic_page, NO_APIC_PAGE);
	assert_int_equal(read_ok(&v, 0x802), 0);
	vcpu_teardown(&v);
}

/* A guest may write anything anywhere; nothing but the MSRs may feel it. */
static void random_writes_are_harmless(void **state)
{
	static const uint32_t bases[] = { 0,          0x200,      0x400,      0x800,
					  0x4b564d00, 0xc0000080, 0xc0000100, 0xc0010000,
					  0xc0010100, 0xc0011000 };
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct vcpu v;

		vcpu_setup(&v, vendor);
		for (unsigned i = 0; i < 200000; i++) {
			uint64_t value;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			value = seed >> (seed >> 58);
			msr_write(v.cpu, bases[i % ARRAY_SIZE(bases)] + (seed >> 40 & 0xff), value);
			msr_read(v.cpu, bases[i % ARRAY_SIZE(bases)] + (seed >> 32 & 0xff), &value);
		}
		vcpu_teardown(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sorted),
		cmocka_unit_test(reserved_bits_fault_and_change_nothing),
		cmocka_unit_test(absent_msrs_fault),
		cmocka_unit_test(storage_keeps_what_is_written),
		cmocka_unit_test(addresses_must_be_canonical),
		cmocka_unit_test(memory_types_are_checked),
		cmocka_unit_test(machine_check_banks_take_what_hardware_takes),
		cmocka_unit_test(the_tsc_moves_with_its_adjustment),
		cmocka_unit_test(the_apic_page_follows_its_base),
		cmocka_unit_test(random_writes_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
