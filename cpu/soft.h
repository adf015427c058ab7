/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine: what the vCPUs of one VM share.
 */
#ifndef CPU_SOFT_H
#define CPU_SOFT_H

#include <pthread.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"

#define SOFT_MAX_VCPUS 64

struct block_cache; /* cpu/block.h */
struct decoder;     /* cpu/decode/decode.h */
struct host_code;   /* cpu/exec/host.h */

struct soft {
	struct engine_config config;
	uint32_t features[CPUID_WORDS]; /* what CPUID shows: cpu_has */
	struct cpuid_table *cpuid;
	struct decoder *decoder;
	struct host_code *host_code;
	struct block_cache *blocks;
	pthread_mutex_t
		bus_lock; /* LOCKed accesses that the host cannot do as one: mmu_rmw_begin */
	struct cpu *cpu[SOFT_MAX_VCPUS];
};

static inline bool cpu_has(const struct cpu *cpu, unsigned feature)
{
	return cpu->soft->features[feature / 32] & (1u << (feature % 32));
}

#endif
