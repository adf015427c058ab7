/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Get-NetAdapter: see ctl/netadapter.h. Facts about the kernel's adapters are in /sys/class/net. */
#include "ctl/netadapter.h"

#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SYS_NET        "/sys/class/net"
#define SWITCH_SPEED   "10 Gbps"
#define SWITCH_PREFIX  "vEthernet ("
#define ARPHRD_ETHER   1
#define FIRST_LINE_MAX 128

/* --- the kernel's --- */

/* The first line of a file about an adapter, "" where there is none. */
static void read_fact(const char *device, const char *fact, char line[FIRST_LINE_MAX])
{
	char *path = text_format(SYS_NET "/%s/%s", device, fact);
	FILE *file = fopen(path, "re");

	*line = 0;
	if (file) {
		if (!fgets(line, FIRST_LINE_MAX, file))
			*line = 0;
		fclose(file);
	}
	line[strcspn(line, "\n")] = 0;
	free(path);
}

static int64_t read_number(const char *device, const char *fact)
{
	char line[FIRST_LINE_MAX];

	read_fact(device, fact, line);
	return strtoll(line, NULL, 10);
}

/* A card, and not a bridge or a tunnel: it has a device below it. */
static bool is_physical(const char *device)
{
	char *path = text_format(SYS_NET "/%s/device", device);
	bool is = !access(path, F_OK);

	free(path);
	return is && read_number(device, "type") == ARPHRD_ETHER;
}

static int by_index(const void *a, const void *b)
{
	int64_t x = read_number(*(char *const *)a, "ifindex");
	int64_t y = read_number(*(char *const *)b, "ifindex");

	return (x > y) - (x < y);
}

/* What a switch has of the kernel's: those that stand for themselves are on the switch. */
static bool is_of_switch(const char *device)
{
	char alias[FIRST_LINE_MAX];

	read_fact(device, "ifalias", alias);
	return !strncmp(alias, SWITCH_PREFIX, sizeof(SWITCH_PREFIX) - 1);
}

/* The names of all others in the kernel's order; for free_devices. */
static char **list_devices(size_t *count)
{
	DIR *dir = opendir(SYS_NET);
	struct dirent *entry;
	char **list = NULL;

	*count = 0;
	while (dir && (entry = readdir(dir))) {
		if (*entry->d_name == '.' || read_number(entry->d_name, "type") != ARPHRD_ETHER ||
		    is_of_switch(entry->d_name))
			continue;
		list = alloc_resized(list, (*count + 1) * sizeof(*list));
		list[(*count)++] = text_copy(entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (*count)
		qsort(list, *count, sizeof(*list), by_index);
	return list;
}

static void free_devices(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

/* "Ethernet" is the first card, "Ethernet 2" the second. */
static bool is_windows_name(const char *name, unsigned nth)
{
	char own[32];

	if (nth == 1)
		return text_same(name, "Ethernet");
	snprintf(own, sizeof(own), "Ethernet %u", nth);
	return text_same(name, own);
}

static bool find_device(const char *name, int64_t index, struct netadapter *out)
{
	size_t count;
	char **list = list_devices(&count);
	unsigned cards = 0;
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		int64_t own = read_number(list[i], "ifindex");

		cards += is_physical(list[i]);
		if (name && !text_same(name, list[i]) &&
		    !(is_physical(list[i]) && is_windows_name(name, cards)))
			continue;
		if (!name && own != index)
			continue;
		found = true;
		*out = (struct netadapter){ .name = text_copy(list[i]),
					    .device = text_copy(list[i]),
					    .index = own };
	}
	free_devices(list, count);
	return found;
}

/* --- those on switches --- */

static char *switch_adapter_name(const json_t *definition)
{
	return text_format(SWITCH_PREFIX "%s)", value_text_of(definition, "Name"));
}

static bool find_on_switch(struct store *store, const char *name, int64_t index,
			   struct netadapter *out)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition;
	bool found = false;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		char *own = switch_adapter_name(definition);
		json_int_t own_index =
			json_integer_value(json_object_get(definition, "InterfaceIndex"));

		if (found || !vmswitch_has_host_adapter(definition) ||
		    (name ? !text_same(name, own) : own_index != index)) {
			free(own);
			continue;
		}
		found = true;
		*out = (struct netadapter){ .name = own,
					    .network = json_incref(definition),
					    .index = own_index };
	}
	json_decref(all);
	return found;
}

