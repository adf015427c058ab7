/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Add-NetNatStaticMapping, Get-NetNatStaticMapping, Remove-NetNatStaticMapping: ports of the host
 * that lead to addresses behind a NAT. They are in its definition, an array of {StaticMappingID,
 * Protocol, ExternalIPAddress, ExternalPort, InternalIPAddress, InternalPort}.
 */
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/switchhost.h"
#include "ctl/text.h"
#include "lib/address.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define MAPPINGS_MAX 256 /* of a host, as its switches take them */

static json_t *mapping_object(const json_t *nat, const json_t *mapping)
{
	static const char *const copied[] = { "ExternalIPAddress", "ExternalPort",
					      "InternalIPAddress", "InternalPort" };
	const char *external = value_text_of(mapping, "ExternalIPAddress");
	json_t *object = value_object("NetNatStaticMapping");

	json_object_set(object, "StaticMappingID", json_object_get(mapping, "StaticMappingID"));
	json_object_set(object, "NatName", json_object_get(nat, "Name"));
	json_object_set(object, "Protocol", json_object_get(mapping, "Protocol"));
	json_object_set_new(object, "RemoteExternalIPAddressPrefix",
			    json_string(strchr(external, ':') ? "::/0" : "0.0.0.0/0"));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		json_object_set(object, copied[i], json_object_get(mapping, copied[i]));
	json_object_set_new(object, "InternalRoutingDomainId",
			    json_string("{00000000-0000-0000-0000-000000000000}"));
	json_object_set_new(object, "Active", json_true());
	return object;
}

static json_int_t number_of(const json_t *mapping)
{
	return json_integer_value(json_object_get(mapping, "StaticMappingID"));
}

/* The mappings of a NAT's definition, to be changed in place. */
static json_t *mappings_of(json_t *nat)
{
	json_t *list = json_object_get(nat, "StaticMappings");

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(nat, "StaticMappings", list);
	}
	return list;
}

/* --- Add-NetNatStaticMapping --- */

static int incorrect(struct call *call, const char *target, const char *why)
{
	return call_error_as(call, "InvalidArgument", "Windows System Error 87", target,
			     "The parameter is incorrect: '%s' %s.", target, why);
}

static int exists(struct call *call, const char *target)
{
	return call_error_as(call, "ResourceExists", "Windows System Error 183", target,
			     "There is a static mapping of that port already.");
}

/* The address in its usual spelling; a prefix length behind it says nothing more. */
static int parse_address(struct call *call, const char *name, struct address *address,
			 char text[INET6_ADDRSTRLEN])
{
	const char *given = call_string(call, name);

	if (!address_parse(given, address))
		return incorrect(call, given, "is no IP address");
	inet_ntop(address->family, address->bytes, text, INET6_ADDRSTRLEN);
	address->length = address_bits(address);
	return 0;
}

/* A new mapping as the arguments say, without its number; NULL after call_error. */
static json_t *wanted_mapping(struct call *call, const json_t *nat)
{
	char external_text[INET6_ADDRSTRLEN], internal_text[INET6_ADDRSTRLEN];
	struct address external, internal, prefix;
	const char *protocol = call_string(call, "Protocol");
	int64_t port = call_int(call, "ExternalPort", 0);

	if (parse_address(call, "ExternalIPAddress", &external, external_text) ||
	    parse_address(call, "InternalIPAddress", &internal, internal_text))
		return NULL;
	if (external.family != internal.family) {
		incorrect(call, external_text, "is not of the internal address's family");
		return NULL;
	}
	if (!address_parse(value_text_of(nat, "InternalIPInterfaceAddressPrefix"), &prefix) ||
	    !address_holds(&prefix, &internal)) {
		incorrect(call, internal_text, "is not in the internal network of the NAT");
		return NULL;
	}
	return json_pack("{ss ss sI ss sI}", "Protocol", text_same(protocol, "UDP") ? "UDP" : "TCP",
			 "ExternalIPAddress", external_text, "ExternalPort", (json_int_t)port,
			 "InternalIPAddress", internal_text, "InternalPort",
			 (json_int_t)call_int(call, "InternalPort", port));
}

static bool same_member(const json_t *a, const json_t *b, const char *name)
{
	return json_equal(json_object_get(a, name), json_object_get(b, name));
}

