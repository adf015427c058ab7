/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers, from one table. SDM4: "Architectural MSRs"; APM2: "MSR
 * Cross-Reference".
 */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/cpu.h"
#include "cpu/soft.h"

#define APIC_BASE_X2APIC    BIT(10) /* of IA32_APIC_BASE */
#define MISC_ENABLE_MONITOR BIT(18) /* of IA32_MISC_ENABLE: there are MONITOR and MWAIT */

/* RDMSR and WRMSR without the privilege check. false: #GP(0), nothing changed. */
bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *value);
bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value);

/* The values after power-on; INIT leaves MSRs alone. The local APIC is reset by the machine: this
 * takes over where it is now (cpu->apic_page). */
void msr_reset(struct cpu *cpu);

/* This vCPU's TSC, now. */
static inline uint64_t msr_tsc_root(struct cpu *cpu)
{
	return clock_tsc(cpu->soft->config.clock) + cpu->msr.tsc_offset;
}

/* The same as a program sees it: in non-root operation scaled and offset. */
static inline uint64_t msr_tsc(struct cpu *cpu)
{
	uint64_t tsc = msr_tsc_root(cpu);

	if (likely(!cpu->in_guest))
		return tsc;
	return (uint64_t)((unsigned __int128)tsc * cpu->guest_tsc_scale >> 48) +
	       cpu->guest_tsc_offset;
}

/* Who changes what RDTSC depends on (the offsets, CR4.TSD, non-root operation) calls this. */
void msr_tsc_changed(struct cpu *cpu);

/* One row of the table: an MSR, or `count` consecutive ones of a kind. */
struct msr_row;
typedef bool msr_read_fn(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value);
typedef bool msr_write_fn(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value);

#define MSR_ALWAYS 0xffff /* no feature needed */
#define MSR_NEVER  0xfffe /* not with this vendor */

struct msr_row {
	const char *name;
	uint32_t first, count;
	uint16_t feature[2]; /* by enum cpu_vendor: enum feature, MSR_ALWAYS or MSR_NEVER */
	uint16_t offset;     /* storage in struct cpu_msrs, one uint64_t for each MSR */
	uint64_t writable;   /* bits that may be set; setting others is #GP(0) */
	uint64_t value;      /* of storage after reset; of a constant */
	msr_read_fn *read;   /* NULL: #GP(0) */
	msr_write_fn *write; /* NULL: #GP(0) */
};

/* Sorted by number. */
const struct msr_row *msr_table(unsigned *rows);

/* Plain storage; what the functions of rows with checks of their own end in. */
bool msr_read_storage(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value);
bool msr_write_storage(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value);

/* Performance monitoring: cpu/pmu.c. `offset` is in struct pmu. */
msr_read_fn pmu_read_general, pmu_read_fixed, pmu_read_control;
msr_write_fn pmu_write_general, pmu_write_fixed, pmu_write_control, pmu_write_overflow;

#endif
