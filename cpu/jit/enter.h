/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The border between C and translated code.
 *
 * Translated code runs with guest registers in host registers as cpu/jit/translate.h says, and with
 * RSP in struct cpu (CPU_HOST_RSP), where its calls leave their return addresses. It leaves through
 * thunks, whose addresses are in cpu->jit.thunk. A thunk writes all guest registers to *cpu and
 * goes back to the stack of C before it calls C, and reads them back after it, so handlers find
 * everything where the interpreter has it, and a fault unwinds as it does there. Status flags are
 * the affair of the code around it: C knows only cpu->status.
 *
 * thunk               reached by, with
 * THUNK_HANDLER       call, R9 = insn: runs its handler; returns unless the block is to be left
 * THUNK_HANDLER_LAST  jump, R9 = insn that ends its block: goes on at the RIP that it sets
 * THUNK_HANDLER_VECTOR as THUNK_HANDLER; the vector registers are live when it returns, as far as
 *                     the guest has enabled them
 * THUNK_FAULT         jump, R9 = insn that faulted: runs its handler, which raises; else leaves
 * THUNK_LINK          call, from what stands for a jump that is not linked: jit_link
 * THUNK_FAR           jump, R10 = struct far_target that does not hold: jit_far
 * THUNK_POLL          call, R9D = offset of the block in its page: returns if nothing is due
 * THUNK_FIT           jump, R9 = struct jit_fit of a check that has failed: jit_fit
 * THUNK_CROSS         jump, the same: jit_cross
 * THUNK_LEARN         jump, the same: stretch_learn
 * THUNK_BAIL          call, from an entry of a block whose code is void: looks again
 * THUNK_SLOW          jump, from shared code that a block has called (cpu/jit/compact.h): runs the
 *                     handler of the instruction that the call is for; goes on behind it
 * THUNK_MISFIT        jump, the same where it is for a group: jit_misfit
 * THUNK_SAMPLE        call, from such code: jit_sample; leaves all registers but flags as they are
 * THUNK_STOP          jump: leaves, RIP = cpu->jit.stop
 */
#ifndef CPU_JIT_ENTER_H
#define CPU_JIT_ENTER_H

#include "cpu/cpu.h"

void jit_set_thunks(struct cpu *cpu);

/* Runs translated code until it leaves. */
void jit_enter(struct cpu *cpu, const void *code);

#endif