/* Whether there is room for it; its number goes into it. */
static int check_others(struct call *call, const json_t *list, json_t *mapping)
{
	json_int_t number = 0;
	json_t *other;
	size_t i;

	if (json_array_size(list) >= MAPPINGS_MAX)
		return call_error(call, ERROR_STATE, "", "A NAT has %d static mappings at most.",
				  MAPPINGS_MAX);
	json_array_foreach(list, i, other)
	{
		if (same_member(other, mapping, "Protocol") &&
		    same_member(other, mapping, "ExternalIPAddress") &&
		    same_member(other, mapping, "ExternalPort"))
			return exists(call, value_text_of(mapping, "ExternalIPAddress"));
		number = MAX(number, number_of(other) + 1);
	}
	json_object_set_new(mapping, "StaticMappingID", json_integer(number));
	return 0;
}

static int put(struct call *call, const json_t *nat)
{
	struct store *store = call->shell->store;
	struct error err = { "" };

	if (!store_put(store, STORE_NATS, value_text_of(nat, "Id"), nat, &err) &&
	    !switchhost_tell_all(store, &err))
		return 0;
	return call_error(call, ERROR_FAILED, value_text_of(nat, "Name"), "%s", err.text);
}

/* A port that cannot be had is not kept. */
static int put_new(struct call *call, json_t *nat, json_t *mapping)
{
	json_t *list = mappings_of(nat);
	int ret;

	json_array_append(list, mapping);
	ret = put(call, nat);
	if (!ret) {
		call_emit(call, mapping_object(nat, mapping));
		return 0;
	}
	json_array_remove(list, json_array_size(list) - 1);
	put(call, nat);
	return ret;
}

/* The definition of the NAT by that name; NULL: there is none. */
static json_t *find_nat(struct store *store, const char *name)
{
	json_t *all = store_list(store, STORE_NATS, NULL, NULL), *nat, *hit = NULL;
	size_t i;

	json_array_foreach(all, i, nat)
	{
		if (!hit && text_same(value_text_of(nat, "Name"), name))
			hit = json_incref(nat);
	}
	json_decref(all);
	return hit;
}

static int add_locked(struct call *call, const char *name)
{
	json_t *nat = find_nat(call->shell->store, name), *mapping;
	int ret = -1;

	if (!nat)
		return call_error_as(call, "ObjectNotFound", "Windows System Error 1168", name,
				     "There is no NAT with the name '%s'.", name);
	mapping = wanted_mapping(call, nat);
	if (mapping && !check_others(call, mappings_of(nat), mapping))
		ret = put_new(call, nat, mapping);
	json_decref(mapping);
	json_decref(nat);
	return ret;
}

