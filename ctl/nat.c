/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New-NetNat, Get-NetNat, Set-NetNat, Remove-NetNat: which network of an internal switch is
 * translated, and with -Dhcp On also given out, which is ours. One network of each address family
 * for a host; Windows has one. A definition has Id, Name, InternalIPInterfaceAddressPrefix, Dhcp
 * (On, or it is not there) and StaticMappings (ctl/natmapping.c).
 */
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/switchhost.h"
#include "ctl/text.h"
#include "lib/address.h"

#include <stdlib.h>

static json_t *nat_object(const json_t *definition)
{
	static const struct {
		const char *name;
		int value;
	} timeouts[] = { { "IcmpQueryTimeout", 30 },
			 { "TcpEstablishedConnectionTimeout", 1800 },
			 { "TcpTransientConnectionTimeout", 120 } };
	json_t *object = value_object("NetNat");

	json_object_set(object, "Name", json_object_get(definition, "Name"));
	json_object_set_new(object, "ExternalIPInterfaceAddressPrefix", json_string(""));
	json_object_set(object, "InternalIPInterfaceAddressPrefix",
			json_object_get(definition, "InternalIPInterfaceAddressPrefix"));
	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++)
		json_object_set_new(object, timeouts[i].name, json_integer(timeouts[i].value));
	json_object_set_new(object, "TcpFilteringBehavior",
			    json_string("AddressDependentFiltering"));
	json_object_set_new(object, "UdpFilteringBehavior",
			    json_string("AddressDependentFiltering"));
	json_object_set_new(object, "UdpIdleSessionTimeout", json_integer(120));
	json_object_set_new(object, "UdpInboundRefresh", json_false());
	json_object_set(object, "Dhcp", json_object_get(definition, "Dhcp"));
	json_object_set_new(object, "Store", json_string("Local"));
	json_object_set_new(object, "Active", json_true());
	return object;
}

/* --- New-NetNat --- */

static int bad_parameter(struct call *call, const char *target, const char *format, ...)
	PRINTF_LIKE(3, 4);

static int bad_parameter(struct call *call, const char *target, const char *format, ...)
{
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	call_error_as(call, "InvalidArgument", "Windows System Error 87", target,
		      "The parameter is incorrect: %s", text.s);
	text_free(&text);
	return -1;
}

static int check_prefix(struct call *call, const char *prefix, struct address *address)
{
	if (!prefix)
		return bad_parameter(call, "MSFT_NetNat",
				     "-InternalIPInterfaceAddressPrefix is missing, such as "
				     "192.168.100.0/24.");
	if (!strchr(prefix, '/') || !address_parse(prefix, address) ||
	    address->length == address_bits(address))
		return bad_parameter(call, prefix,
				     "'%s' is no network prefix such as 192.168.100.0/24.", prefix);
	if (!address_is_network(address))
		return bad_parameter(call, prefix, "'%s' has bits set behind its prefix.", prefix);
	return 0;
}

static int check_others(struct call *call, const char *name, const struct address *address)
{
	json_t *all = store_list(call->shell->store, STORE_NATS, NULL, NULL), *definition;
	size_t i;
	int ret = 0;

	json_array_foreach(all, i, definition)
	{
		const char *prefix = value_text_of(definition, "InternalIPInterfaceAddressPrefix");
		const char *other = value_text_of(definition, "Name");
		struct address theirs = { .family = 0 };
		bool overlaps = prefix && address_parse(prefix, &theirs) &&
				address_overlap(&theirs, address);

		if (ret)
			break;
		if (text_same(other, name))
			ret = call_error_as(call, "ResourceExists", "Windows System Error 183",
					    name, "There is a NAT with the name '%s' already.",
					    other);
		else if (overlaps)
			ret = bad_parameter(call, name,
					    "the prefix overlaps %s, which the NAT '%s' has.",
					    prefix, other);
		else if (theirs.family == address->family)
			ret = bad_parameter(call, name,
					    "a host has one internal network for NAT, which "
					    "is %s of '%s'.",
					    prefix, other);
	}
	json_decref(all);
	return ret;
}

/* Holds from now on, for switches that run too. -1 after call_error. */
static int put(struct call *call, const json_t *definition)
{
	struct store *store = call->shell->store;
	struct error err = { "" };

	if (!store_put(store, STORE_NATS, value_text_of(definition, "Id"), definition, &err) &&
	    !switchhost_tell_all(store, &err))
		return 0;
	return call_error(call, ERROR_FAILED, value_text_of(definition, "Name"), "%s", err.text);
}

static void set_dhcp(struct call *call, json_t *definition)
{
	const char *dhcp = call_string(call, "Dhcp");

	if (dhcp && text_same(dhcp, "On"))
		json_object_set_new(definition, "Dhcp", json_string("On"));
	else if (dhcp)
		json_object_del(definition, "Dhcp");
}

static int create_locked(struct call *call, const char *name, const char *prefix,
			 const struct address *address)
{
	char id[STORE_ID_SIZE];
	json_t *definition;
	int ret = check_others(call, name, address);

	if (ret)
		return ret;
	store_make_id(id);
	definition = json_pack("{ssssss}", "Id", id, "Name", name,
			       "InternalIPInterfaceAddressPrefix", prefix);
	set_dhcp(call, definition);
	ret = put(call, definition);
	if (!ret)
		call_emit(call, nat_object(definition));
	json_decref(definition);
	return ret;
}

