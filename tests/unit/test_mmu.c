/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MMU against hand-built paging structures: walks of every mode, the matrix of permissions,
 * accessed and dirty bits, page crossing, watched pages, devices, breakpoints.
 */
#include "tests/unit/mmu_bench.h"

static void test_no_paging(void **state)
{
	struct bench *b = *state;

	store(b, 0x5000, 4, 0xdeadbeef);
	assert_int_equal(load(b, 0x5000, 4), 0xdeadbeef);
	assert_int_equal(*at(b, 0x5000) & 0xffffffff, 0xdeadbeef);
	assert_int_equal(mmu_fetch(b->cpu, 0x5123), 0x5123);
	assert_int_equal(load(b, 0xc0000000, 4), 0xffffffff); /* nobody there */
	assert_non_null(mmu_fast(b->cpu, 0x5000, 8, true));
	assert_null(mmu_fast(b->cpu, 0x5ff9, 8, true));
	assert_null(mmu_fast(b->cpu, 0x6000, 1, false));
}

static void test_long_sizes(void **state)
{
	struct bench *b = *state;
	gpa_t leaf;

	long_mode(b);
	leaf = map_long(b, VA, 0, DATA | P | W);
	store(b, VA + 8, 8, 0x0123456789abcdef);
	assert_int_equal(*at(b, DATA + 8), 0x0123456789abcdef);
	assert_int_equal(*at(b, leaf), DATA | P | W | A | D);

	map_long(b, 0x40000000, 1, 0x400000 | P | W | PS);
	store(b, 0x40123458, 8, 77);
	assert_int_equal(*at(b, 0x400000 + 0x123458), 77);

	map_long(b, 0x80000000, 2, 0 | P | W | PS);
	store(b, 0x80654320, 8, 78);
	assert_int_equal(*at(b, 0x654320), 78);
	assert_int_equal(mmu_fetch(b->cpu, 0x80654321), 0x654321);
}

static void test_pae(void **state)
{
	struct bench *b = *state;
	gpa_t directory = new_table(b), table = new_table(b);

	b->cpu->cr0 = CR0_PE | CR0_PG;
	b->cpu->cr4 = CR4_PAE;
	b->cpu->pdpte[3] = directory | P;
	mmu_mode_changed(b->cpu);
	*at(b, directory) = table | P | W;
	*at(b, table + 8) = DATA | P | W;
	*at(b, directory + 8) = 0x400000 | P | W | PS;
	store(b, 0xc0001010, 8, 1);
	store(b, 0xc0200010, 8, 2);
	assert_int_equal(*at(b, DATA + 0x10), 1);
	assert_int_equal(*at(b, 0x400010), 2);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x1000, 4)), 0);
	*at(b, table + 16) = DATA | P | BIT(55);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0xc0002000, 4)), PF_P | PF_R);
	*at(b, table + 24) = DATA | P | NX; /* NXE is clear */
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0xc0003000, 4)), PF_P | PF_R);
}

static void test_32bit(void **state)
{
	struct bench *b = *state;
	gpa_t directory = new_table(b), table = new_table(b);
	uint32_t *pde = (uint32_t *)at(b, directory), *pte = (uint32_t *)at(b, table);

	b->cpu->cr0 = CR0_PE | CR0_PG;
	b->cpu->cr4 = CR4_PSE;
	b->cpu->cr3 = directory;
	mmu_mode_changed(b->cpu);
	pde[1] = (uint32_t)(table | P | W);
	pte[2] = DATA | P | W;
	pde[2] = 0x800000 | P | W | PS;
	pde[3] = 0x800000 | P | BIT(21) | PS;
	pde[4] = 0x800000 | P | (1 << 13) | PS; /* PSE-36: at 4 GiB, where nothing is */
	store(b, 0x402004, 4, 5);
	store(b, 0x8abcdc, 4, 6);
	assert_int_equal(*at(b, DATA + 4) & 0xffffffff, 5);
	assert_int_equal(*(uint32_t *)at(b, 0x8abcdc), 6);
	assert_int_equal(pte[2], DATA | P | W | A | D);
	assert_int_equal(pde[1], table | P | W | A);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0xc00000, 4)), PF_P | PF_R);
	assert_int_equal(load(b, 0x1000000, 4), 0xffffffff);
	/* The end of the address space leads to its beginning. */
	pde[0] = pde[1023] = 0x800000 | P | W | PS;
	mmu_flush_all(b->cpu);
	*(uint16_t *)(b->mem->base + 0xbffffe) = 0x1122;
	*(uint16_t *)(b->mem->base + 0x800000) = 0x3344;
	assert_int_equal(load(b, 0xfffffffe, 4), 0x33441122);
	pde[2] = 0;
	b->cpu->cr4 = 0; /* no PSE: the bit is ignored */
	mmu_mode_changed(b->cpu);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x8abcdc, 4)), 0);
}

