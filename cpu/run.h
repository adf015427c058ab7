/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop of one vCPU.
 */
#ifndef CPU_RUN_H
#define CPU_RUN_H

#include "cpu/cpu.h"

/* Executes guest code until there is a reason to stop. On the vCPU's own thread. */
enum engine_exit cpu_run(struct cpu *cpu);

/* Wakes the vCPU from HLT if it sleeps, so that it looks at `attention`. Any thread. */
void cpu_wake(struct cpu *cpu);

#endif
