/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a switch can be asked over its control socket. A port is named by the Id of its adapter.
 *
 *   query           name, pid, connected (ports with a client), capture (as stop_capture answers;
 *                   null)
 *
 *   set_port        port, and the members of switch/policy.h: makes the port where there is none,
 *                   else changes what is given; holds for the next frame
 *
 *   set_host, set_uplink   the ports that lead to the host: switch/uplinks.h
 *
 *   remove_port     port: cuts off its client and forgets its counters and drops
 *
 *   rename          name: for texts, and for a host's adapter that is made from now on
 *
 *   ports           ports: [{port, connected, policy (the members of switch/policy.h),
 *                   counters: {in_frames, in_bytes, in_dropped, out_frames, out_bytes,
 *                   out_dropped, copies, reasons: {NAME: frames dropped}}}], where `in` is from
 *                   the client into the switch
 *
 *   drops           port (may be left out: all ports). drops: [{port, time_ns, first_time_ns
 *                   (both since 1970), frames, bytes (of the last), source, destination (12
 *                   digits, "": not to be read), type, vlan, reason, words, remedy (null: nothing
 *                   helps), remedy_is_for_receiver}], the oldest of each port first
 *
 *   start_capture   path, port (may be left out: all ports): frames as they come in, also those
 *                   that are dropped; a capture that runs is stopped first
 *
 *   stop_capture    path, frames, bytes, error (null, or why the file ends early)
 *
 *   quit            ends the switch at once
 */
#include "switch/requests.h"

#include "switch/link.h"
#include "switch/uplinks.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000ull

/* The port that `port` names; NULL with a text. */
static struct server_port *named_port(struct server *server, const json_t *arguments,
				      struct error *err)
{
	const char *id = json_string_value(json_object_get(arguments, "port"));
	struct server_port *port = id ? server_find_port(server, id) : NULL;

	if (!port)
		error_set(err, -ENOENT, "switch '%s' has no port '%s'", server->name, id ? id : "");
	return port;
}

/* --- ports --- */

static int set_port(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;
	const char *id = json_string_value(json_object_get(arguments, "port"));
	struct server_port *port = id ? server_find_port(server, id) : NULL;
	struct switch_policy policy;
	int ret;

	(void)answer;
	if (port)
		policy = port->port->policy;
	else
		switch_policy_init(&policy);
	ret = switch_policy_change(&policy, arguments, err);
	return ret ? ret : server_set_port(server, id ? id : "", &policy, err);
}

static int remove_port(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server_port *port = named_port(self, arguments, err);

	(void)answer;
	if (!port)
		return -ENOENT;
	server_remove_port(port);
	return 0;
}

static json_t *reasons_object(const struct drop_ring *drops)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < DROP_REASONS; i++) {
		if (drops->by_reason[i])
			json_object_set_new(object, drop_text((enum drop_reason)i)->name,
					    json_integer((json_int_t)drops->by_reason[i]));
	}
	return object;
}

static json_t *counters_object(const struct switch_port *port)
{
	const struct switch_counters *c = &port->counters;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "in_frames", c->in_frames },   { "in_bytes", c->in_bytes },
		{ "in_dropped", c->in_dropped }, { "out_frames", c->out_frames },
		{ "out_bytes", c->out_bytes },   { "out_dropped", c->out_dropped },
		{ "copies", c->copies },
	};
	json_t *object = json_pack("{s:o}", "reasons", reasons_object(&port->drops));

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_set_new(object, numbers[i].name,
				    json_integer((json_int_t)numbers[i].value));
	return object;
}

static int ports(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;
	json_t *list = json_array();

	(void)arguments;
	(void)err;
	for (struct server_port *p = server->ports; p; p = p->next)
		json_array_append_new(list, json_pack("{s:s, s:b, s:o, s:o}", "port", p->id,
						      "connected", p->port->is_connected, "policy",
						      switch_policy_object(&p->port->policy),
						      "counters", counters_object(p->port)));
	return json_object_set_new(answer, "ports", list);
}

/* --- drops --- */