static int new_nat(struct call *call)
{
	const char *name = call_string(call, "Name");
	const char *prefix = call_string(call, "InternalIPInterfaceAddressPrefix");
	struct error err = { "" };
	struct address address;
	int ret;

	if (check_prefix(call, prefix, &address))
		return -1;
	if (!call_should(call, "create the NAT \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = create_locked(call, name, prefix, &address);
	store_unlock(call->shell->store);
	return ret;
}

/* --- Get-NetNat, Set-NetNat, Remove-NetNat --- */

static json_t *select_nats(struct call *call)
{
	json_t *all = store_list(call->shell->store, STORE_NATS, NULL, NULL), *name, *definition;
	json_t *objects = call_value(call, "InputObject"), *chosen = json_array(), *names;
	size_t i, k;

	names = value_array(objects                  ? objects
			    : call_has(call, "Name") ? call_value(call, "Name")
						     : json_null());
	json_array_foreach(all, i, definition)
	{
		bool fits = !json_array_size(names);

		json_array_foreach(names, k, name)
		{
			const char *text = json_is_object(name) ? value_text_of(name, "Name")
								: json_string_value(name);

			fits |= text && value_like(value_text_of(definition, "Name"), text);
		}
		if (fits)
			json_array_append(chosen, definition);
	}
	json_array_foreach(names, k, name)
	{
		const char *text = json_string_value(name);

		if (text && !value_is_pattern(text) && !json_array_size(chosen))
			call_error_as(
				call, "ObjectNotFound", "CmdletizationQuery_NotFound_Name", text,
				"No MSFT_NetNat objects found with property 'Name' equal to '%s'.",
				text);
	}
	json_decref(names);
	json_decref(all);
	return chosen;
}

static int get_nat(struct call *call)
{
	json_t *chosen = select_nats(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition) call_emit(call, nat_object(definition));
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

static int set_one(struct call *call, const char *id)
{
	struct error err = { "" };
	json_t *definition = store_get(call->shell->store, STORE_NATS, id, &err);
	int ret;

	if (!definition)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	set_dhcp(call, definition);
	ret = put(call, definition);
	if (!ret && call_switch(call, "PassThru"))
		call_emit(call, nat_object(definition));
	json_decref(definition);
	return ret;
}

static int set_nat(struct call *call)
{
	json_t *chosen = select_nats(call), *definition;
	struct error err = { "" };
	size_t i;

	json_array_foreach(chosen, i, definition)
	{
		const char *name = value_text_of(definition, "Name");

		if (!call_should(call, "modify the NAT \"%s\".", name))
			continue;
		if (store_lock(call->shell->store, &err)) {
			call_error(call, ERROR_FAILED, name, "%s", err.text);
			continue;
		}
		set_one(call, value_text_of(definition, "Id"));
		store_unlock(call->shell->store);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

static int remove_one(struct call *call, const json_t *definition)
{
	const char *name = value_text_of(definition, "Name");
	struct error err = { "" };
	int ret = 0;

	if (!call_should(call, "remove the NAT \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	if (store_delete(call->shell->store, STORE_NATS, value_text_of(definition, "Id"), &err) ||
	    switchhost_tell_all(call->shell->store, &err))
		ret = call_error(call, ERROR_FAILED, name, "%s", err.text);
	store_unlock(call->shell->store);
	if (!ret && call_switch(call, "PassThru"))
		call_emit(call, nat_object(definition));
	return ret;
}

static int remove_nat(struct call *call)
{
	json_t *chosen = select_nats(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition) remove_one(call, definition);
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- the table --- */

static const struct param new_params[] = {
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "InternalIPInterfaceAddressPrefix", NULL, PARAM_STRING },
	{ "Dhcp", NULL, PARAM_ENUM, "On|Off" },
	PARAM_END,
};

static const struct param get_params[] = {
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .flags = MANY | BY_NAME },
	PARAM_END,
};

#define PARAM_INPUT                                                                              \
	{                                                                                        \
		"InputObject", NULL, PARAM_OBJECT, "NetNat", .sets = SET(1),                     \
							     .flags = REQUIRED | MANY | BY_VALUE \
	}

static const struct param set_params[] = {
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED | MANY | BY_NAME },
	PARAM_INPUT,
	{ "Dhcp", NULL, PARAM_ENUM, "On|Off" },
	{ "PassThru", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param remove_params[] = {
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY | BY_NAME },
	PARAM_INPUT,
	{ "PassThru", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "New-NetNat", NULL, "Creates address translation for an internal network.", new_params,
	  NULL, CMDLET_CHANGES, new_nat },
	{ "Get-NetNat", NULL, "Gets address translation.", get_params, NULL, 0, get_nat },
	{ "Set-NetNat", NULL, "Configures address translation.", set_params, "Query InputObject",
	  CMDLET_CHANGES, set_nat },
	{ "Remove-NetNat", NULL, "Removes address translation.", remove_params, "Query InputObject",
	  CMDLET_CHANGES | CMDLET_ASKS, remove_nat },
	{ NULL },
};

static const struct view views[] = { { "NetNat", NULL }, { NULL } };

const struct noun noun_nat = { cmdlets, views };
