/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network on a descriptor: see switch/descriptor.h. */
#include "switch/descriptor.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAMES_PER_TURN 64 /* others have their turn too */

struct descriptor {
	uv_poll_t poll;
	int fd;
	unsigned index;
	net_receive_fn *receive;
	void *receiver;
	uint8_t frame[NET_FRAME_MAX];
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct descriptor *d = poll->data;

	(void)status; /* the interface was deleted: libuv has stopped listening */
	(void)events;
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t got = read(d->fd, d->frame, sizeof(d->frame));

		if (got < 0 && errno != EINTR)
			return;
		if (got > 0 && d->receive)
			d->receive(d->receiver, d->frame, (size_t)got);
	}
}

/* A frame that the kernel does not take at once is lost, as on a cable. */
static void descriptor_send(void *self, const void *frame, size_t bytes)
{
	struct descriptor *d = self;
	ssize_t put = write(d->fd, frame, bytes);

	(void)put;
}

static void descriptor_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct descriptor *d = self;

	d->receive = fn;
	d->receiver = receiver;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void descriptor_close(void *self)
{
	struct descriptor *d = self;

	uv_poll_stop(&d->poll);
	close(d->fd);
	uv_close((uv_handle_t *)&d->poll, on_closed);
}

static const struct net_ops ops = {
	.send = descriptor_send,
	.receive = descriptor_receive,
	.close = descriptor_close,
};

int descriptor_open(struct net *out, uv_loop_t *loop, int fd, unsigned index)
{
	struct descriptor *d = calloc(1, sizeof(*d));
	int ret = d ? uv_poll_init(loop, &d->poll, fd) : -ENOMEM;

	if (ret) {
		free(d);
		close(fd);
		return ret;
	}
	d->fd = fd;
	d->index = index;
	d->poll.data = d;
	uv_poll_start(&d->poll, UV_READABLE, on_readable);
	*out = (struct net){ .ops = &ops, .self = d };
	return 0;
}

unsigned descriptor_index(const struct net *net)
{
	return net->ops == &ops ? ((struct descriptor *)net->self)->index : 0;
}