static int add_mapping(struct call *call)
{
	const char *name = call_string(call, "NatName");
	struct error err = { "" };
	int ret;

	if (!call_should(call, "add a static mapping to the NAT \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = add_locked(call, name);
	store_unlock(call->shell->store);
	return ret;
}

/* --- Get-NetNatStaticMapping, Remove-NetNatStaticMapping --- */

static bool has_number(const json_t *numbers, json_int_t number)
{
	json_t *one;
	size_t i;

	json_array_foreach(numbers, i, one)
	{
		if (json_integer_value(one) == number)
			return true;
	}
	return !json_array_size(numbers);
}

static bool has_name(const json_t *names, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach(names, i, one)
	{
		if (value_like(name, json_string_value(one)))
			return true;
	}
	return !json_array_size(names);
}

/* Whether the arguments select it: an object by both, else NatName and StaticMappingID. */
static bool is_wanted(const struct call *call, const char *name, json_int_t number)
{
	const json_t *objects = call_value(call, "InputObject"), *object;
	size_t i;

	if (!objects)
		return has_name(call_value(call, "NatName"), name) &&
		       has_number(call_value(call, "StaticMappingID"), number);
	json_array_foreach(objects, i, object)
	{
		if (text_same(value_text_of(object, "NatName"), name) &&
		    number_of(object) == number)
			return true;
	}
	return false;
}

/* Runs fn for each mapping that is selected. */
static int each(struct call *call,
		void (*fn)(struct call *, const json_t *nat, const json_t *mapping))
{
	json_t *all = store_list(call->shell->store, STORE_NATS, NULL, NULL), *nat, *mapping;
	size_t i, k;

	json_array_foreach(all, i, nat)
	{
		json_array_foreach(json_object_get(nat, "StaticMappings"), k, mapping)
		{
			if (is_wanted(call, value_text_of(nat, "Name"), number_of(mapping)))
				fn(call, nat, mapping);
		}
	}
	json_decref(all);
	return call->failed ? -1 : 0;
}

static void emit(struct call *call, const json_t *nat, const json_t *mapping)
{
	call_emit(call, mapping_object(nat, mapping));
}

static int get_mappings(struct call *call)
{
	return each(call, emit);
}

/* Into the array that is the call's: the NAT's Id and the number. */
static void choose(struct call *call, const json_t *nat, const json_t *mapping)
{
	if (!call_should(call, "remove the static mapping %lld of the NAT \"%s\".",
			 (long long)number_of(mapping), value_text_of(nat, "Name")))
		return;
	json_array_append_new(call->private,
			      json_pack("[OI]", json_object_get(nat, "Id"), number_of(mapping)));
	if (call_switch(call, "PassThru"))
		emit(call, nat, mapping);
}

static int remove_one(struct call *call, const char *id, json_int_t number)
{
	struct error err = { "" };
	json_t *nat = store_get(call->shell->store, STORE_NATS, id, &err), *list;
	int ret = 0;

	if (!nat)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	list = mappings_of(nat);
	for (size_t i = json_array_size(list); i--;) {
		if (number_of(json_array_get(list, i)) == number) {
			json_array_remove(list, i);
			ret = put(call, nat);
		}
	}
	json_decref(nat);
	return ret;
}

/* Questions come first: nobody waits for the store while one is open. */
static int remove_mappings(struct call *call)
{
	json_t *chosen = json_array(), *one;
	struct error err = { "" };
	size_t i;

	call->private = chosen;
	each(call, choose);
	call->private = NULL;
	if (json_array_size(chosen) && store_lock(call->shell->store, &err)) {
		call_error(call, ERROR_FAILED, "", "%s", err.text);
	} else if (json_array_size(chosen)) {
		json_array_foreach(chosen, i, one)
			remove_one(call, json_string_value(json_array_get(one, 0)),
				   json_integer_value(json_array_get(one, 1)));
		store_unlock(call->shell->store);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- the table --- */

static const struct param add_params[] = {
	{ "NatName", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED | BY_NAME },
	{ "Protocol", NULL, PARAM_ENUM, "TCP|UDP", .flags = REQUIRED },
	{ "ExternalIPAddress", NULL, PARAM_STRING, .flags = REQUIRED },
	{ "ExternalPort", NULL, PARAM_INT, .min = 1, .max = UINT16_MAX, .flags = REQUIRED },
	{ "InternalIPAddress", NULL, PARAM_STRING, .flags = REQUIRED },
	{ "InternalPort", NULL, PARAM_INT, .min = 1, .max = UINT16_MAX },
	PARAM_END,
};

static const struct param get_params[] = {
	{ "NatName", "Name", PARAM_STRING, .position = POSITION(0), .flags = MANY | BY_NAME },
	PARAM_END,
};

static const struct param remove_params[] = {
	{ "NatName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY | BY_NAME },
	{ "StaticMappingID", NULL, PARAM_INT, .sets = SET(0), .flags = MANY | BY_NAME },
	{ "InputObject", NULL, PARAM_OBJECT, "NetNatStaticMapping", .sets = SET(1),
	  .flags = REQUIRED | MANY | BY_VALUE },
	{ "PassThru", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Add-NetNatStaticMapping", NULL, "Lets a port of this host lead behind a NAT.",
	  add_params, NULL, CMDLET_CHANGES, add_mapping },
	{ "Get-NetNatStaticMapping", NULL, "Gets the ports that lead behind NATs.", get_params,
	  NULL, 0, get_mappings },
	{ "Remove-NetNatStaticMapping", NULL, "Removes ports that lead behind NATs.", remove_params,
	  "Query InputObject", CMDLET_CHANGES | CMDLET_ASKS, remove_mappings },
	{ NULL },
};

static const struct view views[] = { { "NetNatStaticMapping", NULL }, { NULL } };

const struct noun noun_nat_mapping = { cmdlets, views };
