/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DHCP server: see switch/dhcp.h. */
#include "switch/dhcp.h"

#include "switch/packet.h"

#include <stdlib.h>

#define CLIENT_PORT  68
#define SERVER_PORT  67
#define LEASES_MAX   1024
#define LEASE_S      3600
#define HELD_OFFER_S 30 /* an offer that nobody takes */

/* RFC 2131: "Format of a DHCP message". Offsets from the end of the UDP header. */
#define BOOTP_OPERATION 0
#define BOOTP_HARDWARE  1
#define BOOTP_ID        4
#define BOOTP_FLAGS     10
#define BOOTP_CLIENT_IP 12
#define BOOTP_YOUR_IP   16
#define BOOTP_SERVER_IP 20
#define BOOTP_RELAY_IP  24
#define BOOTP_CLIENT    28
#define BOOTP_COOKIE    236
#define BOOTP_OPTIONS   240
#define BOOTP_BYTES_MIN 300 /* some clients ignore shorter ones */
#define BOOTP_REQUEST   1
#define BOOTP_REPLY     2
#define HARDWARE_ETHER  1
#define FLAG_BROADCAST  0x8000

enum option {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_END = 255,
};

enum message_type { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

struct lease {
	uint64_t mac;
	uint32_t ip; /* 0: the entry is free */
	uint64_t expires_s;
	bool is_declined; /* by that client: in use by somebody who did not ask */
};

struct dhcp {
	struct dhcp_network network;
	uint32_t first, last; /* of the pool; last < first: there is none */
	struct lease lease[LEASES_MAX];
	unsigned count;
};

/* What a client says, checked. Addresses 0: not said. */
struct request {
	const uint8_t *bootp;
	uint64_t mac;
	enum message_type type;
	uint32_t client, requested, server;
};

static uint32_t host_ip(const struct dhcp *dhcp)
{
	return load_be32(dhcp->network.host.bytes);
}

static uint32_t mask(const struct dhcp *dhcp)
{
	return dhcp->network.host.length ? ~0u << (32 - dhcp->network.host.length) : 0;
}

struct dhcp *dhcp_create(void)
{
	struct dhcp *dhcp = calloc(1, sizeof(*dhcp));

	if (dhcp)
		dhcp->first = 1;
	return dhcp;
}

void dhcp_destroy(struct dhcp *dhcp)
{
	free(dhcp);
}

void dhcp_set_network(struct dhcp *dhcp, const struct dhcp_network *network)
{
	const struct address *old = &dhcp->network.host;
	uint32_t start;

	if (old->length != network->host.length || !address_holds(old, &network->host))
		dhcp->count = 0;
	dhcp->network = *network;
	start = host_ip(dhcp) & mask(dhcp);
	dhcp->first = start + (~mask(dhcp) >> 1) + 1;
	dhcp->last = start + ~mask(dhcp) - 1; /* the last one is the broadcast address */
}

/* --- reading --- */

/* The payload of a UDP datagram to the server's port that is no fragment, or NULL. */
static const uint8_t *udp_payload(const struct frame *frame, size_t *bytes)
{
	const uint8_t *ip = frame->data + frame->payload, *udp;
	size_t left = frame->bytes - frame->payload, header;

	if (frame->type != ETHERTYPE_IPV4 || left < IPV4_BYTES || ip[0] >> 4 != 4)
		return NULL;
	header = (ip[0] & 15) * 4u;
	if (header < IPV4_BYTES || left < header + UDP_BYTES || ip[IPV4_PROTOCOL] != PROTOCOL_UDP ||
	    load_be16(ip + IPV4_FRAGMENT) & IPV4_OFFSET_MASK)
		return NULL;
	udp = ip + header;
	*bytes = load_be16(udp + UDP_LENGTH);
	if (load_be16(udp + UDP_DESTINATION) != SERVER_PORT || *bytes < UDP_BYTES ||
	    *bytes > left - header)
		return NULL;
	*bytes -= UDP_BYTES;
	return udp + UDP_BYTES;
}

bool dhcp_is_request(const struct frame *frame)
{
	size_t bytes;

	return udp_payload(frame, &bytes) != NULL;
}

static void read_option(struct request *request, unsigned code, const uint8_t *value, unsigned len)
{
	if (code == OPTION_TYPE && len == 1)
		request->type = *value;
	else if (code == OPTION_REQUESTED && len == 4)
		request->requested = load_be32(value);
	else if (code == OPTION_SERVER && len == 4)
		request->server = load_be32(value);
}

static void read_options(struct request *request, const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != OPTION_END) {
		if (*p == OPTION_PAD) {
			p++;
			continue;
		}
		if (end - p < 2 || end - p - 2 < p[1])
			return;
		read_option(request, p[0], p + 2, p[1]);
		p += 2 + p[1];
	}
}

