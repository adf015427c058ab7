/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where signals are delivered on a vCPU's thread.
 *
 * While translated code runs, RSP leads into struct cpu, and a signal's frame there would be the
 * end of it. So the thread has another stack for signals, and every handler that can run on a
 * vCPU's thread is installed with SA_ONSTACK. Other signals than those that instructions raise are
 * blocked there (vm/vcpus.c).
 */
#ifndef CPU_JIT_SIGNAL_STACK_H
#define CPU_JIT_SIGNAL_STACK_H

#include "cpu/cpu.h"

/* cpu->jit.signal_stack. 0 or -ENOMEM. */
int signal_stack_create(struct cpu *cpu);
void signal_stack_destroy(struct cpu *cpu); /* accepts one without */

/*
 * This thread's signals are delivered there from now on, unless it has such a stack already, as
 * under sanitizers; and no longer. A vCPU without one is let be.
 */
void signal_stack_give(const struct cpu *cpu);
void signal_stack_take(const struct cpu *cpu);

#endif
