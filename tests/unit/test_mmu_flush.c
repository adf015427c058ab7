/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the MMU forgets and what not: flushes of every kind, PCIDs, faults, the second level of the
 * TLB, generations of what was looked up of code, what a flush confirms.
 */
#include "tests/unit/mmu_bench.h"

/* A fault invalidates its page: another one may be mapped there without INVLPG. */
static void test_fault_invalidates(void **state)
{
	struct bench *b = *state;
	gpa_t leaf;

	long_mode(b);
	leaf = map_long(b, VA, 0, DATA | P);
	*at(b, DATA) = 1;
	*at(b, 0x300000) = 2;
	assert_int_equal(load(b, VA, 8), 1);
	mmu_fetch(b->cpu, VA);
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 8, 1)), PF_P | PF_W);
	*at(b, leaf) = 0x300000 | P;
	assert_int_equal(load(b, VA, 8), 2);
	assert_int_equal(mmu_fetch(b->cpu, VA), 0x300000);
}

/* Code in pages this far apart is in one set of the bank's. */
#define SAME_SET (1024 * PAGE_BYTES)

/* So do look-ups of its code, also where others have taken its entry. */
static void test_fault_invalidates_code(void **state)
{
	struct bench *b = *state;
	uint64_t before;

	long_mode(b);
	for (unsigned i = 0; i < 3; i++) {
		map_long(b, VA + i * SAME_SET, 0, DATA | P);
		mmu_fetch(b->cpu, VA + i * SAME_SET);
	}
	before = mmu_fetch_generation(b->cpu, VA);
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 8, 1)), PF_P | PF_W);
	assert_int_not_equal(mmu_fetch_generation(b->cpu, VA), before);
}

static void test_flush_keeps_globals(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	map_long(b, VA + PAGE_BYTES, 0, DATA | P | W | G);
	load(b, VA, 8);
	load(b, VA + PAGE_BYTES, 8);
	mmu_load_cr3(b->cpu, false);
	assert_null(mmu_fast(b->cpu, VA, 8, false));
	assert_non_null(mmu_fast(b->cpu, VA + PAGE_BYTES, 8, false));
	mmu_flush_address(b->cpu, VA + PAGE_BYTES);
	assert_null(mmu_fast(b->cpu, VA + PAGE_BYTES, 8, false));
	load(b, VA + PAGE_BYTES, 8);
	mmu_flush_all(b->cpu);
	assert_null(mmu_fast(b->cpu, VA + PAGE_BYTES, 8, false));
}

static void test_flush_in_large_page(void **state)
{
	struct bench *b = *state;
	uint64_t generation;

	long_mode(b);
	map_long(b, 0x40000000, 1, 0x400000 | P | W | PS);
	map_long(b, 0x80000000, 2, 0 | P | W | PS);
	load(b, 0x40001000, 8);
	load(b, 0x40180000, 8);
	load(b, 0x80654320, 8);
	mmu_fetch(b->cpu, 0x80100000);
	generation = b->cpu->tlb->generation;
	mmu_flush_address(b->cpu, 0x40100000);
	assert_null(mmu_fast(b->cpu, 0x40001000, 8, false));
	assert_null(mmu_fast(b->cpu, 0x40180000, 8, false));
	assert_non_null(mmu_fast(b->cpu, 0x80654320, 8, false));
	mmu_flush_address(b->cpu, 0x80000000);
	assert_null(mmu_fast(b->cpu, 0x80654320, 8, false));
	assert_int_not_equal(b->cpu->tlb->generation, generation);
}

