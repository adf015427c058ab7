/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nested guests in the MMU: the second stage in the walk, banks that VPID and root keep apart, and
 * the flushes of INVVPID and INVEPT. The second stage is a fake that adds a constant.
 */
#include "tests/unit/cpu_bench.h"

#include "cpu/mmu/mmu.h"
#include "cpu/virt.h"

#define SHIFT_BYTES 0x1000000ull /* L2's memory lies 16 MiB up */
#define TABLES2     0x100000ull  /* L2's own address of its paging structures */
#define VA          0xffff888000345000ull
#define DATA        0x200000ull
#define ROOT        0x7000ull
#define OTHER_ROOT  0x8000ull
#define EXITED      0x77 /* what the fake raises in place of a VM exit */

struct stage {
	struct bench *b;
	unsigned walks;          /* translations so far */
	l2pa_t refused;          /* this page may not be written to; 0: none */
	l2pa_t unknown;          /* of this one nothing is said quietly */
	struct virt_access last; /* what was refused */
};

static void translate(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
		      struct virt_page *out)
{
	struct stage *stage = cpu->virt_state;
	bool is_refused = stage->refused && (addr & PAGE_MASK) == stage->refused;

	stage->walks++;
	if (is_refused && access->is_write) {
		stage->last = *access;
		cpu_raise(cpu, EXITED);
	}
	*out = (struct virt_page){ .page = (addr & PAGE_MASK) + SHIFT_BYTES,
				   .size_bytes = PAGE_BYTES,
				   .is_readable = true,
				   .is_writable = !is_refused,
				   .is_executable = true };
}

static bool peek(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
		 struct virt_page *out)
{
	struct stage *stage = cpu->virt_state;

	if ((addr & PAGE_MASK) == stage->unknown)
		return false;
	translate(cpu, addr, access, out);
	return true;
}

static const struct virt_ops fake = { .name = "fake", .translate = translate, .peek = peek };

static void map(struct bench *b, gpa_t base, gpa_t tables, gva_t va, uint64_t leaf)
{
	gpa_t table = base + tables;

	for (unsigned level = 3; level; level--) {
		gpa_t next = tables + (4 - level) * PAGE_BYTES;

		*bench_at(b, table + ((va >> (12 + 9 * level)) & 511) * 8) = next | 7;
		table = base + next;
	}
	*bench_at(b, table + ((va >> 12) & 511) * 8) = leaf;
}

static void long_mode(struct cpu *cpu)
{
	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
	cpu->cr4 = CR4_PAE | CR4_PGE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	cpu->cr3 = TABLES;
}

/* L1 maps VA to DATA; so does L2, where DATA is another page. */
static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct bench *b;

	bench_set_up(state);
	b = *state;
	stage->b = b;
	b->cpu->virt = &fake;
	b->cpu->virt_state = stage;
	long_mode(b->cpu);
	mmu_mode_changed(b->cpu);
	map(b, 0, TABLES, VA, DATA | 3);
	map(b, SHIFT_BYTES, TABLES2, VA, DATA | 3);
	*bench_at(b, DATA) = 1;
	*bench_at(b, SHIFT_BYTES + DATA) = 2;
	*state = stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;
	void *b = stage->b;

	free(stage);
	return bench_tear_down(&b);
}

static void enter(struct stage *stage, uint16_t vpid, uint64_t root)
{
	struct cpu *cpu = stage->b->cpu;

	cpu->in_guest = true;
	cpu->has_second_stage = root != 0;
	cpu->stage_key = mmu_stage_key(vpid, root);
	mmu_stage_changed(cpu);
	cpu_update_derived(cpu);
}

static void leave(struct stage *stage)
{
	struct cpu *cpu = stage->b->cpu;

	cpu->in_guest = cpu->has_second_stage = false;
	cpu->stage_key = 0;
	mmu_stage_changed(cpu);
	cpu_update_derived(cpu);
}

static uint64_t load(struct stage *stage)
{
	return mmu_load(stage->b->cpu, VA, 8, DS);
}

static bool is_cached(struct stage *stage)
{
	return mmu_fast(stage->b->cpu, VA, 8, false);
}

