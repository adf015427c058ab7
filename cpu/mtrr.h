/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory types: the MTRRs and the PAT as MSRs. Guest memory is write-back whatever they say; what
 * is kept right is what may be written to them. SDM3: "Memory Type Range Registers (MTRRs)", "Page
 * Attribute Table (PAT)".
 */
#ifndef CPU_MTRR_H
#define CPU_MTRR_H

#include "cpu/msr.h"

#define MTRR_VARIABLE 8 /* ranges */
#define MTRR_CAP      (MTRR_VARIABLE | BIT(8) /* fixed ranges */ | BIT(10) /* write combining */)

#define MTRR_TYPE_WB    6
#define MTRR_DEF_FIXED  BIT(10)
#define MTRR_DEF_ENABLE BIT(11)

bool mtrr_pat_valid(uint64_t value); /* every entry is a memory type */

msr_read_fn mtrr_read_variable;
msr_write_fn mtrr_write_variable, mtrr_write_fixed, mtrr_write_default, mtrr_write_pat;

#endif