static void test_pcid(void **state)
{
	struct bench *b = *state;
	gpa_t one, two;

	long_mode(b);
	b->cpu->cr4 |= CR4_PCIDE;
	mmu_mode_changed(b->cpu);
	one = b->cpu->cr3;
	map_long(b, VA, 0, DATA | P | W);
	two = b->cpu->cr3 = new_table(b);
	map_long(b, VA, 0, 0x300000 | P | W);
	*at(b, DATA) = 1;
	*at(b, 0x300000) = 2;

	b->cpu->cr3 = one | 1;
	mmu_load_cr3(b->cpu, false);
	assert_int_equal(load(b, VA, 8), 1);
	b->cpu->cr3 = two | 2;
	mmu_load_cr3(b->cpu, false);
	assert_int_equal(load(b, VA, 8), 2);
	b->cpu->cr3 = one | 1;
	mmu_load_cr3(b->cpu, true);
	assert_non_null(mmu_fast(b->cpu, VA, 8, false)); /* it survived */
	assert_int_equal(load(b, VA, 8), 1);
	mmu_flush_pcid(b->cpu, 2);
	assert_non_null(mmu_fast(b->cpu, VA, 8, false));
	b->cpu->cr3 = two | 2;
	mmu_load_cr3(b->cpu, true);
	assert_null(mmu_fast(b->cpu, VA, 8, false));
	load(b, VA, 8);
	mmu_flush_pcid_address(b->cpu, 1, VA);
	assert_non_null(mmu_fast(b->cpu, VA, 8, false));
	b->cpu->cr3 = one | 1;
	mmu_load_cr3(b->cpu, true);
	assert_null(mmu_fast(b->cpu, VA, 8, false));
	/* More PCIDs than banks. */
	for (unsigned pcid = 0; pcid < 100; pcid++) {
		b->cpu->cr3 = (pcid & 1 ? one : two) | pcid;
		mmu_load_cr3(b->cpu, true);
		assert_int_equal(load(b, VA, 8), pcid & 1 ? 1 : 2);
	}
}

static void test_generation(void **state)
{
	struct bench *b = *state;
	uint64_t before;

	long_mode(b);
	map_long(b, 0x1000, 0, DATA | P | W);
	map_long(b, 0x2000, 0, DATA | P | W);
	map_long(b, 0x201000, 0, DATA | P | W); /* the same slot as 0x1000 */
	mmu_fetch(b->cpu, 0x1000);
	load(b, 0x2000, 8);
	before = b->cpu->tlb->generation;
	mmu_flush_address(b->cpu, 0x2000); /* data only */
	assert_int_equal(b->cpu->tlb->generation, before);
	mmu_flush_address(b->cpu, 0x1000);
	assert_int_not_equal(b->cpu->tlb->generation, before);
	mmu_fetch(b->cpu, 0x1000);
	mmu_fetch(b->cpu, 0x201000); /* replaces it, which changes nothing */
	before = b->cpu->tlb->generation;
	mmu_flush_address(b->cpu, 0x1000); /* but somebody may remember it */
	assert_int_not_equal(b->cpu->tlb->generation, before);
	mmu_fetch(b->cpu, 0x1000);
	before = b->cpu->tlb->generation;
	mmu_load_cr3(b->cpu, false); /* nothing is different behind it */
	assert_int_equal(b->cpu->tlb->generation, before);
	map_long(b, 0x1000, 0, (DATA + PAGE_BYTES) | P | W);
	mmu_load_cr3(b->cpu, false);
	assert_int_not_equal(b->cpu->tlb->generation, before);
	mmu_fetch(b->cpu, 0x1000);
	before = b->cpu->tlb->generation;
	map_long(b, 0x1000, 0, (DATA + PAGE_BYTES) | P); /* not accessed any more */
	mmu_flush_all(b->cpu);
	assert_int_not_equal(b->cpu->tlb->generation, before);
}

static void test_global_generation(void **state)
{
	struct bench *b = *state;
	uint64_t before, local;

	long_mode(b);
	b->cpu->cr4 |= CR4_PCIDE;
	mmu_mode_changed(b->cpu);
	map_long(b, 0x1000, 0, DATA | P | W | G);
	map_long(b, 0x2000, 0, DATA | P | W);
	map_long(b, 0x201000, 0, DATA | P | W | G);
	mmu_fetch(b->cpu, 0x1000);
	before = b->cpu->tlb->global_generation;
	assert_int_equal(mmu_fetch_generation(b->cpu, 0x1000), before);
	mmu_fetch(b->cpu, 0x2000);
	local = b->cpu->tlb->generation;
	assert_int_equal(mmu_fetch_generation(b->cpu, 0x2000), local);
	map_long(b, 0x2000, 0, (DATA + PAGE_BYTES) | P | W);
	mmu_load_cr3(b->cpu, false);
	assert_int_equal(b->cpu->tlb->global_generation, before);
	assert_int_not_equal(b->cpu->tlb->generation, local);
	mmu_fetch(b->cpu, 0x201000); /* in the place of 0x1000 */
	/* From another address space. */
	b->cpu->cr3 |= 5;
	mmu_load_cr3(b->cpu, false);
	assert_int_equal(b->cpu->tlb->global_generation, before);
	mmu_flush_address(b->cpu, 0x1000);
	assert_int_not_equal(b->cpu->tlb->global_generation, before);
	before = b->cpu->tlb->global_generation;
	mmu_flush_address(b->cpu, 0x201000);
	assert_int_not_equal(b->cpu->tlb->global_generation, before);
}

