/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The extended page tables, called as the MMU calls them: sizes, rights, misconfigurations,
 * qualifications, accessed and dirty flags, the log of modified pages, what is remembered of
 * tables.
 */
#include "tests/unit/cpu_bench.h"

#include "vmx/vmx.h"

#define R  1ull
#define W  2ull
#define X  4ull
#define WB (6ull << 3)
#define PS BIT(7)
#define A  BIT(8)
#define D  BIT(9)
#define XU BIT(10)

#define ROOT   0x300000ull
#define LEVEL2 0x301000ull
#define LEVEL1 0x302000ull
#define LEVEL0 0x303000ull
#define LOG    0x310000ull
#define AREA   0x311000ull  /* virtualization-exception information */
#define PAGE   0x5000ull    /* what ADDR maps to */
#define ADDR   0x7123456ull /* L2's */
#define LINEAR 0xffff888000001456ull

#define EPTP    (ROOT | 3 << 3 | 6)
#define EPTP_AD (EPTP | BIT(6))

#define DONE 0x1000 /* no exit */

static const struct virt_access read_access = { .linear = LINEAR,
						.is_linear_valid = true,
						.is_read = true };
static const struct virt_access write_access = { .linear = LINEAR,
						 .is_linear_valid = true,
						 .is_write = true };
static const struct virt_access fetch_access = { .linear = LINEAR,
						 .is_linear_valid = true,
						 .is_fetch = true };
static const struct virt_access walk_access = {
	.linear = LINEAR, .is_linear_valid = true, .is_walk = true, .is_read = true
};
static const struct virt_access pdpte_access = { .is_read = true };

static struct virt_page page;

static bench_u64 *leaf(struct bench *b)
{
	return bench_at(b, LEVEL0 + (ADDR >> 12 & 511) * 8);
}

static void enter(struct bench *b, uint64_t eptp, uint32_t proc2)
{
	struct vmx *vmx = vmx_of(b->cpu);

	b->cpu->in_guest = b->cpu->has_second_stage = true;
	vmx->proc2 = proc2 | PROC2_EPT | PROC2_VPID;
	vmx->eptp = eptp;
}

static int set_up(void **state)
{
	struct bench *b;
	struct vmx *vmx = calloc(1, sizeof(*vmx));

	bench_set_up(state);
	b = *state;
	assert_int_equal(clock_create(&b->soft->config.clock), 0);
	assert_int_equal(irq_create(&b->soft->config.irq, b->soft->config.clock, 1), 0);
	b->cpu->virt = &virt_vmx;
	b->cpu->virt_state = vmx;
	*bench_at(b, ROOT) = LEVEL2 | R | W | X;
	*bench_at(b, LEVEL2) = LEVEL1 | R | W | X;
	*bench_at(b, LEVEL1 + (ADDR >> 21 & 511) * 8) = LEVEL0 | R | W | X;
	*leaf(b) = PAGE | R | W | X | WB;
	enter(b, EPTP, 0);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	free(b->cpu->virt_state);
	clock_destroy(b->soft->config.clock);
	irq_destroy(b->soft->config.irq);
	return bench_tear_down(state);
}

/* Translates ADDR: the reason of the exit, or DONE. */
static unsigned translate(struct bench *b, const struct virt_access *access)
{
	enter(b, vmx_of(b->cpu)->eptp, vmx_of(b->cpu)->proc2);
	if (setjmp(b->cpu->unwind))
		return (unsigned)vmcs_get(b->cpu, EXIT_REASON);
	vmx_translate(b->cpu, ADDR, access, &page);
	return DONE;
}

static void assert_violation(struct bench *b, const struct virt_access *access, uint64_t qual)
{
	assert_int_equal(translate(b, access), EXIT_EPT_VIOLATION);
	assert_int_equal(vmcs_get(b->cpu, EXIT_QUALIFICATION), qual);
	assert_int_equal(vmcs_get(b->cpu, GUEST_PHYSICAL_ADDRESS), ADDR);
}

