/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stack accesses of 64-bit mode, inline: SS has neither base nor limit there. The other modes use
 * cpu/segment.h.
 */
#ifndef CPU_EXEC_STACK_H
#define CPU_EXEC_STACK_H

#include "cpu/segment.h"

static inline void stack_push_64(struct cpu *cpu, unsigned size, uint64_t value)
{
	uint64_t rsp = cpu->gpr[RSP] - size;

	mmu_store(cpu, rsp, size, value, SS);
	cpu->gpr[RSP] = rsp;
}

static inline uint64_t stack_pop_64(struct cpu *cpu, unsigned size)
{
	uint64_t value = mmu_load(cpu, cpu->gpr[RSP], size, SS);

	cpu->gpr[RSP] += size;
	return value;
}

#endif
