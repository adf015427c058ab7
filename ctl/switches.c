/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New-VMSwitch, Get-VMSwitch, Set-VMSwitch, Rename-VMSwitch, Remove-VMSwitch. Adapters refer to
 * their switch by its name, which a rename changes in them.
 */
#include "ctl/adapter.h"
#include "ctl/hostadapter.h"
#include "ctl/machine.h"
#include "ctl/netadapter.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/switchhost.h"
#include "ctl/switchprocess.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_IF_INDEX 1000 /* of host adapters: far above those that the kernel numbers */
#define NAME_MAX_BYTES 100

/* --- Get-VMSwitch --- */

static int get_switches(struct call *call)
{
	json_t *chosen = vmswitch_select(call), *types = call_value(call, "SwitchType"),
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
			call_emit(call, vmswitch_object(definition));
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- definitions --- */

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

/* The host's end comes and goes with the kind of switch, and keeps its address as long as it lasts.
 */
static void fit_host_adapter(struct call *call, json_t *definition)
{
	static const char *const members[] = { "MacAddress", "InterfaceIndex", "IPAddresses",
					       "DnsServers", HOSTADAPTER_SETTINGS };
	char mac[ADAPTER_MAC_SIZE];

	if (!vmswitch_has_host_adapter(definition)) {
		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			json_object_del(definition, members[i]);
		return;
	}
	if (json_object_get(definition, "InterfaceIndex"))
		return;
	adapter_free_mac(call->shell->store, mac);
	json_object_set_new(definition, "MacAddress", json_string(mac));
	json_object_set_new(definition, "InterfaceIndex",
			    json_integer(free_index(call->shell->store)));
	json_object_set_new(definition, "IPAddresses", json_array());
}

/* device: the kernel's name of an external switch's card, NULL for the other types. */
static void set_type(struct call *call, json_t *definition, const char *type, const char *device)
{
	bool was_off = json_is_false(json_object_get(definition, "AllowManagementOS")) &&
		       text_same(value_text_of(definition, "SwitchType"), "External");
	bool management = call_has(call, "AllowManagementOS")
				  ? call_switch(call, "AllowManagementOS")
				  : !was_off;

	json_object_set_new(definition, "SwitchType", json_string(type));
	json_object_set_new(definition, "NetAdapterInterfaceDescription",
			    value_string(device ? device : ""));
	json_object_set_new(definition, "NetAdapterName", value_string(device ? device : ""));
	json_object_set_new(definition, "AllowManagementOS",
			    json_boolean(device ? management : text_same(type, "Internal")));
	fit_host_adapter(call, definition);
}

/* --- the card of an external switch --- */

static const char *const card_names[] = { "NetAdapterName", "NetAdapterInterfaceDescription" };

static int check_cards(struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(card_names); i++) {
		if (json_array_size(call_value(call, card_names[i])) > 1)
			return call_error(call, ERROR_INVALID_PARAMETER, card_names[i],
					  "A virtual switch has one network adapter. A team of "
					  "several is made by the host, and is one.");
	}
	return 0;
}

/* Either of its names; NULL: none is given. */
static const char *wanted_card(const struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(card_names); i++) {
		const json_t *given = call_value(call, card_names[i]);

		if (given)
			return json_string_value(json_is_array(given) ? json_array_get(given, 0)
								      : given);
	}
	return NULL;
}

static int check_right(struct call *call, const char *device)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), ret = fd < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (!ret)
		return 0;
	return call_error(call, ERROR_DENIED, device,
			  "An external switch sends and gets frames on the network adapter \"%s\" "
			  "itself, which takes the right to do so (CAP_NET_RAW, which root has): "
			  "%s. -SwitchType Internal with New-NetNat needs no right.",
			  device, strerror(-ret));
}

/* Another switch with that card; for free(), NULL where there is none. */
static char *other_user(struct store *store, const char *device, const char *own_id)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition;
	char *user = NULL;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		const char *card = value_text_of(definition, "NetAdapterName");

		if (!user && card && !strcmp(card, device) &&
		    strcmp(value_text_of(definition, "Id"), own_id) != 0)
			user = text_copy(value_text_of(definition, "Name"));
	}
	json_decref(all);
	return user;
}

/* The kernel's name of the card, for free(); NULL after call_error. */
static char *find_card(struct call *call, const char *name, const char *own_id)
{
	struct netadapter card;
	char *device = NULL, *user;

	if (netadapter_find(call->shell->store, name, &card)) {
		device = card.device ? text_copy(card.device) : NULL;
		netadapter_free(&card);
	}
	if (!device) {
		call_error(call, ERROR_NOT_FOUND, name,
			   "There is no network adapter with the name \"%s\" on this host. "
			   "Get-NetAdapter lists those there are.",
			   name);
		return NULL;
	}
	user = other_user(call->shell->store, device, own_id);
	if (user)
		call_error(
			call, ERROR_STATE, name,
			"The network adapter \"%s\" belongs to the virtual switch \"%s\" already.",
			name, user);
	if (user || check_right(call, device)) {
		free(device);
		device = NULL;
	}
	free(user);
	return device;
}

/* --- New-VMSwitch --- */

static json_t *new_definition(struct call *call, const char *name, const char *device)
{
	const char *type = call_string(call, "SwitchType"), *notes = call_string(call, "Notes");
	json_t *definition = json_object();
	char id[STORE_ID_SIZE];

	store_make_id(id);
	json_object_set_new(definition, "Id", json_string(id));
	json_object_set_new(definition, "Name", value_string(name));
	set_type(call, definition, device ? "External" : type, device);
	json_object_set_new(definition, "Notes", value_string(notes ? notes : ""));
	return definition;
}

