/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libslirp on an event loop: a TCP/IP stack in this process that answers Ethernet frames for one
 * network and continues their connections as sockets of the process. Needs no right.
 *
 * libslirp is not thread-safe: all of this is called on the loop's thread, and so is the output.
 */
#ifndef LIB_USERNET_H
#define LIB_USERNET_H

#include "lib/error.h"

#include <slirp/libslirp.h>
#include <uv.h>

struct usernet;

/* A frame for the network; borrowed for the call. */
typedef void usernet_output_fn(void *receiver, const void *frame, size_t bytes);

/*
 * config is used during the call; its version is set here. NULL with err where it cannot start.
 * The process ignores SIGPIPE from then on, because libslirp writes to sockets that may be closed.
 */
struct usernet *usernet_open(uv_loop_t *loop, const SlirpConfig *config, usernet_output_fn *output,
			     void *receiver, struct error *err);

/* A frame from the network. */
void usernet_input(struct usernet *net, const void *frame, size_t bytes);

/*
 * How many sockets it holds, as of the loop's last turn. Each connection of a guest's is one, also
 * each UDP flow and each ping for as long as libslirp waits for an answer.
 */
unsigned usernet_sockets(const struct usernet *net);

/*
 * Connections to `host` go on to `guest`, both sockaddr_in or both sockaddr_in6; UDP or TCP. 0, or
 * -EADDRINUSE and the like.
 */
int usernet_forward(struct usernet *net, bool is_udp, const struct sockaddr *host,
		    const struct sockaddr *guest);
void usernet_unforward(struct usernet *net, bool is_udp, const struct sockaddr *host);

/* No output any more. The loop must run once more, to close handles. NULL is no network. */
void usernet_close(struct usernet *net);

#endif
