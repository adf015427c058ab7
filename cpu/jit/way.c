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
	const struct jit_way *way =
		&jit->ways[jit->first_way[way_chunk((size_t)(back - jit->executable))]];

	while (way->from != back)
		way++;
	return way;
}

const struct jit_way *jit_take_way(struct cpu *cpu, const uint8_t *back, uint64_t r11)
{
	const struct jit_way *way = jit_find_way(cpu, back);

	cpu->gpr[RSP] += (uint64_t)(int64_t)way->ahead;
	if (way->spares)
		memcpy((uint8_t *)cpu + way->spares, &r11, sizeof(r11));
	return way;
}

/* Branches to the block come to its present code at once, not by way of that of before. */
static void renew_branch(struct cpu *cpu, const struct block *block, const uint8_t *before)
{
	gva_t addr = cpu->jit.code_page + block->gpa % PAGE_BYTES;
	struct branch_entry *entry = &cpu->jit.branches[branch_slot(addr)];

	if (entry->code == before)
		entry->code = block->code;
}

void jit_sample(struct cpu *cpu, const uint8_t *back)
{
	const struct jit *jit = cpu->soft->jit;
	struct block *block;
	const uint8_t *before;

	cpu->jit.patience = COMPACT_PATIENCE;
	if (jit->tier != ENGINE_TIER_BOTH)
		return;
	block = (struct block *)jit_caller(jit, back);
	before = block->code;
	block_sample(cpu, block);
	renew_branch(cpu, block, before);
}