static int create_locked(struct call *call, const char *name)
{
	const char *card = wanted_card(call);
	struct error err = { "" };
	char *device = NULL;
	json_t *definition;
	int ret = check_name(call, name);

	if (ret)
		return ret;
	if (card) {
		device = find_card(call, card, "");
		if (!device)
			return -1;
	}
	definition = new_definition(call, name, device);
	if (store_put(call->shell->store, STORE_SWITCHES, value_text_of(definition, "Id"),
		      definition, &err))
		ret = call_error(call, ERROR_FAILED, name, "%s", err.text);
	else
		call_emit(call, vmswitch_object(definition));
	json_decref(definition);
	free(device);
	return ret;
}

static void warn_of_idle_settings(struct call *call)
{
	static const char *const idle[] = { "EnableEmbeddedTeaming", "EnableIov",
					    "EnablePacketDirect" };

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		if (call_switch(call, idle[i]))
			call_warn(call, "-%s: nothing acts on it in this version.", idle[i]);
	}
}

static int new_switch(struct call *call)
{
	const char *name = call_string(call, "Name");
	struct error err = { "" };
	int ret;

	warn_of_idle_settings(call);
	if (check_cards(call))
		return -1;
	if (!call_should(call, "create the virtual switch \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = create_locked(call, name);
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

static int apply_name(struct call *call, json_t *definition)
{
	const char *new_name = call_string(call, "NewName");
	char *old = text_copy(value_text_of(definition, "Name"));
	int ret = 0;

	if (new_name) {
		ret = text_same(old, new_name) ? 0 : check_name(call, new_name);
		json_object_set_new(definition, "Name", value_string(new_name));
		ret = ret ? ret : rename_in_machines(call, old, new_name);
	}
	free(old);
	return ret;
}

static int no_card(struct call *call, const char *name)
{
	return call_error(call, ERROR_INVALID_PARAMETER, name,
			  "An external switch needs -NetAdapterName, the network adapter that it "
			  "is connected to.");
}

static int apply_type(struct call *call, json_t *definition)
{
	const char *type = call_string(call, "SwitchType"), *card = wanted_card(call);
	const char *now = value_text_of(definition, "SwitchType");
	bool stays_external = text_same(now, "External") && (!type || text_same(type, "External"));
	char *device;

	if (stays_external && !card)
		card = value_text_of(definition, "NetAdapterName");
	if (type && text_same(type, "External") && !card)
		return no_card(call, value_text_of(definition, "Name"));
	if (call_has(call, "AllowManagementOS") && !card)
		return call_error(call, ERROR_INVALID_PARAMETER, "AllowManagementOS",
				  "-AllowManagementOS is for external switches: the host is on "
				  "each internal one, and on no private one.");
	if (!card) {
		if (type)
			set_type(call, definition, type, NULL);
		return 0;
	}
	if (type && !text_same(type, "External"))
		return call_error(call, ERROR_INVALID_PARAMETER, card,
				  "A switch with a network adapter is an external one.");
	device = find_card(call, card, value_text_of(definition, "Id"));
	if (!device)
		return -1;
	set_type(call, definition, "External", device);
	free(device);
	return 0;
}

static int apply_settings(struct call *call, json_t *definition)
{
	static const char *const notes[] = { "Notes", "Notes", NULL };
	static const char *const about_type[] = { "SwitchType", "NetAdapterName",
						  "NetAdapterInterfaceDescription",
						  "AllowManagementOS" };
	bool changes_type = false;

	call_copy(call, definition, notes);
	for (size_t i = 0; i < ARRAY_SIZE(about_type); i++)
		changes_type |= call_has(call, about_type[i]);
	if (changes_type && apply_type(call, definition))
		return -1;
	return apply_name(call, definition);
}

static int tell(struct call *call, const json_t *definition, struct error *err)
{
	struct store *store = call->shell->store;

	return call_has(call, "NewName") ? switchprocess_rename(store, definition, err)
					 : switchhost_tell(store, definition, err);
}

static int change_locked(struct call *call, const char *id)
{
	struct error err = { "" };
	json_t *definition = store_get(call->shell->store, STORE_SWITCHES, id, &err);
	int ret;

	if (!definition)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	ret = apply_settings(call, definition);
	if (!ret && (store_put(call->shell->store, STORE_SWITCHES, id, definition, &err) ||
		     tell(call, definition, &err)))
		ret = call_error(call, ERROR_FAILED, id, "%s", err.text);
	if (!ret && call_switch(call, "Passthru"))
		call_emit(call, vmswitch_object(definition));
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
	if (!ret)
		switchprocess_end(store, id);
	json_decref(machines);
	return ret;
}

static int change_one(struct call *call, const json_t *seen, bool removes)
{
	const char *id = value_text_of(seen, "Id"), *name = value_text_of(seen, "Name");
	struct error err = { "" };
	int ret;

	if (vmswitch_is_default(seen))
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
	json_t *chosen = vmswitch_select(call), *definition;
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
	{ "NetAdapterName", "InterfaceAlias", PARAM_STRING, .position = POSITION(1) },
	{ "NetAdapterInterfaceDescription", "InterfaceDescription", PARAM_STRING },
	{ "Notes", NULL, PARAM_STRING },
	{ "SwitchType", NULL, PARAM_ENUM, "Private|Internal|External" },
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
