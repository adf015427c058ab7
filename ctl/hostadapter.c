/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's adapters on switches as ports: see ctl/hostadapter.h. */
#include "ctl/hostadapter.h"

#include "ctl/machine.h"
#include "ctl/shell.h"
#include "ctl/switchprocess.h"
#include "ctl/vmswitch.h"

json_t *hostadapter_of(const json_t *definition)
{
	json_t *adapter;

	if (!vmswitch_has_host_adapter(definition))
		return NULL;
	adapter = json_pack("{ss sO sO sO}", "Id", HOSTADAPTER_PORT, "Name",
			    json_object_get(definition, "Name"), "SwitchName",
			    json_object_get(definition, "Name"), "MacAddress",
			    json_object_get(definition, "MacAddress"));
	json_object_update(adapter, json_object_get(definition, HOSTADAPTER_SETTINGS));
	return adapter;
}

/* --- the object --- */

static json_t *addresses_of(const json_t *definition)
{
	json_t *list = json_array(), *entry;
	size_t i;

	json_array_foreach(json_object_get(definition, "IPAddresses"), i, entry)
		json_array_append(list, json_object_get(entry, "IPAddress"));
	return list;
}

json_t *hostadapter_object(const json_t *definition, const json_t *adapter)
{
	static const char *const switches[] = { "MacAddressSpoofing", "DhcpGuard", "RouterGuard" };
	json_t *object = value_object("VMInternalNetworkAdapter");
	const char *mirroring = value_text_of(adapter, "PortMirroringMode");

	json_object_set(object, "Name", json_object_get(adapter, "Name"));
	json_object_set_new(object, "IsManagementOs", json_true());
	json_object_set_new(object, "VMName", json_string(""));
	json_object_set(object, "SwitchName", json_object_get(adapter, "SwitchName"));
	json_object_set(object, "MacAddress", json_object_get(adapter, "MacAddress"));
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		const char *value = value_text_of(adapter, switches[i]);

		json_object_set_new(object, switches[i], json_string(value ? value : "Off"));
	}
	json_object_set_new(object, "PortMirroringMode",
			    json_string(mirroring ? mirroring : "None"));
	json_object_set_new(object, "Status", json_pack("[s]", "Ok"));
	json_object_set_new(object, "IPAddresses", addresses_of(definition));
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

/* --- which of them --- */

static const char *wanted_name(const struct call *call)
{
	static const char *const names[] = { "VMNetworkAdapterName", "Name", "SwitchName" };
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names) && !name; i++)
		name = call_string(call, names[i]);
	return name;
}

/* The definitions of their switches. A name that fits none is an error, unless it is a pattern. */
static json_t *select_all(struct call *call)
{
	json_t *all = store_list(call->shell->store, STORE_SWITCHES, NULL, NULL), *definition;
	const char *name = wanted_name(call);
	json_t *chosen = json_array();
	size_t i;

	json_array_foreach(all, i, definition)
	{
		if (vmswitch_has_host_adapter(definition) &&
		    (!name || value_like(value_text_of(definition, "Name"), name)))
			json_array_append(chosen, definition);
	}
	json_decref(all);
	if (name && !value_is_pattern(name) && !json_array_size(chosen))
		call_error(call, ERROR_NOT_FOUND, name,
			   "Nidus was unable to find a network adapter of this host with name "
			   "\"%s\".",
			   name);
	return chosen;
}

int hostadapter_each(struct call *call,
		     int (*fn)(struct call *call, const json_t *definition, const json_t *adapter))
{
	json_t *chosen = select_all(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition)
	{
		json_t *adapter = hostadapter_of(definition);

		fn(call, definition, adapter);
		json_decref(adapter);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- changes --- */

static int tell(struct call *call, const json_t *definition)
{
	json_t *adapter = hostadapter_of(definition);
	struct error err = { "" };
	int ret = switchprocess_request(call->shell->store, value_text_of(definition, "Id"),
					"set_port", switchprocess_policy(adapter), NULL, &err);

	json_decref(adapter);
	if (!ret || switchprocess_is_gone(ret))
		return 0;
	return call_error(call, ERROR_FAILED, value_text_of(definition, "Name"), "%s", err.text);
}

static int change_locked(struct call *call, const char *id,
			 int (*fn)(struct call *call, json_t *settings))
{
	struct store *store = call->shell->store;
	struct error err = { "" };
	json_t *definition = store_get(store, STORE_SWITCHES, id, &err), *settings;
	int ret;

	if (!definition)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	settings = json_object_get(definition, HOSTADAPTER_SETTINGS);
	if (!settings) {
		settings = json_object();
		json_object_set_new(definition, HOSTADAPTER_SETTINGS, settings);
	}
	ret = fn(call, settings);
	ret = ret ? ret : tell(call, definition);
	if (!ret && store_put(store, STORE_SWITCHES, id, definition, &err))
		ret = call_error(call, ERROR_FAILED, id, "%s", err.text);
	json_decref(definition);
	return ret;
}

static int change_one(struct call *call, const json_t *seen,
		      int (*fn)(struct call *call, json_t *settings))
{
	const char *name = value_text_of(seen, "Name");
	struct error err = { "" };
	int ret;

	if (!call_should(call, "configure the host's network adapter on the switch \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = change_locked(call, value_text_of(seen, "Id"), fn);
	store_unlock(call->shell->store);
	return ret;
}

int hostadapter_change(struct call *call, int (*fn)(struct call *call, json_t *settings))
{
	json_t *chosen = select_all(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition)
	{
		if (!call->stopped)
			change_one(call, definition, fn);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}
