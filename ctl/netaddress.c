/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New-NetIPAddress, Get-NetIPAddress, Remove-NetIPAddress. The addresses of adapters on switches
 * are in the switch's definition; those of the kernel's adapters are the kernel's: `ip` sets them.
 */
#include "ctl/netaddress.h"
#include "ctl/netadapter.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/spawn.h"
#include "ctl/switchhost.h"
#include "lib/address.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* --- objects --- */

static json_t *address_object(const struct netadapter *adapter, const char *address,
			      unsigned length, const char *store)
{
	bool v6 = strchr(address, ':') != NULL, active = !strcmp(store, "ActiveStore");
	json_t *object = value_object("NetIPAddress");

	json_object_set_new(object, "IPAddress", json_string(address));
	json_object_set_new(object, "InterfaceIndex", json_integer(adapter->index));
	json_object_set_new(object, "InterfaceAlias", value_string(adapter->name));
	json_object_set_new(object, "AddressFamily", json_string(v6 ? "IPv6" : "IPv4"));
	json_object_set_new(object, "Type", json_string("Unicast"));
	json_object_set_new(object, "PrefixLength", json_integer(length));
	json_object_set_new(object, "PrefixOrigin", json_string("Manual"));
	json_object_set_new(object, "SuffixOrigin", json_string("Manual"));
	json_object_set_new(object, "AddressState", json_string(active ? "Preferred" : "Invalid"));
	json_object_set_new(object, "ValidLifetime",
			    json_string("Infinite ([TimeSpan]::MaxValue)"));
	json_object_set_new(object, "PreferredLifetime",
			    json_string("Infinite ([TimeSpan]::MaxValue)"));
	json_object_set_new(object, "SkipAsSource", json_false());
	json_object_set_new(object, "PolicyStore", json_string(store));
	return object;
}

/* --- what is to be changed --- */

struct wish {
	struct address address, gateway;
	char text[INET6_ADDRSTRLEN], gateway_text[INET6_ADDRSTRLEN]; /* "": no gateway */
	unsigned length;
};

int netaddress_incorrect(struct call *call, const char *target, const char *why)
{
	return call_error_as(call, "InvalidArgument", "Windows System Error 87", target,
			     "The parameter is incorrect: '%s' %s.", target, why);
}

bool netaddress_parse(const char *text, struct address *out, char canonical[INET6_ADDRSTRLEN])
{
	return !strchr(text, '/') && address_parse(text, out) &&
	       inet_ntop(out->family, out->bytes, canonical, INET6_ADDRSTRLEN);
}

static int parse_wish(struct call *call, struct wish *wish)
{
	const char *address = call_string(call, "IPAddress"), *family, *gateway;

	if (!netaddress_parse(address, &wish->address, wish->text))
		return netaddress_incorrect(call, address, "is no IP address");
	family = call_string(call, "AddressFamily");
	if (family && text_same(family, "IPv6") != (wish->address.family == AF_INET6))
		return netaddress_incorrect(call, address, "is not of that address family");
	wish->length = (unsigned)call_int(call, "PrefixLength", address_bits(&wish->address));
	if (wish->length > address_bits(&wish->address))
		return netaddress_incorrect(call, address, "has no prefix that long");
	wish->address.length = wish->length;
	gateway = call_string(call, "DefaultGateway");
	if (!gateway)
		return 0;
	if (!netaddress_parse(gateway, &wish->gateway, wish->gateway_text))
		return netaddress_incorrect(call, gateway, "is no IP address");
	if (!address_holds(&wish->address, &wish->gateway))
		return netaddress_incorrect(call, gateway, "is not in the network of the address");
	return 0;
}

static int exists(struct call *call, const char *what, const char *target)
{
	return call_error_as(call, "InvalidArgument", "Windows System Error 87", target,
			     "Instance %s already exists: %s.", what, target);
}

/* --- adapters on switches --- */

