/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ports that lead to the host: see switch/uplinks.h. */
#include "switch/uplinks.h"

#include "switch/host.h"
#include "switch/tap.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

/* --- the host's adapter --- */

static struct server_port *find_sender(struct server *server, const struct frame *frame)
{
	struct server_port *port = server->ports;

	while (port && memcmp(port->port->policy.mac, frame_source(frame), FRAME_MAC_BYTES))
		port = port->next;
	return port ? port : server_find_port(server, UPLINKS_HOST_PORT);
}

/* It is the sender's drop, where the sender is an adapter itself. */
static void on_stray(void *self, const void *data, size_t bytes)
{
	struct frame frame;
	struct server_port *port;

	if (!frame_parse(&frame, data, bytes))
		return;
	port = find_sender(self, &frame);
	port->port->counters.in_dropped++;
	drop_add(&port->port->drops, DROP_NO_NAT, &frame, 0, bytes, uv_hrtime());
}

/* The port with the policy changed as asked, made where there is none; NULL with a text. */
static struct server_port *need_port(struct server *server, const char *id, const json_t *changes,
				     struct error *err)
{
	struct server_port *port = server_find_port(server, id);
	struct switch_policy policy;

	if (port)
		policy = port->port->policy;
	else
		switch_policy_init(&policy);
	if (switch_policy_change(&policy, changes, err) ||
	    server_set_port(server, id, &policy, err))
		return NULL;
	return server_find_port(server, id);
}

/* The host that is plugged in, or a new one where that has another address or is elsewhere. */
static struct host *need_host(struct server_port *port, bool in_kernel, struct error *err)
{
	struct host *host = host_of(&port->net);
	struct net net;

	if (host && host_has_mac(host, port->port->policy.mac) &&
	    (in_kernel || !host_is_in_kernel(host)))
		return host;
	if (host_open(&host, &net, port->server->loop, port->server->name, port->port->policy.mac,
		      in_kernel, on_stray, port->server, err))
		return NULL;
	server_plug_net(port, &net);
	return host;
}

static int set_host(struct server *server, const json_t *arguments, json_t *answer,
		    struct gateway_config *config, struct error *err)
{
	bool in_kernel = json_is_true(json_object_get(arguments, "in_kernel"));
	json_t *mac = json_object_get(arguments, "mac");
	json_t *changes = json_pack("{sO*}", "mac", mac);
	int ret = gateway_parse(config, arguments, err);
	struct server_port *port = ret ? NULL : need_port(server, UPLINKS_HOST_PORT, changes, err);
	struct host *host = port ? need_host(port, in_kernel, err) : NULL;
	char name[IF_NAMESIZE];

	json_decref(changes);
	if (!host)
		return ret ? ret : -EINVAL;
	json_object_set_new(answer, "in_kernel", json_boolean(host_is_in_kernel(host)));
	json_object_set_new(answer, "interface",
			    json_string(host_interface(host, name, sizeof(name))));
	return host_configure(host, config, err);
}

int uplinks_set_host(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct gateway_config *config = calloc(1, sizeof(*config));
	int ret = config ? set_host(self, arguments, answer, config, err)
			 : error_set(err, -ENOMEM, "out of memory");

	free(config);
	return ret;
}

/* --- the card of an external switch --- */

/* Whoever is behind a card has an address of their own, and VLANs go through. */
static json_t *device_policy(void)
{
	return json_pack("{ss sb s{ss si ss}}", "mac", "", "spoofing", 1, "vlan", "mode", "Trunk",
			 "native", 0, "allowed", "1-4094");
}

int uplinks_set_device(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	const char *device = json_string_value(json_object_get(arguments, "device"));
	struct server *server = self;
	struct server_port *port = server_find_port(server, UPLINKS_DEVICE_PORT);
	json_t *policy;
	struct net net;
	int ret;

	(void)answer;
	if (!device)
		return error_set(err, -EINVAL, "set_uplink: needs a device");
	if (port && tap_index(&port->net) && tap_index(&port->net) == if_nametoindex(device))
		return 0;
	ret = tap_open_uplink(&net, server->loop, device, err);
	if (ret)
		return ret;
	policy = device_policy();
	port = need_port(server, UPLINKS_DEVICE_PORT, policy, err);
	json_decref(policy);
	if (!port) {
		net_close(&net);
		return -EINVAL;
	}
	server_plug_net(port, &net);
	return 0;
}
