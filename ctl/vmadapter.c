/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cmdlets about network adapters of VMs. What a frame may carry is a setting of the adapter and
 * changes at any time; its address and its existence change while the VM is off.
 */
#include "ctl/adapter.h"
#include "ctl/guestnet.h"
#include "ctl/hostadapter.h"
#include "ctl/nouns.h"
#include "ctl/port.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vlan.h"

#include <ctype.h>
#include <stdlib.h>

#define MAC_DIGITS   12
#define ADAPTERS_MAX 8 /* as many as a machine has slots for */

static int emit_changed(struct call *call, struct machine *machine, const json_t *adapter)
{
	if (call_switch(call, "Passthru"))
		call_emit(call, adapter_object(machine, adapter));
	return 0;
}

/* --- Get-VMNetworkAdapter --- */

static int get_adapter(struct call *call, struct machine *machine, json_t *adapter)
{
	bool legacy = json_is_true(json_object_get(adapter, "IsLegacy"));
	json_t *object, *addresses;

	if (call_has(call, "IsLegacy") && call_switch(call, "IsLegacy") != legacy)
		return 0;
	object = adapter_object(machine, adapter);
	if (machine->process.state != PROCESS_OFF)
		port_show(call->shell->store, adapter, object);
	json_object_set_new(object, "VlanSetting", vlan_object(machine->name, adapter));
	addresses = json_object_get(call->private, value_text_of(adapter, "MacAddress"));
	if (addresses)
		json_object_set(object, "IPAddresses", addresses);
	call_emit(call, object);
	return 0;
}

static int get_of_machine(struct call *call, struct machine *machine)
{
	json_t *addresses = guestnet_addresses(call->shell->store, machine);
	int ret;

	call->private = addresses;
	ret = adapter_each(call, machine, get_adapter);
	json_decref(addresses);
	return ret;
}

static int get_of_host(struct call *call, const json_t *definition, const json_t *adapter)
{
	call_emit(call, hostadapter_object(definition, adapter));
	return 0;
}

static int get_adapters(struct call *call)
{
	int ret = 0;

	if (call_switch(call, "ManagementOS") || call_switch(call, "All"))
		ret = hostadapter_each(call, get_of_host);
	if (call_switch(call, "ManagementOS"))
		return ret;
	return machine_each(call, NULL, get_of_machine);
}

/* --- addresses --- */

/* 12 hexadecimal digits, or 6 pairs of them with - or : between; a unicast address. */
static bool parse_mac(const char *text, char mac[ADAPTER_MAC_SIZE])
{
	size_t digits = 0;

	for (const char *p = text; *p; p++) {
		if ((*p == '-' || *p == ':') && digits && digits % 2 == 0)
			continue;
		if (!isxdigit((unsigned char)*p) || digits == MAC_DIGITS)
			return false;
		mac[digits++] = (char)toupper((unsigned char)*p);
	}
	mac[digits] = 0;
	return digits == MAC_DIGITS && !strchr("13579BDF", mac[1]) &&
	       strspn(mac, "0") != MAC_DIGITS;
}

static int check_mac(struct call *call, char mac[ADAPTER_MAC_SIZE])
{
	const char *given = call_string(call, "StaticMacAddress");

	if (!given)
		return 0;
	if (call_switch(call, "DynamicMacAddress"))
		return call_error(call, ERROR_INVALID_PARAMETER, given,
				  "-StaticMacAddress and -DynamicMacAddress exclude each other.");
	if (parse_mac(given, mac))
		return 0;
	return call_error(
		call, ERROR_INVALID_PARAMETER, given,
		"'%s' is no MAC address for an adapter: it has 12 hexadecimal digits, and "
		"names one card.",
		given);
}

/* Two adapters with one address in one network get each other's frames, or none. */
static void warn_of_twin(struct call *call, const json_t *adapter, const char *mac)
{
	json_t *machines = store_list(call->shell->store, STORE_VMS, NULL, NULL), *machine, *other;
	const char *id = value_text_of(adapter, "Id");
	size_t i, k;

	json_array_foreach(machines, i, machine)
	{
		json_array_foreach(json_object_get(machine, "NetworkAdapters"), k, other)
		{
			const char *own = value_text_of(other, "MacAddress");

			if (own && !strcmp(own, mac) && strcmp(value_text_of(other, "Id"), id) != 0)
				call_warn(call,
					  "The network adapter \"%s\" of the virtual machine "
					  "\"%s\" has the address %s, too. On one switch only one "
					  "of them gets its frames.",
					  value_text_of(other, "Name"),
					  value_text_of(machine, "Name"), mac);
		}
	}
	json_decref(machines);
}

/* --- Set-VMNetworkAdapter --- */

