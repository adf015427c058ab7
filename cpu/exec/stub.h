/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs: host code that runs one guest instruction on host registers.
 *
 * A stub is a function (cpu, operand): it loads the guest registers and status flags that the
 * instruction uses, runs the instruction's own bytes with the memory operand at `operand`, and
 * stores what the instruction wrote. x87, MMX and MXCSR are live in the host already
 * (cpu/exec/vector.h). Nothing is stored before the instruction has completed, so a fault in it
 * leaves the guest's state as it was.
 *
 * A plan is the normal form of an instruction: as 64-bit code, without address prefixes, memory
 * operand at a plain base register. Equal plans have equal stubs.
 */
#ifndef CPU_EXEC_STUB_H
#define CPU_EXEC_STUB_H

#include <Zydis/Zydis.h>

#include "cpu/insn.h"

#define STUB_MAX_BYTES 192 /* no stub is longer */

struct stub_plan {
	uint8_t bytes[16];
	uint8_t length;
	uint8_t base; /* host register that holds the address of the memory operand; RSI without */
	uint8_t stand_in;    /* host register that is the guest's RSP, or 0 */
	uint8_t saves_flags; /* the instruction reads or writes status flags */
};

/*
 * The plan of a decoded instruction; `bytes` is its encoding in the guest's mode. false: it has
 * none, since its memory operand is not an ordinary one.
 */
bool stub_plan(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
	       const uint8_t *bytes, struct stub_plan *plan);

/* Writes the stub to `out` (STUB_MAX_BYTES of room) and returns its length. */
unsigned stub_emit(const ZydisDecoder *decoder64, const struct stub_plan *plan, uint8_t *out);

#endif
