/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU with nothing but an MMU, memory and a device on the bus; paging structures made by hand,
 * and accesses that may fault: for tests of cpu/mmu.
 */
#ifndef TESTS_UNIT_MMU_BENCH_H
#define TESTS_UNIT_MMU_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/insn.h"
#include "cpu/mmu/mmu.h"
#include "cpu/soft.h"

#define P  BIT(0)
#define W  BIT(1)
#define U  BIT(2)
#define A  BIT(5)
#define D  BIT(6)
#define PS BIT(7)
#define G  BIT(8)
#define NX BIT(63)

#define MEMORY_BYTES (64 * MIB)
#define TABLES       0x100000 /* the paging structures, 4 KiB each, from here */
#define VA           0xffff888000345000ull
#define DATA         0x200000 /* the page that VA maps */
#define DEVICE       0xd0000000ull

struct bench {
	struct cpu *cpu;
	struct soft *soft;
	struct memory *mem;
	gpa_t next_table;
	struct {
		unsigned reads, writes;
		struct dev_access last;
	} device;
	struct {
		unsigned calls;
		gpa_t gpa;
		uint64_t len;
		bool has_code; /* what it answers */
	} written;
};

static inline void device_access(void *self, struct dev_access *access)
{
	struct bench *b = self;

	if (access->is_write)
		b->device.writes++;
	else
		b->device.reads++,
			access->value = 0x1122334455667788ull >> (8 * (access->offset % 8));
	b->device.last = *access;
}

static inline bool on_written(void *self, gpa_t gpa, uint64_t len)
{
	struct bench *b = self;

	b->written.calls++;
	b->written.gpa = gpa;
	b->written.len = len;
	return b->written.has_code;
}

static inline int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->cpu = aligned_alloc(64, align_up(sizeof(*b->cpu), 64));
	memset(b->cpu, 0, sizeof(*b->cpu));
	b->soft = calloc(1, sizeof(*b->soft));
	assert_int_equal(memory_create(&b->mem, MEMORY_BYTES, NULL), 0);
	b->mem->on_written = on_written;
	b->mem->on_written_self = b;
	b->soft->config.memory = b->mem;
	assert_int_equal(bus_create(&b->soft->config.bus), 0);
	assert_int_equal(
		bus_map(b->soft->config.bus, BUS_MMIO, DEVICE, 0x1000, device_access, b, "test"),
		0);
	pthread_mutex_init(&b->soft->bus_lock, NULL);
	b->cpu->soft = b->soft;
	b->cpu->apic_page = NO_APIC_PAGE;
	b->cpu->rflags = RFLAGS_ONE;
	b->cpu->tlb_class = TLB_KERNEL;
	assert_int_equal(mmu_create(b->cpu), 0);
	b->next_table = TABLES;
	*state = b;
	return 0;
}

static inline int tear_down(void **state)
{
	struct bench *b = *state;

	mmu_destroy(b->cpu);
	bus_destroy(b->soft->config.bus);
	memory_destroy(b->mem);
	free(b->soft);
	free(b->cpu);
	free(b);
	return 0;
}

/* ---- building tables ---- */

typedef uint64_t any_u64 __attribute__((aligned(1), may_alias));

static inline any_u64 *at(struct bench *b, gpa_t gpa)
{
	return (any_u64 *)(void *)(b->mem->base + gpa);
}

static inline gpa_t new_table(struct bench *b)
{
	gpa_t table = b->next_table;

	b->next_table += PAGE_BYTES;
	memset(at(b, table), 0, PAGE_BYTES);
	return table;
}

/*
 * Maps va at `level` (0: 4 KiB) to `leaf` below cr3; upper entries get P W U. Returns the leaf's
 * address. Inline, its variables would seem to live across the setjmp of FAULT_OF.
 */
static __attribute__((noinline, unused)) gpa_t map_long(struct bench *b, gva_t va, unsigned level,
							uint64_t leaf)
{
	gpa_t table = b->cpu->cr3 & ~0xfffull;

	for (unsigned l = 3;; l--) {
		gpa_t entry = table + ((va >> (12 + 9 * l)) & 511) * 8;

		if (l == level) {
			*at(b, entry) = leaf;
			return entry;
		}
		if (!*at(b, entry))
			*at(b, entry) = new_table(b) | P | W | U;
		table = *at(b, entry) & 0xffffffffff000;
	}
}

static inline void long_mode(struct bench *b)
{
	b->cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
	b->cpu->cr4 = CR4_PAE | CR4_PGE;
	b->cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	b->cpu->mode = MODE_64;
	b->cpu->cr3 = new_table(b);
	mmu_mode_changed(b->cpu);
}

static inline void set_cpl(struct bench *b, unsigned cpl)
{
	b->cpu->cpl = cpl;
	mmu_privilege_changed(b->cpu);
}

/* ---- accesses that may fault ---- */

#define NO_FAULT 0x1000

/* Runs the statement; the vector of the fault, or NO_FAULT. */
#define FAULT_OF(b, statement)                                       \
	(setjmp((b)->cpu->unwind) ? (unsigned)(b)->cpu->fault.vector \
				  : ((void)(statement), (unsigned)NO_FAULT))

#define PAGE_FAULT_OF(b, statement) \
	(FAULT_OF(b, statement) == EXC_PF ? (int64_t)(b)->cpu->fault.error : -1)

#define assert_no_fault(b, statement) assert_int_equal(FAULT_OF(b, statement), NO_FAULT)

static inline uint64_t load(struct bench *b, gva_t va, unsigned size)
{
	return mmu_load(b->cpu, va, size, DS);
}

static inline void store(struct bench *b, gva_t va, unsigned size, uint64_t value)
{
	mmu_store(b->cpu, va, size, value, DS);
}

#endif