static const char *const settings[] = {
	"MacAddressSpoofing",
	"MacAddressSpoofing",
	"DhcpGuard",
	"DhcpGuard",
	"RouterGuard",
	"RouterGuard",
	"AllowTeaming",
	"AllowTeaming",
	"IeeePriorityTag",
	"IeeePriorityTag",
	"DeviceNaming",
	"DeviceNaming",
	"PortMirroring",
	"PortMirroringMode",
	"MinimumBandwidthWeight",
	"MinimumBandwidthWeight",
	"MinimumBandwidthAbsolute",
	"MinimumBandwidthAbsolute",
	"MaximumBandwidth",
	"MaximumBandwidth",
	"StormLimit",
	"StormLimit",
	"VmqWeight",
	"VmqWeight",
	NULL,
};

static int set_mac(struct call *call, struct machine *machine, json_t *adapter)
{
	char mac[ADAPTER_MAC_SIZE] = "", fresh[ADAPTER_MAC_SIZE];
	bool dynamic = call_switch(call, "DynamicMacAddress");

	if (!dynamic && !call_has(call, "StaticMacAddress"))
		return 0;
	if (check_mac(call, mac))
		return -1;
	if (!machine_is_off(machine))
		return machine_state_error(call, machine, ADAPTER_DEFAULT_NAME);
	if (!dynamic)
		warn_of_twin(call, adapter, mac);
	if (dynamic && !json_is_true(json_object_get(adapter, "DynamicMacAddressEnabled"))) {
		adapter_free_mac(call->shell->store, fresh);
		json_object_set_new(adapter, "MacAddress", json_string(fresh));
	} else if (!dynamic) {
		json_object_set_new(adapter, "MacAddress", json_string(mac));
	}
	json_object_set_new(adapter, "DynamicMacAddressEnabled", json_boolean(dynamic));
	return 0;
}

/* Kept and shown, as scripts expect; what nothing acts on is said. */
static void warn_of_idle_settings(struct call *call)
{
	static const char *const idle[] = {
		"AllowTeaming",
		"DeviceNaming",
		"IeeePriorityTag",
		"MinimumBandwidthAbsolute",
		"MinimumBandwidthWeight",
		"StormLimit",
		"VmqWeight",
	};

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		const char *word = call_string(call, idle[i]);

		if (call_int(call, idle[i], 0) || (word && text_same(word, "On")))
			call_warn(call, "-%s is kept, but nothing acts on it in this version.",
				  idle[i]);
	}
}

static int set_adapter(struct call *call, struct machine *machine, json_t *adapter)
{
	if (set_mac(call, machine, adapter))
		return -1;
	call_copy(call, adapter, settings);
	if (port_apply(call, machine, adapter))
		return -1;
	return emit_changed(call, machine, adapter);
}

static int set_of_machine(struct call *call, struct machine *machine)
{
	return adapter_each(call, machine, set_adapter);
}

static int set_of_host(struct call *call, json_t *adapter_settings)
{
	call_copy(call, adapter_settings, settings);
	return 0;
}

static int set_host_adapters(struct call *call)
{
	if (hostadapter_change(call, set_of_host))
		return -1;
	return call_switch(call, "Passthru") ? hostadapter_each(call, get_of_host) : 0;
}

static int set_adapters(struct call *call)
{
	warn_of_idle_settings(call);
	if (call_switch(call, "ManagementOS"))
		return set_host_adapters(call);
	return machine_change(call, "VMNetworkAdapter", "configure the network adapters of",
			      set_of_machine);
}

/* --- Add-, Remove-, Rename-VMNetworkAdapter --- */

static int add_to_machine(struct call *call, struct machine *machine)
{
	json_t *adapters = machine_list(machine, "NetworkAdapters"), *adapter;
	const char *name = call_string(call, "Name");
	char mac[ADAPTER_MAC_SIZE] = "";

	if (check_mac(call, mac))
		return -1;
	if (!machine_is_off(machine))
		return machine_state_error(call, machine, ADAPTER_DEFAULT_NAME);
	if (json_array_size(adapters) >= ADAPTERS_MAX)
		return call_error(call, ERROR_STATE, machine->name,
				  "The virtual machine " MACHINE_TITLE
				  " has %d network adapters already; "
				  "there is no room for more.",
				  MACHINE_LABELS(machine), ADAPTERS_MAX);
	adapter = adapter_create(call->shell->store, name ? name : ADAPTER_DEFAULT_NAME);
	json_array_append_new(adapters, adapter);
	if (adapter_connect(call, adapter, call_string(call, "SwitchName")))
		return -1;
	call_copy(call, adapter, settings);
	if (call_switch(call, "IsLegacy"))
		json_object_set_new(adapter, "IsLegacy", json_true());
	if (*mac) {
		warn_of_twin(call, adapter, mac);
		json_object_set_new(adapter, "MacAddress", json_string(mac));
		json_object_set_new(adapter, "DynamicMacAddressEnabled", json_false());
	}
	return emit_changed(call, machine, adapter);
}

