/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's adapters on switches as ports: what -ManagementOS selects in cmdlets about adapters of
 * VMs. Their settings are in the member HostAdapter of a switch's definition, named as those of
 * VMs' adapters are. Their addresses are ctl/netaddress.c's.
 */
#ifndef CTL_HOSTADAPTER_H
#define CTL_HOSTADAPTER_H

#include "ctl/call.h"
#include "ctl/store.h"

#define HOSTADAPTER_SETTINGS "HostAdapter" /* the member */

/* The switch knows it by this name. */
#define HOSTADAPTER_PORT "host"

/*
 * In the form of a VM's adapter: Id (HOSTADAPTER_PORT), Name (the switch's), SwitchName, MacAddress
 * and the settings. NULL where the host has none on the switch. New reference.
 */
json_t *hostadapter_of(const json_t *definition);

/* Runs fn for those that -Name, -VMNetworkAdapterName and -SwitchName select. */
int hostadapter_each(struct call *call,
		     int (*fn)(struct call *call, const json_t *definition, const json_t *adapter));

/*
 * The same for changes, under the store's lock: fn changes `settings`, which is written when it
 * returns 0, and the switch is told.
 */
int hostadapter_change(struct call *call, int (*fn)(struct call *call, json_t *settings));

/* As Get-VMNetworkAdapter -ManagementOS gives it. */
json_t *hostadapter_object(const json_t *definition, const json_t *adapter);

#endif
