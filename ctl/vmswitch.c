/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New-VMSwitch, Get-VMSwitch, Set-VMSwitch, Rename-VMSwitch, Remove-VMSwitch: see ctl/vmswitch.h.
 */
#include "ctl/vmswitch.h"

#include "ctl/adapter.h"
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <net/if.h>
#include <stdlib.h>

#define DEFAULT_ID     "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444"
#define FIRST_IF_INDEX 1000 /* of host adapters: far above those that the kernel numbers */
#define NAME_MAX_BYTES 100

/* --- finding --- */

static json_t *default_switch(void)
{
	return json_pack("{ssssssssss}", "Id", DEFAULT_ID, "Name", VMSWITCH_DEFAULT, "SwitchType",
			 "Internal", "Notes",
			 "A network of its own for each virtual machine, with DHCP and a way out.",
			 "NetAdapterInterfaceDescription", "");
}

static void complain(void *self, const char *text)
{
	call_error(self, ERROR_FAILED, "", "Definitions of virtual switches are left out: %s",
		   text);
}

json_t *vmswitch_find(struct store *store, const char *name)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition, *hit = NULL;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		if (!hit && text_same(value_text_of(definition, "Name"), name))
			hit = json_incref(definition);
	}
	json_decref(all);
	return hit;
}

char *vmswitch_spelling(struct store *store, const char *name)
{
	json_t *definition = vmswitch_find(store, name);
	char *spelling = NULL;

	if (definition)
		spelling = text_copy(value_text_of(definition, "Name"));
	else if (text_same(name, VMSWITCH_DEFAULT))
		spelling = text_copy(VMSWITCH_DEFAULT);
	json_decref(definition);
	return spelling;
}

bool vmswitch_exists(struct store *store, const char *name)
{
	char *spelling = vmswitch_spelling(store, name);

	free(spelling);
	return spelling != NULL;
}

bool vmswitch_has_host_adapter(const json_t *definition)
{
	const char *type = value_text_of(definition, "SwitchType");

	return type && (text_same(type, "Internal") ||
			(text_same(type, "External") &&
			 json_is_true(json_object_get(definition, "AllowManagementOS"))));
}

/* --- objects --- */

static json_t *switch_object(const json_t *definition)
{
	static const char *const copied[] = {
		"Name",           "Id",    "SwitchType",        "NetAdapterInterfaceDescription",
		"NetAdapterName", "Notes", "AllowManagementOS", "BandwidthReservationMode",
	};
	json_t *object = value_object("VMSwitch");

	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *value = json_object_get(definition, copied[i]);

		if (value)
			json_object_set(object, copied[i], value);
	}
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

void vmswitch_emit_host_adapters(struct call *call)
{
	const char *only = call_string(call, "SwitchName");
	json_t *all = store_list(call->shell->store, STORE_SWITCHES, complain, call), *definition;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		const char *name = value_text_of(definition, "Name");
		json_t *object;

		if (!vmswitch_has_host_adapter(definition) || (only && !value_like(name, only)))
			continue;
		object = value_object("VMInternalNetworkAdapter");
		json_object_set_new(object, "Name", json_string(name));
		json_object_set_new(object, "IsManagementOs", json_true());
		json_object_set_new(object, "VMName", json_string(""));
		json_object_set_new(object, "SwitchName", json_string(name));
		json_object_set(object, "MacAddress", json_object_get(definition, "MacAddress"));
		json_object_set_new(object, "Status", json_pack("[s]", "Ok"));
		json_object_set_new(object, "IPAddresses", json_array());
		call_emit(call, object);
	}
	json_decref(all);
}

/* --- which switches --- */

/* The definitions that the arguments select. Names that fit nothing are errors. */
static json_t *select_switches(struct call *call)
{
	json_t *all = store_list(call->shell->store, STORE_SWITCHES, complain, call);
	json_t *wanted = call_value(call, "VMSwitch"), *names, *name, *definition;
	json_t *chosen = json_array();
	size_t i, k;

	json_array_insert_new(all, 0, default_switch());
	names = value_array(wanted                   ? wanted
			    : call_has(call, "Name") ? call_value(call, "Name")
						     : json_null());
	if (!wanted && !call_has(call, "Name")) {
		json_decref(names);
		json_decref(chosen);
		return all;
	}
	json_array_foreach(names, i, name)
	{
		const char *text =
			json_is_object(name) ? value_text_of(name, "Id") : json_string_value(name);
		bool hit = false;

		json_array_foreach(all, k, definition)
		{
			const char *own =
				value_text_of(definition, json_is_object(name) ? "Id" : "Name");

			if (!text || (!text_same(own, text) && !value_like(own, text)))
				continue;
			json_array_append(chosen, definition);
			hit = true;
		}
		if (!hit && text && !value_is_pattern(text))
			call_error(call, ERROR_NOT_FOUND, text,
				   "Nidus was unable to find a virtual switch with name \"%s\".",
				   text);
	}
	json_decref(names);
	json_decref(all);
	return chosen;
}

