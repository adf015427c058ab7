/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host on a switch, in user space: see switch/gateway.h. switch/gateway_filter.c says where a
 * frame goes, switch/gateway_output.c brings libslirp's frames into shape.
 */
#include "switch/gateway_parts.h"

#include "switch/packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MS_PER_SECOND 1000

/* --- addresses --- */

static bool same_address(const struct address *a, const struct address *b)
{
	return a->length == b->length && a->family == b->family &&
	       !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* All bits behind the prefix set, or none. */
static void fill_host_part(struct address *a, bool ones)
{
	for (unsigned bit = a->length; bit < address_bits(a); bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		a->bytes[bit / 8] = ones ? a->bytes[bit / 8] | mask : a->bytes[bit / 8] & ~mask;
	}
}

/* The last address before the broadcast one that is not the host's; none in the smallest nets. */
static void choose_name_server(struct network *network)
{
	unsigned last = network->host.family == AF_INET ? 3 : 15;

	network->dns = network->host;
	fill_host_part(&network->dns, true);
	network->dns.bytes[last] -= 1;
	if (!memcmp(network->dns.bytes, network->host.bytes, last + 1))
		network->dns.bytes[last] -= 1;
	network->has_dns = network->host.length <= address_bits(&network->host) - 2;
}

static struct in_addr in4(const struct address *a)
{
	struct in_addr in;

	memcpy(&in, a->bytes, sizeof(in));
	return in;
}

static struct in6_addr in6(const struct address *a)
{
	struct in6_addr in;

	memcpy(&in, a->bytes, sizeof(in));
	return in;
}

static void make_sockaddr(struct sockaddr_storage *out, const struct address *a, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	*out = (struct sockaddr_storage){ .ss_family = (sa_family_t)a->family };
	if (a->family == AF_INET) {
		v4->sin_addr = in4(a);
		v4->sin_port = htons(port);
	} else {
		v6->sin6_addr = in6(a);
		v6->sin6_port = htons(port);
	}
}

/* --- networks --- */

static struct usernet *open_usernet(struct network *network, struct error *err)
{
	struct address prefix = network->host, mask = network->host;
	SlirpConfig config = { .disable_dhcp = true };

	fill_host_part(&prefix, false);
	memset(mask.bytes, 0xff, sizeof(mask.bytes));
	fill_host_part(&mask, false);
	if (network->host.family == AF_INET) {
		config.in_enabled = true;
		config.vnetwork = in4(&prefix);
		config.vnetmask = in4(&mask);
		config.vhost = in4(&network->host);
		config.vnameserver = in4(&network->dns);
	} else {
		config.in6_enabled = true;
		config.vprefix_addr6 = in6(&prefix);
		config.vprefix_len = (uint8_t)network->host.length;
		config.vhost6 = in6(&network->host);
		config.vnameserver6 = in6(&network->dns);
	}
	config.disable_dns = !network->has_dns;
	return usernet_open(network->gateway->loop, &config, gateway_on_output, network, err);
}

static int add_network(struct gateway *gateway, const struct address *host, struct error *err)
{
	struct network *network = calloc(1, sizeof(*network));

	if (!network)
		return error_set(err, -ENOMEM, "out of memory");
	network->gateway = gateway;
	network->host = *host;
	choose_name_server(network);
	network->net = open_usernet(network, err);
	if (!network->net) {
		free(network);
		return -EINVAL;
	}
	gateway->networks[gateway->network_count++] = network;
	return 0;
}

/* The others stay in their order: mappings are at the first one that holds their guest. */
static void remove_network(struct gateway *gateway, unsigned i)
{
	struct network **at = &gateway->networks[i], *network = *at;

	gateway->network_count--;
	memmove(at, at + 1, (gateway->network_count - i) * sizeof(struct network *));
	usernet_close(network->net);
	free(network);
}

static bool has_address(const struct gateway_config *config, const struct address *address)
{
	for (unsigned i = 0; i < config->address_count; i++) {
		if (same_address(&config->addresses[i], address))
			return true;
	}
	return false;
}

static bool has_network(const struct gateway *gateway, const struct address *host)
{
	for (unsigned i = 0; i < gateway->network_count; i++) {
		if (same_address(&gateway->networks[i]->host, host))
			return true;
	}
	return false;
}

struct network *gateway_network_of(const struct gateway *gateway, const struct address *inner)
{
	for (unsigned i = 0; i < gateway->network_count; i++) {
		if (address_holds(&gateway->networks[i]->host, inner))
			return gateway->networks[i];
	}
	return NULL;
}

static bool is_held(const struct address *prefixes, unsigned count, const struct address *inner)
{
	for (unsigned i = 0; i < count; i++) {
		if (address_holds(&prefixes[i], inner))
			return true;
	}
	return false;
}

bool gateway_is_translated(const struct gateway *gateway, const struct address *inner)
{
	return is_held(gateway->config.nats, gateway->config.nat_count, inner);
}

bool gateway_gives_out(const struct gateway *gateway, const struct address *inner)
{
	return gateway_is_translated(gateway, inner) &&
	       is_held(gateway->config.dhcp, gateway->config.dhcp_count, inner);
}

static int change_networks(struct gateway *gateway, struct error *err)
{
	const struct gateway_config *config = &gateway->config;
	int ret = 0;

	for (unsigned i = 0; i < gateway->network_count;) {
		if (has_address(config, &gateway->networks[i]->host))
			i++;
		else
			remove_network(gateway, i);
	}
	for (unsigned i = 0; i < config->address_count && !ret; i++) {
		if (!has_network(gateway, &config->addresses[i]))
			ret = add_network(gateway, &config->addresses[i], err);
	}
	return ret;
}

/* --- mappings --- */

static bool same_mapping(const struct gateway_mapping *a, const struct gateway_mapping *b)
{
	return a->is_udp == b->is_udp && a->external_port == b->external_port &&
	       a->internal_port == b->internal_port && same_address(&a->external, &b->external) &&
	       same_address(&a->internal, &b->internal);
}

static bool has_mapping(const struct gateway_mapping *list, unsigned count,
			const struct gateway_mapping *mapping)
{
	for (unsigned i = 0; i < count; i++) {
		if (same_mapping(&list[i], mapping))
			return true;
	}
	return false;
}

/* Those that are not wanted any more, and those whose network is gone, which are closed. */
static void remove_mappings(struct gateway *gateway, const struct gateway_config *config)
{
	for (unsigned i = 0; i < gateway->mapping_count;) {
		const struct gateway_mapping *mapping = &gateway->mappings[i];
		struct network *network = gateway_network_of(gateway, &mapping->internal);
		bool stays = has_address(config, &network->host);
		struct sockaddr_storage external;

		if (stays && has_mapping(config->mappings, config->mapping_count, mapping)) {
			i++;
			continue;
		}
		make_sockaddr(&external, &mapping->external, mapping->external_port);
		usernet_unforward(network->net, mapping->is_udp, (struct sockaddr *)&external);
		gateway->mappings[i] = gateway->mappings[--gateway->mapping_count];
	}
}

static int add_mapping(struct gateway *gateway, const struct gateway_mapping *mapping,
		       struct error *err)
{
	struct network *network = gateway_network_of(gateway, &mapping->internal);
	struct sockaddr_storage external, internal;
	int ret;

	if (!network)
		return error_set(err, -ENOENT,
				 "a static mapping leads to an address in no network of the host's "
				 "adapter: port %u waits for New-NetIPAddress",
				 mapping->external_port);
	make_sockaddr(&external, &mapping->external, mapping->external_port);
	make_sockaddr(&internal, &mapping->internal, mapping->internal_port);
	ret = usernet_forward(network->net, mapping->is_udp, (struct sockaddr *)&external,
			      (struct sockaddr *)&internal);
	if (ret)
		return error_set(err, ret, "%s port %u of the host cannot be had: %s",
				 mapping->is_udp ? "UDP" : "TCP", mapping->external_port,
				 strerror(-ret));
	gateway->mappings[gateway->mapping_count++] = *mapping;
	return 0;
}

static int add_mappings(struct gateway *gateway, struct error *err)
{
	const struct gateway_config *config = &gateway->config;
	int ret = 0;

	for (unsigned i = 0; i < config->mapping_count; i++) {
		const struct gateway_mapping *mapping = &config->mappings[i];
		int failed;

		if (has_mapping(gateway->mappings, gateway->mapping_count, mapping))
			continue;
		failed = add_mapping(gateway, mapping, ret ? NULL : err);
		ret = ret ? ret : failed;
	}
	return ret;
}

/* --- DHCP --- */

/* The first IPv4 network that addresses are given out in. */
static struct network *dhcp_network(const struct gateway *gateway)
{
	for (unsigned i = 0; i < gateway->config.address_count; i++) {
		struct network *network =
			gateway_network_of(gateway, &gateway->config.addresses[i]);

		if (network && network->host.family == AF_INET &&
		    gateway_gives_out(gateway, &network->host))
			return network;
	}
	return NULL;
}

static void add_name_server(struct dhcp_network *setting, const struct address *dns)
{
	if (dns->family == AF_INET && setting->dns_count < DHCP_DNS_MAX)
		memcpy(setting->dns[setting->dns_count++], dns->bytes, sizeof(setting->dns[0]));
}

static void change_dhcp(struct gateway *gateway)
{
	struct network *network = dhcp_network(gateway);
	struct dhcp_network setting = { .dns_count = 0 };

	gateway->gives_out = network != NULL;
	if (!gateway->gives_out)
		return;
	memcpy(setting.mac, gateway->config.mac, sizeof(setting.mac));
	setting.host = network->host;
	for (unsigned i = 0; i < gateway->config.dns_count; i++)
		add_name_server(&setting, &gateway->config.dns[i]);
	if (!setting.dns_count && network->has_dns)
		add_name_server(&setting, &network->dns);
	dhcp_set_network(gateway->dhcp, &setting);
}

bool gateway_serve_dhcp(struct gateway *gateway, const struct frame *frame)
{
	uint8_t reply[DHCP_REPLY_BYTES];
	size_t bytes;

	if (!gateway->gives_out || !dhcp_is_request(frame))
		return false;
	bytes = dhcp_answer(gateway->dhcp, frame, uv_now(gateway->loop) / MS_PER_SECOND, reply);
	if (bytes)
		gateway->output(gateway->receiver, reply, bytes);
	return true;
}

/* --- the gateway --- */

struct gateway *gateway_open(uv_loop_t *loop, gateway_output_fn *output, void *receiver)
{
	struct gateway *gateway = calloc(1, sizeof(*gateway));
	struct ping6 *ping = ping6_open(loop, output, receiver);
	struct dhcp *dhcp = dhcp_create();

	if (!gateway || !dhcp || !ping) {
		dhcp_destroy(dhcp);
		ping6_close(ping);
		free(gateway);
		return NULL;
	}
	gateway->loop = loop;
	gateway->output = output;
	gateway->receiver = receiver;
	gateway->ping = ping;
	gateway->dhcp = dhcp;
	return gateway;
}

int gateway_configure(struct gateway *gateway, const struct gateway_config *config,
		      struct error *err)
{
	int ret, failed;

	remove_mappings(gateway, config);
	gateway->config = *config;
	ret = change_networks(gateway, err);
	failed = add_mappings(gateway, ret ? NULL : err);
	change_dhcp(gateway);
	return ret ? ret : failed;
}

void gateway_close(struct gateway *gateway)
{
	if (!gateway)
		return;
	while (gateway->network_count)
		remove_network(gateway, 0);
	ping6_close(gateway->ping);
	dhcp_destroy(gateway->dhcp);
	free(gateway);
}
