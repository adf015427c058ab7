/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums: see switch/packet.h. RFC 1071; RFC 8200: "Upper-Layer Checksums". */
#include "switch/packet.h"

uint32_t checksum_add(uint32_t sum, const uint8_t *p, size_t bytes)
{
	for (; bytes > 1; bytes -= 2, p += 2)
		sum += load_be16(p);
	return bytes ? sum + ((uint32_t)*p << 8) : sum;
}

uint16_t checksum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void checksum_icmpv6(uint8_t *ipv6, size_t message_bytes)
{
	uint8_t *message = ipv6 + IPV6_BYTES;
	uint32_t sum = PROTOCOL_ICMPV6 + (uint32_t)message_bytes;

	store_be16(message + ICMPV6_CHECKSUM, 0);
	sum = checksum_add(sum, ipv6 + IPV6_SOURCE, IPV6_BYTES - IPV6_SOURCE);
	sum = checksum_add(sum, message, message_bytes);
	store_be16(message + ICMPV6_CHECKSUM, checksum_finish(sum));
}