static void test_sizes(void **state)
{
	struct bench *b = *state;

	assert_int_equal(translate(b, &read_access), DONE);
	assert_int_equal(page.page, PAGE);
	assert_int_equal(page.size_bytes, PAGE_BYTES);
	assert_true(page.is_readable && page.is_writable && page.is_executable);
	*bench_at(b, LEVEL1 + (ADDR >> 21 & 511) * 8) = 0x400000 | R | WB | PS;
	vmx_forget_places(b->cpu);
	assert_int_equal(translate(b, &read_access), DONE);
	assert_int_equal(page.page, 0x400000 + (ADDR & 0x1ff000));
	assert_int_equal(page.size_bytes, 2 * MIB);
	assert_true(page.is_readable && !page.is_writable && !page.is_executable);
	*bench_at(b, LEVEL2) = 0 | R | W | WB | PS;
	vmx_forget_places(b->cpu);
	assert_int_equal(translate(b, &read_access), DONE);
	assert_int_equal(page.page, ADDR & PAGE_MASK);
}

static void test_rights(void **state)
{
	struct bench *b = *state;

	*leaf(b) = PAGE | R | WB;
	assert_int_equal(translate(b, &read_access), DONE);
	assert_violation(b, &write_access, BIT(1) | BIT(3) | BIT(7) | BIT(8));
	assert_int_equal(vmcs_get(b->cpu, GUEST_LINEAR_ADDRESS), LINEAR);
	assert_violation(b, &fetch_access, BIT(2) | BIT(3) | BIT(7) | BIT(8));
	*leaf(b) = PAGE | X | WB;
	assert_int_equal(translate(b, &fetch_access), DONE);
	assert_false(page.is_readable);
	assert_violation(b, &read_access, BIT(0) | BIT(5) | BIT(7) | BIT(8));
	assert_violation(b, &walk_access, BIT(0) | BIT(5) | BIT(7));
	assert_violation(b, &pdpte_access, BIT(0) | BIT(5));
	*leaf(b) = 0;
	assert_violation(b, &read_access, BIT(0) | BIT(7) | BIT(8));
	*leaf(b) = PAGE | R | W | X | WB;
	*bench_at(b, ROOT) &= ~W;
	assert_violation(b, &write_access, BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(8));
}

static void test_mode_based_execute(void **state)
{
	struct virt_access user = fetch_access, fetch = fetch_access;
	struct bench *b = *state;

	user.page_is_user = true;
	enter(b, EPTP, PROC2_MODE_BASED_EXECUTE);
	assert_violation(b, &user, BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(8) | BIT(9));
	assert_int_equal(translate(b, &fetch), DONE);
	*leaf(b) = PAGE | R | XU | WB;
	assert_violation(b, &user, BIT(2) | BIT(3) | BIT(7) | BIT(8) | BIT(9));
	*bench_at(b, ROOT) |= XU;
	*bench_at(b, LEVEL2) |= XU;
	*bench_at(b, LEVEL1 + (ADDR >> 21 & 511) * 8) |= XU;
	assert_int_equal(translate(b, &user), DONE);
	assert_true(page.is_executable);
	assert_int_equal(translate(b, &read_access), DONE);
	assert_false(page.is_executable);
	assert_violation(b, &fetch, BIT(2) | BIT(3) | BIT(6) | BIT(7) | BIT(8));
	*leaf(b) = PAGE | XU | WB;
	assert_int_equal(translate(b, &user), DONE);
	enter(b, EPTP, 0);
	vmx_of(b->cpu)->proc2 &= ~(uint32_t)PROC2_MODE_BASED_EXECUTE;
	assert_violation(b, &user, BIT(2) | BIT(7) | BIT(8) | BIT(9));
}

static void test_what_the_first_stage_says(void **state)
{
	struct virt_access access = write_access;
	struct bench *b = *state;

	*leaf(b) = PAGE | R | WB;
	access.page_is_writable = true;
	assert_violation(b, &access, BIT(1) | BIT(3) | BIT(7) | BIT(8) | BIT(10));
	access.page_is_no_execute = true;
	assert_violation(b, &access, BIT(1) | BIT(3) | BIT(7) | BIT(8) | BIT(10) | BIT(11));
	access.is_walk = true;
	assert_violation(b, &access, BIT(1) | BIT(3) | BIT(7));
}

