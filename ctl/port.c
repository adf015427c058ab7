/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the cables of adapters lead: see ctl/port.h. */
#include "ctl/port.h"

#include "ctl/adapter.h"
#include "ctl/shell.h"
#include "ctl/switchprocess.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <stdlib.h>

#define REQUEST_MS 10000

/* 00155D010203 is 00:15:5D:01:02:03 to the machine. */
static void add_mac(struct text *text, const json_t *adapter)
{
	const char *mac = value_text_of(adapter, "MacAddress");

	if (!mac || strlen(mac) != ADAPTER_MAC_SIZE - 1)
		return;
	text_add(text, ",mac=");
	for (size_t i = 0; mac[i]; i += 2)
		text_addf(text, "%s%.2s", i ? ":" : "", mac + i);
}

/* The definition of the switch that carries its frames; NULL: none does, or the default one. */
static json_t *switch_of(struct store *store, const json_t *adapter)
{
	const char *name = value_text_of(adapter, "SwitchName");

	return name && *name ? vmswitch_find(store, name) : NULL;
}

static bool is_on_default(const json_t *adapter)
{
	const char *name = value_text_of(adapter, "SwitchName");

	return name && text_same(name, VMSWITCH_DEFAULT);
}

char *port_network(struct store *store, const json_t *adapter)
{
	json_t *definition = switch_of(store, adapter);
	const char *id = value_text_of(adapter, "Id");
	struct text text = { 0 };

	if (definition && id) /* a VM's process has RUN/ID of its own as its folder */
		text_addf(&text, "switch,port=../%s/port", value_text_of(definition, "Id"));
	else
		text_add(&text, is_on_default(adapter) ? "user" : "none");
	if (id)
		text_addf(&text, ",id=%s", id);
	add_mac(&text, adapter);
	json_decref(definition);
	return text_take(&text);
}

/* --- before a VM starts --- */

static int no_switch(struct call *call, const struct machine *machine, const json_t *adapter)
{
	return call_error(call, ERROR_NOT_FOUND, machine->name,
			  "'%s' failed to start. (Virtual machine ID %s)\nThe virtual switch "
			  "\"%s\" of the network adapter \"%s\" does not exist. "
			  "Connect-VMNetworkAdapter connects it to another.",
			  MACHINE_LABELS(machine), value_text_of(adapter, "SwitchName"),
			  value_text_of(adapter, "Name"));
}

/* What switchprocess_start says where it has succeeded. */
static void warn_of_host(struct call *call, const json_t *adapter, const struct error *err)
{
	if (*err->text)
		call_warn(call, "The virtual switch \"%s\" runs without a part of the host's: %s.",
			  value_text_of(adapter, "SwitchName"), err->text);
}

static int prepare(struct call *call, const struct machine *machine, const json_t *adapter)
{
	const char *name = value_text_of(adapter, "SwitchName");
	struct store *store = call->shell->store;
	struct error err = { "" };
	json_t *definition;
	int ret;

	if (!name || !*name || text_same(name, VMSWITCH_DEFAULT))
		return 0;
	definition = switch_of(store, adapter);
	if (!definition)
		return no_switch(call, machine, adapter);
	ret = switchprocess_start(store, definition, &err);
	if (ret)
		call_error(call, ERROR_FAILED, machine->name,
			   "'%s' failed to start. (Virtual machine ID %s)\nThe virtual switch "
			   "\"%s\" of the network adapter \"%s\" does not start: %s.",
			   MACHINE_LABELS(machine), name, value_text_of(adapter, "Name"), err.text);
	else
		warn_of_host(call, adapter, &err);
	json_decref(definition);
	return ret ? -1 : 0;
}

int port_prepare(struct call *call, struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
	{
		if (prepare(call, machine, adapter))
			return -1;
	}
	return 0;
}

/* --- while it runs --- */

/*
 * The switch knows the port as it is here, which is not in the store yet. needs_switch: one that
 * does not run, or was killed, is started.
 */
