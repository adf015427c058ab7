/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cable whose other end can be moved to another network: the controller keeps this end, and
 * frames on their way when it moves go to one network or the other. The controller's thread sends
 * under the lock under which the other end moves.
 */
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct plug {
	pthread_mutex_t lock; /* `to` */
	struct net to;
	net_receive_fn *receive;
	void *receiver;
	net_room_fn *room;
	void *sender;
};

static void plug_send(void *self, const void *frame, size_t bytes)
{
	struct plug *plug = self;

	pthread_mutex_lock(&plug->lock);
	plug->to.ops->send(plug->to.self, frame, bytes);
	pthread_mutex_unlock(&plug->lock);
}

static void plug_flush(void *self)
{
	struct plug *plug = self;

	pthread_mutex_lock(&plug->lock);
	net_flush(&plug->to);
	pthread_mutex_unlock(&plug->lock);
}

static bool plug_has_room(void *self)
{
	struct plug *plug = self;
	bool has;

	pthread_mutex_lock(&plug->lock);
	has = net_has_room(&plug->to);
	pthread_mutex_unlock(&plug->lock);
	return has;
}

static void plug_tell_room(void *self, net_room_fn *fn, void *sender)
{
	struct plug *plug = self;

	plug->room = fn;
	plug->sender = sender;
	net_tell_room(&plug->to, fn, sender);
}

static void plug_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct plug *plug = self;

	plug->receive = fn;
	plug->receiver = receiver;
	plug->to.ops->receive(plug->to.self, fn, receiver);
}

static void plug_close(void *self)
{
	struct plug *plug = self;

	net_close(&plug->to);
	pthread_mutex_destroy(&plug->lock);
	free(plug);
}

static const struct net_ops plug_ops = {
	.send = plug_send,
	.flush = plug_flush,
	.has_room = plug_has_room,
	.tell_room = plug_tell_room,
	.receive = plug_receive,
	.close = plug_close,
};

int net_plug_open(struct net *out, const struct net *to)
{
	struct plug *plug = calloc(1, sizeof(*plug));

	if (!plug)
		return -ENOMEM;
	pthread_mutex_init(&plug->lock, NULL);
	plug->to = *to;
	*out = (struct net){ .ops = &plug_ops, .self = plug };
	return 0;
}

void net_plug_move(const struct net *net, const struct net *to)
{
	struct plug *plug = net->self;
	struct net old;

	plug->to.ops->receive(plug->to.self, NULL, NULL);
	net_tell_room(&plug->to, NULL, NULL);
	pthread_mutex_lock(&plug->lock);
	old = plug->to;
	plug->to = *to;
	pthread_mutex_unlock(&plug->lock);
	to->ops->receive(to->self, plug->receive, plug->receiver);
	net_tell_room(to, plug->room, plug->sender);
	net_close(&old);
	if (plug->room) /* the old one may have had none, and will not tell */
		plug->room(plug->sender);
}