static bool read_request(struct request *request, const struct frame *frame)
{
	size_t bytes;
	const uint8_t *bootp = udp_payload(frame, &bytes);

	if (!bootp || bytes < BOOTP_OPTIONS || bootp[BOOTP_OPERATION] != BOOTP_REQUEST ||
	    bootp[BOOTP_HARDWARE] != HARDWARE_ETHER ||
	    memcmp(bootp + BOOTP_COOKIE, cookie, sizeof(cookie)) ||
	    memcmp(bootp + BOOTP_CLIENT, frame_source(frame), FRAME_MAC_BYTES))
		return false;
	*request = (struct request){
		.bootp = bootp,
		.mac = mac_number(frame_source(frame)),
		.client = load_be32(bootp + BOOTP_CLIENT_IP),
	};
	read_options(request, bootp + BOOTP_OPTIONS, bootp + bytes);
	return true;
}

/* --- leases --- */

static struct lease *find_ip(struct dhcp *dhcp, uint32_t ip)
{
	for (unsigned i = 0; i < dhcp->count; i++) {
		if (dhcp->lease[i].ip == ip)
			return &dhcp->lease[i];
	}
	return NULL;
}

/* What a client holds, or what it declined. */
static struct lease *find_mac(struct dhcp *dhcp, uint64_t mac, bool is_declined)
{
	for (unsigned i = 0; i < dhcp->count; i++) {
		struct lease *lease = &dhcp->lease[i];

		if (lease->ip && lease->mac == mac && lease->is_declined == is_declined)
			return lease;
	}
	return NULL;
}

/* Addresses that the network itself uses are nobody's. */
static bool is_in_pool(const struct dhcp *dhcp, uint32_t ip)
{
	if (ip < dhcp->first || ip > dhcp->last || ip == host_ip(dhcp))
		return false;
	for (unsigned i = 0; i < dhcp->network.dns_count; i++) {
		if (ip == load_be32(dhcp->network.dns[i]))
			return false;
	}
	return true;
}

/* The entry of an address that may be given out at this time, a new one maybe; else NULL. */
static struct lease *free_entry(struct dhcp *dhcp, uint32_t ip, uint64_t now_s)
{
	struct lease *lease;

	if (!is_in_pool(dhcp, ip))
		return NULL;
	lease = find_ip(dhcp, ip);
	if (lease)
		return lease->expires_s <= now_s ? lease : NULL;
	if (dhcp->count == LEASES_MAX)
		return NULL;
	lease = &dhcp->lease[dhcp->count++];
	*lease = (struct lease){ .ip = ip };
	return lease;
}

/* An expired entry for another address, where the table is full. */
static struct lease *reuse_entry(struct dhcp *dhcp, uint64_t now_s)
{
	for (unsigned i = 0; i < dhcp->count; i++) {
		if (dhcp->lease[i].expires_s <= now_s)
			return &dhcp->lease[i];
	}
	return NULL;
}

/* The client's old address, the one that it wants, or any; NULL: there is none left. */
static struct lease *choose(struct dhcp *dhcp, const struct request *request, uint64_t now_s)
{
	struct lease *lease = find_mac(dhcp, request->mac, false);
	uint32_t tries = MIN(dhcp->last - dhcp->first + 1, LEASES_MAX + DHCP_DNS_MAX + 1);

