/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is emitted behind a block: between cpu/jit/translate.c and cpu/jit/cold.c.
 */
#ifndef CPU_JIT_COLD_H
#define CPU_JIT_COLD_H

#include "cpu/jit/translate.h"

/* The instruction is emitted: what has been put off since `first` comes back here. */
void cold_set_back(struct gen *g, unsigned first);

/* The check of a group jumps `from` there where it fails; it is at `again`. */
void cold_fit(struct gen *g, struct emit_jump from, const uint8_t *again, uint64_t range);

/*
 * A call of shared code has just been emitted, which goes the slow way where it fails: that of the
 * instruction, or that of a group whose check is at `again`.
 */
void cold_way(struct gen *g);
void cold_way_fit(struct gen *g, const uint8_t *again, uint64_t range);

/* The same where a stretch is of no help, with the way back from the TLB here; `dst` is what it
 * is to leave there, `n` the stretch. */
void cold_stretch(struct gen *g, struct emit_jump from, const uint8_t *again, uint64_t range,
		  unsigned dst, unsigned n);

/* A struct jit_fit for the check at `again`. */
struct jit_fit *cold_note_fit(struct gen *g, const struct cold *cold, const uint8_t *again);

/* R11 = what struct groups says of it; something. */
void cold_load_r11(struct gen *g, unsigned r11);

/* Emits all that has been put off. */
void cold_emit(struct gen *g);

#endif
