/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults of copied instructions: SIGFPE of a division or an unmasked SIMD exception, SIGSEGV
 * without an address for a misaligned operand.
 *
 * The translator notes where each such copy is. When one faults, the guest's registers are still
 * those before it, so the signal handler sends the thread to a thunk that has the instruction's
 * handler do it once more; that raises the guest's exception, precisely.
 */
#ifndef CPU_JIT_FAULT_H
#define CPU_JIT_FAULT_H

#include "cpu/insn.h"

struct jit;

/* A copied instruction. */
struct fault_site {
	uint32_t offset;     /* of its first byte in the code cache */
	bool has_host_flags; /* the guest's flags are in the host's, not in cpu->status */
	const struct insn *insn;
};

/* What a signal's context has, and what it is to have in `rip` and `r9` to go on. */
struct fault_context {
	uint64_t rip, r9, rflags;
};

/*
 * Whether the context is that of a copy; only then is it changed. In a signal handler of the vCPU's
 * thread.
 */
bool jit_fault_redirect(struct cpu *cpu, struct fault_context *context);

#endif
