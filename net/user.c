/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode network: libslirp on the event loop (lib/usernet.h). It belongs to the loop's thread;
 * frames that other threads send wait in a list until the loop takes them.
 */
#include "lib/usernet.h"
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define OUTBOX_FRAMES_MAX 1024

struct frame {
	struct frame *next;
	size_t bytes;
	uint8_t data[];
};

struct user {
	struct usernet *net;
	uv_async_t wake;

	net_receive_fn *receive;
	void *receiver;

	pthread_mutex_t lock; /* the outbox */
	struct frame *outbox;
	struct frame **outbox_end;
	unsigned outbox_count;
};

static struct in_addr address(unsigned a, unsigned b, unsigned c, unsigned d)
{
	return (struct in_addr){ htonl(a << 24 | b << 16 | c << 8 | d) };
}

static struct frame *take_outbox(struct user *user)
{
	struct frame *frames;

	pthread_mutex_lock(&user->lock);
	frames = user->outbox;
	user->outbox = NULL;
	user->outbox_end = &user->outbox;
	user->outbox_count = 0;
	pthread_mutex_unlock(&user->lock);
	return frames;
}

static void on_wake(uv_async_t *async)
{
	struct user *user = async->data;
	struct frame *frame = take_outbox(user);

	while (frame) {
		struct frame *next = frame->next;

		usernet_input(user->net, frame->data, frame->bytes);
		free(frame);
		frame = next;
	}
}

static void on_output(void *receiver, const void *frame, size_t bytes)
{
	struct user *user = receiver;

	if (user->receive)
		user->receive(user->receiver, frame, bytes);
}

/* The seam */

static void user_send(void *self, const void *data, size_t bytes)
{
	struct user *user = self;
	struct frame *frame = malloc(sizeof(*frame) + bytes);

	if (!frame)
		return;
	frame->next = NULL;
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	pthread_mutex_lock(&user->lock);
	if (user->outbox_count < OUTBOX_FRAMES_MAX) {
		*user->outbox_end = frame;
		user->outbox_end = &frame->next;
		user->outbox_count++;
		frame = NULL;
	}
	pthread_mutex_unlock(&user->lock);
	free(frame);
	uv_async_send(&user->wake);
}

static void user_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct user *user = self;

	user->receive = fn;
	user->receiver = receiver;
}

static void on_closed(uv_handle_t *handle)
{
	struct user *user = handle->data;

	pthread_mutex_destroy(&user->lock);
	free(user);
}

static void user_close(void *self)
{
	struct user *user = self;
	struct frame *frame = take_outbox(user);

	while (frame) {
		struct frame *next = frame->next;

		free(frame);
		frame = next;
	}
	user->receive = NULL;
	usernet_close(user->net);
	uv_close((uv_handle_t *)&user->wake, on_closed);
}

static const struct net_ops user_ops = {
	.send = user_send,
	.receive = user_receive,
	.close = user_close,
};

static struct usernet *start_network(struct user *user, uv_loop_t *loop, struct error *err)
{
	const SlirpConfig config = {
		.in_enabled = true,
		.vnetwork = address(10, 0, 2, 0),
		.vnetmask = address(255, 255, 255, 0),
		.vhost = address(10, 0, 2, 2),
		.vdhcp_start = address(10, 0, 2, 15),
		.vnameserver = address(10, 0, 2, 3),
	};

	return usernet_open(loop, &config, on_output, user, err);
}

static int add_forward(struct user *user, const struct net_forward *forward, struct error *err)
{
	struct sockaddr_in host = { .sin_family = AF_INET, .sin_port = htons(forward->host_port) };
	struct sockaddr_in guest = host;
	int ret;

	host.sin_addr = address(127, 0, 0, 1);
	guest.sin_addr = address(10, 0, 2, 15);
	guest.sin_port = htons(forward->guest_port);
	ret = usernet_forward(user->net, false, (struct sockaddr *)&host,
			      (struct sockaddr *)&guest);
	if (ret)
		error_set(err, ret, "network: cannot forward port %u of the host: %s",
			  forward->host_port, strerror(-ret));
	return ret;
}

int net_user_open(struct net *out, uv_loop_t *loop, const struct net_forward *forwards,
		  unsigned count, struct error *err)
{
	struct user *user = calloc(1, sizeof(*user));
	int ret = user ? uv_async_init(loop, &user->wake, on_wake) : -ENOMEM;

	if (ret) {
		free(user);
		return error_set(err, ret, "network: cannot start: %s", strerror(-ret));
	}
	user->wake.data = user;
	pthread_mutex_init(&user->lock, NULL);
	user->outbox_end = &user->outbox;
	user->net = start_network(user, loop, err);
	if (!user->net)
		ret = -EINVAL;
	for (unsigned i = 0; i < count && !ret; i++)
		ret = add_forward(user, &forwards[i], err);
	if (ret) {
		user_close(user);
		return ret;
	}
	*out = (struct net){ .ops = &user_ops, .self = user };
	return 0;
}
