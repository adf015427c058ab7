/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine and its life: made from a configuration, run to its end on the calling thread,
 * destroyed.
 *
 * Threads: the caller's runs the event loop (back ends, signals, the time limit); the clock has
 * one, each vCPU has one (vm/vcpus.h), virtio devices have theirs.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "vm/balance.h"
#include "vm/config.h"
#include "vm/share.h"

/* How a run ends: the process's exit status. A signal's is 128 + its number, debug-exit's 2V+1. */
enum vm_status {
	VM_STATUS_OFF = 0,
	VM_STATUS_RESET = 3, /* a reset with no_reboot, or a triple fault */
	VM_STATUS_TIMEOUT = 124,
	VM_STATUS_FAULT = 125, /* our own */
	VM_STATUS_SIGNAL = 128,
};

struct vm;

/*
 * The configuration has been checked (config_check) and is borrowed. On error a text names the
 * thing and the reason, and nothing is left behind.
 */
int vm_create(struct vm **out, const struct config *config, const struct engine_ops *engine,
	      struct error *err);
void vm_destroy(struct vm *vm); /* accepts NULL */

/*
 * Once. Runs until the guest, the operator or the time limit ends it and returns the status. err
 * holds a text where there is something to say about it.
 */
int vm_run(struct vm *vm, struct error *err);

/* What the engine has counted, to stderr. After vm_run. */
void vm_print_stats(const struct vm *vm);

/* --- while vm_run runs, on its thread: what requests ask for --- */

struct vm_report {
	bool is_paused;
	uint64_t uptime_ns;   /* of the machine */
	unsigned cpu_percent; /* of the host's processors, by the whole process, of late */
	struct balance_report memory;
	bool nested_active; /* a hypervisor runs in the guest */
	bool has_agent;     /* so does a guest agent */
};

void vm_report(struct vm *vm, struct vm_report *report);
void vm_press_power_button(struct vm *vm);
void vm_pause(struct vm *vm); /* vCPUs stop soon; nothing where they have */
void vm_resume(struct vm *vm);
void vm_reset(struct vm *vm); /* also while paused, and stays so */
void vm_quit(struct vm *vm);
struct balance *vm_balance(struct vm *vm); /* borrowed */
struct share *vm_share(struct vm *vm);     /* borrowed */

/* Moves an adapter's cable: see board_move_net. */
int vm_move_net(struct vm *vm, const struct config_net *to, struct error *err);

#endif
