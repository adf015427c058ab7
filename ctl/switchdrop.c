/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Get-VMSwitchDrop: what switches dropped last, why, and the cmdlet that would allow it. A switch
 * knows its ports by the Ids of adapters; whose they are the definitions say.
 */
#include "ctl/hostadapter.h"
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/switchprocess.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <stdlib.h>
#include <time.h>

#define NS_PER_MS     1000000
#define MS_PER_SECOND 1000

/* An adapter on a switch. The texts are borrowed from the definitions, or NULL where unknown. */
struct owner {
	const char *vm, *adapter;
	bool is_host;
};

/* Whose member has that value: its Id, its MacAddress. */
static struct owner find_owner(const json_t *machines, const char *member, const char *value)
{
	json_t *definition, *adapter;
	size_t i, k;

	json_array_foreach(machines, i, definition)
	{
		json_array_foreach(json_object_get(definition, "NetworkAdapters"), k, adapter)
		{
			const char *own = value_text_of(adapter, member);

			if (own && *own && !strcmp(own, value))
				return (struct owner){ value_text_of(definition, "Name"),
						       value_text_of(adapter, "Name"), false };
		}
	}
	return (struct owner){ NULL, NULL, false };
}

/* The adapter that dropped it, or the one that it was for. */
static struct owner owner_of(const json_t *drop, const json_t *definition, const json_t *machines,
			     bool is_receiver)
{
	const char *mac = value_text_of(definition, "MacAddress");
	const char *destination = value_text_of(drop, "destination");
	bool is_host = is_receiver ? mac && destination && !strcmp(mac, destination)
				   : !strcmp(value_text_of(drop, "port"), HOSTADAPTER_PORT);

	if (is_host)
		return (struct owner){ "", value_text_of(definition, "Name"), true };
	return is_receiver ? find_owner(machines, "MacAddress", destination)
			   : find_owner(machines, "Id", value_text_of(drop, "port"));
}

/* --- the object --- */

/* 2026-11-22T13:05:10.123+0000 */
static json_t *time_text(int64_t since_1970_ns)
{
	int64_t ms = since_1970_ns / NS_PER_MS;
	time_t seconds = ms / MS_PER_SECOND;
	char date[32], zone[8];
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &local);
	strftime(zone, sizeof(zone), "%z", &local);
	return value_format("%s.%03d%s", date, (int)(ms % MS_PER_SECOND), zone);
}

static void add_quoted(struct text *text, const char *parameter, const char *value)
{
	text_addf(text, " %s ", parameter);
	if (!value) {
		text_addf(text, "<%s>", parameter + 1);
		return;
	}
	text_add(text, "'");
	for (const char *p = value; *p; p++)
		text_addf(text, *p == '\'' ? "''" : "%c", *p);
	text_add(text, "'");
}

/* The remedy has a cmdlet and its settings; between them stands which adapter. */
static json_t *whole_remedy(const char *remedy, const struct owner *owner)
{
	size_t cmdlet = remedy ? strcspn(remedy, " ") : 0;
	struct text text = { 0 };
	json_t *value;
	char *taken;

	if (!remedy)
		return json_string("");
	text_add_n(&text, remedy, cmdlet);
	if (owner->is_host)
		text_add(&text, " -ManagementOS");
	else
		add_quoted(&text, "-VMName", owner->vm);
	if (owner->adapter)
		add_quoted(&text, "-VMNetworkAdapterName", owner->adapter);
	text_add(&text, remedy + cmdlet);
	taken = text_take(&text);
	value = value_string(taken);
	free(taken);
	return value;
}

static json_t *drop_object(const json_t *drop, const json_t *definition, const json_t *machines)
{
	static const char *const copied[][2] = {
		{ "Frames", "frames" },           { "Bytes", "bytes" },    { "Source", "source" },
		{ "Destination", "destination" }, { "EtherType", "type" }, { "VlanId", "vlan" },
		{ "ReasonName", "reason" },       { "Reason", "words" }
	};
	bool is_receiver = json_is_true(json_object_get(drop, "remedy_is_for_receiver"));
	struct owner owner = owner_of(drop, definition, machines, false);
	struct owner to = owner_of(drop, definition, machines, is_receiver);
	json_t *object = value_object("VMSwitchDrop");

	json_object_set_new(object, "Time",
			    time_text(json_integer_value(json_object_get(drop, "time_ns"))));
	json_object_set(object, "SwitchName", json_object_get(definition, "Name"));
	json_object_set_new(object, "VMName", json_string(owner.vm ? owner.vm : ""));
	json_object_set_new(
		object, "VMNetworkAdapterName",
		json_string(owner.adapter ? owner.adapter : value_text_of(drop, "port")));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		json_object_set(object, copied[i][0], json_object_get(drop, copied[i][1]));
	json_object_set_new(object, "Remedy", whole_remedy(value_text_of(drop, "remedy"), &to));
	return object;
}