/* The definition holds from now on, for the switch that runs too. -1 after call_error. */
static int write_back(struct call *call, const json_t *definition)
{
	struct store *store = call->shell->store;
	struct error err = { "" };

	if (!store_put(store, STORE_SWITCHES, value_text_of(definition, "Id"), definition, &err) &&
	    !switchhost_tell(store, definition, &err))
		return 0;
	return call_error(call, ERROR_FAILED, value_text_of(definition, "Name"), "%s", err.text);
}

static json_t *list_in(json_t *definition, const char *name)
{
	json_t *list = json_object_get(definition, name);

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(definition, name, list);
	}
	return list;
}

int netaddress_change(struct call *call, const char *switch_id, const char *member,
		      netaddress_change_fn *fn, const void *what)
{
	struct store *store = call->shell->store;
	struct error err = { "" };
	json_t *definition;
	int ret = -1;

	if (store_lock(store, &err))
		return call_error(call, ERROR_FAILED, switch_id, "%s", err.text);
	definition = store_get(store, STORE_SWITCHES, switch_id, &err);
	if (!definition)
		call_error(call, ERROR_FAILED, switch_id, "%s", err.text);
	else if (!fn(call, list_in(definition, member), what))
		ret = write_back(call, definition);
	json_decref(definition);
	store_unlock(store);
	return ret;
}

static int check_entries(struct call *call, const json_t *entries, const struct wish *wish)
{
	json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		const char *gateway = value_text_of(entry, "DefaultGateway");

		if (!strcmp(value_text_of(entry, "IPAddress"), wish->text))
			return exists(call, "MSFT_NetIPAddress", wish->text);
		if (*wish->gateway_text && gateway && *gateway)
			return exists(call, "DefaultGateway", gateway);
	}
	return 0;
}

static int add_entry(struct call *call, json_t *entries, const void *what)
{
	const struct wish *wish = what;

	if (check_entries(call, entries, wish))
		return -1;
	return json_array_append_new(entries, json_pack("{sssiss}", "IPAddress", wish->text,
							"PrefixLength", (int)wish->length,
							"DefaultGateway", wish->gateway_text));
}

/* --- adapters of the kernel --- */

static int run(struct call *call, const char *name, char *const argv[])
{
	struct error err = { "" };
	int ret = spawn_run(argv, NULL, &err);

	if (!ret)
		return 0;
	if (strstr(err.text, "File exists"))
		return exists(call, "MSFT_NetIPAddress", name);
	return call_error(call, strstr(err.text, "permitted") ? ERROR_DENIED : ERROR_FAILED, name,
			  "The network adapter '%s' cannot be configured: %s.", name, err.text);
}

/*
 * The metric of a route behind all default gateways that there are, which stay the ones that are
 * used; NULL: there are none. For free().
 */
static char *metric_behind(struct call *call, const char *gateway)
{
	static const char word[] = " metric ";
	const char *family = strchr(gateway, ':') ? "-6" : "-4", *p;
	char *const show[] = { "ip", (char *)family, "route", "show", "default", NULL };
	struct text routes = { 0 };
	unsigned long highest = 0;
	char *metric = NULL;

	if (!spawn_run(show, &routes, NULL) && routes.len) {
		for (p = strstr(routes.s, word); p; p = strstr(p, word)) {
			p += sizeof(word) - 1;
			highest = MAX(highest, strtoul(p, NULL, 10));
		}
		metric = text_format("%lu", highest + (highest < UINT32_MAX));
	}
	text_free(&routes);
	if (metric)
		call_warn(call,
			  "This machine has a default gateway already and goes on using it; %s "
			  "comes after it ('ip route').",
			  gateway);
	return metric;
}

static int add_gateway(struct call *call, const struct netadapter *adapter, const char *gateway)
{
	char *metric = metric_behind(call, gateway);
	char *const route[] = { "ip",
				"route",
				"append",
				"default",
				"via",
				(char *)gateway,
				"dev",
				adapter->device,
				metric ? "metric" : NULL,
				metric,
				NULL };
	int ret = run(call, adapter->name, route);

	free(metric);
	return ret;
}

