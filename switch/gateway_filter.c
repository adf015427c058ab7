/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a guest's frame goes: to the stack that has the address, to the one that translates for
 * the guest's network, to the kernel, or nowhere. What is in a frame is checked here, before
 * libslirp sees it.
 */
#include "switch/gateway_parts.h"
#include "switch/packet.h"

#define PORT_TFTP 69 /* libslirp has a server, without a file */
#define PORT_DNS  53
#define ADDRESS_4 4
#define ADDRESS_6 16

#define EMBEDDED_4 10 /* bytes, all zero, in front of an IPv4 address in IPv6 */

/* An IP packet, as far as the decision needs it. */
struct packet {
	struct address source, destination;
	unsigned protocol;
	const uint8_t *upper; /* the header behind IP's; NULL in a later fragment */
	size_t upper_bytes;
};

static struct address make_address(int family, const uint8_t *bytes)
{
	struct address address = { .family = family };

	memcpy(address.bytes, bytes, family == AF_INET ? ADDRESS_4 : ADDRESS_6);
	address.length = address_bits(&address);
	return address;
}

static bool parse_ipv4(struct packet *packet, const struct frame *frame)
{
	const uint8_t *ip = frame->data + frame->payload;
	size_t left = frame->bytes - frame->payload, header;

	if (left < IPV4_BYTES || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15) * 4u;
	if (header < IPV4_BYTES || load_be16(ip + IPV4_TOTAL) < header ||
	    load_be16(ip + IPV4_TOTAL) > left)
		return false;
	*packet = (struct packet){
		.source = make_address(AF_INET, ip + IPV4_SOURCE),
		.destination = make_address(AF_INET, ip + IPV4_DESTINATION),
		.protocol = ip[IPV4_PROTOCOL],
	};
	if (load_be16(ip + IPV4_FRAGMENT) & IPV4_OFFSET_MASK)
		return true;
	packet->upper = ip + header;
	packet->upper_bytes = load_be16(ip + IPV4_TOTAL) - header;
	return true;
}

static bool parse_ipv6(struct packet *packet, const struct frame *frame)
{
	const uint8_t *ip = frame->data + frame->payload;
	size_t left = frame->bytes - frame->payload;

	if (left < IPV6_BYTES || ip[0] >> 4 != 6 ||
	    load_be16(ip + IPV6_PAYLOAD) > left - IPV6_BYTES)
		return false;
	*packet = (struct packet){
		.source = make_address(AF_INET6, ip + IPV6_SOURCE),
		.destination = make_address(AF_INET6, ip + IPV6_DESTINATION),
		.protocol = ip[IPV6_NEXT],
		.upper = ip + IPV6_BYTES,
		.upper_bytes = load_be16(ip + IPV6_PAYLOAD),
	};
	return true;
}

/* --- which addresses --- */

static bool same_ip(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static struct network *network_at(const struct gateway *gateway, const struct address *host)
{
	for (unsigned i = 0; i < gateway->network_count; i++) {
		if (same_ip(&gateway->networks[i]->host, host))
			return gateway->networks[i];
	}
	return NULL;
}

static struct network *name_server_at(const struct gateway *gateway, const struct address *dns)
{
	for (unsigned i = 0; i < gateway->network_count; i++) {
		struct network *network = gateway->networks[i];

		if (network->has_dns && same_ip(&network->dns, dns) &&
		    gateway_gives_out(gateway, &network->host))
			return network;
	}
	return NULL;
}

/*
 * Broadcast, multicast, loopback and what no router passes on. IPv6 with IPv4 addresses in it
 * (::ffff:127.0.0.1) would leave as IPv4.
 */
static bool is_special(const struct address *a)
{
	const uint8_t *b = a->bytes;

	if (a->family == AF_INET)
		return b[0] == 0 || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254);
	return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ||
	       (!b[0] && !memcmp(b, b + 1, EMBEDDED_4 - 1)); /* ::, ::1 too */
}

/* --- what is in it --- */

static unsigned udp_port(const struct packet *packet)
{
	if (packet->protocol != PROTOCOL_UDP || packet->upper_bytes < UDP_BYTES)
		return 0;
	return load_be16(packet->upper + UDP_DESTINATION);
}

static bool is_dns(const struct packet *packet)
{
	bool has_port = packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP;

	return has_port && packet->upper_bytes >= UDP_BYTES &&
	       load_be16(packet->upper + UDP_DESTINATION) == PORT_DNS;
}

static bool is_ping6(const struct packet *packet)
{
	return packet->protocol == PROTOCOL_ICMPV6 && packet->source.family == AF_INET6 &&
	       packet->upper_bytes >= ICMPV6_BYTES && *packet->upper == ICMPV6_ECHO_REQUEST;
}