static void test_misconfigurations(void **state)
{
	static const uint64_t bad[] = {
		W, W | X, R | 2 << 3, R | 3 << 3, R | 7 << 3, R | WB | BIT(46), R | WB | BIT(51)
	};
	struct bench *b = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		*leaf(b) = PAGE | bad[i];
		assert_int_equal(translate(b, &write_access), EXIT_EPT_MISCONFIGURATION);
		assert_int_equal(vmcs_get(b->cpu, GUEST_PHYSICAL_ADDRESS), ADDR);
	}
	/* It comes before the right that an upper entry does not give. */
	*bench_at(b, ROOT) = LEVEL2 | X;
	assert_int_equal(translate(b, &read_access), EXIT_EPT_MISCONFIGURATION);
	*bench_at(b, ROOT) = LEVEL2 | R | W | X | PS;
	assert_int_equal(translate(b, &read_access), EXIT_EPT_MISCONFIGURATION);
	*bench_at(b, ROOT) = LEVEL2 | R | W | X;
	*bench_at(b, LEVEL2) |= BIT(3);
	assert_int_equal(translate(b, &read_access), EXIT_EPT_MISCONFIGURATION);
	*bench_at(b, LEVEL2) = BIT(13) | R | WB | PS;
	assert_int_equal(translate(b, &read_access), EXIT_EPT_MISCONFIGURATION);
}

static void test_ignored_bits(void **state)
{
	struct bench *b = *state;

	*leaf(b) |= BIT(6) | BIT(7) | A | D | BIT(10) | BIT(11) | 0xfffull << 52;
	assert_int_equal(translate(b, &read_access), DONE);
	assert_int_equal(page.page, PAGE);
}

static void test_tables_outside_memory(void **state)
{
	struct bench *b = *state;

	*bench_at(b, LEVEL2) = 0x3fffff000000ull | R | W | X;
	assert_violation(b, &read_access, BIT(0) | BIT(7) | BIT(8));
	vmx_of(b->cpu)->eptp = 0x3ffffffff000ull | 0x1e;
	assert_violation(b, &read_access, BIT(0) | BIT(7) | BIT(8));
}

static void test_flags(void **state)
{
	struct bench *b = *state;

	assert_int_equal(translate(b, &write_access), DONE);
	assert_int_equal(*leaf(b), PAGE | R | W | X | WB);
	vmx_of(b->cpu)->eptp = EPTP_AD;
	assert_int_equal(translate(b, &read_access), DONE);
	assert_false(page.is_writable);
	assert_int_equal(*leaf(b), PAGE | R | W | X | WB | A);
	assert_int_equal(*bench_at(b, ROOT), LEVEL2 | R | W | X | A);
	assert_int_equal(translate(b, &write_access), DONE);
	assert_true(page.is_writable);
	assert_int_equal(*leaf(b), PAGE | R | W | X | WB | A | D);
	*leaf(b) = PAGE | R | W | WB;
	assert_int_equal(translate(b, &walk_access), DONE); /* counts as a write */
	assert_int_equal(*leaf(b), PAGE | R | W | WB | A | D);
	*leaf(b) = PAGE | R | WB;
	assert_violation(b, &walk_access, BIT(0) | BIT(1) | BIT(3) | BIT(7));
	assert_int_equal(*leaf(b), PAGE | R | WB);
}

static void test_log(void **state)
{
	struct bench *b = *state;

	enter(b, EPTP_AD, PROC2_PML);
	vmcs_set(b->cpu, PML_ADDRESS, LOG);
	vmcs_set(b->cpu, PML_INDEX, 0);
	assert_int_equal(translate(b, &read_access), DONE);
	assert_int_equal(vmcs_get(b->cpu, PML_INDEX), 0);
	assert_int_equal(translate(b, &write_access), DONE);
	assert_int_equal(vmcs_get(b->cpu, PML_INDEX), 0xffff);
	assert_int_equal(*bench_at(b, LOG), ADDR & PAGE_MASK);
	assert_int_equal(translate(b, &write_access), DONE); /* dirty already */
	*leaf(b) &= ~D;
	assert_int_equal(translate(b, &write_access), EXIT_PML_FULL);
	assert_false(*leaf(b) & D);
}

/* Translates ADDR where a virtualization exception is due: the vector. */
static unsigned translate_to_fault(struct bench *b)
{
	vmcs_set(b->cpu, EXIT_REASON, DONE);
	if (translate(b, &read_access) == DONE)
		return b->cpu->fault.vector;
	return DONE;
}