/* All of it or nothing: an address whose gateway cannot be had does not stay. */
static int add_to_device(struct call *call, const struct netadapter *adapter,
			 const struct wish *wish)
{
	char *prefix = text_format("%s/%u", wish->text, wish->length);
	char *const add[] = { "ip", "address", "add", prefix, "dev", adapter->device, NULL };
	char *const drop[] = { "ip", "address", "delete", prefix, "dev", adapter->device, NULL };
	char *const up[] = { "ip", "link", "set", adapter->device, "up", NULL };
	int ret = run(call, adapter->name, add);

	if (!ret) {
		ret = run(call, adapter->name, up);
		if (!ret && *wish->gateway_text)
			ret = add_gateway(call, adapter, wish->gateway_text);
		if (ret)
			spawn_run(drop, NULL, NULL);
	}
	free(prefix);
	return ret;
}

/* --- New-NetIPAddress --- */

static int add_address(struct call *call, const struct netadapter *adapter, const struct wish *wish)
{
	int ret;

	if (!call_should(call, "add the address %s to the network adapter \"%s\".", wish->text,
			 adapter->name))
		return 0;
	ret = adapter->device ? add_to_device(call, adapter, wish)
			      : netaddress_change(call, value_text_of(adapter->network, "Id"),
						  "IPAddresses", add_entry, wish);
	if (ret)
		return ret;
	call_emit(call, address_object(adapter, wish->text, wish->length, "ActiveStore"));
	call_emit(call, address_object(adapter, wish->text, wish->length, "PersistentStore"));
	return 0;
}

static bool find_adapter(struct call *call, struct netadapter *adapter)
{
	const char *alias = call_string(call, "InterfaceAlias");
	int64_t index = call_int(call, "InterfaceIndex", -1);
	bool found = alias ? netadapter_find(call->shell->store, alias, adapter)
			   : netadapter_find_index(call->shell->store, index, adapter);

	if (!found)
		call_error_as(call, "ObjectNotFound", "Windows System Error 1168",
			      alias ? alias : "", "No matching interface found: %s.",
			      alias ? alias : "no adapter has that index");
	return found;
}

static int new_address(struct call *call)
{
	struct netadapter adapter;
	struct wish wish = { .length = 0 };
	int ret;

	if (parse_wish(call, &wish) || !find_adapter(call, &adapter))
		return -1;
	ret = add_address(call, &adapter, &wish);
	netadapter_free(&adapter);
	return ret;
}

/* --- Get-NetIPAddress, Remove-NetIPAddress: of adapters on switches --- */

static bool is_wanted(const struct call *call, const struct netadapter *adapter,
		      const char *address)
{
	const char *alias = call_string(call, "InterfaceAlias"),
		   *ip = call_string(call, "IPAddress");
	int64_t index = call_int(call, "InterfaceIndex", -1);

	return (!alias || value_like(adapter->name, alias)) && (!ip || value_like(address, ip)) &&
	       (index < 0 || index == adapter->index);
}

static int no_address(struct call *call, const char *address)
{
	return call_error_as(call, "ObjectNotFound", "CmdletizationQuery_NotFound_IPAddress",
			     address,
			     "No MSFT_NetIPAddress objects found with property 'IPAddress' equal "
			     "to '%s'.",
			     address);
}

/* Runs fn for each address that is selected. */
static int each_address(struct call *call,
			void (*fn)(struct call *, const struct netadapter *, const json_t *entry))
{
	json_t *switches = store_list(call->shell->store, STORE_SWITCHES, NULL, NULL), *definition,
	       *entry;
	size_t i, k, hits = 0;

	json_array_foreach(switches, i, definition)
	{
		struct netadapter adapter = {
			.name = text_format("vEthernet (%s)", value_text_of(definition, "Name")),
			.network = definition,
			.index = json_integer_value(json_object_get(definition, "InterfaceIndex")),
		};

		json_array_foreach(json_object_get(definition, "IPAddresses"), k, entry)
		{
			if (!is_wanted(call, &adapter, value_text_of(entry, "IPAddress")))
				continue;
			hits++;
			fn(call, &adapter, entry);
		}
		free(adapter.name);
	}
	json_decref(switches);
	if (!hits && call_has(call, "IPAddress"))
		return no_address(call, call_string(call, "IPAddress"));
	return call->failed ? -1 : 0;
}