static bool is_default(const json_t *definition)
{
	return !strcmp(value_text_of(definition, "Id"), DEFAULT_ID);
}

static int get_switches(struct call *call)
{
	json_t *chosen = select_switches(call), *types = call_value(call, "SwitchType"),
	       *definition;
	const char *id = call_string(call, "Id");
	size_t i, k;

	json_array_foreach(chosen, i, definition)
	{
		bool fits = !types;
		json_t *type;

		json_array_foreach(types, k, type) fits |=
			text_same(json_string_value(type), value_text_of(definition, "SwitchType"));
		if (id && !text_same(id, value_text_of(definition, "Id")))
			fits = false;
		if (fits)
			call_emit(call, switch_object(definition));
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- New-VMSwitch --- */

static int check_name(struct call *call, const char *name)
{
	if (!*name || strlen(name) > NAME_MAX_BYTES || strpbrk(name, "*?[/"))
		return call_error(
			call, ERROR_INVALID_PARAMETER, name,
			"The name \"%s\" cannot be a virtual switch's: it has 1 to %d bytes "
			"without wildcards and slashes.",
			name, NAME_MAX_BYTES);
	if (vmswitch_exists(call->shell->store, name))
		return call_error(call, ERROR_EXISTS, name,
				  "There is a virtual switch with the name \"%s\" already.", name);
	return 0;
}

/* Numbers of host adapters are like those of the kernel: nobody else's, and they stay. */
static json_int_t free_index(struct store *store)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition;
	json_int_t highest = FIRST_IF_INDEX;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		json_int_t used = json_integer_value(json_object_get(definition, "InterfaceIndex"));

		highest = MAX(highest, used);
	}
	json_decref(all);
	return highest + 1;
}

/* The physical adapter of an external switch, by either of its names. */
static const char *wanted_adapter(const struct call *call)
{
	static const char *const names[] = { "NetAdapterName", "NetAdapterInterfaceDescription" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const json_t *list = call_value(call, names[i]);

		if (list)
			return json_string_value(json_array_get(list, 0));
	}
	return NULL;
}

static json_t *new_definition(struct call *call, const char *name, const char *adapter)
{
	const char *type = call_string(call, "SwitchType"), *notes = call_string(call, "Notes");
	bool management =
		!call_has(call, "AllowManagementOS") || call_switch(call, "AllowManagementOS");
	json_t *definition = json_object();
	char id[STORE_ID_SIZE], mac[ADAPTER_MAC_SIZE];

	store_make_id(id);
	adapter_free_mac(call->shell->store, mac);
	json_object_set_new(definition, "Id", json_string(id));
	json_object_set_new(definition, "Name", value_string(name));
	json_object_set_new(definition, "SwitchType", json_string(type ? type : "External"));
	json_object_set_new(definition, "NetAdapterInterfaceDescription",
			    value_string(adapter ? adapter : ""));
	json_object_set_new(definition, "NetAdapterName", value_string(adapter ? adapter : ""));
	json_object_set_new(definition, "AllowManagementOS",
			    json_boolean(type ? text_same(type, "Internal") : management));
	json_object_set_new(definition, "Notes", value_string(notes ? notes : ""));
	if (vmswitch_has_host_adapter(definition)) {
		json_object_set_new(definition, "MacAddress", json_string(mac));
		json_object_set_new(definition, "InterfaceIndex",
				    json_integer(free_index(call->shell->store)));
		json_object_set_new(definition, "IPAddresses", json_array());
	}
	return definition;
}

static int create_locked(struct call *call, const char *name, const char *adapter)
{
	struct error err = { "" };
	json_t *definition;
	int ret = check_name(call, name);

	if (ret)
		return ret;
	definition = new_definition(call, name, adapter);
	if (store_put(call->shell->store, STORE_SWITCHES, value_text_of(definition, "Id"),
		      definition, &err))
		ret = call_error(call, ERROR_FAILED, name, "%s", err.text);
	else
		call_emit(call, switch_object(definition));
	json_decref(definition);
	return ret;
}