/* libslirp answers an echo request of IPv6 for itself only. */
static bool is_carried(const struct packet *packet, bool to_host)
{
	switch (packet->protocol) {
	case PROTOCOL_TCP:
		return true;
	case PROTOCOL_UDP:
		return udp_port(packet) != PORT_TFTP;
	case PROTOCOL_ICMP:
		return packet->source.family == AF_INET;
	case PROTOCOL_ICMPV6:
		return to_host && is_ping6(packet);
	default:
		return false;
	}
}

/* A connection, flow or ping may begin with it. */
static bool may_begin(const struct packet *packet)
{
	return packet->protocol != PROTOCOL_TCP || packet->upper_bytes < TCP_BYTES ||
	       packet->upper[TCP_FLAGS] & TCP_SYN;
}

/* --- where it goes --- */

static void input(struct network *network, const struct frame *frame)
{
	usernet_input(network->net, frame->data, frame->bytes);
}

/* The NAT may be full; the switch still has descriptors for ports, and time for their frames. */
static void input_packet(struct network *network, const struct frame *frame,
			 const struct packet *packet)
{
	if (usernet_sockets(network->net) < GATEWAY_SOCKETS_MAX || !may_begin(packet))
		input(network, frame);
}

/* Who asks for an address is told by its stack; answers are for those that asked. */
static enum gateway_verdict take_arp(struct gateway *gateway, const struct frame *frame)
{
	const uint8_t *arp = frame->data + frame->payload;
	struct address target;

	if (frame->bytes - frame->payload < ARP_BYTES)
		return GATEWAY_TAKEN;
	target = make_address(AF_INET, arp + ARP_TARGET_IP);
	for (unsigned i = 0; i < gateway->network_count; i++) {
		struct network *network = gateway->networks[i];
		bool is_request = load_be16(arp + ARP_OPERATION) == ARP_REQUEST;

		if (network->host.family == AF_INET &&
		    (!is_request || network == network_at(gateway, &target) ||
		     network == name_server_at(gateway, &target)))
			input(network, frame);
	}
	return GATEWAY_HOST;
}

/* Neighbour discovery: as ARP. */
static bool is_neighbor_message(const struct packet *packet)
{
	return packet->protocol == PROTOCOL_ICMPV6 && packet->upper_bytes >= ICMPV6_BYTES &&
	       (*packet->upper == ICMPV6_ROUTER_SOLICIT ||
		*packet->upper == ICMPV6_NEIGHBOR_SOLICIT ||
		*packet->upper == ICMPV6_NEIGHBOR_ADVERT);
}

static enum gateway_verdict take_neighbor(struct gateway *gateway, const struct frame *frame)
{
	for (unsigned i = 0; i < gateway->network_count; i++) {
		if (gateway->networks[i]->host.family == AF_INET6)
			input(gateway->networks[i], frame);
	}
	return GATEWAY_HOST;
}

static enum gateway_verdict take_outbound(struct gateway *gateway, const struct frame *frame,
					  const struct packet *packet)
{
	struct network *network = gateway_network_of(gateway, &packet->source);

	if (!network || !gateway_is_translated(gateway, &packet->source))
		return gateway->config.kernel ? GATEWAY_HOST : GATEWAY_NO_NAT;
	if (is_ping6(packet))
		ping6_send(gateway->ping, frame, gateway->config.mac);
	else if (is_carried(packet, false))
		input_packet(network, frame, packet);
	return GATEWAY_TAKEN;
}

static enum gateway_verdict take_packet(struct gateway *gateway, const struct frame *frame,
					const struct packet *packet)
{
	struct network *network = network_at(gateway, &packet->destination);

	if (network) {
		if (!gateway->config.kernel && is_carried(packet, true))
			input_packet(network, frame, packet);
		return GATEWAY_HOST;
	}
	network = name_server_at(gateway, &packet->destination);
	if (network) {
		if (is_dns(packet))
			input_packet(network, frame, packet);
		return GATEWAY_TAKEN;
	}
	if (is_special(&packet->destination) || gateway_network_of(gateway, &packet->destination))
		return GATEWAY_HOST;
	return take_outbound(gateway, frame, packet);
}

enum gateway_verdict gateway_input(struct gateway *gateway, const void *data, size_t bytes)
{
	struct packet packet;
	struct frame frame;

	if (!frame_parse(&frame, data, bytes) || frame.has_tag)
		return GATEWAY_HOST;
	switch (frame.type) {
	case ETHERTYPE_ARP:
		return take_arp(gateway, &frame);
	case ETHERTYPE_IPV4:
		if (gateway_serve_dhcp(gateway, &frame))
			return GATEWAY_TAKEN;
		if (!parse_ipv4(&packet, &frame))
			return GATEWAY_TAKEN;
		return take_packet(gateway, &frame, &packet);
	case ETHERTYPE_IPV6:
		if (!parse_ipv6(&packet, &frame))
			return GATEWAY_TAKEN;
		if (is_neighbor_message(&packet))
			return take_neighbor(gateway, &frame);
		return take_packet(gateway, &frame, &packet);
	default:
		return GATEWAY_HOST;
	}
}
