/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network adapters of this host: those of the kernel, and one on each switch that has the host on
 * it. The latter are named vEthernet (SWITCH) and live in the switch's definition; so do their
 * addresses.
 */
#ifndef CTL_NETADAPTER_H
#define CTL_NETADAPTER_H

#include "ctl/call.h"
#include "ctl/store.h"

struct netadapter {
	char *name;      /* as Windows would call it, or the kernel's own */
	char *device;    /* the kernel's name; NULL: it is on a switch */
	json_t *network; /* the switch's definition; NULL: it is the kernel's */
	int64_t index;
};

/*
 * The adapter that a name means, without regard to case: vEthernet (X), the kernel's name, or
 * "Ethernet", "Ethernet 2" ... for the kernel's wired ones in their order. False where there is
 * none.
 */
bool netadapter_find(struct store *store, const char *name, struct netadapter *out);
bool netadapter_find_index(struct store *store, int64_t index, struct netadapter *out);
void netadapter_free(struct netadapter *adapter);

#endif