static void test_virtualization_exceptions(void **state)
{
	struct bench *b = *state;

	*leaf(b) = 0;
	b->cpu->cr0 |= CR0_PE;
	vmx_of(b->cpu)->proc2 |= PROC2_EPT_VE;
	vmcs_set(b->cpu, VE_INFORMATION, AREA);
	vmcs_set(b->cpu, EPTP_INDEX, 9);
	assert_int_equal(translate_to_fault(b), EXC_VE);
	assert_int_equal(*bench_at(b, AREA), 0xffffffff00000000 | EXIT_EPT_VIOLATION);
	assert_int_equal(*bench_at(b, AREA + 8), BIT(0) | BIT(7) | BIT(8));
	assert_int_equal(*bench_at(b, AREA + 16), LINEAR);
	assert_int_equal(*bench_at(b, AREA + 24), ADDR);
	assert_int_equal(*bench_at(b, AREA + 32), 9);
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION); /* busy */
	*bench_at(b, AREA) = 0;
	b->cpu->cr0 &= ~CR0_PE;
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION);
	b->cpu->cr0 |= CR0_PE;
	b->cpu->in_delivery = true;
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION);
	b->cpu->in_delivery = false;
	*leaf(b) = BIT(63);
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION);
	assert_int_equal(*bench_at(b, AREA), 0);
}

static bool peek(struct bench *b, const struct virt_access *access)
{
	enter(b, vmx_of(b->cpu)->eptp, vmx_of(b->cpu)->proc2);
	if (setjmp(b->cpu->unwind))
		fail_msg("an exit");
	return vmx_peek(b->cpu, ADDR, access, &page);
}

/* What is asked quietly is known only where no flag would have to be set, and sets none. */
static void test_peek(void **state)
{
	struct bench *b = *state;

	assert_true(peek(b, &read_access));
	assert_true(page.page == PAGE && page.is_writable);
	vmx_of(b->cpu)->eptp = EPTP_AD;
	assert_false(peek(b, &read_access));
	assert_int_equal(*leaf(b), PAGE | R | W | X | WB);
	assert_int_equal(*bench_at(b, ROOT), LEVEL2 | R | W | X);
	assert_int_equal(translate(b, &read_access), DONE);
	assert_true(peek(b, &read_access));
	assert_false(page.is_writable);
	assert_false(peek(b, &walk_access)); /* counts as a write */
	assert_int_equal(translate(b, &write_access), DONE);
	assert_true(peek(b, &walk_access));
	assert_true(page.is_writable);
	*leaf(b) = PAGE | R | WB | A | D;
	assert_true(peek(b, &read_access));
	assert_false(page.is_writable || page.is_executable);
	assert_false(peek(b, &walk_access));
	assert_false(peek(b, &fetch_access));
	*leaf(b) = PAGE | W | WB | A | D; /* misconfigured */
	assert_false(peek(b, &read_access));
	*leaf(b) = 0;
	assert_false(peek(b, &read_access));
}

/* Where the table of a region is holds until INVEPT, or until something is wrong with what it says.
 */
static void test_remembered_table(void **state)
{
	struct bench *b = *state;

	assert_int_equal(translate(b, &read_access), DONE);
	*bench_at(b, LEVEL2) = 0;
	assert_int_equal(translate(b, &read_access), DONE); /* stale, as it may be */
	vmx_forget_places(b->cpu);
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION);
	*bench_at(b, LEVEL2) = LEVEL1 | R | X;
	assert_int_equal(translate(b, &read_access), DONE);
	assert_false(page.is_writable);
	*bench_at(b, LEVEL2) = LEVEL1 | R | W | X;
	assert_int_equal(translate(b, &write_access), DONE); /* not by what was remembered */
	*leaf(b) = PAGE | R | WB;
	*bench_at(b, LEVEL2) = 0;
	assert_violation(b, &write_access, BIT(1) | BIT(7) | BIT(8)); /* as it is, from the root */
	assert_int_equal(translate(b, &read_access), EXIT_EPT_VIOLATION);
}

static void test_pointer(void **state)
{
	(void)state;
	assert_true(vmx_eptp_valid(EPTP));
	assert_true(vmx_eptp_valid(EPTP_AD & ~7ull));
	assert_false(vmx_eptp_valid(EPTP | 1));
	assert_false(vmx_eptp_valid(EPTP | BIT(7)));
	assert_false(vmx_eptp_valid(EPTP | BIT(46)));
	assert_false(vmx_eptp_valid(EPTP ^ BIT(5)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes),
		TEST(rights),
		TEST(mode_based_execute),
		TEST(what_the_first_stage_says),
		TEST(misconfigurations),
		TEST(ignored_bits),
		TEST(tables_outside_memory),
		TEST(flags),
		TEST(log),
		TEST(virtualization_exceptions),
		TEST(peek),
		TEST(remembered_table),
		TEST(pointer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
