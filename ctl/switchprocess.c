/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch's process, from outside: see ctl/switchprocess.h. */
#include "ctl/switchprocess.h"

#include "ctl/child.h"
#include "ctl/hostadapter.h"
#include "ctl/process.h"
#include "ctl/switchhost.h"
#include "ctl/text.h"
#include "ctl/vlan.h"

#include <errno.h>
#include <stdlib.h>

#define REQUEST_MS 5000

int switchprocess_request(struct store *store, const char *id, const char *name, json_t *arguments,
			  json_t **reply, struct error *err)
{
	json_t *request = json_pack("{ss so*}", "execute", name, "arguments", arguments);

	return process_request(store, id, request, REQUEST_MS, reply, err);
}

bool switchprocess_is_gone(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EPIPE ||
	       error == -ECONNRESET;
}

/* --- policies --- */

static bool is_on(const json_t *adapter, const char *name)
{
	const char *value = value_text_of(adapter, name);

	return value && text_same(value, "On");
}

static json_t *vlan_policy(const json_t *adapter)
{
	json_t *setting = vlan_of(adapter);
	const char *mode = value_text_of(setting, "OperationMode");
	json_t *policy = json_pack("{ss}", "mode", mode);

	if (text_same(mode, "Access"))
		json_object_set(policy, "id", json_object_get(setting, "AccessVlanId"));
	if (text_same(mode, "Trunk")) {
		json_object_set(policy, "native", json_object_get(setting, "NativeVlanId"));
		json_object_set(policy, "allowed", json_object_get(setting, "AllowedVlanIdList"));
	}
	json_decref(setting);
	return policy;
}

json_t *switchprocess_policy(const json_t *adapter)
{
	const char *mirroring = value_text_of(adapter, "PortMirroringMode");
	const char *id = value_text_of(adapter, "Id"), *mac = value_text_of(adapter, "MacAddress");

	return json_pack("{ss ss sb sb sb ss sI so}", "port", id ? id : "", "mac", mac ? mac : "",
			 "spoofing", is_on(adapter, "MacAddressSpoofing"), "dhcp_guard",
			 is_on(adapter, "DhcpGuard"), "router_guard", is_on(adapter, "RouterGuard"),
			 "mirroring", mirroring ? mirroring : "None", "max_bits_per_second",
			 json_integer_value(json_object_get(adapter, "MaximumBandwidth")), "vlan",
			 vlan_policy(adapter));
}

static int tell_ports_of(struct store *store, const json_t *definition, const json_t *machine,
			 struct error *err)
{
	const char *name = value_text_of(definition, "Name"), *id = value_text_of(definition, "Id");
	json_t *adapter;
	size_t i;
	int ret = 0;

	json_array_foreach(json_object_get(machine, "NetworkAdapters"), i, adapter)
	{
		const char *to = value_text_of(adapter, "SwitchName");

		if (!ret && to && text_same(to, name))
			ret = switchprocess_request(store, id, "set_port",
						    switchprocess_policy(adapter), NULL, err);
	}
	return ret;
}

static int tell_host_port(struct store *store, const json_t *definition, struct error *err)
{
	json_t *adapter = hostadapter_of(definition);
	int ret = 0;

	if (adapter)
		ret = switchprocess_request(store, value_text_of(definition, "Id"), "set_port",
					    switchprocess_policy(adapter), NULL, err);
	json_decref(adapter);
	return ret;
}

/* Whoever runs already finds its port again when a switch comes back. */
static int tell_ports(struct store *store, const json_t *definition, struct error *err)
{
	json_t *machines = store_list(store, STORE_VMS, NULL, NULL), *machine;
	size_t i;
	int ret = tell_host_port(store, definition, err);

	json_array_foreach(machines, i, machine)
	{
		if (!ret)
			ret = tell_ports_of(store, definition, machine, err);
	}
	json_decref(machines);
	return ret;
}

/* --- the process --- */

static int launch(struct store *store, const json_t *definition, struct error *err)
{
	char *name = text_copy(value_text_of(definition, "Name"));
	char *argv[] = { "nidus", "switch",    "--name",  name, "--ports",
			 "port",  "--control", "control", NULL };
	int ret = child_start(store, value_text_of(definition, "Id"), argv, err);

	free(name);
	return ret;
}

static int start_locked(struct store *store, const json_t *definition, struct error *err)
{
	struct process process;
	int ret = 0;

	process_query(store, value_text_of(definition, "Id"), &process);
	if (process.state == PROCESS_OFF)
		ret = launch(store, definition, err);
	ret = ret ? ret : tell_ports(store, definition, err);
	if (!ret)
		switchhost_tell(store, definition, err); /* VMs have each other without it, too */
	return ret;
}

int switchprocess_start(struct store *store, const json_t *definition, struct error *err)
{
	int lock = child_lock(store, value_text_of(definition, "Id"), err), ret;

	if (lock < 0)
		return lock;
	ret = start_locked(store, definition, err);
	child_unlock(lock);
	return ret;
}

int switchprocess_rename(struct store *store, const json_t *definition, struct error *err)
{
	const char *id = value_text_of(definition, "Id");
	json_t *name = json_pack("{sO}", "name", json_object_get(definition, "Name"));
	json_t *port = json_pack("{ss}", "port", HOSTADAPTER_PORT);
	int ret = switchprocess_request(store, id, "rename", name, NULL, err);

	if (ret) {
		json_decref(port);
		return switchprocess_is_gone(ret) ? 0 : ret;
	}
	switchprocess_request(store, id, "remove_port", port, NULL, NULL);
	return switchprocess_start(store, definition, err);
}

void switchprocess_end(struct store *store, const char *id)
{
	switchprocess_request(store, id, "quit", NULL, NULL, NULL);
	process_forget(store, id);
}
