/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What DhcpGuard and RouterGuard look for in a frame. A guest that wants past them hides the
 * message behind further tags, a SNAP header, extension headers or fragments: what a receiver could
 * still put together must be found here. A first fragment that does not show the header of the
 * upper layer is unreadable (RFC 7113: "RA-Guard Implementation Advice"); later ones are worth
 * nothing without it.
 */
#include "switch/frame.h"

#include "switch/packet.h"

#define ETHERTYPE_SERVICE_VLAN 0x88a8
#define ETHERTYPE_MIN          0x0600 /* below it is a length, and the type in a SNAP header */
#define TAGS_MAX               4
#define EXTENSIONS_MAX         8

#define SNAP_BYTES 8 /* IEEE 802: "Subnetwork Access Protocol" */
#define SNAP_TYPE  6

#define PROTOCOL_HOP_BY_HOP   0
#define PROTOCOL_ROUTING      43
#define PROTOCOL_FRAGMENT     44
#define PROTOCOL_AUTHENTICATE 51
#define PROTOCOL_DESTINATION  60
#define PROTOCOL_MOBILITY     135

#define DHCP_SERVER_PORT      67
#define DHCPV6_SERVER_PORT    547
#define ICMP_REDIRECT         5
#define ICMP_ROUTER           9
#define ICMPV6_REDIRECT       137
#define IPV6_EXTENSION_BYTES  8
#define IPV6_FRAGMENT_AT_MASK 0xfff8

/* What is left of a frame from some header on. */
struct rest {
	const uint8_t *p;
	size_t bytes;
};

/* What a packet says is its length ends it: a receiver does not see what fills up the frame. */
static bool cut(struct rest *rest, size_t bytes)
{
	if (rest->bytes < bytes)
		return false;
	rest->bytes = bytes;
	return true;
}

static bool skip(struct rest *rest, size_t bytes)
{
	if (rest->bytes < bytes)
		return false;
	rest->p += bytes;
	rest->bytes -= bytes;
	return true;
}

static enum frame_kind kind_of_udp(const struct rest *rest, unsigned server_port)
{
	if (rest->bytes < UDP_BYTES)
		return FRAME_UNREADABLE;
	return load_be16(rest->p) == server_port ? FRAME_DHCP_SERVER : FRAME_PLAIN;
}

static enum frame_kind kind_of_icmp(const struct rest *rest, unsigned router, unsigned redirect)
{
	if (!rest->bytes)
		return FRAME_UNREADABLE;
	return *rest->p == router || *rest->p == redirect ? FRAME_ROUTER : FRAME_PLAIN;
}

static enum frame_kind kind_of_ipv4(struct rest rest)
{
	const uint8_t *header = rest.p;
	size_t header_bytes;

	if (rest.bytes < IPV4_BYTES)
		return FRAME_UNREADABLE;
	header_bytes = (header[0] & 15) * 4;
	if (header_bytes < IPV4_BYTES || !cut(&rest, load_be16(header + IPV4_TOTAL)) ||
	    !skip(&rest, header_bytes))
		return FRAME_UNREADABLE;
	if (load_be16(header + IPV4_FRAGMENT) & IPV4_OFFSET_MASK)
		return FRAME_PLAIN;
	switch (header[IPV4_PROTOCOL]) {
	case PROTOCOL_UDP:
		return kind_of_udp(&rest, DHCP_SERVER_PORT);
	case PROTOCOL_ICMP:
		return kind_of_icmp(&rest, ICMP_ROUTER, ICMP_REDIRECT);
	default:
		return FRAME_PLAIN;
	}
}

/* Steps over an extension header; *at is where a fragment begins. False: it is cut short. */
static bool skip_extension(struct rest *rest, unsigned protocol, unsigned *at)
{
	const uint8_t *header = rest->p;

	if (rest->bytes < IPV6_EXTENSION_BYTES)
		return false;
	if (protocol == PROTOCOL_FRAGMENT) {
		*at = load_be16(header + 2) & IPV6_FRAGMENT_AT_MASK;
		return skip(rest, IPV6_EXTENSION_BYTES);
	}
	if (protocol == PROTOCOL_AUTHENTICATE)
		return skip(rest, (header[1] + 2u) * 4);
	return skip(rest, (header[1] + 1u) * 8);
}

static enum frame_kind kind_of_ipv6(struct rest rest)
{
	unsigned protocol, at = 0;

	if (rest.bytes < IPV6_BYTES)
		return FRAME_UNREADABLE;
	protocol = rest.p[IPV6_NEXT];
	if (!cut(&rest, IPV6_BYTES + load_be16(rest.p + IPV6_PAYLOAD)))
		return FRAME_UNREADABLE;
	skip(&rest, IPV6_BYTES);
	for (unsigned i = 0; i < EXTENSIONS_MAX && !at; i++) {
		unsigned next = rest.bytes ? *rest.p : 0;

		switch (protocol) {
		case PROTOCOL_UDP:
			return kind_of_udp(&rest, DHCPV6_SERVER_PORT);
		case PROTOCOL_ICMPV6:
			return kind_of_icmp(&rest, ICMPV6_ROUTER_ADVERT, ICMPV6_REDIRECT);
		case PROTOCOL_HOP_BY_HOP:
		case PROTOCOL_ROUTING:
		case PROTOCOL_FRAGMENT:
		case PROTOCOL_AUTHENTICATE:
		case PROTOCOL_DESTINATION:
		case PROTOCOL_MOBILITY:
			if (!skip_extension(&rest, protocol, &at))
				return FRAME_UNREADABLE;
			protocol = next;
			break;
		default:
			return FRAME_PLAIN;
		}
	}
	return at ? FRAME_PLAIN : FRAME_UNREADABLE;
}

/* The type behind a SNAP header, which some receivers read; 0: there is none. */
static unsigned skip_snap(struct rest *rest)
{
	static const uint8_t unnumbered[] = { 0xaa, 0xaa, 3 };
	const uint8_t *header = rest->p;

	if (!skip(rest, SNAP_BYTES) || memcmp(header, unnumbered, sizeof(unnumbered)) != 0)
		return 0;
	return load_be16(header + SNAP_TYPE);
}

enum frame_kind frame_kind(const struct frame *frame)
{
	struct rest rest = { frame->data + frame->payload, frame->bytes - frame->payload };
	unsigned type = frame->type;

	for (unsigned i = 0; i < TAGS_MAX; i++) {
		const uint8_t *tag;

		if (type < ETHERTYPE_MIN)
			type = skip_snap(&rest);
		switch (type) {
		case ETHERTYPE_IPV4:
			return kind_of_ipv4(rest);
		case ETHERTYPE_IPV6:
			return kind_of_ipv6(rest);
		case ETHERTYPE_VLAN:
		case ETHERTYPE_SERVICE_VLAN:
			tag = rest.p;
			if (!skip(&rest, FRAME_TAG_BYTES))
				return FRAME_UNREADABLE;
			type = load_be16(tag + 2);
			break;
		default:
			return FRAME_PLAIN;
		}
	}
	return FRAME_UNREADABLE;
}
