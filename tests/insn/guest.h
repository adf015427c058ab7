/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs one instruction in the soft engine, through the real decoder, handlers and MMU, as user code
 * with the address-space layout of tests/insn/native.h: in the interpreter or translated. No
 * devices.
 */
#ifndef TESTS_INSN_GUEST_H
#define TESTS_INSN_GUEST_H

#include "cpu/soft.h"
#include "tests/insn/native.h"

struct guest;

struct guest *guest_create(void); /* NULL: out of memory */
void guest_destroy(struct guest *guest);

uint8_t *guest_data(struct guest *guest); /* its copy of the data pages */
const struct soft *guest_soft(const struct guest *guest);

struct cpu *guest_cpu(struct guest *guest);

#define RESUMED (-2) /* the instruction has to be run again: it waits for an interrupt */

/*
 * One instruction, or several, from the vCPU's state as it is; returns as native_run does, or
 * RESUMED.
 *
 * Translated, there is an instruction before it in its block that makes the vector registers live
 * where they may be used, so that its copy is run and not its handler. Modes that are not
 * translated are interpreted.
 */
typedef int guest_step_fn(struct guest *guest, unsigned mode_bits, const uint8_t *bytes,
			  unsigned length);
guest_step_fn guest_step, guest_step_translated;

/* As native_run. */
int guest_run(struct guest *guest, guest_step_fn *step, unsigned mode_bits, const uint8_t *bytes,
	      unsigned length, struct registers *regs);

#endif
