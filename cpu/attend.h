/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What asks for attention between blocks, in the order of the manual's priorities: other threads,
 * INIT, traps, NMIs, interrupts, exits of a nested guest, and having nothing to execute. On the
 * vCPU's own thread, between two instructions. What causes an exit unwinds.
 *
 * SDM3: "Priority Among Concurrent Events".
 */
#ifndef CPU_ATTEND_H
#define CPU_ATTEND_H

#include "cpu/cpu.h"

/* What comes of it: look what is due again, run blocks, run one instruction, leave. */
enum attend_outcome { ATTEND_AGAIN, ATTEND_RUN, ATTEND_ONE_INSN, ATTEND_STOP };

/* Handles the most urgent thing that is due; the loop comes back while there is more. */
enum attend_outcome attend(struct cpu *cpu);

/* For all but the events that VM entry injects: first it is seen whether they cause an exit. */
void attend_announce(struct cpu *cpu, const struct event *event);

/* Delivers the event, which has been announced, and what comes of that: up to shutdown. */
enum attend_outcome attend_deliver(struct cpu *cpu, const struct event *event);

#endif
