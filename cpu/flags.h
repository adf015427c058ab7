/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Status flags as the host leaves them.
 *
 * The guest's instruction set is the host's, so status flags are computed by running the host's own
 * instruction and taking its flags with LAHF and SETO, and given to it with ADD and SAHF. The pair
 * lies in AX, and cpu->status keeps AX as it is: AH in the high byte, OF in bit 0.
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/cpu.h"

#define STATUS_OF BIT(0)
#define STATUS_CF BIT(8)
#define STATUS_PF BIT(10)
#define STATUS_AF BIT(12)
#define STATUS_ZF BIT(14)
#define STATUS_SF BIT(15)

/* Inline assembly that brackets an instruction; "a" is the operand that holds cpu->status. */
#define FLAGS_LOAD "addb $0x7f, %%al\n\tsahf\n\t" /* OF from AL, the rest from AH */
#define FLAGS_SAVE "\n\tlahf\n\tseto %%al\n\t"

static inline uint64_t flags_from_status(uint16_t status)
{
	return ((status >> 8) & (RFLAGS_STATUS & 0xff)) | (uint64_t)(status & STATUS_OF) << 11;
}

static inline uint16_t flags_to_status(uint64_t rflags)
{
	return (uint16_t)((rflags & RFLAGS_STATUS & 0xff) << 8 | RFLAGS_ONE << 8 |
			  ((rflags >> 11) & STATUS_OF));
}

/* All of RFLAGS. */
static inline uint64_t flags_get(const struct cpu *cpu)
{
	return cpu->rflags | flags_from_status(cpu->status);
}

/* All of RFLAGS, with no check of what may change; reserved bits are put right. Not derived state.
 */
static inline void flags_set(struct cpu *cpu, uint64_t rflags)
{
	cpu->status = flags_to_status(rflags);
	cpu->rflags = (rflags & 0x3f7700 & ~RFLAGS_STATUS) | RFLAGS_ONE;
}

#endif
