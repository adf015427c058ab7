/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages in a row that loops of user code go through.
 *
 * Neighboring pages are often neighbors in the host's memory, too. What the TLB says of as many as
 * there are in a row - from where to where, and how far the host's addresses are from the guest's -
 * a vCPU remembers in a struct jit_stretch. A check in a loop compares with one of these: shorter
 * than a look into the TLB, and what it loads does not depend on the address, so that the access
 * need not wait for it. What misses looks into the TLB, away from the main path; after some misses
 * the stretch around the last one is learned.
 *
 * A stretch says nothing that tags have not said: whoever takes rights away forgets all
 * (jit_forget_stack), and so does a fault of one of its pages (jit_forget_page), whose tags may
 * long have made room for others. Checks that miss too often are given up: their block gets code
 * without.
 */
#ifndef CPU_JIT_STRETCH_H
#define CPU_JIT_STRETCH_H

#include "cpu/cpu.h"

struct cold;
struct gen;
struct jit_fit;

/* Whether the checks of the block being translated use stretches. */
bool stretch_is_for(const struct gen *g);

/*
 * Checks a range (group_pack) relative to a register with a host register of its own: dst, R10 or
 * R11, = what to add to an address. Destroys R9, R10 and the flags. R11 and what it stands for stay
 * as they are unless it is `dst`.
 */
void stretch_check(struct gen *g, unsigned dst, uint64_t range);

/* COLD_STRETCH. */
void stretch_emit(struct gen *g, const struct cold *cold);

/*
 * A check has missed some times: learns what there is to know, and returns the check; or the rest
 * of the block has been interpreted, and it is jit_next.
 */
const void *stretch_learn(struct cpu *cpu, const struct jit_fit *fit);

#endif
