/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts: how an event becomes a double fault, and its delivery through the IVT,
 * the IDT (16, 32, 64 bit), task gates, v8086 and interrupt redirection.
 * SDM3: "Interrupt and Exception Handling".
 */
#ifndef CPU_EVENT_H
#define CPU_EVENT_H

#include "cpu/cpu.h"

enum event_result {
	EVENT_DELIVERED,
	EVENT_TRIPLE_FAULT,
	EVENT_EXITED, /* non-root operation has ended on the way */
};

/* What cpu->unwind is jumped to with. */
enum unwind { UNWIND_FAULT = 1, UNWIND_RESUME, UNWIND_EXIT, UNWIND_INJECT };

/*
 * Delivers `event` at the current boundary: cpu->rip is the RIP to push (for software interrupts
 * event->next_rip). Handles faults during delivery, #DF and triple fault itself. Sets RF in the
 * pushed image for faults. Called by the run loop only, outside any instruction; cpu->unwind is
 * free for its use.
 */
enum event_result event_deliver(struct cpu *cpu, const struct event *event);

/* Changes CR2 (#PF) or DR6, DR7 and IA32_DEBUGCTL (#DB) before the event's delivery. */
void event_commit_payload(struct cpu *cpu, const struct event *event);

#endif
