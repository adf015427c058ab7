/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID: CPU models kept as data (cpu/model.c), less what the host lacks. What this shows is what
 * decode, control registers and MSRs allow: they all ask cpu_has.
 */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include "cpu/cpu.h"

/* One 32-bit register of one leaf; a feature is word * 32 + bit. */
enum cpuid_word {
	CPUID_1_ECX,
	CPUID_1_EDX,
	CPUID_7_EBX,
	CPUID_7_ECX,
	CPUID_7_EDX,
	CPUID_7_1_EAX,
	CPUID_7_2_EDX,
	CPUID_D_1_EAX,
	CPUID_8000_0001_ECX,
	CPUID_8000_0001_EDX,
	CPUID_8000_0007_EDX,
	CPUID_8000_0008_EBX,
	CPUID_8000_0021_EAX,
	CPUID_WORDS,
};

enum feature; /* cpu/feature.h: names for word * 32 + bit */

struct cpuid_table; /* built once a VM, constant afterwards */

/* is_nested: the model's virtualization extension is shown. NULL: out of memory. */
struct cpuid_table *cpuid_table_create(enum cpu_vendor vendor, unsigned vcpus, uint64_t tsc_khz,
				       bool is_nested);
void cpuid_table_destroy(struct cpuid_table *table); /* accepts NULL */

/* The feature words that the table shows, for soft->features (cpu_has). */
void cpuid_table_features(const struct cpuid_table *table, uint32_t features[CPUID_WORDS]);

struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

/* What CPUID returns on this vCPU now (OSXSAVE, XSAVE sizes, APIC ID and the like are live). */
struct cpuid_result cpuid_query(struct cpu *cpu, uint32_t leaf, uint32_t subleaf);

#endif
