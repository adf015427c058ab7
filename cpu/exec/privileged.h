/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks that system instructions share.
 */
#ifndef CPU_EXEC_PRIVILEGED_H
#define CPU_EXEC_PRIVILEGED_H

#include "cpu/cpu.h"

static inline void require_cpl0(struct cpu *cpu)
{
	if (unlikely(cpu->cpl))
		cpu_raise_code(cpu, EXC_GP, 0);
}

/* Instructions that exist only while the system has switched them on in CR4. */
static inline void require_cr4(struct cpu *cpu, uint64_t bit)
{
	if (unlikely(!(cpu->cr4 & bit)))
		cpu_raise(cpu, EXC_UD);
}

/* A register operand of an instruction whose operand size is the mode's own. */
static inline unsigned native_size(const struct cpu *cpu)
{
	return cpu_in_64bit_mode(cpu) ? 8 : 4;
}

#endif
