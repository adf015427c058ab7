/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DHCP server for one IPv4 network, without any input or output: a frame goes in, and maybe one
 * comes out. The host's adapter is the server and the router. Time is passed in. RFC 2131:
 * "The Client-Server Protocol", RFC 2132: "DHCP Options".
 *
 * Addresses come from the upper half of the network, so that the lower one is free for static ones.
 * A client is its hardware address, and that has to be the frame's source: a port without MAC
 * address spoofing can hold one address, and keep back one more by declining it.
 *
 * libslirp's own server will not do: it has 16 clients, which it takes from what the message says
 * and never forgets, so a guest can shut all others out; and it names no name server but itself.
 */
#ifndef SWITCH_DHCP_H
#define SWITCH_DHCP_H

#include "lib/address.h"
#include "switch/frame.h"

#define DHCP_DNS_MAX     3
#define DHCP_REPLY_BYTES 512 /* the largest frame that it sends */

struct dhcp_network {
	uint8_t mac[FRAME_MAC_BYTES]; /* the server's */
	struct address host;          /* its address, with the length of the network's prefix */
	uint8_t dns[DHCP_DNS_MAX][4];
	unsigned dns_count;
};

struct dhcp;

struct dhcp *dhcp_create(void);       /* NULL: out of memory */
void dhcp_destroy(struct dhcp *dhcp); /* accepts NULL */

/* From now on for this network. Leases in another one are gone. */
void dhcp_set_network(struct dhcp *dhcp, const struct dhcp_network *network);

/* Whether the frame is for a DHCP server, well made or not. */
bool dhcp_is_request(const struct frame *frame);

/* The bytes of the answer, 0 where there is none. */
size_t dhcp_answer(struct dhcp *dhcp, const struct frame *frame, uint64_t now_s,
		   uint8_t reply[DHCP_REPLY_BYTES]);

#endif