static int add_adapters(struct call *call)
{
	return machine_change(call, NULL, "add a network adapter to", add_to_machine);
}

static int remove_from_machine(struct call *call, struct machine *machine)
{
	json_t *adapters = machine_list(machine, "NetworkAdapters");
	bool hit = adapter_may_be_none(call);

	if (!machine_is_off(machine))
		return machine_state_error(call, machine, ADAPTER_DEFAULT_NAME);
	for (size_t i = json_array_size(adapters); i--;) {
		json_t *adapter = json_array_get(adapters, i);

		if (!adapter_is_selected(call, adapter))
			continue;
		hit = true;
		emit_changed(call, machine, adapter);
		port_forget(call->shell->store, value_text_of(adapter, "SwitchName"), adapter);
		json_array_remove(adapters, i);
	}
	return hit ? 0 : adapter_missing(call, machine);
}

static int remove_adapters(struct call *call)
{
	return machine_change(call, "VMNetworkAdapter", "remove network adapters from",
			      remove_from_machine);
}

static int rename_adapter(struct call *call, struct machine *machine, json_t *adapter)
{
	json_object_set_new(adapter, "Name", value_string(call_string(call, "NewName")));
	return emit_changed(call, machine, adapter);
}

static int rename_of_machine(struct call *call, struct machine *machine)
{
	return adapter_each(call, machine, rename_adapter);
}

static int rename_adapters(struct call *call)
{
	return machine_change(call, "VMNetworkAdapter", "rename network adapters of",
			      rename_of_machine);
}

/* --- Connect-, Disconnect-VMNetworkAdapter --- */

static const char *wanted_switch(const struct call *call)
{
	const json_t *object = call_value(call, "VMSwitch");

	return object ? value_text_of(object, "Name") : call_string(call, "SwitchName");
}

static int connect_adapter(struct call *call, struct machine *machine, json_t *adapter)
{
	const char *name = value_text_of(adapter, "SwitchName");
	char *old = text_copy(name ? name : "");
	int ret = adapter_connect(call, adapter, wanted_switch(call));
	bool stays = text_same(old, value_text_of(adapter, "SwitchName"));

	if (!ret && machine->process.state != PROCESS_OFF) /* a switch that ended starts anew */
		ret = port_move(call, machine, adapter);
	if (!ret && !stays)
		port_forget(call->shell->store, old, adapter);
	free(old);
	return ret ? ret : emit_changed(call, machine, adapter);
}

static int connect_of_machine(struct call *call, struct machine *machine)
{
	return adapter_each(call, machine, connect_adapter);
}

static int connect_adapters(struct call *call)
{
	return machine_change(call, "VMNetworkAdapter", "connect the network adapters of",
			      connect_of_machine);
}

static int disconnect_adapters(struct call *call)
{
	return machine_change(call, "VMNetworkAdapter", "disconnect the network adapters of",
			      connect_of_machine);
}

/* --- the table --- */

#define ON_OFF "On|Off"

#define PARAM_ADAPTER_NAME                                   \
	{                                                    \
		"Name", "VMNetworkAdapterName", PARAM_STRING \
	}
#define PARAM_SETTINGS                                                                       \
	{ "AllowTeaming", NULL, PARAM_ENUM, ON_OFF },                                        \
		{ "DeviceNaming", NULL, PARAM_ENUM, ON_OFF },                                \
		{ "DhcpGuard", NULL, PARAM_ENUM, ON_OFF },                                   \
		{ "IeeePriorityTag", NULL, PARAM_ENUM, ON_OFF },                             \
		{ "MacAddressSpoofing", NULL, PARAM_ENUM, ON_OFF },                          \
		{ "MaximumBandwidth", NULL, PARAM_INT, .min = 0, .max = INT64_MAX },         \
		{ "MinimumBandwidthAbsolute", NULL, PARAM_INT, .min = 0, .max = INT64_MAX }, \
		{ "MinimumBandwidthWeight", NULL, PARAM_INT, .min = 0, .max = 100 },         \
		{ "PortMirroring", NULL, PARAM_ENUM, "None|Destination|Source" },            \
		{ "RouterGuard", NULL, PARAM_ENUM, ON_OFF },                                 \
		{ "StormLimit", NULL, PARAM_INT, .min = 0, .max = UINT32_MAX },              \
	{                                                                                    \
		"VmqWeight", NULL, PARAM_INT, .min = 0, .max = 100                           \
	}

