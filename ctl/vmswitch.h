/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual switches: definitions in the store. Each has Id, Name, SwitchType (Internal, Private,
 * External), NetAdapterName (of External), AllowManagementOS, Notes; with a host adapter also
 * MacAddress, InterfaceIndex and IPAddresses, an array of {IPAddress, PrefixLength, ...}. Beside
 * them there is always the default switch, which has no definition.
 */
#ifndef CTL_VMSWITCH_H
#define CTL_VMSWITCH_H

#include "ctl/call.h"
#include "ctl/store.h"

/* A network of its own for each VM, with DHCP, DNS and a way out. */
#define VMSWITCH_DEFAULT "Default Switch"

bool vmswitch_exists(struct store *store, const char *name);

/* The name as its switch spells it; NULL where there is none. For free(). */
char *vmswitch_spelling(struct store *store, const char *name);

/* The definition; NULL where there is none. */
json_t *vmswitch_find(struct store *store, const char *name);

/*
 * The definitions that -Name or -VMSwitch select, all of them and the default switch without these.
 * Names that fit nothing are reported.
 */
json_t *vmswitch_select(struct call *call);
bool vmswitch_is_default(const json_t *definition);

/* As Get-VMSwitch gives it. */
json_t *vmswitch_object(const json_t *definition);

/* Whether the host has an adapter on it: vEthernet (NAME). */
bool vmswitch_has_host_adapter(const json_t *definition);

/* The selectors that most cmdlets about switches begin with, for the sets 0 and 1. */
#define PARAM_NAME_SWITCH                                                                    \
	{                                                                                    \
		"Name", "SwitchName", PARAM_STRING, .position = POSITION(0), .sets = SET(0), \
						    .flags = REQUIRED | MANY | BY_VALUE      \
	}
#define PARAM_SWITCH_OBJECT                                                                     \
	{                                                                                       \
		"VMSwitch", NULL, PARAM_OBJECT, "VMSwitch", .position = POSITION(0),            \
							    .sets = SET(1),                     \
							    .flags = REQUIRED | MANY | BY_VALUE \
	}

#endif
