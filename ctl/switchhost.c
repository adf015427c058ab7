/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch and the host: see ctl/switchhost.h. The requests are those of the switch's process. */
#include "ctl/switchhost.h"

#include "ctl/switchprocess.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"
#include "lib/address.h"

#include <errno.h>
#include <stdlib.h>

/* --- the arguments of set_host --- */

/* Whether an address of the switch's host adapter has its network's address in it. */
static bool has_network(const json_t *definition, const char *inner_text)
{
	const json_t *entries = json_object_get(definition, "IPAddresses"), *entry;
	struct address inner, host;
	size_t i;

	if (!inner_text || !address_parse(inner_text, &inner))
		return false;
	json_array_foreach(entries, i, entry)
	{
		if (!address_parse(value_text_of(entry, "IPAddress"), &host))
			continue;
		host.length = (unsigned)json_integer_value(json_object_get(entry, "PrefixLength"));
		if (address_holds(&host, &inner))
			return true;
	}
	return false;
}

static json_t *addresses_of(const json_t *definition)
{
	const json_t *entries = json_object_get(definition, "IPAddresses"), *entry;
	json_t *list = json_array();
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		json_int_t length = json_integer_value(json_object_get(entry, "PrefixLength"));

		json_array_append_new(list, value_format("%s/%d", value_text_of(entry, "IPAddress"),
							 (int)length));
	}
	return list;
}

/* Those that lead into a network of the switch. */
static void add_mappings(json_t *list, const json_t *nat, const json_t *definition)
{
	static const char *const members[][2] = {
		{ "protocol", "Protocol" },          { "external", "ExternalIPAddress" },
		{ "external_port", "ExternalPort" }, { "internal", "InternalIPAddress" },
		{ "internal_port", "InternalPort" },
	};
	const json_t *mappings = json_object_get(nat, "StaticMappings"), *mapping;
	size_t i;

	json_array_foreach(mappings, i, mapping)
	{
		json_t *object;

		if (!has_network(definition, value_text_of(mapping, "InternalIPAddress")))
			continue;
		object = json_object();
		for (size_t k = 0; k < ARRAY_SIZE(members); k++)
			json_object_set(object, members[k][0],
					json_object_get(mapping, members[k][1]));
		json_array_append_new(list, object);
	}
}

static json_t *host_arguments(struct store *store, const json_t *definition)
{
	json_t *all = store_list(store, STORE_NATS, NULL, NULL), *nat;
	json_t *nats = json_array(), *dhcp = json_array(), *mappings = json_array();
	json_t *dns = json_object_get(definition, "DnsServers");
	const char *mac = value_text_of(definition, "MacAddress");
	size_t i;

	json_array_foreach(all, i, nat)
	{
		json_t *prefix = json_object_get(nat, "InternalIPInterfaceAddressPrefix");
		const char *gives = value_text_of(nat, "Dhcp");

		json_array_append(nats, prefix);
		if (gives && text_same(gives, "On"))
			json_array_append(dhcp, prefix);
		add_mappings(mappings, nat, definition);
	}
	json_decref(all);
	return json_pack("{ss sb so so so so sO*}", "mac", mac ? mac : "", "in_kernel", 1,
			 "addresses", addresses_of(definition), "nats", nats, "dhcp", dhcp,
			 "mappings", mappings, "dns", dns);
}

/* --- telling --- */

static int ask(struct store *store, const json_t *definition, const char *name, json_t *arguments,
	       struct error *err)
{
	int ret = switchprocess_request(store, value_text_of(definition, "Id"), name, arguments,
					NULL, err);

	return switchprocess_is_gone(ret) ? 0 : ret;
}

/* The port that there is no more of; most often there never was one. */
static void forget(struct store *store, const json_t *definition, const char *port)
{
	ask(store, definition, "remove_port", json_pack("{ss}", "port", port), NULL);
}

int switchhost_tell(struct store *store, const json_t *definition, struct error *err)
{
	const char *device = value_text_of(definition, "NetAdapterName");
	int ret = 0, failed = 0;

	if (device && *device)
		ret = ask(store, definition, "set_uplink", json_pack("{ss}", "device", device),
			  err);
	else
		forget(store, definition, "uplink");
	if (vmswitch_has_host_adapter(definition))
		failed = ask(store, definition, "set_host", host_arguments(store, definition),
			     ret ? NULL : err);
	else
		forget(store, definition, "host");
	return ret ? ret : failed;
}

int switchhost_tell_all(struct store *store, struct error *err)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition;
	int ret = 0;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		int failed = switchhost_tell(store, definition, ret ? NULL : err);

		ret = ret ? ret : failed;
	}
	json_decref(all);
	return ret;
}