/* The rules of the manual, written down once more and differently. */
static int64_t expected_error(struct bench *b, uint64_t all, bool nx, unsigned kind, bool is_user)
{
	uint64_t cr4 = b->cpu->cr4;
	bool ac = b->cpu->rflags & RFLAGS_AC, bad;
	int64_t error = PF_P;

	if (is_user) {
		bad = !(all & U) || (kind == 1 && !(all & W)) || (kind == 2 && nx);
	} else {
		bad = (kind == 1 && !(all & W) && (b->cpu->cr0 & CR0_WP)) || (kind == 2 && nx) ||
		      (kind != 2 && (all & U) && (cr4 & CR4_SMAP) && !ac) ||
		      (kind == 2 && (all & U) && (cr4 & CR4_SMEP));
	}
	if (kind == 1)
		error |= PF_W;
	if (kind == 2)
		error |= PF_I;
	if (is_user)
		error |= PF_U;
	return bad ? error : -1;
}

static int64_t error_of(struct bench *b, unsigned kind)
{
	if (kind == 0)
		return PAGE_FAULT_OF(b, load(b, VA, 8));
	if (kind == 1)
		return PAGE_FAULT_OF(b, store(b, VA, 8, 1));
	return PAGE_FAULT_OF(b, mmu_fetch(b->cpu, VA));
}

static void try_all_kinds(struct bench *b, uint64_t all, bool nx)
{
	for (unsigned i = 0; i < 12; i++) {
		unsigned kind = i % 3;
		bool is_user = i / 6;

		b->cpu->rflags = RFLAGS_ONE | (i / 3 % 2 && !is_user ? RFLAGS_AC : 0);
		set_cpl(b, is_user ? 3 : 0);
		if (error_of(b, kind) != expected_error(b, all, nx, kind, is_user))
			fail_msg("all %#lx nx %d cr0 %#lx cr4 %#lx rflags %#x kind %u user %d: %ld",
				 (long)all, nx, (long)b->cpu->cr0, (long)b->cpu->cr4,
				 b->cpu->rflags, kind, is_user, (long)error_of(b, kind));
		/* What is cached now must say the same. */
		assert_int_equal(error_of(b, kind), expected_error(b, all, nx, kind, is_user));
	}
}

static void test_permissions(void **state)
{
	struct bench *b = *state;
	gpa_t leaf, upper;

	long_mode(b);
	leaf = map_long(b, VA, 0, 0);
	upper = b->cpu->cr3 + ((VA >> 39) & 511) * 8;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t up = (i & 1 ? W : 0) | (i & 2 ? U : 0);
		uint64_t down = (i & 4 ? W : 0) | (i & 8 ? U : 0);

		*at(b, upper) = (*at(b, upper) & ~(W | U)) | up;
		for (unsigned mode = 0; mode < 8; mode++) {
			b->cpu->cr0 = CR0_PE | CR0_PG | (mode & 1 ? CR0_WP : 0);
			b->cpu->cr4 =
				CR4_PAE | (mode & 2 ? CR4_SMEP : 0) | (mode & 4 ? CR4_SMAP : 0);
			*at(b, leaf) = DATA | P | down | (i & 16 ? NX : 0);
			mmu_mode_changed(b->cpu);
			try_all_kinds(b, up & down, i & 16);
			mmu_flush_address(b->cpu, VA);
			try_all_kinds(b, up & down, i & 16);
		}
	}
}

static void test_system_access_ignores_cpl_and_ac(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	set_cpl(b, 3);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, VA, 8)), PF_P | PF_U);
	mmu_store_system(b->cpu, VA, 8, 9);
	assert_int_equal(mmu_load_system(b->cpu, VA, 8), 9);
	assert_int_equal(PAGE_FAULT_OF(b, mmu_load_system(b->cpu, VA + PAGE_BYTES, 8)), 0);
	map_long(b, VA + PAGE_BYTES, 0, DATA | P | W | U);
	b->cpu->cr4 |= CR4_SMAP;
	b->cpu->rflags |= RFLAGS_AC;
	mmu_mode_changed(b->cpu);
	assert_int_equal(PAGE_FAULT_OF(b, mmu_load_system(b->cpu, VA + PAGE_BYTES, 8)), PF_P);
}