/* What another address space has of the same global page does not count, what else it has does. */
static void test_flush_of_two_spaces(void **state)
{
	struct bench *b = *state;
	uint64_t cr3, before;

	long_mode(b);
	b->cpu->cr4 |= CR4_PCIDE;
	mmu_mode_changed(b->cpu);
	cr3 = b->cpu->cr3;
	map_long(b, 0x1000, 0, DATA | P | W | G);
	map_long(b, 0x2000, 0, DATA | P | W | G);
	for (unsigned pcid = 5; pcid < 7; pcid++) {
		b->cpu->cr3 = cr3 | pcid;
		mmu_load_cr3(b->cpu, true);
		mmu_fetch(b->cpu, 0x1000);
	}
	before = b->cpu->tlb->global_generation;
	mmu_flush_all(b->cpu);
	assert_int_equal(b->cpu->tlb->global_generation, before);
	b->cpu->cr3 = cr3 | 5;
	mmu_load_cr3(b->cpu, true);
	mmu_fetch(b->cpu, 0x2000);
	b->cpu->cr3 = cr3 | 6;
	mmu_load_cr3(b->cpu, true);
	mmu_flush_all(b->cpu);
	assert_int_not_equal(b->cpu->tlb->global_generation, before);
}

/* Two pages of one slot: no walk brings the second back, until a flush of any address. */
static void test_second_level(void **state)
{
	struct bench *b = *state;
	const gva_t a = 0x1000, c = a + TLB_ENTRIES * PAGE_BYTES;
	uint64_t *walks = &b->cpu->stats.count[STAT_TLB_WALKS], before;

	long_mode(b);
	map_long(b, a, 0, DATA | P | W);
	map_long(b, c, 0, (DATA + PAGE_BYTES) | P | W);
	store(b, a, 8, 1);
	store(b, c, 8, 2);
	before = *walks;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(load(b, a, 8), 1);
		assert_int_equal(load(b, c, 8), 2);
	}
	assert_int_equal(*walks, before);
	mmu_flush_address(b->cpu, 0x5000);
	load(b, a, 8);
	assert_int_equal(*walks, before + 1);
	map_long(b, c, 0, DATA | P | W);
	mmu_flush_address(b->cpu, c);
	assert_int_equal(load(b, c, 8), 1);
}

/* A kernel's code and large pages, some of them replaced in the cache, do not suffer from INVLPG of
 * programs' addresses. */
static void test_generation_by_half(void **state)
{
	static const gva_t kernel = 0xffffffff80000000;
	struct bench *b = *state;
	uint64_t before;

	long_mode(b);
	for (unsigned i = 0; i < 8; i++) {
		map_long(b, kernel + i * 2 * MIB, 1, P | W | PS | G);
		mmu_fetch(b->cpu, kernel + i * 2 * MIB);
		load(b, kernel + i * 2 * MIB, 8);
	}
	mmu_fetch(b->cpu, kernel + 4 * MIB); /* in the place of another */
	before = b->cpu->tlb->global_generation;
	for (unsigned i = 0; i < 20000; i++)
		mmu_flush_address(b->cpu, i * PAGE_BYTES * 513ull);
	assert_int_equal(b->cpu->tlb->global_generation, before);
	mmu_flush_address(b->cpu, kernel + 2 * MIB + PAGE_BYTES);
	assert_int_not_equal(b->cpu->tlb->global_generation, before);
}