static void emit_address(struct call *call, const struct netadapter *adapter, const json_t *entry)
{
	call_emit(call, address_object(adapter, value_text_of(entry, "IPAddress"),
				       (unsigned)json_integer_value(
					       json_object_get(entry, "PrefixLength")),
				       "ActiveStore"));
}

static int get_addresses(struct call *call)
{
	return each_address(call, emit_address);
}

/* Into the array that is the call's: the Id of the switch and the address. */
static void choose_address(struct call *call, const struct netadapter *adapter, const json_t *entry)
{
	json_t *address = json_object_get(entry, "IPAddress");

	if (call_should(call, "remove the address %s from the network adapter \"%s\".",
			json_string_value(address), adapter->name))
		json_array_append_new(
			call->private,
			json_pack("[OO]", json_object_get(adapter->network, "Id"), address));
}

static int remove_entry(struct call *call, json_t *entries, const void *address)
{
	(void)call;
	for (size_t i = json_array_size(entries); i--;) {
		if (json_equal(json_object_get(json_array_get(entries, i), "IPAddress"), address))
			json_array_remove(entries, i);
	}
	return 0;
}

/* Questions come first: nobody waits for the store while one is open. */
static int remove_addresses(struct call *call)
{
	json_t *chosen = json_array(), *one;
	size_t i;

	call->private = chosen;
	each_address(call, choose_address);
	call->private = NULL;
	json_array_foreach(chosen, i, one)
		netaddress_change(call, json_string_value(json_array_get(one, 0)), "IPAddresses",
				  remove_entry, json_array_get(one, 1));
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- the table --- */

#define PARAM_INTERFACE                                                                         \
	{ "InterfaceAlias", "ifAlias", PARAM_STRING, .sets = SET(0),                            \
	  .flags = REQUIRED | BY_NAME },                                                        \
	{                                                                                       \
		"InterfaceIndex", "ifIndex", PARAM_INT,                                         \
			.min = 0, .max = INT32_MAX, .sets = SET(1), .flags = REQUIRED | BY_NAME \
	}

static const struct param new_params[] = {
	{ "IPAddress", "LocalAddress", PARAM_STRING, .position = POSITION(0),
	  .flags = REQUIRED | BY_NAME },
	PARAM_INTERFACE,
	{ "AddressFamily", NULL, PARAM_ENUM, "IPv4|IPv6" },
	{ "DefaultGateway", NULL, PARAM_STRING },
	{ "PrefixLength", NULL, PARAM_INT, .min = 0, .max = 255 },
	PARAM_END,
};

static const struct param select_params[] = {
	{ "IPAddress", "LocalAddress", PARAM_STRING, .position = POSITION(0), .flags = BY_NAME },
	{ "InterfaceAlias", "ifAlias", PARAM_STRING, .flags = BY_NAME },
	{ "InterfaceIndex", "ifIndex", PARAM_INT, .flags = BY_NAME },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "New-NetIPAddress", NULL, "Gives a network adapter of this host an address.", new_params,
	  "ByInterfaceAlias ByInterfaceIndex", CMDLET_CHANGES, new_address },
	{ "Get-NetIPAddress", NULL, "Gets the addresses of adapters on virtual switches.",
	  select_params, NULL, 0, get_addresses },
	{ "Remove-NetIPAddress", NULL, "Takes addresses off adapters on virtual switches.",
	  select_params, NULL, CMDLET_CHANGES | CMDLET_ASKS, remove_addresses },
	{ NULL },
};

static const struct view views[] = { { "NetIPAddress", NULL }, { NULL } };

const struct noun noun_net_address = { cmdlets, views };
