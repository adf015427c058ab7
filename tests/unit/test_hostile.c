/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random descriptors, gates, task states, paging structures and registers, and every far transfer,
 * delivery and access that reads them: nothing may crash, hang or leave guest memory (which the
 * sanitizers see). The seed is printed; SEED=n repeats a run.
 */
#include <stdio.h>
#include <time.h>

#include "tests/unit/cpu_bench.h"

#define ROUNDS       20000
#define CALLS        24
#define SYSTEM_BYTES 0x10000 /* descriptor tables, task states and stacks */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* An address that is often near something. */
static uint64_t any_address(uint64_t *seed)
{
	static const uint64_t places[] = { 0,
					   GDT,
					   TSS,
					   STACK0,
					   TABLES,
					   MEMORY_BYTES,
					   0xa0000,
					   0xfffff000,
					   0x7ffffffff000,
					   0xffff800000000000,
					   0xfffffffffffff000 };
	uint64_t r = next_random(seed);

	return places[r % ARRAY_SIZE(places)] + (r >> 32) % 0x2000 - 0x1000;
}

static void fill_memory(struct bench *b, uint64_t *seed)
{
	for (unsigned i = 0; i < SYSTEM_BYTES; i += 8) {
		uint64_t r = next_random(seed);

		/* Mostly present, S and DPL as they come. */
		*bench_at(b, i) = r % 4 ? r | DESC_P : r & 0xffff;
	}
	for (unsigned i = 0; i < 0x4000; i += 8) {
		uint64_t r = next_random(seed);

		*bench_at(b, TABLES + i) = (TABLES + (r >> 20) % 4 * 0x1000) | (r & 0xe7) |
					   (r % 16 ? 1 : r & ~0xfffull);
	}
}

static void set_state(struct bench *b, uint64_t *seed)
{
	struct cpu *cpu = b->cpu;
	uint64_t r = next_random(seed);

	cpu->cr0 = (r & 1 ? CR0_PE : 0) | (r & 2 ? CR0_WP : 0) | (r & 4 ? CR0_AM : 0);
	cpu->cr4 = (r & 8 ? CR4_PAE : 0) | (r & 16 ? CR4_PSE : 0) | (r & 32 ? CR4_SMAP : 0) |
		   (r & 64 ? CR4_SMEP : 0) | (r & 128 ? CR4_PCIDE : 0) | (r & 256 ? CR4_VME : 0) |
		   (r & 512 ? CR4_PKE : 0) | CR4_PGE;
	cpu->efer = r & 1024 ? EFER_NXE : 0;
	if ((cpu->cr0 & CR0_PE) && (r & 2048))
		cpu->cr0 |= CR0_PG;
	if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && (r & 4096))
		cpu->efer |= EFER_LME | EFER_LMA;
	cpu->cr3 = TABLES + (r >> 16) % 4 * 0x1000;
	for (unsigned i = 0; i < ARRAY_SIZE(cpu->pdpte); i++)
		cpu->pdpte[i] = (TABLES + (r >> 20) % 4 * 0x1000) | 1;
	cpu->pkru = (uint32_t)next_random(seed);
	cpu->dr7 = next_random(seed) & 0xffffffff;
	for (unsigned i = 0; i < ARRAY_SIZE(cpu->dr); i++)
		cpu->dr[i] = any_address(seed);
	for (unsigned i = 0; i < 16; i++)
		cpu->gpr[i] = any_address(seed);
	flags_set(cpu, next_random(seed));
	if (!(cpu->cr0 & CR0_PE) || cpu_in_long_mode(cpu))
		cpu->rflags &= ~(uint32_t)RFLAGS_VM;
	cpu->cpl = cpu->cr0 & CR0_PE ? cpu->rflags & RFLAGS_VM ? 3 : next_random(seed) & 3 : 0;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		cpu->seg[i].ar = (uint32_t)next_random(seed) & 0x1f0ff;
		cpu->seg[i].limit = (uint32_t)next_random(seed);
		cpu->seg[i].base = any_address(seed);
		cpu->seg[i].selector = (uint16_t)next_random(seed);
	}
	cpu->gdtr = (struct table_register){ any_address(seed), (uint16_t)next_random(seed) };
	cpu->idtr = (struct table_register){ any_address(seed), (uint16_t)next_random(seed) };
	cpu->ldtr = cpu->seg[next_random(seed) % SEGMENTS];
	cpu->tr = cpu->seg[next_random(seed) % SEGMENTS];
	mmu_mode_changed(cpu);
	mmu_breakpoints_changed(cpu);
	cpu_update_derived(cpu);
}