static void test_code_of_a_set(void **state)
{
	struct bench *b = *state;
	uint64_t generation;

	long_mode(b);
	for (unsigned i = 0; i < 3; i++)
		map_long(b, VA + i * SAME_SET, 0, DATA | P);
	mmu_fetch(b->cpu, VA);
	mmu_fetch(b->cpu, VA + SAME_SET);
	generation = mmu_fetch_generation(b->cpu, VA);
	for (unsigned i = 0; i < 3; i++) {
		mmu_flush_all(b->cpu);
		assert_int_equal(mmu_fetch_generation(b->cpu, VA), generation);
	}
	mmu_fetch(b->cpu, VA + 2 * SAME_SET); /* what has made room for this is not confirmed */
	mmu_flush_all(b->cpu);
	assert_int_not_equal(mmu_fetch_generation(b->cpu, VA), generation);
	generation = mmu_fetch_generation(b->cpu, VA);
	mmu_fetch(b->cpu, VA);
	mmu_fetch(b->cpu, VA + SAME_SET);
	mmu_flush_address(b->cpu, VA + SAME_SET);
	assert_int_not_equal(mmu_fetch_generation(b->cpu, VA), generation);
}

/* A user's page of code is the kernel's now, and elsewhere: what the user remembers is not
 * confirmed by what the kernel has looked up. */
static void test_code_of_others(void **state)
{
	struct bench *b = *state;
	uint64_t before;

	long_mode(b);
	b->cpu->cr4 |= CR4_SMEP;
	mmu_mode_changed(b->cpu);
	map_long(b, VA, 0, DATA | P | U);
	set_cpl(b, 3);
	mmu_fetch(b->cpu, VA);
	before = mmu_fetch_generation(b->cpu, VA);
	map_long(b, VA, 0, (DATA + PAGE_BYTES) | P);
	set_cpl(b, 0);
	assert_int_equal(mmu_fetch(b->cpu, VA), DATA + PAGE_BYTES);
	mmu_load_cr3(b->cpu, false);
	assert_int_not_equal(mmu_fetch_generation(b->cpu, VA), before);
}

/* Whether the page is known behind a flush, after it has come back from an earlier one. */
static bool outlives_flush(struct bench *b, gpa_t leaf, uint64_t before, uint64_t behind)
{
	*at(b, leaf) = before;
	store(b, VA, 8, 1);
	while (mmu_fast(b->cpu, VA, 8, true))
		mmu_flush_all(b->cpu);
	store(b, VA, 8, 1);
	*at(b, leaf) = behind;
	mmu_flush_all(b->cpu);
	return mmu_fast(b->cpu, VA, 8, true);
}

static void test_what_returns(void **state)
{
	const uint64_t used = DATA | P | W | A | D;
	struct bench *b = *state;
	gpa_t leaf;

	long_mode(b);
	leaf = map_long(b, VA, 0, used);
	store(b, VA, 8, 1);
	mmu_flush_all(b->cpu);
	assert_null(mmu_fast(b->cpu, VA, 8, true)); /* not yet */
	assert_true(outlives_flush(b, leaf, used, used));
	assert_false(outlives_flush(b, leaf, used, used + PAGE_BYTES));
	assert_false(outlives_flush(b, leaf, used, used & ~P));
	assert_false(outlives_flush(b, leaf, used, used & ~A)); /* the next access sets it */
	assert_false(outlives_flush(b, leaf, used, used & ~D));
	assert_false(outlives_flush(b, leaf, used, used & ~W));
	assert_true(outlives_flush(b, leaf, used, used));
	b->mem->watched[DATA / PAGE_BYTES] = 1;
	mmu_poison_writes(b->cpu, DATA); /* the flush has kept the note that this goes by */
	assert_null(mmu_fast(b->cpu, VA, 8, true));
	b->mem->watched[DATA / PAGE_BYTES] = 0;
	assert_true(outlives_flush(b, leaf, used, used));
	for (unsigned i = 0; i < 64; i++) /* but who is not asked for goes in the end */
		mmu_flush_all(b->cpu);
	assert_null(mmu_fast(b->cpu, VA, 8, true));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fault_invalidates),
		TEST(fault_invalidates_code),
		TEST(flush_keeps_globals),
		TEST(flush_in_large_page),
		TEST(pcid),
		TEST(generation),
		TEST(global_generation),
		TEST(flush_of_two_spaces),
		TEST(second_level),
		TEST(generation_by_half),
		TEST(code_of_a_set),
		TEST(code_of_others),
		TEST(what_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