	if (lease && is_in_pool(dhcp, lease->ip))
		return lease;
	if (dhcp->last < dhcp->first)
		return NULL;
	lease = free_entry(dhcp, request->requested, now_s);
	for (uint32_t i = 0; i < tries && !lease; i++)
		lease = free_entry(dhcp, dhcp->first + i, now_s);
	return lease ? lease : reuse_entry(dhcp, now_s);
}

/* The lease that a client asks to have or to keep; NULL: it cannot. */
static struct lease *claim(struct dhcp *dhcp, const struct request *request, uint64_t now_s)
{
	uint32_t ip = request->requested ? request->requested : request->client;
	struct lease *lease = find_ip(dhcp, ip), *old;

	if (!is_in_pool(dhcp, ip))
		return NULL;
	if (lease && lease->mac == request->mac && !lease->is_declined)
		return lease;
	lease = free_entry(dhcp, ip, now_s);
	old = find_mac(dhcp, request->mac, false);
	if (lease && old) /* a client holds one */
		*old = (struct lease){ .ip = old->ip };
	return lease;
}

/* --- answering --- */

static uint8_t *put_option(uint8_t *p, unsigned code, const void *value, unsigned len)
{
	p[0] = (uint8_t)code;
	p[1] = (uint8_t)len;
	memcpy(p + 2, value, len);
	return p + 2 + len;
}

static uint8_t *put_number(uint8_t *p, unsigned code, uint32_t value)
{
	uint8_t bytes[4];

	store_be32(bytes, value);
	return put_option(p, code, bytes, sizeof(bytes));
}

/* The options; the end of them. */
static uint8_t *put_options(const struct dhcp *dhcp, uint8_t *p, enum message_type type,
			    bool is_lease)
{
	uint8_t type_byte = (uint8_t)type;

	p = put_option(p, OPTION_TYPE, &type_byte, 1);
	p = put_option(p, OPTION_SERVER, dhcp->network.host.bytes, 4);
	if (type != NAK) {
		if (is_lease)
			p = put_number(p, OPTION_LEASE, LEASE_S);
		p = put_number(p, OPTION_MASK, mask(dhcp));
		p = put_option(p, OPTION_ROUTER, dhcp->network.host.bytes, 4);
		if (dhcp->network.dns_count)
			p = put_option(p, OPTION_DNS, dhcp->network.dns,
				       4 * dhcp->network.dns_count);
	}
	*p++ = OPTION_END;
	return p;
}

/* Ethernet, IPv4 and UDP in front of `bytes` bytes; to the client itself where it can take it. */
static size_t put_headers(const struct dhcp *dhcp, const struct request *request, uint8_t *reply,
			  uint32_t to, size_t bytes)
{
	uint8_t *ip = reply + FRAME_HEADER_BYTES, *udp = ip + IPV4_BYTES;
	bool broadcasts = !to || load_be16(request->bootp + BOOTP_FLAGS) & FLAG_BROADCAST;

	memset(reply, 0xff, FRAME_MAC_BYTES);
	if (!broadcasts)
		memcpy(reply, request->bootp + BOOTP_CLIENT, FRAME_MAC_BYTES);
	memcpy(reply + FRAME_MAC_BYTES, dhcp->network.mac, FRAME_MAC_BYTES);
	store_be16(reply + 2 * FRAME_MAC_BYTES, ETHERTYPE_IPV4);
	memset(ip, 0, IPV4_BYTES + UDP_BYTES);
	ip[0] = 0x45;
	store_be16(ip + IPV4_TOTAL, (unsigned)(IPV4_BYTES + UDP_BYTES + bytes));
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = PROTOCOL_UDP;
	memcpy(ip + IPV4_SOURCE, dhcp->network.host.bytes, 4);
	store_be32(ip + IPV4_DESTINATION, broadcasts ? UINT32_MAX : to);
	store_be16(ip + IPV4_CHECKSUM, checksum_finish(checksum_add(0, ip, IPV4_BYTES)));
	store_be16(udp, SERVER_PORT);
	store_be16(udp + UDP_DESTINATION, CLIENT_PORT);
	store_be16(udp + UDP_LENGTH, (unsigned)(UDP_BYTES + bytes)); /* no checksum: may be zero */
	return FRAME_HEADER_BYTES + IPV4_BYTES + UDP_BYTES + bytes;
}

