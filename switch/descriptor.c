/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network on a descriptor: see switch/descriptor.h. */
#include "switch/descriptor.h"

#include "switch/packet.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAMES_PER_TURN 64 /* others have their turn too */

struct descriptor {
	uv_poll_t poll;
	int fd;
	bool has_header;
	unsigned index;
	net_receive_fn *receive;
	void *receiver;
	uint8_t frame[NET_FRAME_MAX];
};

/* What the kernel left for the card to do. False: it cannot be done for this frame. */
static bool finish_frame(const struct virtio_net_hdr *header, uint8_t *frame, size_t bytes)
{
	size_t start = header->csum_start, at = start + header->csum_offset;

	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (at + 2 > bytes)
		return false;
	/* The sum of the pseudo header is in its place already. */
	store_be16(frame + at, checksum_finish(checksum_add(0, frame + start, bytes - start)));
	return true;
}

/* The bytes of the next frame, 0 for one that is of no use; -errno: there is none. */
static ssize_t read_frame(struct descriptor *d)
{
	struct virtio_net_hdr header = { 0 };
	struct iovec parts[] = { { &header, sizeof(header) }, { d->frame, sizeof(d->frame) } };
	ssize_t got =
		d->has_header ? readv(d->fd, parts, 2) : read(d->fd, d->frame, sizeof(d->frame));

	if (got < 0)
		return -errno;
	if (!d->has_header)
		return got;
	got -= (ssize_t)sizeof(header);
	return got > 0 && finish_frame(&header, d->frame, (size_t)got) ? got : 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct descriptor *d = poll->data;

	(void)status; /* an interface that is down and comes up again */
	(void)events;
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t got = read_frame(d);

		if (got < 0 && got != -EINTR)
			return;
		if (got > 0 && d->receive)
			d->receive(d->receiver, d->frame, (size_t)got);
	}
}

/* A frame that the kernel does not take at once is lost, as on a cable. */
static void descriptor_send(void *self, const void *frame, size_t bytes)
{
	struct descriptor *d = self;
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)frame, bytes } };
	ssize_t put = writev(d->fd, d->has_header ? parts : parts + 1, d->has_header ? 2 : 1);

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

int descriptor_open(struct net *out, uv_loop_t *loop, int fd, bool has_header, unsigned index)
{
	struct descriptor *d = calloc(1, sizeof(*d));
	int ret = d ? uv_poll_init(loop, &d->poll, fd) : -ENOMEM;

	if (ret) {
		free(d);
		close(fd);
		return ret;
	}
	d->fd = fd;
	d->has_header = has_header;
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
