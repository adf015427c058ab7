/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The statistics of a run, as --stats prints them. */
#include "cpu/stats.h"

#include <stdio.h>

#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

static void print(const char *text, uint64_t value)
{
	fprintf(stderr, "  %16llu  %s\n", (unsigned long long)value, text);
}

static void print_ratio(const char *text, uint64_t part, uint64_t whole)
{
	if (whole)
		fprintf(stderr, "  %16.2f  %s\n", (double)part / (double)whole, text);
}

static void sum_up(const struct soft *soft, struct cpu_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < soft->config.vcpus; i++) {
		if (!soft->cpu[i])
			continue;
		for (unsigned k = 0; k < STATS; k++)
			sum->count[k] += soft->cpu[i]->stats.count[k];
		for (unsigned k = 0; k < STATS_EXIT_REASONS; k++)
			sum->vm_exits[k] += soft->cpu[i]->stats.vm_exits[k];
	}
}

static void print_translation(const struct jit_stats *jit, const struct cpu_stats *sum)
{
	print("blocks translated", jit->blocks);
	print("of those, compact", jit->compact);
	print("translations of blocks that had been translated", jit->anew);
	print("bytes of guest code in them", jit->bytes_in);
	print("bytes of host code for them", jit->bytes_out);
	print("of those, in main paths", jit->bytes_hot);
	print_ratio("bytes of host code for each of the guest's", jit->bytes_out, jit->bytes_in);
	print_ratio("host instructions for each that was run translated",
		    sum->count[STAT_TRANSLATED_HOST], sum->count[STAT_TRANSLATED]);
}

static void print_exits(const struct soft *soft, const struct cpu_stats *sum)
{
	const struct virt_ops *virt = soft->cpu[0] ? soft->cpu[0]->virt : NULL;

	for (unsigned reason = 0; reason < STATS_EXIT_REASONS; reason++)
		if (sum->vm_exits[reason])
			fprintf(stderr, "  %16llu  VM exits: %s (%u)\n",
				(unsigned long long)sum->vm_exits[reason],
				virt ? virt->exit_name(reason) : "?", reason);
}

void stats_print(struct soft *soft)
{
	static const char *const texts[] = {
#define STAT_TEXT(name, text) text,
		EACH_STAT(STAT_TEXT)
#undef STAT_TEXT
	};
	const struct block_cache_stats *blocks = block_cache_get_stats(soft->blocks);
	struct cpu_stats sum;

	sum_up(soft, &sum);
	fprintf(stderr, "nidus: statistics\n");
	for (unsigned i = 0; i < STATS; i++)
		print(texts[i], sum.count[i]);
	print("blocks dropped, for their code was written to", blocks->drops);
	print("eighths of the block cache evicted to make room", blocks->regions_evicted);
	print("blocks evicted with them", blocks->blocks_evicted);
	print("blocks dropped, for there was no room for their code", blocks->blocks_made_later);
	if (soft->jit)
		print_translation(jit_get_stats(soft->jit), &sum);
	print_exits(soft, &sum);
}
