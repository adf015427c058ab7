/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is emitted behind a block: between cpu/jit/translate.c and cpu/jit/cold.c.
 */
#ifndef CPU_JIT_COLD_H
#define CPU_JIT_COLD_H

#include "cpu/jit/translate.h"

static inline struct host_mem cold_thunk(enum jit_thunk thunk)
{
	return mem_gs((int32_t)(offsetof(struct cpu, jit.thunk) + thunk * sizeof(void *)));
}

/* The instruction is emitted: what has been put off since `first` comes back here. */
void cold_set_back(struct gen *g, unsigned first);

/* Emits all that has been put off. */
void cold_emit(struct gen *g);

#endif
