/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that all blocks share: struct jit says where which of it is. Private to cpu/jit.
 */
#ifndef CPU_JIT_SHARED_H
#define CPU_JIT_SHARED_H

#include "cpu/jit/translate.h"

/* Emits it at the start of the code's memory, up to `end` at most. */
void shared_emit(struct jit *jit, uint8_t *end);

#define SHARED_FAR_INSNS      9 /* of jit->far, where it returns */
#define SHARED_FAR_POLL_INSNS 2 /* and of what looks for attention */

/* The condition is NE if `attention` is to be looked at. */
static inline void shared_poll(struct emitter *e)
{
	emit_alu_mi(e, ALU_CMP, 1, mem_cpu(offsetof(struct cpu, poll)), 0);
}

/* What marks branches to code of that class of TLB tags: cpu/jit/dispatch.h. */
static inline struct host_mem shared_mark(unsigned class)
{
	return mem_cpu((int32_t)(offsetof(struct cpu, jit.mark) + class * sizeof(uint64_t)));
}

#endif
