/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's paravirtual clock: the guest gets the rate of its TSC, and the time at one TSC value, in a
 * structure in its own memory.
 *
 * The rate never changes and all vCPUs share one time line, so the structure is written when the
 * guest asks for it and when the vCPU's TSC offset changes, and it says "stable".
 */
#ifndef CPU_KVMCLOCK_H
#define CPU_KVMCLOCK_H

#include "cpu/msr.h"

msr_write_fn kvmclock_write_system_time; /* address | 1 to enable */
msr_write_fn kvmclock_write_wall_clock;  /* address of where to put the time of VM creation, once */

/* The TSC offset of this vCPU changed. */
void kvmclock_update(struct cpu *cpu);

#endif
