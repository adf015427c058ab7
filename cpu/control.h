/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to control, debug and extended control registers, with all checks (#GP(0)) and
 * consequences (mode changes, TLB). Reads are plain except CR8. SDM3: "Control Registers", "Debug
 * Registers".
 */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/cpu.h"

void control_write_cr0(struct cpu *cpu, uint64_t value);
void control_write_cr3(struct cpu *cpu, uint64_t value);
void control_write_cr4(struct cpu *cpu, uint64_t value);
void control_write_cr8(struct cpu *cpu, uint64_t value);
uint64_t control_read_cr8(struct cpu *cpu);
void control_write_xcr0(struct cpu *cpu, uint64_t value);
void control_write_efer(struct cpu *cpu, uint64_t value); /* false never: raises #GP(0) */
void control_write_dr(struct cpu *cpu, unsigned n, uint64_t value);
uint64_t control_read_dr(struct cpu *cpu, unsigned n);
/* Reloads the PDPTEs in PAE mode and raises #GP(0) if one is bad (`with` is the CR3 to be). */
void control_check_pdptes(struct cpu *cpu, uint64_t cr3);

#endif
