/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Constants and fields of what frames carry: ARP, IPv4, IPv6, UDP, TCP, ICMPv6, and their
 * checksums. Offsets are from the beginning of the header that they are named after.
 */
#ifndef SWITCH_PACKET_H
#define SWITCH_PACKET_H

#include "lib/base.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV6 0x86dd

#define ARP_BYTES      28
#define ARP_OPERATION  6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP  14
#define ARP_TARGET_MAC 18
#define ARP_TARGET_IP  24
#define ARP_REQUEST    1
#define ARP_REPLY      2

#define IPV4_BYTES       20
#define IPV4_TOTAL       2
#define IPV4_ID          4
#define IPV4_FRAGMENT    6
#define IPV4_TTL         8
#define IPV4_PROTOCOL    9
#define IPV4_CHECKSUM    10
#define IPV4_SOURCE      12
#define IPV4_DESTINATION 16
#define IPV4_OFFSET_MASK 0x1fff /* of IPV4_FRAGMENT: in units of 8 bytes */

#define IPV6_BYTES       40
#define IPV6_PAYLOAD     4
#define IPV6_NEXT        6
#define IPV6_HOPS        7
#define IPV6_SOURCE      8
#define IPV6_DESTINATION 24

#define PROTOCOL_ICMP   1
#define PROTOCOL_TCP    6
#define PROTOCOL_UDP    17
#define PROTOCOL_ICMPV6 58

#define UDP_BYTES       8
#define UDP_DESTINATION 2
#define UDP_LENGTH      4
#define UDP_CHECKSUM    6

#define TCP_BYTES       20
#define TCP_SEQUENCE    4
#define TCP_DATA_OFFSET 12
#define TCP_FLAGS       13
#define TCP_CHECKSUM    16
#define TCP_FIN         0x01
#define TCP_SYN         0x02
#define TCP_PSH         0x08
#define TCP_CWR         0x80

#define ICMPV6_BYTES            8
#define ICMPV6_CHECKSUM         2
#define ICMPV6_ECHO_REQUEST     128
#define ICMPV6_ROUTER_SOLICIT   133
#define ICMPV6_ROUTER_ADVERT    134
#define ICMPV6_NEIGHBOR_SOLICIT 135
#define ICMPV6_NEIGHBOR_ADVERT  136
#define NEIGHBOR_TARGET         8
#define NEIGHBOR_BYTES          24 /* with the target, before options */
#define ROUTER_ADVERT_BYTES     16 /* before options */
#define OPTION_SOURCE_MAC       1
#define OPTION_TARGET_MAC       2
#define OPTION_UNIT_BYTES       8

static inline unsigned load_be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline void store_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	store_be16(p, v >> 16);
	store_be16(p + 2, v & 0xffff);
}

/* Adds to the sum of a checksum; an odd last byte counts as followed by zero. */
uint32_t checksum_add(uint32_t sum, const uint8_t *p, size_t bytes);

/* What stands in a header; its own place has to be zero, or outside of what was added. */
uint16_t checksum_finish(uint32_t sum);

/* Writes the checksum of an ICMPv6 message of so many bytes behind this IPv6 header. */
void checksum_icmpv6(uint8_t *ipv6, size_t message_bytes);

#endif
