/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction-set extensions: which CPUID feature offers an instruction, and which instructions the
 * host itself runs (cpu/exec/host.h).
 */
#ifndef CPU_DECODE_ISA_H
#define CPU_DECODE_ISA_H

#include <Zydis/Zydis.h>

#include "cpu/soft.h"

/* How an instruction that the host runs is guarded, and which state it uses. */
enum isa_class {
	ISA_NOT_HOSTED,
	ISA_GPR,     /* general registers only */
	ISA_GPR_VEX, /* the same in VEX encoding: protected mode */
	ISA_X87,
	ISA_MMX,
	ISA_SSE,
	ISA_SSE_MMX, /* between XMM and MMX registers */
	ISA_AVX,
};

/* Whether the CPU model has this instruction. */
bool isa_is_offered(const struct soft *soft, const ZydisDecodedInstruction *zydis);

enum isa_class isa_class_of(const ZydisDecodedInstruction *zydis);

#endif
