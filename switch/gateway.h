/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host on a switch, in user space: it has the addresses of the adapter vEthernet (NAME),
 * answers ARP, neighbour solicitation and ping, leads connections to its addresses to the host's
 * own services, and translates what leaves a network of New-NetNat. libslirp does it, one of it
 * for each address (lib/usernet.h). With DHCP it also gives out addresses, is the name server and,
 * for IPv6, advertises itself as router.
 *
 * Where the kernel has the adapter (a TAP), the addresses are the kernel's, and what comes here is
 * only what is translated, and DHCP.
 *
 * Guests are hostile: nothing reaches libslirp that is not TCP, UDP or an echo request, for an
 * address that it is there for. All on the loop's thread.
 */
#ifndef SWITCH_GATEWAY_H
#define SWITCH_GATEWAY_H

#include "lib/address.h"
#include "lib/error.h"
#include "switch/frame.h"

#include <jansson.h>
#include <uv.h>

#define GATEWAY_ADDRESSES_MAX 8
#define GATEWAY_NATS_MAX      2 /* one for each family */
#define GATEWAY_MAPPINGS_MAX  256
#define GATEWAY_DNS_MAX       8
#define GATEWAY_SOCKETS_MAX   2048 /* of a network: what would begin beyond that is lost */

/* A port of the host's that leads to a guest. */
struct gateway_mapping {
	bool is_udp;
	struct address external; /* the host's own; 0.0.0.0 or :: for all of them */
	struct address internal;
	uint16_t external_port, internal_port;
};

struct gateway_config {
	uint8_t mac[FRAME_MAC_BYTES];                    /* the adapter's */
	bool kernel;                                     /* the kernel has the addresses */
	struct address addresses[GATEWAY_ADDRESSES_MAX]; /* each with its network's length */
	unsigned address_count;
	struct address nats[GATEWAY_NATS_MAX]; /* prefixes whose traffic is translated */
	unsigned nat_count;
	struct address dhcp[GATEWAY_NATS_MAX]; /* of these, those that addresses are given out in */
	unsigned dhcp_count;
	struct address dns[GATEWAY_DNS_MAX]; /* handed out; none: the gateway itself */
	unsigned dns_count;
	struct gateway_mapping mappings[GATEWAY_MAPPINGS_MAX];
	unsigned mapping_count;
};

/*
 * Reads the members of an object, all optional:
 *
 *   addresses  ["192.168.100.1/24", ...]
 *   nats       ["192.168.100.0/24", ...]
 *   dhcp       the same, for those of them that addresses are given out in
 *   dns        ["10.0.0.53", ...], the name servers that DHCP hands out; none: the gateway
 *   mappings   [{"protocol": "TCP", "external": "0.0.0.0", "external_port": 8080,
 *                "internal": "192.168.100.2", "internal_port": 80}, ...]
 *
 * mac and kernel are not in it and stay. -EINVAL with a text that names the member.
 */
int gateway_parse(struct gateway_config *config, const json_t *object, struct error *err);

struct gateway;

/* A frame for the switch; borrowed for the call. */
typedef void gateway_output_fn(void *receiver, const void *frame, size_t bytes);

/* Without addresses yet. NULL: out of memory. */
struct gateway *gateway_open(uv_loop_t *loop, gateway_output_fn *output, void *receiver);

/*
 * From now on so. Connections live on through addresses and mappings that stay. What cannot be
 * had, as a port that is in use, is left out: -errno, and err names the first such thing.
 */
int gateway_configure(struct gateway *gateway, const struct gateway_config *config,
		      struct error *err);

enum gateway_verdict {
	GATEWAY_TAKEN,  /* it was for the gateway, or for nobody on the host */
	GATEWAY_HOST,   /* it is the kernel's, where that has the adapter */
	GATEWAY_NO_NAT, /* it wants out, and no network of New-NetNat holds its source */
};

/* A frame from the switch. */
enum gateway_verdict gateway_input(struct gateway *gateway, const void *data, size_t bytes);

/* No output any more. The loop must run once more. Accepts NULL. */
void gateway_close(struct gateway *gateway);

#endif
