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
json_t *adapter_create(const char *name);

/* Connects it to the switch of that name, "" or NULL for none; -1 after call_error. */
int adapter_connect(struct call *call, json_t *adapter, const char *switch_name);

/* As Get-VMNetworkAdapter gives it. */
json_t *adapter_object(struct machine *machine, const json_t *adapter);

/* From the pool of dynamic addresses. */
void adapter_random_mac(char mac[ADAPTER_MAC_SIZE]);

#endif
