/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop of one vCPU.
 */
#ifndef CPU_RUN_H
#define CPU_RUN_H

#include "cpu/cpu.h"

struct block;

/* Executes guest code until there is a reason to stop. On the vCPU's own thread. */
enum engine_exit cpu_run(struct cpu *cpu);

/*
 * Interprets the block at CS:RIP, or its first `limit` instructions. On the vCPU's own thread,
 * within cpu_run. Returns whether that was all of it.
 */
bool run_interpret(struct cpu *cpu, const struct block *block, unsigned limit);

#endif
