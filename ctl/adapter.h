/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network adapters of VMs, for the cmdlets that make VMs. */
#ifndef CTL_ADAPTER_H
#define CTL_ADAPTER_H

#include "ctl/machine.h"

#define ADAPTER_DEFAULT_NAME "Network Adapter"

/*
 * A new adapter for the array NetworkAdapters of a definition: Id, Name, SwitchName ("": not
 * connected), MacAddress (12 hexadecimal digits), DynamicMacAddressEnabled, MacAddressSpoofing (On,
 * Off), DhcpGuard, RouterGuard, PortMirroringMode and the rest.
 */
json_t *adapter_create(const char *name, const char *switch_name);

#endif