static int open_port(struct store *store, const json_t *adapter, bool needs_switch,
		     struct error *err)
{
	json_t *definition = switch_of(store, adapter);
	int ret = 0;

	if (definition && needs_switch)
		ret = switchprocess_start(store, definition, err);
	if (definition && !ret)
		ret = switchprocess_request(store, value_text_of(definition, "Id"), "set_port",
					    switchprocess_policy(adapter), NULL, err);
	json_decref(definition);
	return ret;
}

static int move_cable(struct store *store, const struct machine *machine, const json_t *adapter,
		      struct error *err)
{
	char *net = port_network(store, adapter);
	json_t *request = json_pack("{sss{ss}}", "execute", "network", "arguments", "net", net);
	int ret = process_request(store, machine->id, request, REQUEST_MS, NULL, err);

	free(net);
	return ret;
}

int port_move(struct call *call, struct machine *machine, const json_t *adapter)
{
	struct store *store = call->shell->store;
	struct error err = { "" };
	int ret = open_port(store, adapter, true, &err);

	if (!ret) {
		warn_of_host(call, adapter, &err);
		ret = move_cable(store, machine, adapter, &err);
	}
	if (!ret)
		return 0;
	return call_error(call, ERROR_FAILED, machine->name,
			  "The cable of the network adapter \"%s\" of " MACHINE_TITLE
			  " stays where it is: %s.",
			  value_text_of(adapter, "Name"), MACHINE_LABELS(machine), err.text);
}

int port_apply(struct call *call, const struct machine *machine, const json_t *adapter)
{
	bool is_needed = machine->process.state != PROCESS_OFF;
	struct error err = { "" };
	int ret = open_port(call->shell->store, adapter, is_needed, &err);

	if (!ret || (switchprocess_is_gone(ret) && !is_needed))
		return 0;
	return call_error(call, ERROR_FAILED, machine->name,
			  "The virtual switch does not take the settings of the network adapter "
			  "\"%s\" of " MACHINE_TITLE ": %s.",
			  value_text_of(adapter, "Name"), MACHINE_LABELS(machine), err.text);
}

static json_t *find_port(const json_t *reply, const char *id)
{
	json_t *port;
	size_t i;

	json_array_foreach(json_object_get(reply, "ports"), i, port)
	{
		const char *own = value_text_of(port, "port");

		if (own && id && !strcmp(own, id))
			return port;
	}
	return NULL;
}

static void show_counters(const json_t *counters, json_t *object)
{
	static const char *const names[][2] = {
		{ "SentPackets", "in_frames" },   { "SentBytes", "in_bytes" },
		{ "SentDropped", "in_dropped" },  { "ReceivedPackets", "out_frames" },
		{ "ReceivedBytes", "out_bytes" }, { "ReceivedDropped", "out_dropped" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_set(object, names[i][0], json_object_get(counters, names[i][1]));
}

void port_show(struct store *store, const json_t *adapter, json_t *object)
{
	json_t *definition = switch_of(store, adapter), *reply = NULL, *port;

	if (!definition)
		return;
	switchprocess_request(store, value_text_of(definition, "Id"), "ports", NULL, &reply, NULL);
	port = find_port(reply, value_text_of(adapter, "Id"));
	if (port)
		show_counters(json_object_get(port, "counters"), object);
	else
		json_object_set_new(object, "Status", json_pack("[s]", "LostCommunication"));
	json_decref(reply);
	json_decref(definition);
}

void port_forget(struct store *store, const char *switch_name, const json_t *adapter)
{
	json_t *definition = switch_name && *switch_name ? vmswitch_find(store, switch_name) : NULL;
	const char *id = value_text_of(adapter, "Id");

	if (definition && id)
		switchprocess_request(store, value_text_of(definition, "Id"), "remove_port",
				      json_pack("{ss}", "port", id), NULL, NULL);
	json_decref(definition);
}