static void test_both_stages(void **state)
{
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;

	assert_int_equal(load(stage), 1);
	assert_int_equal(stage->walks, 0);
	enter(stage, 1, ROOT);
	assert_int_equal(load(stage), 2);
	assert_int_equal(mmu_fetch(cpu, VA + 5), SHIFT_BYTES + DATA + 5);
	mmu_store(cpu, VA, 8, 7, DS);
	assert_int_equal(*bench_at(stage->b, SHIFT_BYTES + DATA), 7);
	assert_int_equal(*bench_at(stage->b,
				   SHIFT_BYTES + TABLES2 + 3 * PAGE_BYTES + ((VA >> 12) & 511) * 8),
			 DATA | 0x63);
	leave(stage);
	assert_int_equal(load(stage), 1);
}

static void test_entry_flushes_nothing(void **state)
{
	struct stage *stage = *state;

	load(stage);
	enter(stage, 1, ROOT);
	assert_false(is_cached(stage));
	load(stage);
	leave(stage);
	assert_true(is_cached(stage));
	enter(stage, 1, ROOT);
	assert_true(is_cached(stage));
	enter(stage, 1, OTHER_ROOT);
	assert_false(is_cached(stage));
	enter(stage, 2, ROOT);
	assert_false(is_cached(stage));
}

static void test_modes_do_not_mix(void **state)
{
	struct stage *stage = *state;
	struct bench *b = stage->b;

	map(b, SHIFT_BYTES, TABLES2, VA, DATA | 0x61); /* read-only */
	b->cpu->cr0 &= ~CR0_WP;
	enter(stage, 1, ROOT);
	mmu_store(b->cpu, VA, 8, 1, DS);
	b->cpu->cr0 |= CR0_WP; /* by the VMCS */
	enter(stage, 1, ROOT);
	assert_fault(b, EXC_PF, PF_P | PF_W, mmu_store(b->cpu, VA, 8, 1, DS));
}

/* What one address space of a guest has looked up of global code, all of them rely on. */
static void test_modes_do_not_mix_code(void **state)
{
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;
	uint64_t before;

	map(stage->b, SHIFT_BYTES, TABLES2, VA, DATA | 0x167); /* the user's, global */
	cpu->cr4 |= CR4_PCIDE;
	cpu->cr3 = TABLES2 | 1;
	enter(stage, 1, ROOT);
	mmu_fetch(cpu, VA);
	before = cpu->tlb->global_generation;
	cpu->cr3 = TABLES2 | 2;
	enter(stage, 1, ROOT);
	assert_int_equal(cpu->tlb->global_generation, before);
	cpu->cr4 |= CR4_SMEP; /* by the VMCS */
	enter(stage, 1, ROOT);
	assert_int_not_equal(cpu->tlb->global_generation, before);
	before = cpu->tlb->global_generation;
	cpu->cr3 = TABLES2 | 1;
	enter(stage, 1, ROOT);
	assert_int_equal(cpu->tlb->global_generation, before);
	assert_fault(stage->b, EXC_PF, PF_P | PF_I, mmu_fetch(cpu, VA));
}

/* A flush by L2 confirms only what both stages say as before, and quietly. */
static void test_confirmed(void **state)
{
	static const l2pa_t last_table = TABLES2 + 3 * PAGE_BYTES;
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;
	uint64_t before;

	enter(stage, 1, ROOT);
	mmu_fetch(cpu, VA);
	before = mmu_fetch_generation(cpu, VA);
	mmu_flush_all(cpu);
	assert_int_equal(mmu_fetch_generation(cpu, VA), before);
	for (unsigned i = 0; i < 3; i++) {
		stage->unknown = (const l2pa_t[]){ DATA, TABLES2, last_table }[i];
		mmu_flush_all(cpu);
		assert_int_not_equal(mmu_fetch_generation(cpu, VA), before);
		mmu_fetch(cpu, VA);
		before = mmu_fetch_generation(cpu, VA);
	}
	stage->unknown = 0;
	cpu->apic_access_page = SHIFT_BYTES + DATA; /* a fetch from there exits */
	mmu_flush_all(cpu);
	assert_int_not_equal(mmu_fetch_generation(cpu, VA), before);
}

