/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between a network controller and a network on the host. A frame is an Ethernet frame
 * without preamble and checksum.
 *
 * Threads: send may be called on any thread and never waits for the network; frames for the guest
 * arrive on the loop's thread. open, receive, tell_room and close are called on the loop's thread.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "lib/error.h"

#include <uv.h>

#define NET_FRAME_MAX 65550 /* bytes: the largest frame that either side may hand over */
#define NET_MAC_BYTES 6

/* A frame for the guest; borrowed for the call. */
typedef void net_receive_fn(void *receiver, const void *frame, size_t bytes);

/* There is room for frames of the guest's again. */
typedef void net_room_fn(void *sender);

struct net_ops {
	/*
	 * Takes a copy of one frame of the guest's, or drops it where there is no room. It may
	 * stay here until the next flush.
	 */
	void (*send)(void *self, const void *frame, size_t bytes);
	/* The end of a batch, from the thread that sends. NULL: frames leave at once. */
	void (*flush)(void *self);
	/*
	 * Whether the next batch has room. Where it has none, who was named by tell_room is called
	 * later, on the loop's thread, once. Both NULL: there always is.
	 */
	bool (*has_room)(void *self);
	void (*tell_room)(void *self, net_room_fn *fn, void *sender);
	/* Who gets frames from now on; a NULL fn: nobody. */
	void (*receive)(void *self, net_receive_fn *fn, void *receiver);
	/* Gives back its sockets and handles. The loop must run once more, to close handles. */
	void (*close)(void *self);
};

struct net {
	const struct net_ops *ops; /* NULL: not open */
	void *self;
};

static inline void net_close(struct net *net)
{
	if (net->ops)
		net->ops->close(net->self);
	net->ops = NULL;
}

static inline void net_flush(const struct net *net)
{
	if (net->ops->flush)
		net->ops->flush(net->self);
}

static inline bool net_has_room(const struct net *net)
{
	return !net->ops->has_room || net->ops->has_room(net->self);
}

/* A NULL fn: nobody is told. */
static inline void net_tell_room(const struct net *net, net_room_fn *fn, void *sender)
{
	if (net->ops->tell_room)
		net->ops->tell_room(net->self, fn, sender);
}

/* A TCP port of the host's loopback address that leads to the guest. */
struct net_forward {
	uint16_t host_port, guest_port;
};

/*
 * User-mode network: the guest is 10.0.2.15 by DHCP, the gateway 10.0.2.2, the name server
 * 10.0.2.3; connections leave as the process's own. -EADDRINUSE and the like for a port that
 * cannot be had; err names it.
 */
int net_user_open(struct net *out, uv_loop_t *loop, const struct net_forward *forwards,
		  unsigned count, struct error *err);

/*
 * A port of a virtual switch: the switch that listens at `path` knows it as `id`. No switch there
 * is no error: the port is connected as soon as there is one, also after a switch has ended.
 * -ENOMEM.
 */
int net_switch_open(struct net *out, uv_loop_t *loop, const char *path, const char *id,
		    struct error *err);

/* A cable with nothing at its other end. */
void net_null_open(struct net *out);

/*
 * A cable whose other end can be moved while the guest runs; both take what `to` holds, and the
 * network that it leaves is closed. move is for the loop's thread. -ENOMEM: `to` stays the
 * caller's.
 */
int net_plug_open(struct net *out, const struct net *to);
void net_plug_move(const struct net *plug, const struct net *to);

#endif
