/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to control, debug and extended control registers, with all checks (#GP(0)) and
 * consequences (mode changes, TLB). Reads are plain except CR8 and DRs. No privilege checks: the
 * instructions make them. SDM3: "Control Registers", "Debug Registers".
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
bool control_write_efer(struct cpu *cpu, uint64_t value); /* false: #GP(0), nothing changed */
void control_write_dr(struct cpu *cpu, unsigned n, uint64_t value);
uint64_t control_read_dr(struct cpu *cpu, unsigned n);
/* Loads the PDPTEs of PAE paging from `cr3` (the CR3 to be); raises #GP(0), and loads none, if one
 * is bad. To be called where PAE paging is on or about to be, without long mode. */
void control_check_pdptes(struct cpu *cpu, uint64_t cr3);
/* The same without the exception: false, and none loaded. */
bool control_load_pdptes(struct cpu *cpu, uint64_t cr3);
bool control_pdpte_valid(uint64_t pdpte);

/* What CR4, EFER and XCR0 may hold on this CPU model. */
uint64_t control_cr4_offered(const struct cpu *cpu);
uint64_t control_efer_offered(const struct cpu *cpu);
uint64_t control_xcr0_offered(const struct cpu *cpu);

#endif