static void test_vpid_flushes(void **state)
{
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;

	load(stage);
	enter(stage, 1, ROOT);
	load(stage);
	mmu_flush_all(cpu); /* L2's own */
	assert_false(is_cached(stage));
	load(stage);
	leave(stage);
	assert_true(is_cached(stage));
	mmu_flush_address(cpu, VA); /* L1's own */
	assert_false(is_cached(stage));
	load(stage);
	mmu_flush_vpid(cpu, 2, false);
	mmu_flush_vpid_address(cpu, 1, VA + PAGE_BYTES);
	enter(stage, 1, ROOT);
	assert_true(is_cached(stage));
	mmu_flush_vpid_address(cpu, 1, VA);
	assert_false(is_cached(stage));
	load(stage);
	mmu_flush_vpids(cpu);
	assert_false(is_cached(stage));
	leave(stage);
	assert_true(is_cached(stage));
	mmu_flush_vpid(cpu, 0, false);
	assert_false(is_cached(stage));
}

static void test_globals_stay_in_their_guest(void **state)
{
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;
	uint64_t l1, l2;

	map(stage->b, 0, TABLES, VA, DATA | 0x163);
	map(stage->b, SHIFT_BYTES, TABLES2, VA, DATA | 0x163);
	mmu_fetch(cpu, VA);
	l1 = mmu_fetch_generation(cpu, VA);
	enter(stage, 1, ROOT);
	mmu_fetch(cpu, VA);
	l2 = mmu_fetch_generation(cpu, VA);
	assert_int_not_equal(l1, l2);
	mmu_flush_vpid(cpu, 1, true);
	assert_int_equal(mmu_fetch_generation(cpu, VA), l2);
	mmu_flush_vpid(cpu, 1, false);
	mmu_fetch(cpu, VA);
	assert_int_not_equal(mmu_fetch_generation(cpu, VA), l2);
	leave(stage);
	assert_int_equal(mmu_fetch_generation(cpu, VA), l1);
}

static void test_root_flushes(void **state)
{
	struct stage *stage = *state;
	struct cpu *cpu = stage->b->cpu;

	load(stage);
	enter(stage, 1, ROOT | 0x5e);
	load(stage);
	enter(stage, 2, OTHER_ROOT);
	load(stage);
	mmu_flush_root(cpu, ROOT);
	assert_true(is_cached(stage));
	mmu_flush_roots(cpu);
	assert_false(is_cached(stage));
	load(stage);
	enter(stage, 1, ROOT);
	assert_false(is_cached(stage));
	leave(stage);
	assert_true(is_cached(stage));
}

static void test_refused_write(void **state)
{
	struct stage *stage = *state;
	struct bench *b = stage->b;

	stage->refused = DATA;
	enter(stage, 1, ROOT);
	assert_int_equal(load(stage), 2);
	assert_int_equal(FAULT_OF(b, mmu_store(b->cpu, VA + 8, 8, 1, DS)), EXITED);
	assert_true(stage->last.is_write && !stage->last.is_walk && stage->last.is_linear_valid);
	assert_int_equal(stage->last.linear, VA + 8);
	/* The page tables are read-only: an accessed flag cannot be set. */
	stage->refused = TABLES2 + 3 * PAGE_BYTES;
	map(b, SHIFT_BYTES, TABLES2, VA, DATA | 3);
	mmu_flush_all(b->cpu);
	assert_int_equal(FAULT_OF(b, load(stage)), EXITED);
	assert_true(stage->last.is_write && stage->last.is_walk);
	map(b, SHIFT_BYTES, TABLES2, VA, DATA | 0x23);
	assert_int_equal(load(stage), 2);
}

static void test_many_guests(void **state)
{
	struct stage *stage = *state;

	for (uint16_t vpid = 1; vpid < 3 * TLB_BANKS; vpid++) {
		enter(stage, vpid, ROOT);
		assert_false(is_cached(stage));
		assert_int_equal(load(stage), 2);
	}
	leave(stage);
	assert_int_equal(load(stage), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_stages),
		TEST(entry_flushes_nothing),
		TEST(modes_do_not_mix),
		TEST(modes_do_not_mix_code),
		TEST(confirmed),
		TEST(vpid_flushes),
		TEST(globals_stay_in_their_guest),
		TEST(root_flushes),
		TEST(refused_write),
		TEST(many_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
