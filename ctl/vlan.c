/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Get-VMNetworkAdapterVlan, Set-VMNetworkAdapterVlan: see ctl/vlan.h. An adapter in access mode
 * sends and gets frames without a tag that belong to one VLAN; in trunk mode it sees tags. Private
 * VLANs there are none.
 */
#include "ctl/vlan.h"

#include "ctl/adapter.h"
#include "ctl/hostadapter.h"
#include "ctl/nouns.h"
#include "ctl/port.h"
#include "ctl/text.h"

#include <stdlib.h>

#define VLAN_SETTING "VlanSetting"

/* --- the definition --- */

static json_t *new_setting(const char *mode, int64_t access, int64_t native, const char *allowed)
{
	return json_pack("{ss sI sI ss}", "OperationMode", mode, "AccessVlanId", (json_int_t)access,
			 "NativeVlanId", (json_int_t)native, "AllowedVlanIdList", allowed);
}

json_t *vlan_of(const json_t *adapter)
{
	json_t *setting = json_object_get(adapter, VLAN_SETTING);

	return setting ? json_incref(setting) : new_setting("Untagged", 0, 0, "");
}

/* --- lists of VLANs --- */

/* One bit for each VLAN. */
struct vlans {
	uint64_t bit[VLAN_ID_MAX / 64 + 1];
};

static bool has(const struct vlans *vlans, unsigned id)
{
	return id <= VLAN_ID_MAX && (vlans->bit[id / 64] & BIT(id % 64));
}

/* A number from 1 to 4094 at *text, which moves behind it; 0 where there is none. */
static unsigned parse_id(const char **text)
{
	unsigned id = 0, digits = 0;

	for (; **text >= '0' && **text <= '9' && digits < 5; ++*text, digits++)
		id = id * 10 + (unsigned)(**text - '0');
	return id <= VLAN_ID_MAX ? id : 0;
}

/* "1-100, 200 300" */
static bool parse_list(const char *text, struct vlans *vlans)
{
	bool any = false;

	*vlans = (struct vlans){ { 0 } };
	while (*(text += strspn(text, ", "))) {
		unsigned first = parse_id(&text), last = first;

		if (first && *text == '-') {
			text++;
			last = parse_id(&text);
		}
		if (!first || last < first || !strchr(", ", *text))
			return false;
		for (unsigned id = first; id <= last; id++)
			vlans->bit[id / 64] |= BIT(id % 64);
		any = true;
	}
	return any;
}

/* For free(). */
static char *format_list(const struct vlans *vlans)
{
	struct text text = { 0 };

	for (unsigned id = 1, last; id <= VLAN_ID_MAX; id = last + 1) {
		last = id;
		if (!has(vlans, id))
			continue;
		while (has(vlans, last + 1))
			last++;
		text_addf(&text, text.len ? ",%u" : "%u", id);
		if (last > id)
			text_addf(&text, "-%u", last);
	}
	return text_take(&text);
}

/* As an array of numbers. */
static json_t *list_numbers(const char *list)
{
	json_t *numbers = json_array();
	struct vlans vlans;

	if (!parse_list(list, &vlans))
		return numbers;
	for (unsigned id = 1; id <= VLAN_ID_MAX; id++) {
		if (has(&vlans, id))
			json_array_append_new(numbers, json_integer(id));
	}
	return numbers;
}

/* --- the object --- */

/* The column of the table: nothing, the VLAN, or the native one and those allowed. */
static json_t *short_list(const json_t *setting)
{
	const char *mode = value_text_of(setting, "OperationMode");
	const char *allowed = value_text_of(setting, "AllowedVlanIdList");

	if (text_same(mode, "Access"))
		return json_incref(json_object_get(setting, "AccessVlanId"));
	if (text_same(mode, "Trunk"))
		return value_format(
			"%lld,%s",
			(long long)json_integer_value(json_object_get(setting, "NativeVlanId")),
			allowed);
	return json_string("");
}

json_t *vlan_object(const char *vm_name, const json_t *adapter)
{
	static const char *const copied[] = { "OperationMode", "AccessVlanId", "NativeVlanId" };
	json_t *object = value_object("VMNetworkAdapterVlanSetting"), *setting = vlan_of(adapter);
	const char *allowed = value_text_of(setting, "AllowedVlanIdList");

	json_object_set_new(object, "VMName", json_string(vm_name));
	json_object_set(object, "VMNetworkAdapterName", json_object_get(adapter, "Name"));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		json_object_set(object, copied[i], json_object_get(setting, copied[i]));
	json_object_set_new(object, "AllowedVlanIdList", list_numbers(allowed));
	json_object_set_new(object, "AllowedVlanIdListString", json_string(allowed));
	json_object_set_new(object, "VlanList", short_list(setting));
	json_object_set_new(object, "ComputerName", machine_host());
	json_decref(setting);
	return object;
}

/* --- Get-VMNetworkAdapterVlan --- */

static int get_vlan(struct call *call, struct machine *machine, json_t *adapter)
{
	call_emit(call, vlan_object(machine->name, adapter));
	return 0;
}

static int get_of_machine(struct call *call, struct machine *machine)
{
	return adapter_each(call, machine, get_vlan);
}

static int get_of_host(struct call *call, const json_t *definition, const json_t *adapter)
{
	(void)definition;
	call_emit(call, vlan_object("", adapter));
	return 0;
}

static int get_vlans(struct call *call)
{
	if (call_switch(call, "ManagementOS"))
		return hostadapter_each(call, get_of_host);
	return machine_each(call, "VMNetworkAdapter", get_of_machine);
}

