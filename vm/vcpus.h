/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads of a VM's vCPUs: one each, parked or running, all moved from one to the other
 * together.
 *
 * A vCPU that stops by itself (shutdown, error) is reported and parks; the others run on until they
 * are told to park. All functions are called on the main thread.
 */
#ifndef VM_VCPUS_H
#define VM_VCPUS_H

#include "vm/engine.h"

struct vcpus;

/* Both run on a vCPU's thread and only pass the word on. */
struct vcpus_events {
	void (*stopped)(void *self, enum engine_exit why); /* by itself */
	void (*parked)(void *self); /* vcpus_parked has become true; may come once too often */
	void *self;
};

/*
 * Creates the threads and on them the vCPUs, parked; the engine's signal sink is set to them by the
 * caller (vcpus_signal). -EAGAIN and what the engine says, with a text; nothing is left then.
 */
int vcpus_create(struct vcpus **out, const struct engine_ops *ops, struct engine *engine,
		 unsigned count, const struct vcpus_events *events, struct error *err);
void vcpus_destroy(struct vcpus *vcpus); /* while parked; accepts NULL */

/* While parked: all as after power-on, then vCPU 0 with these registers. */
void vcpus_reset(struct vcpus *vcpus, const struct engine_registers *boot);
void vcpus_run(struct vcpus *vcpus); /* while parked */

void vcpus_park_begin(struct vcpus *vcpus); /* asks all to park; the event says when they have */
bool vcpus_parked(struct vcpus *vcpus);
void vcpus_park(struct vcpus *vcpus); /* both, and waits: nothing may keep a vCPU in a device */

/* Whether a hypervisor runs on any of them, as far as the engine knows. */
bool vcpus_nested_active(struct vcpus *vcpus);

irq_signal_fn vcpus_signal; /* self = vcpus: hands it to the engine. Any thread */

#endif
