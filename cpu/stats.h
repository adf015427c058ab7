/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the software processor counts for --stats. Each vCPU counts on its own thread, always, where
 * an addition costs nothing that matters; what translated code executes is counted by that code,
 * and only where the engine was told to (struct engine_config).
 */
#ifndef CPU_STATS_H
#define CPU_STATS_H

#include "lib/base.h"

/* X(name, text) */
#define EACH_STAT(X)                                                                    \
	X(INTERPRETED, "instructions interpreted")                                      \
	X(DECODED, "blocks decoded")                                                    \
	X(ENTERED, "entries into translated code, from the run loop")                   \
	X(LEFT_NEXT, "exits from it: the target of a branch had to be looked up")       \
	X(LEFT_LINK, "exits from it: a jump was not linked yet")                        \
	X(LEFT_ATTENTION, "exits from it: something asked for attention")               \
	X(LEFT_HANDLER, "exits from it: an instruction, or a slow case, has a handler") \
	X(EVENTS, "interrupts and exceptions delivered")                                \
	X(TLB_SLOW, "accesses that no tag of the TLB allowed")                          \
	X(TLB_MISSES, "of those, misses of the TLB's first level")                      \
	X(TLB_WALKS, "of those, misses of its second level: page walks")                \
	X(FETCH_WALKS, "page walks for code")                                           \
	X(SHORT_WALKS, "page walks from a table that was remembered")                   \
	X(STAGE_WALKS, "walks of the second stage")                                     \
	X(STAGE_SHORT_WALKS, "of those, from a table that was remembered")              \
	X(TLB_FLUSHES, "TLB banks emptied")                                             \
	X(TLB_INVALIDATED, "pages invalidated in the TLB")                              \
	X(VM_ENTRIES, "VM entries")                                                     \
	X(TRANSLATED, "instructions run translated")                                    \
	X(TRANSLATED_HOST, "host instructions on the main path of their blocks")

enum stat {
#define STAT_ENUM(name, text) STAT_##name,
	EACH_STAT(STAT_ENUM)
#undef STAT_ENUM
		STATS,
};

#define STATS_EXIT_REASONS 96 /* basic exit reasons of VT-x are below */

struct cpu_stats {
	uint64_t count[STATS];
	uint64_t vm_exits[STATS_EXIT_REASONS];
};

struct soft;

/* All vCPUs' sums to stderr. While none runs. */
void stats_print(struct soft *soft);

#endif