/* --- Set-VMNetworkAdapterVlan --- */

static int bad(struct call *call, const char *text)
{
	return call_error(call, ERROR_INVALID_PARAMETER, call->cmdlet->name, "%s", text);
}

static json_t *wanted_access(struct call *call)
{
	if (call_has(call, "VlanId"))
		return new_setting("Access", call_int(call, "VlanId", 0), 0, "");
	bad(call, "-Access needs -VlanId, the VLAN that the adapter belongs to.");
	return NULL;
}

static json_t *wanted_trunk(struct call *call)
{
	const char *list = call_string(call, "AllowedVlanIdList");
	struct vlans vlans;
	json_t *setting;
	char *tidy;

	if (!list || !call_has(call, "NativeVlanId")) {
		bad(call, "-Trunk needs -AllowedVlanIdList, such as \"1-100,200\", and "
			  "-NativeVlanId, the VLAN of frames without a tag (0: none).");
		return NULL;
	}
	if (!parse_list(list, &vlans)) {
		call_error(call, ERROR_INVALID_PARAMETER, list,
			   "'%s' is no list of VLANs such as \"1-100,200\", from 1 to %d.", list,
			   VLAN_ID_MAX);
		return NULL;
	}
	tidy = format_list(&vlans);
	setting = new_setting("Trunk", 0, call_int(call, "NativeVlanId", 0), tidy);
	free(tidy);
	return setting;
}

json_t *vlan_wanted(struct call *call)
{
	bool access = call_switch(call, "Access"), trunk = call_switch(call, "Trunk");

	if (access + trunk + call_switch(call, "Untagged") != 1) {
		bad(call, "One of -Access, -Trunk and -Untagged says what the adapter's VLAN is.");
		return NULL;
	}
	if (!access && call_has(call, "VlanId")) {
		bad(call, "-VlanId goes with -Access.");
		return NULL;
	}
	if (!trunk && (call_has(call, "AllowedVlanIdList") || call_has(call, "NativeVlanId"))) {
		bad(call, "-AllowedVlanIdList and -NativeVlanId go with -Trunk.");
		return NULL;
	}
	if (access)
		return wanted_access(call);
	return trunk ? wanted_trunk(call) : new_setting("Untagged", 0, 0, "");
}

static int set_vlan(struct call *call, struct machine *machine, json_t *adapter)
{
	json_object_set(adapter, VLAN_SETTING, call->private);
	if (port_apply(call, machine, adapter))
		return -1;
	if (call_switch(call, "Passthru"))
		call_emit(call, vlan_object(machine->name, adapter));
	return 0;
}

static int set_of_machine(struct call *call, struct machine *machine)
{
	return adapter_each(call, machine, set_vlan);
}

static int set_of_host(struct call *call, json_t *settings)
{
	return json_object_set(settings, VLAN_SETTING, call->private);
}

static int set_host_vlans(struct call *call)
{
	if (hostadapter_change(call, set_of_host))
		return -1;
	return call_switch(call, "Passthru") ? hostadapter_each(call, get_of_host) : 0;
}

static int set_vlans(struct call *call)
{
	json_t *wanted = vlan_wanted(call);
	int ret;

	if (!wanted)
		return -1;
	call->private = wanted;
	ret = call_switch(call, "ManagementOS")
		      ? set_host_vlans(call)
		      : machine_change(call, "VMNetworkAdapter",
				       "configure the network adapters of", set_of_machine);
	json_decref(wanted);
	return ret;
}

/* --- the table --- */

static const struct param get_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY | BY_VALUE },
	PARAM_VM,
	PARAM_ADAPTER(2),
	{ "ManagementOS", NULL, PARAM_SWITCH, .sets = SET(3), .flags = REQUIRED },
	{ "VMNetworkAdapterName", NULL, PARAM_STRING, .sets = SET(0) | SET(1) | SET(3) },
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_ADAPTER(2),
	{ "ManagementOS", NULL, PARAM_SWITCH, .sets = SET(3), .flags = REQUIRED },
	{ "VMNetworkAdapterName", NULL, PARAM_STRING, .sets = SET(0) | SET(1) | SET(3) },
	{ "Access", "a", PARAM_SWITCH },
	{ "AllowedVlanIdList", NULL, PARAM_STRING },
	{ "NativeVlanId", NULL, PARAM_INT, .min = 0, .max = VLAN_ID_MAX },
	{ "Trunk", "t", PARAM_SWITCH },
	{ "Untagged", "u", PARAM_SWITCH },
	{ "VlanId", "AccessVlanId", PARAM_INT, .min = 1, .max = VLAN_ID_MAX },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMNetworkAdapterVlan", NULL, "Gets the VLANs of network adapters.", get_params,
	  "VMName VMObject ResourceObject ManagementOS", CMDLET_HOST, get_vlans },
	{ "Set-VMNetworkAdapterVlan", NULL, "Configures the VLANs of network adapters.", set_params,
	  "VMName VMObject ResourceObject ManagementOS", CMDLET_CHANGES | CMDLET_HOST, set_vlans },
	{ NULL },
};

static const struct column columns[] = {
	{ "VMName" }, { "VMNetworkAdapterName" }, { "Mode", "OperationMode" }, { "VlanList" },
	{ NULL },
};

static const struct view views[] = { { "VMNetworkAdapterVlanSetting", columns }, { NULL } };

const struct noun noun_vlan = { cmdlets, views };
