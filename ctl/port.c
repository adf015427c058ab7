/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the cables of adapters lead: see ctl/port.h. */
#include "ctl/port.h"

#include "ctl/adapter.h"
#include "ctl/shell.h"
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

char *port_network(const json_t *adapter)
{
	const char *name = value_text_of(adapter, "SwitchName"), *id = value_text_of(adapter, "Id");
	bool is_default = name && text_same(name, VMSWITCH_DEFAULT);
	struct text text = { 0 };

	text_add(&text, is_default ? "user" : "none");
	if (id)
		text_addf(&text, ",id=%s", id);
	add_mac(&text, adapter);
	return text_take(&text);
}

/* A switch must be there; only the default one carries frames in this version. */
int port_prepare(struct call *call, struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
	{
		const char *name = value_text_of(adapter, "SwitchName");

		if (!name || !*name || text_same(name, VMSWITCH_DEFAULT))
			continue;
		if (!vmswitch_exists(call->shell->store, name))
			return call_error(
				call, ERROR_NOT_FOUND, machine->name,
				"'%s' failed to start. (Virtual machine ID %s)\nThe virtual "
				"switch \"%s\" of the network adapter \"%s\" does not exist. "
				"Connect-VMNetworkAdapter connects it to another.",
				MACHINE_LABELS(machine), name, value_text_of(adapter, "Name"));
		call_warn(
			call,
			"The virtual switch \"%s\" carries no frames in this version: the network "
			"adapter \"%s\" of %s is as if unplugged. The one that works is \"%s\".",
			name, value_text_of(adapter, "Name"), machine->name, VMSWITCH_DEFAULT);
	}
	return 0;
}

int port_move(struct call *call, struct machine *machine, const json_t *adapter)
{
	char *net = port_network(adapter);
	json_t *request = json_pack("{sss{ss}}", "execute", "network", "arguments", "net", net);
	struct error err = { "" };
	int ret = 0;

	if (process_request(call->shell->store, machine->id, request, REQUEST_MS, NULL, &err))
		ret = call_error(call, ERROR_FAILED, machine->name,
				 "The cable of the network adapter \"%s\" of " MACHINE_TITLE
				 " stays where it is: %s.",
				 value_text_of(adapter, "Name"), MACHINE_LABELS(machine), err.text);
	free(net);
	return ret;
}
