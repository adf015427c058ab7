/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the address that a call of shared code returns to, to what the call is for and whose it is:
 * see cpu/jit/compact.h. Calls are in the order of their addresses in each region, as sites are
 * (cpu/jit/fault.c).
 */
#include "cpu/jit/cache.h"
#include "cpu/jit/dispatch.h"
#include "cpu/soft.h"

const struct jit_way *jit_find_way(const struct cpu *cpu, const uint8_t *back)
{
	const struct jit *jit = cpu->soft->jit;
	unsigned region = region_of(jit, back - 1);
	const struct jit_way *ways = &jit->ways[region * jit->size.ways];
	uint32_t low = 0, high = __atomic_load_n(&jit->region[region].ways, __ATOMIC_ACQUIRE);

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (ways[middle].from <= back)
			low = middle;
		else
			high = middle;
	}
	return &ways[low];
}

const struct jit_way *jit_take_way(struct cpu *cpu, const uint8_t *back, uint64_t r11)
{
	const struct jit_way *way = jit_find_way(cpu, back);

	cpu->gpr[RSP] += (uint64_t)(int64_t)way->ahead;
	if (way->spares)
		memcpy((uint8_t *)cpu + way->spares, &r11, sizeof(r11));
	return way;
}

void jit_sample(struct cpu *cpu, const uint8_t *back)
{
	const struct jit *jit = cpu->soft->jit;

	cpu->jit.patience = COMPACT_PATIENCE;
	if (jit->tier == ENGINE_TIER_BOTH)
		block_sample(cpu, (struct block *)jit_caller(jit, back));
}
