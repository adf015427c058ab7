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

struct block_cache;  /* cpu/block.h */
struct decode_cache; /* cpu/decode/cache.h */
struct decoder;      /* cpu/decode/decode.h */
struct host_code;    /* cpu/exec/host.h */
struct jit;          /* cpu/jit/jit.h */

/* Stopping every vCPU between blocks: cpu/world.c. */
struct world {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_stopped; /* somebody has, or waits to have, the world to itself */
};

struct soft {
	struct engine_config config;
	uint32_t features[CPUID_WORDS]; /* what CPUID shows: cpu_has */
	struct cpuid_table *cpuid;
	struct decoder *decoder;
	struct decode_cache *decodes; /* under the lock of `blocks` */
	struct host_code *host_code;
	struct block_cache *blocks;
	struct jit *jit; /* NULL: nothing is translated */
	bool is_checked; /* --engine check */
	struct world world;
	/* For LOCKed accesses that the host cannot do as one: mmu_rmw_begin. */
	pthread_mutex_t bus_lock;
	struct cpu *cpu[SOFT_MAX_VCPUS];
};

static inline bool cpu_has(const struct cpu *cpu, unsigned feature)
{
	return cpu->soft->features[feature / 32] & (1u << (feature % 32));
}

#endif
