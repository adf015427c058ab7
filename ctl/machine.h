/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs for cmdlets: their definitions, found by what the command line says, with the state that
 * their processes are in. Handlers about VMs call machine_each or machine_change and do the rest
 * for one VM at a time; an error about one VM leaves the others alone.
 *
 * A definition is a JSON object: Id, Name, Generation, Version, CreationTime, Notes, ...;
 * Processor, Memory, Boot (objects), NetworkAdapters, HardDrives (arrays of objects). Members have
 * the names and the values that cmdlets show.
 */
#ifndef CTL_MACHINE_H
#define CTL_MACHINE_H

#include "ctl/call.h"
#include "ctl/process.h"

struct machine {
	json_t *definition;
	const char *id, *name; /* in the definition */
	struct process process;
};

/* A VM for the Hyper-V lines of error messages: 'X' (Virtual machine ID ...). */
#define MACHINE_TITLE     "'%s' (Virtual machine ID %s)"
#define MACHINE_LABELS(m) (m)->name, (m)->id

/*
 * Runs fn for each VM that the arguments select: -VMName, -Name, -Id, -VM, or an object with a VMId
 * in the argument `via` (NULL: none), all of them without any of these. Reports names that fit no
 * VM. -1 where anything was reported, fn's errors included.
 */
int machine_each(struct call *call, const char *via, int (*fn)(struct call *, struct machine *));

/*
 * The same for changes: under the store's lock, with a definition just read; what fn changed in it
 * is written when fn returns 0, else dropped, so a call changes all or nothing. Asks call_should
 * first; `action` is as in 'modify the processor of': the VM's name follows. Output of fn is
 * dropped where writing fails.
 */
int machine_change(struct call *call, const char *via, const char *action,
		   int (*fn)(struct call *, struct machine *));

/* An object or array of the definition, made where it is missing. Borrowed. */
json_t *machine_part(struct machine *machine, const char *name);
json_t *machine_list(struct machine *machine, const char *name);

bool machine_is_off(const struct machine *machine);
bool machine_is_running(const struct machine *machine);

/* Off, Saved, Running ... */
const char *machine_state(const struct machine *machine);

/* Reports that a device can't be changed in this state; -1. device: "Processor". */
int machine_state_error(struct call *call, const struct machine *machine, const char *device);

/* A new object of that type with VMName, VMId and ComputerName. */
json_t *machine_object(const struct machine *machine, const char *type);

/* The VM of that name, NULL where there is none. For what refers to a VM by name only. */
json_t *machine_find(struct store *store, const char *name);

/* This host's name, as the property ComputerName. */
json_t *machine_host(void);
bool machine_is_host(const char *name);

#endif
