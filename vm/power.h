/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a device asks for the end of the run: ACPI's S5, a reset port, debug-exit. And the operator,
 * whose wish counts whatever the guest has asked for.
 */
#ifndef VM_POWER_H
#define VM_POWER_H

#include "lib/base.h"

enum power_event {
	POWER_OFF,   /* the guest switched itself off */
	POWER_RESET, /* the guest asked for a reset */
	POWER_EXIT,  /* the guest ends the process with `status` (debug-exit) */
	POWER_QUIT,  /* the operator wants it to end */
};

/* Any thread; returns at once, and the asking vCPU may run on for a few instructions. */
struct power {
	void (*request)(void *self, enum power_event event, unsigned status);
	void *self;
};

#endif
