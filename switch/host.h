/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's adapter on a switch, vEthernet (NAME): a TAP of the kernel's where this process has
 * the right to one, else a gateway in user space (switch/gateway.h) has its addresses. Either way
 * the gateway translates for New-NetNat and serves DHCP.
 */
#ifndef SWITCH_HOST_H
#define SWITCH_HOST_H

#include "net/net.h"
#include "switch/gateway.h"

struct host;

/* A frame of a guest's that wants out, and nobody translates; borrowed for the call. */
typedef void host_stray_fn(void *self, const void *frame, size_t bytes);

/*
 * Without addresses yet. in_kernel: a TAP where that can be had. *net is its plug, and closes the
 * host. -errno with a text.
 */
int host_open(struct host **out, struct net *net, uv_loop_t *loop, const char *switch_name,
	      const uint8_t mac[FRAME_MAC_BYTES], bool in_kernel, host_stray_fn *stray, void *self,
	      struct error *err);

/*
 * From now on with these addresses, prefixes and mappings; mac and kernel are filled in here. What
 * cannot be had is left out: -errno, and err names the first such thing.
 */
int host_configure(struct host *host, struct gateway_config *config, struct error *err);

/* The host behind a plug; NULL: another kind of net. */
struct host *host_of(const struct net *net);

bool host_has_mac(const struct host *host, const uint8_t mac[FRAME_MAC_BYTES]);

/* Whether the kernel has the adapter, and its name there ("" where not). */
bool host_is_in_kernel(const struct host *host);
const char *host_interface(const struct host *host, char name[], size_t size);

#endif
