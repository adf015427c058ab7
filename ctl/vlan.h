/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VLANs of network adapters: the member VlanSetting of an adapter's definition, which is missing
 * where nobody set it. Members: OperationMode (Untagged, Access, Trunk), AccessVlanId (of Access),
 * NativeVlanId (of Trunk; 0: none) and AllowedVlanIdList (of Trunk: "1-100,200", in order and
 * without overlaps).
 */
#ifndef CTL_VLAN_H
#define CTL_VLAN_H

#include "ctl/call.h"

#define VLAN_ID_MAX 4094

/* The setting of an adapter, with a mode even where it has none. New reference. */
json_t *vlan_of(const json_t *adapter);

/* As Get-VMNetworkAdapterVlan gives it; vm_name "" for the host's adapter. */
json_t *vlan_object(const char *vm_name, const json_t *adapter);

/* What the arguments ask for: a new setting, or NULL after call_error. */
json_t *vlan_wanted(struct call *call);

#endif