/* ip: the client's address; 0 with a NAK. */
static size_t answer(const struct dhcp *dhcp, const struct request *request, uint8_t *reply,
		     enum message_type type, uint32_t ip)
{
	uint8_t *bootp = reply + FRAME_HEADER_BYTES + IPV4_BYTES + UDP_BYTES, *end;
	bool is_lease = request->type != INFORM;
	size_t bytes;

	memset(reply, 0, DHCP_REPLY_BYTES);
	memcpy(bootp, request->bootp, BOOTP_CLIENT + FRAME_MAC_BYTES);
	bootp[BOOTP_OPERATION] = BOOTP_REPLY;
	store_be32(bootp + BOOTP_YOUR_IP, is_lease ? ip : 0);
	memcpy(bootp + BOOTP_SERVER_IP, dhcp->network.host.bytes, 4);
	store_be32(bootp + BOOTP_RELAY_IP, 0);
	memcpy(bootp + BOOTP_COOKIE, cookie, sizeof(cookie));
	end = put_options(dhcp, bootp + BOOTP_OPTIONS, type, is_lease);
	bytes = MAX((size_t)(end - bootp), BOOTP_BYTES_MIN);
	return put_headers(dhcp, request, reply, ip, bytes);
}

static size_t give(struct dhcp *dhcp, const struct request *request, uint8_t *reply,
		   struct lease *lease, uint64_t expires_s, enum message_type type)
{
	lease->mac = request->mac;
	lease->is_declined = false;
	lease->expires_s = MAX(lease->expires_s, expires_s);
	return answer(dhcp, request, reply, type, lease->ip);
}

static size_t on_request(struct dhcp *dhcp, const struct request *request, uint64_t now_s,
			 uint8_t *reply)
{
	struct lease *lease;

	if (request->server && request->server != host_ip(dhcp))
		return 0; /* it has chosen another server's offer */
	lease = claim(dhcp, request, now_s);
	if (!lease)
		return answer(dhcp, request, reply, NAK, 0);
	return give(dhcp, request, reply, lease, now_s + LEASE_S, ACK);
}

/* A client keeps one declined address from others, not the whole pool bit by bit. */
static void decline(struct dhcp *dhcp, struct lease *lease, uint64_t now_s)
{
	struct lease *earlier = find_mac(dhcp, lease->mac, true);

	if (earlier)
		*earlier = (struct lease){ .ip = earlier->ip };
	lease->is_declined = true;
	lease->expires_s = now_s + LEASE_S;
}

static void give_back(struct dhcp *dhcp, const struct request *request, uint64_t now_s)
{
	struct lease *lease = find_mac(dhcp, request->mac, false);

	if (!lease)
		return;
	if (request->type == RELEASE)
		lease->expires_s = now_s;
	else
		decline(dhcp, lease, now_s);
}

size_t dhcp_answer(struct dhcp *dhcp, const struct frame *frame, uint64_t now_s,
		   uint8_t reply[DHCP_REPLY_BYTES])
{
	struct request request;
	struct lease *lease;

	if (!read_request(&request, frame))
		return 0;
	switch (request.type) {
	case DISCOVER:
		lease = choose(dhcp, &request, now_s);
		return lease ? give(dhcp, &request, reply, lease, now_s + HELD_OFFER_S, OFFER) : 0;
	case REQUEST:
		return on_request(dhcp, &request, now_s, reply);
	case INFORM:
		return request.client ? answer(dhcp, &request, reply, ACK, request.client) : 0;
	case DECLINE:
	case RELEASE:
		give_back(dhcp, &request, now_s);
		return 0;
	default:
		return 0;
	}
}
