/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU that executes nothing sleeps, on a futex that is its `attention`. The world may be stopped
 * meanwhile. On the vCPU's own thread, but for cpu_wake.
 */
#ifndef CPU_WAIT_H
#define CPU_WAIT_H

#include "cpu/cpu.h"

/* Until something in `wake` asks for attention, which the caller sees to. */
void wait_for_attention(struct cpu *cpu, uint32_t wake);

/*
 * MWAIT: until the line has changed, which is looked for at growing intervals, or anything asks for
 * attention; for about a millisecond at most. The vCPU is active then.
 */
void wait_for_store(struct cpu *cpu);

/* Wakes the vCPU if it sleeps, so that it looks at `attention`. Any thread. */
void cpu_wake(struct cpu *cpu);

#endif
