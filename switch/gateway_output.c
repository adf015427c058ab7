/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libslirp's frames, brought into shape: it makes up hardware addresses, but the host's adapter has
 * one, in the header, in ARP and in the options of neighbour discovery. It advertises itself as an
 * IPv6 router whatever happens; here only where addresses are given out. RFC 826; RFC 4861:
 * "Message Formats".
 */
#include "switch/gateway_parts.h"
#include "switch/packet.h"

#define LINK_LOCAL_HOST_PART 8 /* bytes: fe80::/64 in front */

static bool is_host(const struct network *network, const uint8_t *ip)
{
	return !memcmp(network->host.bytes, ip, network->host.family == AF_INET ? 4 : 16);
}

/* False: not to be sent. */
static bool shape_arp(const struct network *network, uint8_t *arp, size_t bytes)
{
	const struct gateway_config *config = &network->gateway->config;

	if (bytes < ARP_BYTES)
		return false;
	if (config->kernel && load_be16(arp + ARP_OPERATION) == ARP_REPLY &&
	    is_host(network, arp + ARP_SENDER_IP))
		return false; /* the kernel answers for itself */
	memcpy(arp + ARP_SENDER_MAC, config->mac, FRAME_MAC_BYTES);
	return true;
}

static void shape_options(uint8_t *option, const uint8_t *end, const uint8_t *mac)
{
	while (end - option >= OPTION_UNIT_BYTES && option[1] &&
	       end - option >= option[1] * OPTION_UNIT_BYTES) {
		if (*option == OPTION_SOURCE_MAC || *option == OPTION_TARGET_MAC)
			memcpy(option + 2, mac, FRAME_MAC_BYTES);
		option += option[1] * OPTION_UNIT_BYTES;
	}
}

/* As coming from the address that neighbour solicitations for are answered. */
static void shape_router(const struct network *network, uint8_t *ip)
{
	memcpy(ip + IPV6_SOURCE + LINK_LOCAL_HOST_PART, network->host.bytes + LINK_LOCAL_HOST_PART,
	       LINK_LOCAL_HOST_PART);
}

/* False: not to be sent. */
static bool shape_ipv6(const struct network *network, uint8_t *ip, size_t bytes)
{
	const struct gateway *gateway = network->gateway;
	uint8_t *message = ip + IPV6_BYTES, *end = ip + bytes;
	size_t header;

	if (bytes < IPV6_BYTES + ICMPV6_BYTES || ip[IPV6_NEXT] != PROTOCOL_ICMPV6 ||
	    load_be16(ip + IPV6_PAYLOAD) != bytes - IPV6_BYTES)
		return bytes >= IPV6_BYTES;
	switch (*message) {
	case ICMPV6_ROUTER_ADVERT:
		if (!gateway_gives_out(gateway, &network->host))
			return false;
		shape_router(network, ip);
		header = ROUTER_ADVERT_BYTES;
		break;
	case ICMPV6_NEIGHBOR_ADVERT:
		if (gateway->config.kernel && bytes >= IPV6_BYTES + NEIGHBOR_BYTES &&
		    is_host(network, message + NEIGHBOR_TARGET))
			return false; /* the kernel answers for itself */
		header = NEIGHBOR_BYTES;
		break;
	case ICMPV6_NEIGHBOR_SOLICIT:
		header = NEIGHBOR_BYTES;
		break;
	default:
		return true;
	}
	if ((size_t)(end - message) > header)
		shape_options(message + header, end, gateway->config.mac);
	checksum_icmpv6(ip, bytes - IPV6_BYTES);
	return true;
}

void gateway_on_output(void *receiver, const void *frame, size_t bytes)
{
	struct network *network = receiver;
	struct gateway *gateway = network->gateway;
	uint8_t copy[GATEWAY_FRAME_MAX], *payload = copy + FRAME_HEADER_BYTES;
	size_t left;
	bool goes = true;

	if (bytes < FRAME_HEADER_BYTES || bytes > sizeof(copy))
		return;
	memcpy(copy, frame, bytes);
	memcpy(copy + FRAME_MAC_BYTES, gateway->config.mac, FRAME_MAC_BYTES);
	left = bytes - FRAME_HEADER_BYTES;
	switch (load_be16(copy + 2 * FRAME_MAC_BYTES)) {
	case ETHERTYPE_ARP:
		goes = shape_arp(network, payload, left);
		break;
	case ETHERTYPE_IPV6:
		goes = shape_ipv6(network, payload, left);
		break;
	}
	if (goes)
		gateway->output(gateway->receiver, copy, bytes);
}