static const struct param get_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	{ "ManagementOS", NULL, PARAM_SWITCH, .sets = SET(2), .flags = REQUIRED },
	{ "All", NULL, PARAM_SWITCH, .sets = SET(3), .flags = REQUIRED },
	{ "Name", "VMNetworkAdapterName", PARAM_STRING, .position = POSITION(1) },
	{ "IsLegacy", NULL, PARAM_BOOL, .sets = SET(0) | SET(1) },
	{ "SwitchName", NULL, PARAM_STRING, .sets = SET(2) },
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_ADAPTER(2),
	{ "ManagementOS", NULL, PARAM_SWITCH, .sets = SET(3), .flags = REQUIRED },
	{ "Name", "VMNetworkAdapterName", PARAM_STRING, .sets = SET(0) | SET(1) | SET(3) },
	PARAM_SETTINGS,
	{ "DynamicMacAddress", NULL, PARAM_SWITCH, .sets = SET(0) | SET(1) | SET(2) },
	{ "StaticMacAddress", NULL, PARAM_STRING, .sets = SET(0) | SET(1) | SET(2) },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param add_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_ADAPTER_NAME,
	{ "SwitchName", NULL, PARAM_STRING },
	{ "DeviceNaming", NULL, PARAM_ENUM, ON_OFF },
	{ "DynamicMacAddress", NULL, PARAM_SWITCH },
	{ "IsLegacy", NULL, PARAM_BOOL },
	{ "StaticMacAddress", NULL, PARAM_STRING },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param remove_params[] = {
	PARAM_VMNAME,     PARAM_VM,
	PARAM_ADAPTER(2), { "Name", "VMNetworkAdapterName", PARAM_STRING, .sets = SET(0) | SET(1) },
	PARAM_PASSTHRU,   PARAM_END,
};

static const struct param rename_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_ADAPTER(2),
	{ "Name", "VMNetworkAdapterName", PARAM_STRING, .position = POSITION(1),
	  .sets = SET(0) | SET(1) },
	{ "NewName", NULL, PARAM_STRING, .position = POSITION(2), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param connect_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0) | SET(2),
	  .flags = REQUIRED | MANY },
	PARAM_ADAPTER(1),
	{ "SwitchName", NULL, PARAM_STRING, .position = POSITION(1), .sets = SET(0) | SET(1),
	  .flags = REQUIRED },
	{ "VMSwitch", NULL, PARAM_OBJECT, "VMSwitch", .position = POSITION(2), .sets = SET(2),
	  .flags = REQUIRED | BY_VALUE },
	{ "Name", "VMNetworkAdapterName", PARAM_STRING, .position = POSITION(1),
	  .sets = SET(0) | SET(2) },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param disconnect_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED | MANY },
	PARAM_ADAPTER(1),
	{ "Name", "VMNetworkAdapterName", PARAM_STRING, .position = POSITION(1), .sets = SET(0) },
	PARAM_PASSTHRU,
	PARAM_END,
};

#define CHANGES CMDLET_CHANGES | CMDLET_HOST

static const struct cmdlet cmdlets[] = {
	{ "Get-VMNetworkAdapter", NULL, "Gets network adapters.", get_params,
	  "VMName VMObject ManagementOS All", CMDLET_HOST, get_adapters },
	{ "Set-VMNetworkAdapter", NULL, "Configures network adapters.", set_params,
	  "VMName VMObject ResourceObject ManagementOS", CHANGES, set_adapters },
	{ "Add-VMNetworkAdapter", NULL, "Adds a network adapter to virtual machines.", add_params,
	  "VMName VMObject", CHANGES, add_adapters },
	{ "Remove-VMNetworkAdapter", NULL, "Removes network adapters from virtual machines.",
	  remove_params, "VMName VMObject ResourceObject", CHANGES, remove_adapters },
	{ "Rename-VMNetworkAdapter", NULL, "Renames network adapters.", rename_params,
	  "VMName VMObject ResourceObject", CHANGES, rename_adapters },
	{ "Connect-VMNetworkAdapter", NULL, "Connects network adapters to a virtual switch.",
	  connect_params, "Name_SwitchName Object_SwitchName Name_SwitchObject", CHANGES,
	  connect_adapters },
	{ "Disconnect-VMNetworkAdapter", NULL, "Takes network adapters off their switch.",
	  disconnect_params, "Name Obj", CHANGES, disconnect_adapters },
	{ NULL },
};

static const struct column columns[] = {
	{ "Name" },       { "IsManagementOs" }, { "VMName" },      { "SwitchName" },
	{ "MacAddress" }, { "Status" },         { "IPAddresses" }, { NULL },
};

static const struct view views[] = { { "VMNetworkAdapter", columns }, { NULL } };

const struct noun noun_adapter = { cmdlets, views };