static int new_switch(struct call *call)
{
	const char *name = call_string(call, "Name"), *adapter = wanted_adapter(call);
	struct error err = { "" };
	int ret;

	if (adapter && !if_nametoindex(adapter))
		return call_error(call, ERROR_NOT_FOUND, adapter,
				  "There is no network adapter with the name \"%s\" on this host. "
				  "Get-NetAdapter lists those there are.",
				  adapter);
	if (!call_should(call, "create the virtual switch \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = create_locked(call, name, adapter);
	store_unlock(call->shell->store);
	return ret;
}

/* --- Set-, Rename-, Remove-VMSwitch --- */

/* Adapters refer to their switch by its name. */
static int rename_in_machine(struct store *store, const json_t *definition, const char *old,
			     const char *name, struct error *err)
{
	json_t *copy = json_deep_copy(definition), *adapter;
	bool changed = false;
	size_t i;
	int ret = 0;

	json_array_foreach(json_object_get(copy, "NetworkAdapters"), i, adapter)
	{
		const char *switch_name = value_text_of(adapter, "SwitchName");

		if (!switch_name || !text_same(switch_name, old))
			continue;
		json_object_set_new(adapter, "SwitchName", value_string(name));
		changed = true;
	}
	if (changed)
		ret = store_put(store, STORE_VMS, value_text_of(copy, "Id"), copy, err);
	json_decref(copy);
	return ret;
}

static int rename_in_machines(struct call *call, const char *old, const char *name)
{
	json_t *all = store_list(call->shell->store, STORE_VMS, NULL, NULL), *definition;
	struct error err = { "" };
	size_t i;
	int ret = 0;

	json_array_foreach(all, i, definition)
	{
		if (rename_in_machine(call->shell->store, definition, old, name, &err))
			ret = call_error(call, ERROR_FAILED, old, "%s", err.text);
	}
	json_decref(all);
	return ret;
}

static int apply_settings(struct call *call, json_t *definition)
{
	static const char *const pairs[] = { "Notes", "Notes", "AllowManagementOS",
					     "AllowManagementOS", NULL };
	const char *new_name = call_string(call, "NewName");
	char *old = text_copy(value_text_of(definition, "Name"));
	int ret = 0;

	call_copy(call, definition, pairs);
	if (new_name) {
		ret = text_same(old, new_name) ? 0 : check_name(call, new_name);
		json_object_set_new(definition, "Name", value_string(new_name));
		ret = ret ? ret : rename_in_machines(call, old, new_name);
	}
	free(old);
	return ret;
}

static int change_locked(struct call *call, const char *id)
{
	struct error err = { "" };
	json_t *definition = store_get(call->shell->store, STORE_SWITCHES, id, &err);
	int ret;

	if (!definition)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	ret = apply_settings(call, definition);
	if (!ret && store_put(call->shell->store, STORE_SWITCHES, id, definition, &err))
		ret = call_error(call, ERROR_FAILED, id, "%s", err.text);
	if (!ret && call_switch(call, "Passthru"))
		call_emit(call, switch_object(definition));
	json_decref(definition);
	return ret;
}

/* A VM that runs and is plugged into the switch keeps it. */
static const char *running_user(struct store *store, const json_t *machines, const char *name)
{
	json_t *definition, *adapter;
	struct process process;
	size_t i, k;

	json_array_foreach(machines, i, definition)
	{
		json_array_foreach(json_object_get(definition, "NetworkAdapters"), k, adapter)
		{
			const char *switch_name = value_text_of(adapter, "SwitchName");

			if (!switch_name || !text_same(switch_name, name))
				continue;
			process_query(store, value_text_of(definition, "Id"), &process);
			if (process.state != PROCESS_OFF)
				return value_text_of(definition, "Name");
		}
	}
	return NULL;
}

static int remove_locked(struct call *call, const char *id, const char *name)
{
	struct store *store = call->shell->store;
	json_t *machines = store_list(store, STORE_VMS, NULL, NULL);
	const char *user = running_user(store, machines, name);
	struct error err = { "" };
	int ret = 0;

	if (user)
		ret = call_error(call, ERROR_STATE, name,
				 "The virtual switch \"%s\" is used by the running virtual machine "
				 "\"%s\" and cannot be removed.",
				 name, user);
	else if (store_delete(store, STORE_SWITCHES, id, &err))
		ret = call_error(call, ERROR_FAILED, name, "%s", err.text);
	else
		ret = rename_in_machines(call, name, "");
	json_decref(machines);
	return ret;
}

static int change_one(struct call *call, const json_t *seen, bool removes)
{
	const char *id = value_text_of(seen, "Id"), *name = value_text_of(seen, "Name");
	struct error err = { "" };
	int ret;

	if (is_default(seen))
		return call_error(
			call, ERROR_STATE, name,
			"The virtual switch \"%s\" belongs to the system and does not change.",
			name);
	if (!call_should(call, "%s the virtual switch \"%s\".", removes ? "remove" : "modify",
			 name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = removes ? remove_locked(call, id, name) : change_locked(call, id);
	store_unlock(call->shell->store);
	return ret;
}

static int change_all(struct call *call, bool removes)
{
	json_t *chosen = select_switches(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition)
	{
		if (!call->stopped)
			change_one(call, definition, removes);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

static int set_switch(struct call *call)
{
	return change_all(call, false);
}

static int remove_switch(struct call *call)
{
	return change_all(call, true);
}

/* --- the table --- */

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

static const struct param new_params[] = {
	{ "Name", "SwitchName", PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "NetAdapterName", "InterfaceAlias", PARAM_STRING, .sets = SET(0),
	  .flags = REQUIRED | MANY | BY_NAME },
	{ "NetAdapterInterfaceDescription", "InterfaceDescription", PARAM_STRING, .sets = SET(1),
	  .flags = REQUIRED | MANY | BY_NAME },
	{ "SwitchType", NULL, PARAM_ENUM, "Internal|Private", .sets = SET(2), .flags = REQUIRED },
	{ "AllowManagementOS", NULL, PARAM_BOOL, .sets = SET(0) | SET(1) },
	{ "EnableEmbeddedTeaming", NULL, PARAM_BOOL },
	{ "EnableIov", NULL, PARAM_BOOL },
	{ "EnablePacketDirect", NULL, PARAM_BOOL },
	{ "MinimumBandwidthMode", NULL, PARAM_ENUM, "Default|Weight|Absolute|None" },
	{ "Notes", NULL, PARAM_STRING },
	PARAM_END,
};

static const struct param get_params[] = {
	{ "Name", "SwitchName", PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY },
	{ "Id", "SwitchId", PARAM_STRING, .position = POSITION(0), .sets = SET(1),
	  .flags = BY_VALUE | BY_NAME },
	{ "SwitchType", NULL, PARAM_ENUM, "Private|Internal|External", .flags = MANY },
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_NAME_SWITCH,
	PARAM_SWITCH_OBJECT,
	{ "AllowManagementOS", NULL, PARAM_BOOL },
	{ "Notes", NULL, PARAM_STRING },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param rename_params[] = {
	PARAM_NAME_SWITCH,
	PARAM_SWITCH_OBJECT,
	{ "NewName", NULL, PARAM_STRING, .position = POSITION(2), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param remove_params[] = {
	PARAM_NAME_SWITCH,
	PARAM_SWITCH_OBJECT,
	{ "Force", NULL, PARAM_SWITCH },
	PARAM_END,
};

#define CHANGES CMDLET_CHANGES | CMDLET_HOST

static const struct cmdlet cmdlets[] = {
	{ "New-VMSwitch", NULL, "Creates a virtual switch.", new_params,
	  "NetAdapterName NetAdapterInterfaceDescription SwitchType", CHANGES, new_switch },
	{ "Get-VMSwitch", NULL, "Gets virtual switches.", get_params, "Name Id", CMDLET_HOST,
	  get_switches },
	{ "Set-VMSwitch", NULL, "Configures virtual switches.", set_params,
	  "SwitchName SwitchObject", CHANGES, set_switch },
	{ "Rename-VMSwitch", NULL, "Renames a virtual switch.", rename_params,
	  "SwitchName SwitchObject", CHANGES, set_switch },
	{ "Remove-VMSwitch", NULL, "Deletes virtual switches.", remove_params, "Name SwitchObject",
	  CHANGES | CMDLET_ASKS, remove_switch },
	{ NULL },
};

static const struct column columns[] = {
	{ "Name" }, { "SwitchType" }, { "NetAdapterInterfaceDescription" }, { NULL }
};

static const struct column host_columns[] = {
	{ "Name" },       { "IsManagementOs" }, { "VMName" },      { "SwitchName" },
	{ "MacAddress" }, { "Status" },         { "IPAddresses" }, { NULL },
};

static const struct view views[] = {
	{ "VMSwitch", columns },
	{ "VMInternalNetworkAdapter", host_columns },
	{ NULL },
};

const struct noun noun_switch = { cmdlets, views };