static void test_reserved_bits(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | BIT(51));
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 1, 0)), PF_P | PF_R | PF_W);
	map_long(b, 0x40000000, 1, 0x402000 | P | PS);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x40000000, 1)), PF_P | PF_R);
	map_long(b, 0x80000000, 2, 0x200000 | P | PS);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x80000000, 1)), PF_P | PF_R);
	map_long(b, 0x10000000000, 3, 0x200000 | P | PS);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x10000000000, 1)), PF_P | PF_R);
	/* Structures where there is no memory. */
	map_long(b, 0x20000000000, 3, 0xf0000000 | P | W);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, 0x20000000000, 1)), 0);
}

static void test_accessed_and_dirty(void **state)
{
	struct bench *b = *state;
	gpa_t leaf;

	long_mode(b);
	leaf = map_long(b, VA, 0, DATA | P | W);
	load(b, VA, 8);
	assert_int_equal(*at(b, leaf) & (A | D), A);
	assert_int_equal(*at(b, b->cpu->cr3 + ((VA >> 39) & 511) * 8) & (A | D), A);
	assert_null(mmu_fast(b->cpu, VA, 8, true));
	store(b, VA, 8, 1);
	assert_int_equal(*at(b, leaf) & (A | D), A | D);
	assert_non_null(mmu_fast(b->cpu, VA, 8, true));
	/* Cleared by the guest without a flush: nothing need be set again. With one: it must. */
	*at(b, leaf) &= ~(A | D);
	mmu_flush_address(b->cpu, VA);
	mmu_fetch(b->cpu, VA);
	assert_int_equal(*at(b, leaf) & (A | D), A);
	/* A fault leaves the dirty bit alone. */
	*at(b, leaf) = DATA | P;
	mmu_flush_address(b->cpu, VA);
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 8, 1)), PF_P | PF_W);
	assert_int_equal(*at(b, leaf) & D, 0);
}

static void test_crossing(void **state)
{
	struct bench *b = *state;
	gpa_t second;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	second = map_long(b, VA + PAGE_BYTES, 0, 0x300000 | P);
	store(b, VA + 0xffc, 4, 0x11111111);
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA + 0xffc, 8, ~0ull)), PF_P | PF_W);
	assert_int_equal(b->cpu->fault.payload, VA + PAGE_BYTES);
	assert_int_equal(load(b, VA + 0xffc, 4), 0x11111111); /* nothing was done */
	*at(b, second) |= W;
	mmu_flush_address(b->cpu, VA + PAGE_BYTES);
	store(b, VA + 0xffc, 8, 0x8877665544332211);
	assert_int_equal(load(b, VA + 0xffc, 8), 0x8877665544332211);
	assert_int_equal(*at(b, 0x300000) & 0xffffffff, 0x88776655);
	assert_null(mmu_span(b->cpu, VA + 0xffc, 8, true, DS));
}

static void test_canonical(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	assert_int_equal(FAULT_OF(b, load(b, 0x800000000000, 8)), EXC_GP);
	assert_int_equal(b->cpu->fault.error, 0);
	assert_int_equal(FAULT_OF(b, mmu_store(b->cpu, 0x800000000000, 8, 0, SS)), EXC_SS);
	assert_int_equal(FAULT_OF(b, mmu_fetch(b->cpu, 0x800000000000)), EXC_GP);
	/* Half in: the second part decides. */
	map_long(b, 0x7ffffffff000, 0, DATA | P | W);
	assert_int_equal(FAULT_OF(b, load(b, 0x7ffffffffffc, 8)), EXC_GP);
	/* Over the top. */
	map_long(b, 0xfffffffffffff000, 0, DATA | P | W);
	map_long(b, 0, 0, DATA | P | W);
	assert_no_fault(b, load(b, 0xfffffffffffffffc, 8));
}

