/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the gateway share: see switch/gateway.h. */
#ifndef SWITCH_GATEWAY_PARTS_H
#define SWITCH_GATEWAY_PARTS_H

#include "lib/usernet.h"
#include "switch/dhcp.h"
#include "switch/gateway.h"
#include "switch/ping6.h"

#define GATEWAY_FRAME_MAX 2048 /* libslirp's are of 1514 bytes at most */

/* One address of the host's, and its network. */
struct network {
	struct gateway *gateway;
	struct address host; /* with the prefix's length */
	struct address dns;  /* where libslirp is a name server */
	bool has_dns;
	struct usernet *net;
};

struct gateway {
	uv_loop_t *loop;
	gateway_output_fn *output;
	void *receiver;
	struct gateway_config config;
	struct network *networks[GATEWAY_ADDRESSES_MAX];
	unsigned network_count;
	struct gateway_mapping mappings[GATEWAY_MAPPINGS_MAX]; /* that are there */
	unsigned mapping_count;
	struct ping6 *ping;
	struct dhcp *dhcp;
	bool gives_out; /* addresses, by DHCP */
};

/* The network that holds the address, or NULL. */
struct network *gateway_network_of(const struct gateway *gateway, const struct address *inner);

/* Whether a network of New-NetNat holds the address. */
bool gateway_is_translated(const struct gateway *gateway, const struct address *inner);

/* Whether that network is translated and its guests get their addresses from here. */
bool gateway_gives_out(const struct gateway *gateway, const struct address *inner);

/* True: it was a DHCP request, and is done with. */
bool gateway_serve_dhcp(struct gateway *gateway, const struct frame *frame);

/* A frame of libslirp's, for the switch; the receiver is a network. */
void gateway_on_output(void *receiver, const void *frame, size_t bytes);

#endif
