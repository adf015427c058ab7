/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What core.c and port.c share and nobody else sees. */
#ifndef SWITCH_CORE_PARTS_H
#define SWITCH_CORE_PARTS_H

#include "switch/core.h"
#include "switch/mac.h"

#define MAC_NONE UINT64_MAX /* of no adapter */

struct switch_core {
	switch_deliver_fn *deliver;
	void *self;
	struct mac_table *macs;                     /* learned */
	unsigned top;                               /* ports have indices below */
	struct switch_port *port[SWITCH_PORTS_MAX]; /* by index; NULL: free */
	uint64_t mac[SWITCH_PORTS_MAX];             /* of adapters, by index; MAC_NONE */
};

_Static_assert(SWITCH_PORTS_MAX <= MAC_TABLE_PORTS, "learned addresses name ports by index");

#endif