bool netadapter_find(struct store *store, const char *name, struct netadapter *out)
{
	return find_on_switch(store, name, 0, out) || find_device(name, 0, out);
}

bool netadapter_find_index(struct store *store, int64_t index, struct netadapter *out)
{
	return find_on_switch(store, NULL, index, out) || find_device(NULL, index, out);
}

void netadapter_free(struct netadapter *adapter)
{
	free(adapter->name);
	free(adapter->device);
	json_decref(adapter->network);
}

/* --- objects --- */

/* Pairs of digits with dashes between, from any other way to write it. */
static json_t *dashed_mac(const char *mac)
{
	char text[32];
	size_t len = 0, digits = 0;

	for (const char *p = mac; *p && len + 2 < sizeof(text); p++) {
		if (!isxdigit((unsigned char)*p))
			continue;
		if (digits && digits % 2 == 0)
			text[len++] = '-';
		text[len++] = (char)toupper((unsigned char)*p);
		digits++;
	}
	text[len] = 0;
	return json_string(text);
}

static json_t *speed_text(int64_t mbits)
{
	if (mbits <= 0)
		return json_string("0 bps");
	if (mbits % 1000 == 0)
		return value_format("%lld Gbps", (long long)mbits / 1000);
	return value_format("%lld Mbps", (long long)mbits);
}

static json_t *new_object(const char *name, const char *description, int64_t index,
			  const char *status, const char *mac)
{
	json_t *object = value_object("NetAdapter");

	json_object_set_new(object, "Name", value_string(name));
	json_object_set_new(object, "InterfaceDescription", value_string(description));
	json_object_set_new(object, "ifIndex", json_integer(index));
	json_object_set_new(object, "Status", json_string(status));
	json_object_set_new(object, "MacAddress", dashed_mac(mac));
	return object;
}

/* The other names of the same things, by which pipelines bind. */
static void finish_object(json_t *object, json_t *speed, bool is_virtual)
{
	json_object_set_new(object, "LinkSpeed", speed);
	json_object_set(object, "ifAlias", json_object_get(object, "Name"));
	json_object_set(object, "InterfaceAlias", json_object_get(object, "Name"));
	json_object_set(object, "InterfaceIndex", json_object_get(object, "ifIndex"));
	json_object_set(object, "ifDesc", json_object_get(object, "InterfaceDescription"));
	json_object_set_new(object, "Virtual", json_boolean(is_virtual));
}

static json_t *device_object(const char *device)
{
	char mac[FIRST_LINE_MAX], state[FIRST_LINE_MAX], driver[256] = "";
	char *link = text_format(SYS_NET "/%s/device/driver", device);
	ssize_t len = readlink(link, driver, sizeof(driver) - 1);
	const char *base = strrchr(driver, '/');
	bool card = is_physical(device);
	json_t *object;

	free(link);
	read_fact(device, "address", mac);
	read_fact(device, "operstate", state);
	object = new_object(
		device,
		len > 0 && base ? base + 1
		: card          ? "Ethernet adapter"
				: "Virtual Ethernet adapter",
		read_number(device, "ifindex"),
		!strcmp(state, "up") || !strcmp(state, "unknown") ? "Up" : "Disconnected", mac);
	finish_object(object, speed_text(read_number(device, "speed")), !card);
	return object;
}

static json_t *switch_adapter_object(const json_t *definition, unsigned nth)
{
	const char *mac = value_text_of(definition, "MacAddress");
	char *name = switch_adapter_name(definition), description[64];
	json_t *object;

	snprintf(description, sizeof(description), nth > 1 ? "%s #%u" : "%s",
		 "Nidus Virtual Ethernet Adapter", nth);
	object = new_object(name, description,
			    json_integer_value(json_object_get(definition, "InterfaceIndex")), "Up",
			    mac ? mac : "");
	finish_object(object, json_string(SWITCH_SPEED), true);
	free(name);
	return object;
}