static void test_device(void **state)
{
	struct bench *b = *state;
	struct insn insn;

	long_mode(b);
	map_long(b, VA, 0, DEVICE | P | W);
	b->cpu->block_end = &insn;
	assert_int_equal(load(b, VA, 4), 0x55667788);
	assert_null(b->cpu->block_end);
	assert_int_equal(load(b, VA + 1, 4), 0x44556677); /* in pieces */
	assert_int_equal(b->device.reads, 4);
	store(b, VA + 0x10, 8, 5);
	assert_int_equal(b->device.last.offset, 0x10);
	assert_int_equal(b->device.last.size, 8);
	assert_int_equal(b->device.last.value, 5);
	assert_null(mmu_fast(b->cpu, VA, 1, false));
	assert_null(mmu_span(b->cpu, VA, 1, false, DS));
}

static void test_watched(void **state)
{
	struct bench *b = *state;
	uint32_t *p;

	long_mode(b);
	for (unsigned i = 0; i < 4; i++) {
		map_long(b, VA + i * PAGE_BYTES, 0, DATA | P | W);
		store(b, VA + i * PAGE_BYTES, 8, 1);
	}
	mmu_flush_address(b->cpu, VA + 2 * PAGE_BYTES);
	assert_non_null(mmu_fast(b->cpu, VA, 8, true));
	b->mem->watched[DATA / PAGE_BYTES] = 1;
	mmu_poison_writes(b->cpu, DATA);
	for (unsigned i = 0; i < 4; i++)
		assert_null(mmu_fast(b->cpu, VA + i * PAGE_BYTES, 8, true));
	assert_non_null(mmu_fast(b->cpu, VA, 8, false));
	store(b, VA + 4, 4, 2);
	assert_int_equal(b->written.calls, 1);
	assert_int_equal(b->written.gpa, DATA + 4);
	assert_int_equal(b->written.len, 4);
	assert_null(mmu_span(b->cpu, VA, 8, true, DS));
	p = mmu_rmw_begin(b->cpu, VA + 8, 4, DS);
	*p = 3;
	mmu_rmw_done(b->cpu, VA + 8, 4, p);
	assert_int_equal(b->written.calls, 2);
	assert_ptr_equal(mmu_write_begin(b->cpu, VA + 16, 256, DS),
			 memory_at(b->mem, DATA + 16, 1));
	mmu_write_done(b->cpu, memory_at(b->mem, DATA + 16, 1), 256);
	assert_int_equal(b->written.calls, 3);
	assert_int_equal(b->written.len, 256);
	assert_null(mmu_write_begin(b->cpu, VA + 0xffc, 8, DS));
	b->mem->watched[DATA / PAGE_BYTES] = 0;
	store(b, VA, 8, 1);
	assert_non_null(mmu_fast(b->cpu, VA, 8, true));
}

/* Whether a store to the page of VA, in which there is code, ends the block that runs. */
static bool ends_block(struct bench *b)
{
	const struct insn insn = { .length = 1 };

	b->cpu->block_end = &insn;
	store(b, VA, 8, 1);
	return !b->cpu->block_end;
}

static void test_watched_block(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	map_long(b, VA + 0x1000, 0, (DATA + 0x1000) | P);
	map_long(b, VA + 0x2000, 0, DATA | P);
	b->mem->watched[DATA / PAGE_BYTES] = 1;
	b->cpu->mode = MODE_64;
	b->cpu->rip = VA + 0x1000;
	assert_true(ends_block(b)); /* where the code is, nobody knows yet */
	mmu_fetch(b->cpu, b->cpu->rip);
	assert_false(ends_block(b));
	b->written.has_code = true;
	assert_true(ends_block(b));
	b->written.has_code = false;
	b->cpu->rip = VA + 0x2000;
	mmu_fetch(b->cpu, b->cpu->rip);
	assert_true(ends_block(b)); /* it runs in that page */
}

static void test_rmw(void **state)
{
	struct bench *b = *state;
	uint64_t *p;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	map_long(b, VA + PAGE_BYTES, 0, 0x300000 | P | W);
	map_long(b, VA + 2 * PAGE_BYTES, 0, DEVICE | P | W);
	p = mmu_rmw_begin(b->cpu, VA, 8, DS);
	assert_ptr_equal(p, at(b, DATA));
	mmu_rmw_done(b->cpu, VA, 8, p);
	store(b, VA + 0xffc, 8, 100);
	p = mmu_rmw_begin(b->cpu, VA + 0xffc, 8, DS);
	assert_int_equal((*p)++, 100);
	mmu_rmw_done(b->cpu, VA + 0xffc, 8, p);
	assert_int_equal(load(b, VA + 0xffc, 8), 101);
	p = mmu_rmw_begin(b->cpu, VA + 2 * PAGE_BYTES, 4, DS);
	assert_int_equal(*(uint32_t *)p, 0x55667788);
	mmu_rmw_done(b->cpu, VA + 2 * PAGE_BYTES, 4, p);
	assert_int_equal(b->device.writes, 1);
}

