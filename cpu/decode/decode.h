/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes → struct insn, by Zydis. The same for the interpreter and the translator.
 *
 * What the CPU model does not offer decodes as #UD, so a guest never runs an instruction that CPUID
 * hides. LOCK where it is not allowed is #UD.
 */
#ifndef CPU_DECODE_DECODE_H
#define CPU_DECODE_DECODE_H

#include "cpu/insn.h"

struct decoder; /* constant after creation; shared by all vCPUs */

struct decoder *decoder_create(struct soft *soft); /* NULL: out of memory */
void decoder_destroy(struct decoder *decoder);     /* accepts NULL */

/*
 * Decodes one instruction from `avail` bytes (at most 15 are looked at) for enum cpu_mode `mode`,
 * `start` bytes into its block. Nobody may change the bytes meanwhile: of code, a copy is decoded.
 * Fills *out and returns its length. 0: more than `avail` bytes are needed (avail < 15). Bytes that
 * are no instruction give an insn that raises #UD (length at least 1); more than 15 bytes give one
 * that raises #GP(0).
 */
unsigned decode_insn(const struct decoder *decoder, enum cpu_mode mode, const uint8_t *bytes,
		     unsigned avail, unsigned start, struct insn *out);

#endif