/* --- which drops --- */

struct found {
	int64_t time_ns;
	json_t *object;
};

struct search {
	struct found *found;
	size_t count;
	const json_t *machines;
};

static bool fits(const struct call *call, const json_t *object, const char *name)
{
	json_t *patterns = call_value(call, name), *pattern;
	const char *own = value_text_of(object, name);
	bool hit = !patterns;
	size_t i;

	json_array_foreach(patterns, i, pattern) hit |= value_like(own, json_string_value(pattern));
	return hit;
}

static void add_drops(struct call *call, struct search *search, const json_t *definition,
		      const json_t *drops)
{
	json_t *drop;
	size_t i;

	search->found = alloc_resized(search->found, (search->count + json_array_size(drops) + 1) *
							     sizeof(*search->found));
	json_array_foreach(drops, i, drop)
	{
		json_t *object = drop_object(drop, definition, search->machines);

		if (fits(call, object, "VMName") && fits(call, object, "VMNetworkAdapterName"))
			search->found[search->count++] = (struct found){
				json_integer_value(json_object_get(drop, "time_ns")), object
			};
		else
			json_decref(object);
	}
}

/* A switch that does not run has dropped nothing. */
static void search_switch(struct call *call, struct search *search, const json_t *definition)
{
	struct error err = { "" };
	json_t *reply = NULL;
	int ret;

	if (vmswitch_is_default(definition))
		return;
	ret = switchprocess_request(call->shell->store, value_text_of(definition, "Id"), "drops",
				    NULL, &reply, &err);
	if (ret && !switchprocess_is_gone(ret))
		call_error(call, ERROR_FAILED, value_text_of(definition, "Name"), "%s", err.text);
	add_drops(call, search, definition, json_object_get(reply, "drops"));
	json_decref(reply);
}

static int by_time(const void *a, const void *b)
{
	int64_t x = ((const struct found *)a)->time_ns, y = ((const struct found *)b)->time_ns;

	return (x > y) - (x < y);
}

/* The oldest first, as they happened. */
static void emit_newest(struct call *call, struct search *search)
{
	size_t newest = (size_t)call_int(call, "Newest", INT32_MAX);
	size_t first = search->count > newest ? search->count - newest : 0;

	if (search->count)
		qsort(search->found, search->count, sizeof(*search->found), by_time);
	for (size_t i = 0; i < search->count; i++) {
		if (i >= first)
			call_emit(call, search->found[i].object);
		else
			json_decref(search->found[i].object);
	}
	free(search->found);
}

/* A VM's name that is none is a mistake, not a VM without drops. */
static int check_names(struct call *call, const json_t *machines)
{
	json_t *names = call_value(call, "VMName"), *name, *definition;
	size_t i, k;

	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);
		bool hit = value_is_pattern(text);

		json_array_foreach(machines, k, definition) hit |=
			text_same(value_text_of(definition, "Name"), text);
		if (!hit)
			return call_error(
				call, ERROR_NOT_FOUND, text,
				"Nidus was unable to find a virtual machine with name \"%s\".",
				text);
	}
	return 0;
}

static int get_drops(struct call *call)
{
	json_t *machines = store_list(call->shell->store, STORE_VMS, NULL, NULL);
	json_t *chosen = vmswitch_select(call), *definition;
	struct search search = { .machines = machines };
	size_t i;

	if (!check_names(call, machines)) {
		json_array_foreach(chosen, i, definition) search_switch(call, &search, definition);
	}
	emit_newest(call, &search);
	json_decref(chosen);
	json_decref(machines);
	return call->failed ? -1 : 0;
}

/* --- the table --- */

static const struct param params[] = {
	{ "Name", "SwitchName", PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY },
	PARAM_SWITCH_OBJECT,
	{ "VMName", NULL, PARAM_STRING, .flags = MANY },
	{ "VMNetworkAdapterName", NULL, PARAM_STRING, .flags = MANY },
	{ "Newest", NULL, PARAM_INT, .min = 1, .max = INT32_MAX },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMSwitchDrop", NULL, "Gets the frames that virtual switches dropped, and why.",
	  params, "Name SwitchObject", CMDLET_HOST, get_drops },
	{ NULL },
};

static const struct view views[] = { { "VMSwitchDrop", NULL }, { NULL } };

const struct noun noun_switch_drop = { cmdlets, views };
