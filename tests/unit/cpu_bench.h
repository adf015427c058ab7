/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU without an engine for the unit tests of cpu/: memory, descriptor tables, and a way to
 * catch faults. No instruction runs; the functions behind them are called.
 */
#ifndef TESTS_UNIT_CPU_BENCH_H
#define TESTS_UNIT_CPU_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/descriptor.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/soft.h"

#define MEMORY_BYTES (64 * MIB)
#define GDT          0x1000
#define LDT          0x1800
#define IDT          0x2000
#define TSS          0x3000
#define TSS_OTHER    0x3800
#define STACK0       0x8000 /* stacks grow down from here */
#define STACK3       0x9000
#define STACK_IST    0xa000
#define TABLES       0x100000

/* Selectors of what bench_protected and bench_long put into the GDT. */
enum {
	KERNEL_CS = 0x08,
	KERNEL_SS = 0x10,
	USER_CS = 0x18 | 3,
	USER_SS = 0x20 | 3,
	KERNEL_CS_16 = 0x28,
	CONFORMING_CS = 0x30,
	READ_ONLY = 0x38,
	ABSENT = 0x40,
	CALL_GATE = 0x48,    /* two slots */
	TSS_SELECTOR = 0x58, /* two slots */
	OTHER_TSS = 0x68,    /* two slots */
	LDT_SELECTOR = 0x78, /* two slots */
	TASK_GATE_SELECTOR = 0x88,
	EXPAND_DOWN = 0x90,
	USER_CS_32 = 0x98 | 3,
	GDT_LIMIT = 0xa7,
};

#define DESC_P       BIT(47)
#define DESC_DPL(n)  ((uint64_t)(n) << 45)
#define DESC_S       BIT(44)
#define DESC_TYPE(n) ((uint64_t)(n) << 40)
#define DESC_G       BIT(55)
#define DESC_D       BIT(54)
#define DESC_L       BIT(53)
#define DESC_FLAT    (DESC_G | 0x000f00000000ffffull)

#define TYPE_DATA       2  /* writable */
#define TYPE_CODE       10 /* readable */
#define TYPE_CONFORMING 14

struct bench {
	struct cpu *cpu;
	struct soft *soft;
	struct memory *mem;
};

/* Guest memory at any alignment. */
typedef uint64_t bench_u64 __attribute__((aligned(1), may_alias));

static inline bench_u64 *bench_at(struct bench *b, gpa_t gpa)
{
	return (bench_u64 *)(void *)(b->mem->base + gpa);
}

static inline int bench_set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->cpu = aligned_alloc(64, align_up(sizeof(*b->cpu), 64));
	memset(b->cpu, 0, sizeof(*b->cpu));
	b->soft = calloc(1, sizeof(*b->soft));
	assert_int_equal(memory_create(&b->mem, MEMORY_BYTES, NULL), 0);
	b->soft->config.memory = b->mem;
	assert_int_equal(bus_create(&b->soft->config.bus), 0);
	pthread_mutex_init(&b->soft->bus_lock, NULL);
	b->cpu->soft = b->soft;
	b->cpu->apic_page = NO_APIC_PAGE;
	b->cpu->rflags = RFLAGS_ONE;
	for (unsigned i = 0; i < SEGMENTS; i++)
		b->cpu->seg[i] =
			(struct segment){ .limit = 0xffff,
					  .ar = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED };
	b->cpu->seg[CS].ar |= SEG_CODE;
	b->cpu->idtr.limit = 0xffff;
	assert_int_equal(mmu_create(b->cpu), 0);
	cpu_update_derived(b->cpu);
	*state = b;
	return 0;
}

static inline int bench_tear_down(void **state)
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

static inline void bench_set_descriptor(struct bench *b, unsigned selector, uint64_t value)
{
	*bench_at(b, GDT + (selector & ~7u)) = value;
}

static inline uint64_t bench_descriptor(struct bench *b, unsigned selector)
{
	return *bench_at(b, GDT + (selector & ~7u));
}

/* Descriptor of a system segment: base below 16 MiB, limit below 64 KiB. */
static inline uint64_t bench_system(unsigned type, uint64_t base, uint64_t limit)
{
	return DESC_P | DESC_TYPE(type) | base << 16 | limit;
}

static inline uint64_t bench_segment(unsigned type, unsigned dpl, uint64_t size_bits)
{
	return DESC_FLAT | DESC_P | DESC_S | DESC_TYPE(type) | DESC_DPL(dpl) | size_bits;
}

