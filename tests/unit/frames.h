/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames as a guest makes them, for tests of the switch: the caller says what matters, the rest is
 * filled in. The buffer is the caller's; the length comes back.
 */
#ifndef TESTS_UNIT_FRAMES_H
#define TESTS_UNIT_FRAMES_H

#include "switch/frame.h"
#include "switch/packet.h"

#include <arpa/inet.h>

#define TEST_FRAME_MAX 1514

static const uint8_t everybody[FRAME_MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static inline size_t make_ethernet(uint8_t *frame, const uint8_t *to, const uint8_t *from,
				   unsigned type)
{
	memcpy(frame, to, FRAME_MAC_BYTES);
	memcpy(frame + FRAME_MAC_BYTES, from, FRAME_MAC_BYTES);
	store_be16(frame + 2 * FRAME_MAC_BYTES, type);
	return FRAME_HEADER_BYTES;
}

/* "from asks: who has `target`?"; an answer, where op is ARP_REPLY. */
static inline size_t make_arp(uint8_t *frame, const uint8_t *to, const uint8_t *from, unsigned op,
			      const char *own, const char *target)
{
	uint8_t *arp = frame + make_ethernet(frame, to, from, ETHERTYPE_ARP);

	memset(arp, 0, ARP_BYTES);
	store_be16(arp, 1);
	store_be16(arp + 2, ETHERTYPE_IPV4);
	arp[4] = FRAME_MAC_BYTES;
	arp[5] = 4;
	store_be16(arp + ARP_OPERATION, op);
	memcpy(arp + ARP_SENDER_MAC, from, FRAME_MAC_BYTES);
	inet_pton(AF_INET, own, arp + ARP_SENDER_IP);
	memcpy(arp + ARP_TARGET_MAC, to, FRAME_MAC_BYTES);
	inet_pton(AF_INET, target, arp + ARP_TARGET_IP);
	return FRAME_HEADER_BYTES + ARP_BYTES;
}

/* An IP header of the family that the addresses are of, in front of `bytes` bytes. */
static inline uint8_t *make_ip(uint8_t *frame, const uint8_t *to, const uint8_t *from,
			       const char *source, const char *destination, unsigned protocol,
			       size_t bytes)
{
	bool v6 = strchr(source, ':') != NULL;
	uint8_t *ip = frame + make_ethernet(frame, to, from, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);

	memset(ip, 0, IPV6_BYTES);
	if (v6) {
		ip[0] = 0x60;
		store_be16(ip + IPV6_PAYLOAD, (unsigned)bytes);
		ip[IPV6_NEXT] = (uint8_t)protocol;
		ip[IPV6_HOPS] = 255;
		inet_pton(AF_INET6, source, ip + IPV6_SOURCE);
		inet_pton(AF_INET6, destination, ip + IPV6_DESTINATION);
		return ip + IPV6_BYTES;
	}
	ip[0] = 0x45;
	store_be16(ip + IPV4_TOTAL, (unsigned)(IPV4_BYTES + bytes));
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = (uint8_t)protocol;
	inet_pton(AF_INET, source, ip + IPV4_SOURCE);
	inet_pton(AF_INET, destination, ip + IPV4_DESTINATION);
	store_be16(ip + IPV4_CHECKSUM, checksum_finish(checksum_add(0, ip, IPV4_BYTES)));
	return ip + IPV4_BYTES;
}

/* The checksum of UDP or TCP at `upper`, whose own place is zero. */
static inline uint16_t upper_checksum(const uint8_t *upper, size_t bytes, unsigned protocol,
				      const char *source, const char *destination)
{
	bool v6 = strchr(source, ':') != NULL;
	uint32_t sum = protocol + (uint32_t)bytes;
	uint8_t address[16];

	inet_pton(v6 ? AF_INET6 : AF_INET, source, address);
	sum = checksum_add(sum, address, v6 ? 16 : 4);
	inet_pton(v6 ? AF_INET6 : AF_INET, destination, address);
	sum = checksum_add(sum, address, v6 ? 16 : 4);
	return checksum_finish(checksum_add(sum, upper, bytes));
}

static inline size_t make_udp(uint8_t *frame, const uint8_t *to, const uint8_t *from,
			      const char *source, unsigned source_port, const char *destination,
			      unsigned port, const void *data, size_t bytes)
{
	size_t whole = UDP_BYTES + bytes;
	uint8_t *udp = make_ip(frame, to, from, source, destination, PROTOCOL_UDP, whole);

	store_be16(udp, source_port);
	store_be16(udp + UDP_DESTINATION, port);
	store_be16(udp + UDP_LENGTH, (unsigned)whole);
	store_be16(udp + UDP_CHECKSUM, 0);
	memcpy(udp + UDP_BYTES, data, bytes);
	store_be16(udp + UDP_CHECKSUM,
		   upper_checksum(udp, whole, PROTOCOL_UDP, source, destination));
	return (size_t)(udp - frame) + whole;
}

/* ICMP's or ICMPv6's echo request. */
static inline size_t make_ping(uint8_t *frame, const uint8_t *to, const uint8_t *from,
			       const char *source, const char *destination)
{
	bool v6 = strchr(source, ':') != NULL;
	uint8_t *ping = make_ip(frame, to, from, source, destination,
				v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP, 16);

	memset(ping, 0, 16);
	ping[0] = v6 ? ICMPV6_ECHO_REQUEST : 8;
	if (v6)
		checksum_icmpv6(ping - IPV6_BYTES, 16);
	else
		store_be16(ping + 2, checksum_finish(checksum_add(0, ping, 16)));
	return (size_t)(ping - frame) + 16;
}

#endif