static json_t *mac_string(const uint8_t *mac)
{
	if (mac_is_zero(mac))
		return json_string("");
	return json_sprintf("%02X%02X%02X%02X%02X%02X", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

/* The text with the VLAN in the place of its %u. */
static json_t *fill_in(const char *text, unsigned vlan)
{
	const char *place = text ? strstr(text, "%u") : NULL;

	if (!place)
		return text ? json_string(text) : json_null();
	return json_sprintf("%.*s%u%s", (int)(place - text), text, vlan, place + 2);
}

/* Lets a VLAN pass with its tag, and all that passes already. */
static json_t *trunk_remedy(const struct switch_vlan *vlan, unsigned id)
{
	struct switch_vlan wider = *vlan;
	json_t *list, *remedy;

	if (vlan->mode != SWITCH_VLAN_TRUNK)
		memset(wider.allowed, 0, sizeof(wider.allowed));
	if (vlan->mode == SWITCH_VLAN_UNTAGGED)
		wider.id = 0;
	wider.allowed[id / 64] |= BIT(id % 64);
	list = switch_vlan_list(&wider);
	remedy = json_sprintf(
		"Set-VMNetworkAdapterVlan -Trunk -AllowedVlanIdList '%s' -NativeVlanId %u",
		json_string_value(list), wider.id);
	json_decref(list);
	return remedy;
}

static const struct switch_vlan *vlan_of_receiver(const struct server *server,
						  const struct drop *drop)
{
	const struct server_port *port = server->ports;

	while (port && memcmp(port->port->policy.mac, drop->destination, FRAME_MAC_BYTES) != 0)
		port = port->next;
	return port ? &port->port->policy.vlan : NULL;
}

static json_t *remedy(const struct server_port *port, const struct drop *drop)
{
	const struct switch_vlan *receiver =
		drop->reason == DROP_VLAN_OTHER ? vlan_of_receiver(port->server, drop) : NULL;

	if (drop->reason == DROP_VLAN_TAG && drop->vlan && drop->vlan <= VLAN_MAX)
		return trunk_remedy(&port->port->policy.vlan, drop->vlan);
	if (receiver && receiver->mode == SWITCH_VLAN_TRUNK)
		return trunk_remedy(receiver, drop->vlan);
	return fill_in(drop_text(drop->reason)->remedy, drop->vlan);
}

static json_t *drop_object(const struct server_port *port, const struct drop *drop,
			   uint64_t epoch_ns)
{
	const struct drop_text *text = drop_text(drop->reason);

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:i, s:i, s:s, s:o, s:o, s:b}",
			 "port", port->id, "time_ns", (json_int_t)(epoch_ns + drop->last_ns),
			 "first_time_ns", (json_int_t)(epoch_ns + drop->first_ns), "frames",
			 (json_int_t)drop->count, "bytes", (json_int_t)drop->bytes, "source",
			 mac_string(drop->source), "destination", mac_string(drop->destination),
			 "type", drop->type, "vlan", drop->vlan, "reason", text->name, "words",
			 fill_in(text->words, drop->vlan), "remedy", remedy(port, drop),
			 "remedy_is_for_receiver", text->is_receiver);
}

/* What the clock of drops has to have added to be the time since 1970. */
static uint64_t epoch_of_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec - uv_hrtime();
}

static int drops(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;
	struct server_port *only = NULL;
	json_t *list;
	const struct drop *drop;

	if (json_object_get(arguments, "port")) {
		only = named_port(server, arguments, err);
		if (!only)
			return -ENOENT;
	}
	list = json_array();
	for (struct server_port *p = server->ports; p; p = p->next) {
		for (unsigned i = 0; (!only || only == p) && (drop = drop_at(&p->port->drops, i));
		     i++)
			json_array_append_new(list, drop_object(p, drop, epoch_of_clock()));
	}
	return json_object_set_new(answer, "drops", list);
}

/* --- captures --- */

static json_t *capture_object(struct server *server)
{
	struct capture_report report;

	if (!server->capture)
		return json_null();
	capture_report(server->capture, &report);
	return json_pack("{s:s, s:I, s:I, s:s?}", "path", report.path, "frames",
			 (json_int_t)report.frames, "bytes", (json_int_t)report.bytes, "error",
			 report.error ? strerror(report.error) : NULL);
}

static int start_capture(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;
	const char *path = json_string_value(json_object_get(arguments, "path"));
	struct server_port *only = NULL;
	struct capture *capture;
	int ret;

	(void)answer;
	if (!path)
		return error_set(err, -EINVAL, "start_capture: needs a path");
	if (json_object_get(arguments, "port")) {
		only = named_port(server, arguments, err);
		if (!only)
			return -ENOENT;
	}
	server_set_capture(server, NULL, NULL); /* the same file would be written twice */
	ret = capture_create(&capture, path, err);
	if (!ret)
		server_set_capture(server, capture, only);
	return ret;
}

static int stop_capture(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;
	json_t *report = capture_object(server);

	(void)arguments;
	if (!server->capture) {
		json_decref(report);
		return error_set(err, -ENOENT, "switch '%s' captures no frames", server->name);
	}
	json_object_update(answer, report);
	json_decref(report);
	server_set_capture(server, NULL, NULL);
	return 0;
}

/* --- the rest --- */

static int query(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;

	(void)arguments;
	(void)err;
	json_object_set_new(answer, "name", json_string(server->name));
	json_object_set_new(answer, "pid", json_integer(getpid()));
	json_object_set_new(answer, "connected", json_integer(server->connected));
	return json_object_set_new(answer, "capture", capture_object(server));
}

static int rename_switch(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	const char *name = json_string_value(json_object_get(arguments, "name"));
	struct server *server = self;

	(void)answer;
	if (!name || strlen(name) >= sizeof(server->name))
		return error_set(err, -EINVAL, "rename: needs a name of less than %zu bytes",
				 sizeof(server->name));
	snprintf(server->name, sizeof(server->name), "%s", name);
	return 0;
}

static int quit(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct server *server = self;

	(void)arguments;
	(void)answer;
	(void)err;
	uv_stop(server->loop);
	return 0;
}

static const struct control_request table[] = {
	{ "query", query },
	{ "set_port", set_port },
	{ "remove_port", remove_port },
	{ "rename", rename_switch },
	{ "ports", ports },
	{ "set_host", uplinks_set_host },
	{ "set_uplink", uplinks_set_device },
	{ "drops", drops },
	{ "start_capture", start_capture },
	{ "stop_capture", stop_capture },
	{ "quit", quit },
	{ NULL, NULL },
};

const struct control_request *requests_table(void)
{
	return table;
}