static inline void bench_set_cpl(struct bench *b, unsigned cpl, uint16_t cs, uint16_t ss)
{
	struct descriptor d;

	b->cpu->cpl = (uint8_t)cpl;
	assert_true(descriptor_fetch(b->cpu, cs, &d));
	segment_set_cs(b->cpu, &d, cpl);
	segment_load(b->cpu, SS, ss);
	cpu_update_derived(b->cpu);
}

static inline void bench_fill_gdt(struct bench *b, uint64_t code_bits)
{
	b->cpu->gdtr = (struct table_register){ GDT, GDT_LIMIT };
	b->cpu->idtr = (struct table_register){ IDT, 0xfff };
	bench_set_descriptor(b, KERNEL_CS, bench_segment(TYPE_CODE, 0, code_bits));
	bench_set_descriptor(b, KERNEL_SS, bench_segment(TYPE_DATA, 0, DESC_D));
	bench_set_descriptor(b, USER_CS, bench_segment(TYPE_CODE, 3, code_bits));
	bench_set_descriptor(b, USER_SS, bench_segment(TYPE_DATA, 3, DESC_D));
	bench_set_descriptor(b, USER_CS_32, bench_segment(TYPE_CODE, 3, DESC_D));
	bench_set_descriptor(b, KERNEL_CS_16, bench_segment(TYPE_CODE, 0, 0));
	bench_set_descriptor(b, CONFORMING_CS, bench_segment(TYPE_CONFORMING, 0, code_bits));
	bench_set_descriptor(b, READ_ONLY, bench_segment(0, 0, DESC_D));
	bench_set_descriptor(b, ABSENT, bench_segment(TYPE_DATA, 3, DESC_D) & ~DESC_P);
}

static inline void bench_protected(struct bench *b)
{
	bench_fill_gdt(b, DESC_D);
	b->cpu->cr0 = CR0_PE;
	cpu_update_derived(b->cpu);
	bench_set_descriptor(b, TSS_SELECTOR, bench_system(SYS_TSS_AVAIL, TSS, 0x67));
	bench_set_descriptor(b, LDT_SELECTOR, bench_system(SYS_LDT, LDT, 0xff));
	*(uint32_t *)bench_at(b, TSS + 4) = STACK0;
	*(uint32_t *)bench_at(b, TSS + 8) = KERNEL_SS;
	segment_load_tr(b->cpu, TSS_SELECTOR);
	bench_set_cpl(b, 0, KERNEL_CS, KERNEL_SS);
	b->cpu->gpr[RSP] = STACK0;
	b->cpu->rip = 0x1234;
}

/* 64-bit mode with the low gigabyte mapped to itself for everyone. */
static inline void bench_long(struct bench *b)
{
	bench_fill_gdt(b, DESC_L);
	*bench_at(b, TABLES) = (TABLES + 0x1000) | 7;
	*bench_at(b, TABLES + 0x1000) = 0x87;
	b->cpu->cr3 = TABLES;
	b->cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
	b->cpu->cr4 = CR4_PAE;
	b->cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	mmu_mode_changed(b->cpu);
	bench_set_descriptor(b, TSS_SELECTOR, bench_system(SYS_TSS_AVAIL, TSS, 0x67));
	bench_set_descriptor(b, LDT_SELECTOR, bench_system(SYS_LDT, LDT, 0xff));
	*bench_at(b, TSS + 4) = STACK0;
	*bench_at(b, TSS + 36) = STACK_IST;
	segment_load_tr(b->cpu, TSS_SELECTOR);
	bench_set_cpl(b, 0, KERNEL_CS, KERNEL_SS);
	b->cpu->gpr[RSP] = STACK0;
	b->cpu->rip = 0x1234;
}

#define NO_FAULT 0x1000

/* Runs the statement; the vector of the fault, or NO_FAULT. */
#define FAULT_OF(b, statement)                                       \
	(setjmp((b)->cpu->unwind) ? (unsigned)(b)->cpu->fault.vector \
				  : (statement, (unsigned)NO_FAULT))

/* The statement raises `vector` with this error code. */
#define assert_fault(b, wanted, code, statement)                  \
	do {                                                      \
		assert_int_equal(FAULT_OF(b, statement), wanted); \
		assert_int_equal((b)->cpu->fault.error, code);    \
	} while (0)

#define assert_no_fault(b, statement) assert_int_equal(FAULT_OF(b, statement), NO_FAULT)

#endif