static void access_memory(struct bench *b, uint64_t *seed)
{
	uint8_t bytes[64] = { 0 };
	uint64_t r = next_random(seed);
	gva_t addr = any_address(seed);
	void *host;

	if (!cpu_in_long_mode(b->cpu))
		addr = (uint32_t)addr;
	switch (r % 6) {
	case 0:
		mmu_load(b->cpu, addr, 1u << (r >> 8) % 4, (r >> 16) % SEGMENTS);
		break;
	case 1:
		mmu_store(b->cpu, addr, 1u << (r >> 8) % 4, r, (r >> 16) % SEGMENTS);
		break;
	case 2:
		mmu_read_bytes(b->cpu, addr, bytes, (r >> 8) % 64 + 1, DS);
		break;
	case 3:
		mmu_write_bytes(b->cpu, addr, bytes, (r >> 8) % 64 + 1, DS);
		break;
	case 4:
		host = mmu_rmw_begin(b->cpu, addr, 8, DS);
		mmu_rmw_done(b->cpu, addr, 8, host);
		break;
	default:
		mmu_fetch(b->cpu, addr);
	}
}

static void deliver(struct bench *b, uint64_t *seed)
{
	static const uint8_t types[] = { EVENT_EXTERNAL, EVENT_NMI,   EVENT_FAULT,
					 EVENT_SOFT_INT, EVENT_ICEBP, EVENT_SOFT_FAULT };
	uint64_t r = next_random(seed);
	struct event event = { .vector = (uint8_t)r,
			       .type = types[(r >> 8) % ARRAY_SIZE(types)],
			       .has_error = r & BIT(16),
			       .error = (uint32_t)(r >> 32) };

	event_deliver(b->cpu, &event);
}

static void call_something(struct bench *b, uint64_t *seed)
{
	uint64_t r = next_random(seed);
	uint16_t selector = (uint16_t)(r >> 32) & 0x1fff;
	unsigned size = 2u << (r >> 8) % (cpu_in_64bit_mode(b->cpu) ? 3 : 2);

	switch (r % 12) {
	case 0:
		far_jump(b->cpu, selector, any_address(seed), size, r);
		break;
	case 1:
		far_call(b->cpu, selector, any_address(seed), size, r);
		break;
	case 2:
		far_return(b->cpu, size, (r >> 16) & 0xff);
		break;
	case 3:
	case 4:
		far_iret(b->cpu, size, r);
		break;
	case 5:
		segment_load(b->cpu, (r >> 16) % SEGMENTS, selector);
		break;
	case 6:
		if (cpu_in_protected_mode(b->cpu))
			segment_load_ldt(b->cpu, selector);
		break;
	case 7:
		if (cpu_in_protected_mode(b->cpu))
			segment_load_tr(b->cpu, selector);
		break;
	case 8:
	case 9:
		deliver(b, seed);
		break;
	default:
		access_memory(b, seed);
	}
}

static void one_round(struct bench *b, uint64_t *seed)
{
	fill_memory(b, seed);
	set_state(b, seed);
	for (volatile unsigned i = 0; i < CALLS; i++)
		if (!setjmp(b->cpu->unwind))
			call_something(b, seed);
}

static void test_random_structures(void **state)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 16 | 1;

	print_message("SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round(*state, &seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_structures, bench_set_up,
						bench_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
