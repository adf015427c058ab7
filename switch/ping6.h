/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Echo requests of IPv6 that leave a translated network, which libslirp does not send: each goes
 * out of a socket of this process, and its answer comes back as a frame. A guest's pings to one
 * address with one identifier share a socket; there are only so many, and the longest silent makes
 * room. RFC 4443: "Echo Request Message". icmp(7), raw(7).
 */
#ifndef SWITCH_PING6_H
#define SWITCH_PING6_H

#include "switch/frame.h"

#include <uv.h>

#define PING6_SOCKETS_MAX 64

struct ping6;

/* An answer for a guest, a whole frame; borrowed for the call. */
typedef void ping6_output_fn(void *receiver, const void *frame, size_t bytes);

/* NULL: out of memory. */
struct ping6 *ping6_open(uv_loop_t *loop, ping6_output_fn *output, void *receiver);

/*
 * A frame with an echo request, whose lengths are right; mac is whom the answer comes from. Nothing
 * comes of it where this process may not ping: net.ipv4.ping_group_range leaves its group out, and
 * it has not CAP_NET_RAW.
 */
void ping6_send(struct ping6 *ping, const struct frame *frame, const uint8_t mac[FRAME_MAC_BYTES]);

/* No output any more. The loop must run once more. Accepts NULL. */
void ping6_close(struct ping6 *ping);

#endif
