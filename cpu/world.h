/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping the world: one vCPU gets every other one to a point between two blocks, where no check
 * of a TLB tag is followed by its access and no decoded block is in use. Needed when a page starts
 * to hold code (write tags must go) and when a part of the block cache is evicted.
 */
#ifndef CPU_WORLD_H
#define CPU_WORLD_H

#include "cpu/cpu.h"

/* The calling vCPU starts, or stops, executing guest code. Entering waits while the world is
 * stopped. */
void world_enter(struct cpu *cpu);
void world_leave(struct cpu *cpu);

/* ATTENTION_RENDEZVOUS: wait out another vCPU's stop. */
void world_yield(struct cpu *cpu);

/*
 * Stops all other vCPUs; the caller is between blocks itself and holds no lock that a vCPU may wait
 * for. Until world_start it may touch the others' TLBs and the block cache.
 */
void world_stop(struct cpu *cpu);
void world_start(struct cpu *cpu);

#endif