static json_t *all_objects(struct store *store)
{
	json_t *switches = store_list(store, STORE_SWITCHES, NULL, NULL), *list = json_array();
	json_t *definition;
	unsigned nth = 0;
	size_t count, i;
	char **devices = list_devices(&count);

	for (size_t k = 0; k < count; k++)
		json_array_append_new(list, device_object(devices[k]));
	json_array_foreach(switches, i, definition)
	{
		if (vmswitch_has_host_adapter(definition))
			json_array_append_new(list, switch_adapter_object(definition, ++nth));
	}
	free_devices(devices, count);
	json_decref(switches);
	return list;
}

/* --- Get-NetAdapter --- */

/* By name, also by the one that Windows would have. */
static bool is_named(struct store *store, const json_t *object, const char *name)
{
	const char *own = value_text_of(object, "Name");
	struct netadapter adapter;
	bool same = text_same(own, name);

	if (same || value_is_pattern(name))
		return same || value_like(own, name);
	if (!netadapter_find(store, name, &adapter))
		return false;
	same = text_same(adapter.name, own);
	netadapter_free(&adapter);
	return same;
}

static int no_such(struct call *call, const char *property, const char *value)
{
	char id[64];

	snprintf(id, sizeof(id), "CmdletizationQuery_NotFound_%s", property);
	return call_error_as(call, "ObjectNotFound", id, value,
			     "No MSFT_NetAdapter objects found with property '%s' equal to '%s'. "
			     "Verify the value of the property and retry.",
			     property, value);
}

static void emit_named(struct call *call, const json_t *all)
{
	json_t *names = call_value(call, "Name"), *name, *object;
	size_t i, k;

	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);
		bool hit = value_is_pattern(text);

		json_array_foreach(all, k, object)
		{
			if (!is_named(call->shell->store, object, text))
				continue;
			call_emit(call, json_incref(object));
			hit = true;
		}
		if (!hit)
			no_such(call, "Name", text);
	}
}

/* By what a property holds. */
static void emit_equal(struct call *call, const json_t *all, const char *parameter)
{
	json_t *wanted = call_value(call, parameter), *value, *object;
	size_t i, k;

	json_array_foreach(wanted, i, value)
	{
		bool hit = false;

		json_array_foreach(all, k, object)
		{
			if (value_compare(json_object_get(object, parameter), value))
				continue;
			call_emit(call, json_incref(object));
			hit = true;
		}
		if (!hit) {
			char *text = value_text(value);

			no_such(call, parameter, text);
			free(text);
		}
	}
}

static int get_net_adapter(struct call *call)
{
	json_t *all = all_objects(call->shell->store), *object;
	size_t i;

	if (call_has(call, "Name")) {
		emit_named(call, all);
	} else if (call_has(call, "InterfaceDescription")) {
		emit_equal(call, all, "InterfaceDescription");
	} else if (call_has(call, "InterfaceIndex")) {
		emit_equal(call, all, "InterfaceIndex");
	} else {
		json_array_foreach(all, i, object)
		{
			if (!call_switch(call, "Physical") ||
			    json_is_false(json_object_get(object, "Virtual")))
				call_emit(call, json_incref(object));
		}
	}
	json_decref(all);
	return call->failed ? -1 : 0;
}

static const struct param params[] = {
	{ "Name", "ifAlias InterfaceAlias", PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY },
	{ "InterfaceDescription", "ifDesc", PARAM_STRING, .sets = SET(1),
	  .flags = REQUIRED | MANY | BY_NAME },
	{ "InterfaceIndex", "ifIndex", PARAM_INT, .sets = SET(2),
	  .flags = REQUIRED | MANY | BY_NAME },
	{ "IncludeHidden", NULL, PARAM_SWITCH },
	{ "Physical", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-NetAdapter", NULL, "Gets this host's network adapters.", params,
	  "ByName ByInstanceID ByIfIndex", 0, get_net_adapter },
	{ NULL },
};

static const struct column columns[] = {
	{ "Name" },   { "InterfaceDescription" }, { "ifIndex" },
	{ "Status" }, { "MacAddress" },           { "LinkSpeed" },
	{ NULL },
};

static const struct view views[] = { { "NetAdapter", columns }, { NULL } };

const struct noun noun_net_adapter = { cmdlets, views };
