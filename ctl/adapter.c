/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network adapters of VMs: see ctl/adapter.h. What a frame may carry is a setting of the adapter
 * and changes at any time; its address and its existence change while the VM is off.
 */
#include "ctl/adapter.h"

#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MAC_DIGITS   12
#define MAC_SIZE     (MAC_DIGITS + 1)
#define ADAPTERS_MAX 8 /* as many as a machine has slots for */

/* --- the definition --- */

/* Hyper-V's pool begins with Microsoft's 00-15-5D. */
void adapter_random_mac(char mac[ADAPTER_MAC_SIZE])
{
	uint8_t b[3];

	while (getrandom(b, sizeof(b), 0) != sizeof(b))
		continue;
	snprintf(mac, ADAPTER_MAC_SIZE, "00155D%02X%02X%02X", b[0], b[1], b[2]);
}

json_t *adapter_create(const char *name)
{
	static const char *const off[] = { "MacAddressSpoofing", "DhcpGuard",    "RouterGuard",
					   "IeeePriorityTag",    "AllowTeaming", "DeviceNaming" };
	json_t *adapter = json_object();
	char id[STORE_ID_SIZE], mac[ADAPTER_MAC_SIZE];

	store_make_id(id);
	adapter_random_mac(mac);
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

/* 12 hexadecimal digits, or 6 pairs of them with - or : between; a unicast address. */
static bool parse_mac(const char *text, char mac[MAC_SIZE])
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

static int check_mac(struct call *call, char mac[MAC_SIZE])
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

/* --- the object --- */

json_t *adapter_object(struct machine *machine, const json_t *adapter)
{
	static const char *const copied[] = {
		"SwitchName",         "SwitchId",     "MacAddress",   "DynamicMacAddressEnabled",
		"MacAddressSpoofing", "DhcpGuard",    "RouterGuard",  "PortMirroringMode",
		"IeeePriorityTag",    "AllowTeaming", "DeviceNaming", "MinimumBandwidthWeight",
		"MaximumBandwidth",   "VmqWeight",    "StormLimit",   "IsLegacy",
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

static bool is_selected(const struct call *call, const json_t *adapter)
{
	return is_among(call_value(call, "VMNetworkAdapter"), adapter) &&
	       fits_name(call_value(call, "Name"), adapter);
}

static int no_such(struct call *call, const struct machine *machine)
{
	char *name = value_text(call_value(call, "Name"));
	int ret = call_error(call, ERROR_NOT_FOUND, name,
			     "Nidus was unable to find a network adapter with name \"%s\" in the "
			     "virtual machine " MACHINE_TITLE ".",
			     name, MACHINE_LABELS(machine));

	free(name);
	return ret;
}

/* Runs fn for the selected adapters of a VM; an exact name that fits none is an error. */
static int each_adapter(struct call *call, struct machine *machine,
			int (*fn)(struct call *, struct machine *, json_t *adapter))
{
	json_t *adapters = machine_list(machine, "NetworkAdapters"), *adapter;
	const char *name = call_string(call, "Name");
	bool hit = !name || value_is_pattern(name);
	size_t i;
	int ret = 0;

	json_array_foreach(adapters, i, adapter)
	{
		if (ret || !is_selected(call, adapter))
			continue;
		hit = true;
		ret = fn(call, machine, adapter);
	}
	return hit ? ret : no_such(call, machine);
}

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

	if (!call_has(call, "IsLegacy") || call_switch(call, "IsLegacy") == legacy)
		call_emit(call, adapter_object(machine, adapter));
	return 0;
}

static int get_of_machine(struct call *call, struct machine *machine)
{
	return each_adapter(call, machine, get_adapter);
}

static int get_adapters(struct call *call)
{
	if (call_switch(call, "ManagementOS") || call_switch(call, "All"))
		vmswitch_emit_host_adapters(call);
	if (call_switch(call, "ManagementOS"))
		return 0;
	return machine_each(call, NULL, get_of_machine);
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
	char mac[MAC_SIZE] = "", fresh[ADAPTER_MAC_SIZE];
	bool dynamic = call_switch(call, "DynamicMacAddress");

	if (!dynamic && !call_has(call, "StaticMacAddress"))
		return 0;
	if (check_mac(call, mac))
		return -1;
	if (!machine_is_off(machine))
		return machine_state_error(call, machine, ADAPTER_DEFAULT_NAME);
	if (dynamic && !json_is_true(json_object_get(adapter, "DynamicMacAddressEnabled"))) {
		adapter_random_mac(fresh);
		json_object_set_new(adapter, "MacAddress", json_string(fresh));
	} else if (!dynamic) {
		json_object_set_new(adapter, "MacAddress", json_string(mac));
	}
	json_object_set_new(adapter, "DynamicMacAddressEnabled", json_boolean(dynamic));
	return 0;
}

static int set_adapter(struct call *call, struct machine *machine, json_t *adapter)
{
	if (set_mac(call, machine, adapter))
		return -1;
	call_copy(call, adapter, settings);
	return emit_changed(call, machine, adapter);
}

static int set_of_machine(struct call *call, struct machine *machine)
{
	return each_adapter(call, machine, set_adapter);
}

static int set_adapters(struct call *call)
{
	if (call_switch(call, "ManagementOS"))
		return call_error(call, ERROR_NOT_YET, "",
				  "Settings of this host's own adapters are not available yet.");
	return machine_change(call, "VMNetworkAdapter", "configure the network adapters of",
			      set_of_machine);
}

/* --- Add-, Remove-, Rename-VMNetworkAdapter --- */

static int add_to_machine(struct call *call, struct machine *machine)
{
	json_t *adapters = machine_list(machine, "NetworkAdapters"), *adapter;
	const char *name = call_string(call, "Name");
	char mac[MAC_SIZE] = "";

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
	adapter = adapter_create(name ? name : ADAPTER_DEFAULT_NAME);
	json_array_append_new(adapters, adapter);
	if (adapter_connect(call, adapter, call_string(call, "SwitchName")))
		return -1;
	call_copy(call, adapter, settings);
	if (call_switch(call, "IsLegacy"))
		json_object_set_new(adapter, "IsLegacy", json_true());
	if (*mac) {
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
	const char *name = call_string(call, "Name");
	bool hit = !name || value_is_pattern(name);

	if (!machine_is_off(machine))
		return machine_state_error(call, machine, ADAPTER_DEFAULT_NAME);
	for (size_t i = json_array_size(adapters); i--;) {
		json_t *adapter = json_array_get(adapters, i);

		if (!is_selected(call, adapter))
			continue;
		hit = true;
		emit_changed(call, machine, adapter);
		json_array_remove(adapters, i);
	}
	return hit ? 0 : no_such(call, machine);
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
	return each_adapter(call, machine, rename_adapter);
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
	if (adapter_connect(call, adapter, wanted_switch(call)))
		return -1;
	return emit_changed(call, machine, adapter);
}

static int connect_of_machine(struct call *call, struct machine *machine)
{
	return each_adapter(call, machine, connect_adapter);
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

#define PARAM_ADAPTER(set)                                                  \
	{                                                                   \
		"VMNetworkAdapter", NULL, PARAM_OBJECT, "VMNetworkAdapter", \
			.position = POSITION(0), .sets = SET(set),          \
			.flags = REQUIRED | MANY | BY_VALUE                 \
	}
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
