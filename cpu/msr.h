/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers, from one table. SDM4: "Architectural MSRs"; APM2: "MSR
 * Cross-Reference".
 */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/cpu.h"

/* RDMSR and WRMSR without the privilege check. false: #GP(0), nothing changed. */
bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *value);
bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value);
void msr_reset(struct cpu *cpu);

/* The guest's TSC of this vCPU, now. */
uint64_t msr_tsc(struct cpu *cpu);

#endif