static void test_alignment_check(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W | U);
	b->cpu->cr0 |= CR0_AM;
	b->cpu->rflags |= RFLAGS_AC;
	set_cpl(b, 3);
	assert_no_fault(b, load(b, VA, 8));
	assert_int_equal(FAULT_OF(b, load(b, VA + 4, 8)), EXC_AC);
	assert_int_equal(FAULT_OF(b, store(b, VA + 1, 2, 0)), EXC_AC);
	set_cpl(b, 0);
	assert_no_fault(b, load(b, VA + 4, 8));
	assert_non_null(mmu_fast(b->cpu, VA, 8, true));
}

static void test_breakpoints(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	map_long(b, VA, 0, DATA | P | W);
	store(b, VA, 8, 1);
	b->cpu->dr[1] = VA + 0x10;
	b->cpu->dr7 = DR7_INIT | BIT(2) | 0xdull << 20; /* writes, 4 bytes */
	mmu_breakpoints_changed(b->cpu);
	store(b, VA + 0x0c, 4, 1);
	load(b, VA + 0x10, 4);
	assert_int_equal(b->cpu->pending_db, 0);
	store(b, VA + 0x0c, 8, 1);
	assert_int_equal(b->cpu->pending_db, DR6_B(1));
	assert_true(b->cpu->attention & ATTENTION_TRAP);
	b->cpu->pending_db = 0;
	b->cpu->dr7 = DR7_INIT | BIT(2) | 0x3ull << 20; /* any access, 1 byte */
	mmu_breakpoints_changed(b->cpu);
	load(b, VA + 0x10, 1);
	assert_int_equal(b->cpu->pending_db, DR6_B(1));
	b->cpu->dr7 = DR7_INIT;
	mmu_breakpoints_changed(b->cpu);
	load(b, VA, 1);
	assert_non_null(mmu_fast(b->cpu, VA, 8, true));
}

static void test_protection_keys(void **state)
{
	struct bench *b = *state;

	long_mode(b);
	b->cpu->cr4 |= CR4_PKE;
	mmu_mode_changed(b->cpu);
	map_long(b, VA, 0, DATA | P | W | U | 5ull << 59);
	map_long(b, VA + PAGE_BYTES, 0, DATA | P | W | 5ull << 59);
	set_cpl(b, 3);
	store(b, VA, 8, 1);
	mmu_write_pkru(b->cpu, BIT(11)); /* key 5: no writes */
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 8, 1)), PF_P | PF_W | PF_U | PF_PK);
	assert_no_fault(b, load(b, VA, 8));
	mmu_write_pkru(b->cpu, BIT(10)); /* key 5: nothing */
	assert_int_equal(PAGE_FAULT_OF(b, load(b, VA, 8)), PF_P | PF_U | PF_PK);
	assert_no_fault(b, mmu_fetch(b->cpu, VA));
	set_cpl(b, 0);
	assert_int_equal(PAGE_FAULT_OF(b, load(b, VA, 8)), PF_P | PF_PK);
	assert_no_fault(b, load(b, VA + PAGE_BYTES, 8)); /* no user page */
	mmu_write_pkru(b->cpu, BIT(11));
	assert_int_equal(PAGE_FAULT_OF(b, store(b, VA, 8, 1)), PF_P | PF_W | PF_PK);
	b->cpu->cr0 &= ~CR0_WP;
	mmu_mode_changed(b->cpu);
	assert_no_fault(b, store(b, VA, 8, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_paging),
		TEST(long_sizes),
		TEST(pae),
		TEST(32bit),
		TEST(permissions),
		TEST(system_access_ignores_cpl_and_ac),
		TEST(reserved_bits),
		TEST(accessed_and_dirty),
		TEST(crossing),
		TEST(canonical),
		TEST(device),
		TEST(watched),
		TEST(watched_block),
		TEST(rmw),
		TEST(alignment_check),
		TEST(breakpoints),
		TEST(protection_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
