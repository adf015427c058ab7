/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network adapters of VMs, for the cmdlets that make and show VMs. */
#ifndef CTL_ADAPTER_H
#define CTL_ADAPTER_H

#include "ctl/machine.h"

#define ADAPTER_DEFAULT_NAME "Network Adapter"
#define ADAPTER_MAC_SIZE     13 /* 12 hexadecimal digits and the end */

/*
 * A new adapter for the array NetworkAdapters of a definition: Id, Name, SwitchName ("": not
 * connected), MacAddress (12 hexadecimal digits), DynamicMacAddressEnabled, MacAddressSpoofing (On,
 * Off), DhcpGuard, RouterGuard, PortMirroringMode and the rest.
 */
json_t *adapter_create(struct store *store, const char *name);

/* Connects it to the switch of that name, "" or NULL for none; -1 after call_error. */
int adapter_connect(struct call *call, json_t *adapter, const char *switch_name);

/* As Get-VMNetworkAdapter gives it. */
json_t *adapter_object(struct machine *machine, const json_t *adapter);

/* From the pool of dynamic addresses, one that nobody has. */
void adapter_free_mac(struct store *store, char mac[ADAPTER_MAC_SIZE]);

/*
 * Runs fn for the adapters of a VM that the arguments select: -VMNetworkAdapter, or -Name or
 * -VMNetworkAdapterName, all without any of these. A name that fits none is an error, unless it is
 * a pattern. Ends with fn's first error.
 */
int adapter_each(struct call *call, struct machine *machine,
		 int (*fn)(struct call *, struct machine *, json_t *adapter));

/* The parts of it, where adapters come and go meanwhile; the last one always gives -1. */
bool adapter_is_selected(const struct call *call, const json_t *adapter);
bool adapter_may_be_none(const struct call *call);
int adapter_missing(struct call *call, const struct machine *machine);

/* The argument -VMNetworkAdapter of the set with that number. */
#define PARAM_ADAPTER(set)                                                  \
	{                                                                   \
		"VMNetworkAdapter", NULL, PARAM_OBJECT, "VMNetworkAdapter", \
			.position = POSITION(0), .sets = SET(set),          \
			.flags = REQUIRED | MANY | BY_VALUE                 \
	}

#endif
