/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Architectural performance monitoring, version 2: general and fixed counters of core cycles,
 * reference cycles and retired instructions. No other event exists, and CPUID says so.
 *
 * Cycles of either kind are those of the TSC while the vCPU is not halted, so counting them in all
 * rings is arithmetic, and translated code runs as always. Instructions, and cycles of one ring
 * only, are exact: while such a counter runs, so does the interpreter, which counts block by block.
 *
 * Counters stand at what they were when pmu_sync was last called. All of it is the vCPU thread's.
 * SDM3: "Architectural Performance Monitoring"
 */
#ifndef CPU_PMU_H
#define CPU_PMU_H

#include "lib/base.h"
#include "vm/clock.h"

struct cpu;
struct insn;

#define PMU_VERSION    2
#define PMU_GENERAL    4
#define PMU_FIXED      3
#define PMU_COUNTERS   (PMU_GENERAL + PMU_FIXED)
#define PMU_WIDTH_BITS 48

/* IA32_PERF_GLOBAL_CTRL: a bit for each counter. */
#define PMU_FIXED_SHIFT   32
#define PMU_GLOBAL_ENABLE (BIT(PMU_GENERAL) - 1 + ((BIT(PMU_FIXED) - 1) << PMU_FIXED_SHIFT))
#define PMU_GLOBAL_RESET  (BIT(PMU_GENERAL) - 1)
/* IA32_PERF_GLOBAL_OVF_CTRL also clears what never happens here. */
#define PMU_OVERFLOW_CLEAR (PMU_GLOBAL_ENABLE | BIT(62) | BIT(63))
/* IA32_PERFEVTSELx: all but AnyThread, which came with version 3. */
#define PMU_SELECT_WRITABLE 0xffdfffffull
/* IA32_FIXED_CTR_CTRL: OS, USR and PMI of each. */
#define PMU_FIXED_WRITABLE 0xbbbull

/* CPUID leaf 0Ah. SDM2: "CPUID - CPU Identification" */
#define PMU_EVENTS_KNOWN 7
#define PMU_CPUID_EAX \
	(PMU_VERSION | PMU_GENERAL << 8 | PMU_WIDTH_BITS << 16 | PMU_EVENTS_KNOWN << 24)
#define PMU_CPUID_EBX 0x78 /* which of these events do not exist: caches, branches */
#define PMU_CPUID_EDX (PMU_FIXED | PMU_WIDTH_BITS << 5)

enum pmu_event { PMU_NOTHING, PMU_CYCLES, PMU_INSTRUCTIONS };

struct pmu {
	uint64_t counter[PMU_COUNTERS]; /* the general ones first */
	uint64_t select[PMU_GENERAL], fixed_ctrl, global_ctrl, global_status;

	uint8_t counts[2][PMU_COUNTERS]; /* [in user mode]: enum pmu_event, as all of these say */
	bool is_counting;                /* any of them does */
	bool is_exact;                   /* ATTENTION_COUNTING is set: blocks are counted */
	bool is_user;                    /* while is_exact: the mode that is being counted */
	uint64_t synced;                 /* cycles until the last pmu_sync */
	uint64_t asleep_since, asleep;   /* TSC: what is left out of the cycles */
	const struct insn *from; /* of the block that runs: first not yet counted, or NULL */
	uint64_t retired;        /* instructions that pmu_sync has not seen */
	uint64_t room;           /* as many may retire until a counter overflows */
	struct timer timer;      /* for counters of cycles; sets ATTENTION_COUNTER */
	uint64_t armed;          /* clock_tsc of the timer, or PMU_UNARMED */
};

#define PMU_UNARMED (~0ull)

void pmu_init(struct cpu *cpu);  /* once, before pmu_reset */
void pmu_reset(struct cpu *cpu); /* power-on */

/* Brings the counters up to now, which is before the instruction being executed. */
void pmu_sync(struct cpu *cpu);
void pmu_set_global_ctrl(struct cpu *cpu, uint64_t value); /* has no bits but PMU_GLOBAL_ENABLE */
bool pmu_read(struct cpu *cpu, uint32_t ecx, uint64_t *value); /* RDPMC; false: #GP(0) */

/* The run loop. pmu_attend: for ATTENTION_COUNTER. The vCPU sleeps between the other two. */
void pmu_attend(struct cpu *cpu);
void pmu_fall_asleep(struct cpu *cpu);
void pmu_wake_up(struct cpu *cpu);

/* Around a block, while pmu.is_exact; `end`: the instruction behind the last one that was run. */
void pmu_begin_block(struct cpu *cpu, const struct insn *first);
void pmu_end_block(struct cpu *cpu, const struct insn *end);
/* The block ends at the instruction being executed, which retires or does not. */
void pmu_break_block(struct cpu *cpu, bool retires);

#endif
