/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network adapters of VMs, for the cmdlets about them: see ctl/adapter.h. */
#include "ctl/adapter.h"

#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define POOL_ADDRESSES (1u << 24)

/* --- the definition --- */

static void collect_mac(const json_t *definition, json_t *used)
{
	const char *mac = value_text_of(definition, "MacAddress");

	if (mac)
		json_object_set_new(used, mac, json_true());
}

/* Every address that an adapter of a VM or the host's on a switch has: members of an object. */
static json_t *used_macs(struct store *store)
{
	json_t *machines = store_list(store, STORE_VMS, NULL, NULL), *definition, *adapter;
	json_t *switches = store_list(store, STORE_SWITCHES, NULL, NULL), *used = json_object();
	size_t i, k;

	json_array_foreach(switches, i, definition) collect_mac(definition, used);
	json_array_foreach(machines, i, definition)
	{
		json_array_foreach(json_object_get(definition, "NetworkAdapters"), k, adapter)
			collect_mac(adapter, used);
	}
	json_decref(machines);
	json_decref(switches);
	return used;
}

/* Hyper-V's pool begins with Microsoft's 00-15-5D. */
static void random_mac(char mac[ADAPTER_MAC_SIZE])
{
	uint8_t b[3];

	while (getrandom(b, sizeof(b), 0) != sizeof(b))
		continue;
	snprintf(mac, ADAPTER_MAC_SIZE, "00155D%02X%02X%02X", b[0], b[1], b[2]);
}

void adapter_free_mac(struct store *store, char mac[ADAPTER_MAC_SIZE])
{
	json_t *used = used_macs(store);

	do
		random_mac(mac);
	while (json_object_get(used, mac) && json_object_size(used) < POOL_ADDRESSES);
	json_decref(used);
}

json_t *adapter_create(struct store *store, const char *name)
{
	static const char *const off[] = { "MacAddressSpoofing", "DhcpGuard",    "RouterGuard",
					   "IeeePriorityTag",    "AllowTeaming", "DeviceNaming" };
	json_t *adapter = json_object();
	char id[STORE_ID_SIZE], mac[ADAPTER_MAC_SIZE];

	store_make_id(id);
	adapter_free_mac(store, mac);
	json_object_set_new(adapter, "Id", json_string(id));
	json_object_set_new(adapter, "Name", value_string(name));
	json_object_set_new(adapter, "SwitchName", json_string(""));
	json_object_set_new(adapter, "MacAddress", json_string(mac));
	json_object_set_new(adapter, "DynamicMacAddressEnabled", json_true());
	json_object_set_new(adapter, "IsLegacy", json_false());
	for (size_t i = 0; i < ARRAY_SIZE(off); i++)
		json_object_set_new(adapter, off[i], json_string("Off"));
	json_object_set_new(adapter, "PortMirroringMode", json_string("None"));
	return adapter;
}

int adapter_connect(struct call *call, json_t *adapter, const char *switch_name)
{
	char *spelling;

	if (!switch_name || !*switch_name) {
		json_object_set_new(adapter, "SwitchName", json_string(""));
		return 0;
	}
	spelling = vmswitch_spelling(call->shell->store, switch_name);
	if (!spelling)
		return call_error(call, ERROR_NOT_FOUND, switch_name,
				  "Nidus was unable to find a virtual switch with name \"%s\".",
				  switch_name);
	json_object_set_new(adapter, "SwitchName", value_string(spelling));
	free(spelling);
	return 0;
}

/* --- the object --- */

json_t *adapter_object(struct machine *machine, const json_t *adapter)
{
	static const char *const copied[] = {
		"SwitchName",
		"SwitchId",
		"MacAddress",
		"DynamicMacAddressEnabled",
		"MacAddressSpoofing",
		"DhcpGuard",
		"RouterGuard",
		"PortMirroringMode",
		"IeeePriorityTag",
		"AllowTeaming",
		"DeviceNaming",
		"MinimumBandwidthWeight",
		"MinimumBandwidthAbsolute",
		"MaximumBandwidth",
		"VmqWeight",
		"StormLimit",
		"IsLegacy",
	};
	const char *switch_name = value_text_of(adapter, "SwitchName");
	json_t *object = value_object("VMNetworkAdapter");

	json_object_set(object, "Name", json_object_get(adapter, "Name"));
	json_object_set(object, "Id", json_object_get(adapter, "Id"));
	json_object_set_new(object, "IsManagementOs", json_false());
	json_object_set_new(object, "VMName", json_string(machine->name));
	json_object_set_new(object, "VMId", json_string(machine->id));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *value = json_object_get(adapter, copied[i]);

		if (value)
			json_object_set(object, copied[i], value);
	}
	json_object_set_new(object, "Connected", json_boolean(switch_name && *switch_name));
	json_object_set_new(object, "Status",
			    machine_is_off(machine) ? json_array() : json_pack("[s]", "Ok"));
	json_object_set_new(object, "IPAddresses", json_array());
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

/* --- which adapters --- */

/* Whether a -VMNetworkAdapter argument has this one; without that argument all are. */
static bool is_among(const json_t *objects, const json_t *adapter)
{
	const char *id = value_text_of(adapter, "Id");
	json_t *list, *object;
	bool hit = !objects;
	size_t i;

	list = value_array(objects ? objects : json_null());
	json_array_foreach(list, i, object)
	{
		const char *other = value_text_of(object, "Id");

		hit |= id && other && !strcmp(id, other);
	}
	json_decref(list);
	return hit;
}

static bool fits_name(const json_t *names, const json_t *adapter)
{
	const char *own = value_text_of(adapter, "Name");
	json_t *list, *name;
	bool hit = !names;
	size_t i;

	list = value_array(names ? names : json_null());
	json_array_foreach(list, i, name) hit |= own && value_like(own, json_string_value(name));
	json_decref(list);
	return hit;
}

static json_t *wanted_name(const struct call *call)
{
	json_t *name = call_value(call, "VMNetworkAdapterName");

	return name ? name : call_value(call, "Name");
}

bool adapter_is_selected(const struct call *call, const json_t *adapter)
{
	return is_among(call_value(call, "VMNetworkAdapter"), adapter) &&
	       fits_name(wanted_name(call), adapter);
}

bool adapter_may_be_none(const struct call *call)
{
	const char *name = json_string_value(wanted_name(call));

	return !name || value_is_pattern(name);
}

int adapter_missing(struct call *call, const struct machine *machine)
{
	char *name = value_text(wanted_name(call));
	int ret = call_error(call, ERROR_NOT_FOUND, name,
			     "Nidus was unable to find a network adapter with name \"%s\" in the "
			     "virtual machine " MACHINE_TITLE ".",
			     name, MACHINE_LABELS(machine));

	free(name);
	return ret;
}

int adapter_each(struct call *call, struct machine *machine,
		 int (*fn)(struct call *, struct machine *, json_t *adapter))
{
	json_t *adapters = machine_list(machine, "NetworkAdapters"), *adapter;
	bool hit = adapter_may_be_none(call);
	size_t i;
	int ret = 0;

	json_array_foreach(adapters, i, adapter)
	{
		if (ret || !adapter_is_selected(call, adapter))
			continue;
		hit = true;
		ret = fn(call, machine, adapter);
	}
	return hit ? ret : adapter_missing(call, machine);
}
