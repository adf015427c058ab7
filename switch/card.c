/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A card's frames: see switch/card.h. The kernel hands them over as it has them: without the VLAN
 * tag, which stands beside, without a checksum that the card was to make, and several TCP segments
 * as one.
 */
#include "switch/card.h"

#include "switch/frame.h"
#include "switch/packet.h"
#include "switch/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAMES_PER_TURN 64 /* others have their turn too */
#define ADDRESSES       (2 * FRAME_MAC_BYTES)

struct card {
	uv_poll_t poll;
	int fd;
	unsigned index;
	net_receive_fn *receive;
	void *receiver;
	uint8_t room[FRAME_TAG_BYTES + NET_FRAME_MAX]; /* a tag fits in front of the frame */
};

/* The tag of the frame, 0 where it has none. */
static uint32_t find_tag(struct msghdr *message)
{
	struct tpacket_auxdata aux;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA ||
		    c->cmsg_len < CMSG_LEN(sizeof(aux)))
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			return (uint32_t)ETHERTYPE_VLAN << 16 | aux.tp_vlan_tci;
	}
	return 0;
}

/* Back in its place; what the header counts from the frame's beginning moves. */
static uint8_t *put_tag(uint8_t *frame, uint32_t tag, struct virtio_net_hdr *header)
{
	uint8_t *start = frame - FRAME_TAG_BYTES;

	memmove(start, frame, ADDRESSES);
	store_be16(start + ADDRESSES, tag >> 16);
	store_be16(start + ADDRESSES + 2, tag & 0xffff);
	header->csum_start += FRAME_TAG_BYTES;
	return start;
}

static void on_segment(void *self, const void *frame, size_t bytes)
{
	struct card *card = self;

	if (card->receive)
		card->receive(card->receiver, frame, bytes);
}

/* 0, or -errno: there is none. */
static int take_frame(struct card *card)
{
	uint8_t *frame = card->room + FRAME_TAG_BYTES;
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct virtio_net_hdr header = { 0 };
	struct iovec parts[] = { { &header, sizeof(header) }, { frame, NET_FRAME_MAX } };
	struct msghdr message = { .msg_iov = parts,
				  .msg_iovlen = ARRAY_SIZE(parts),
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(card->fd, &message, 0);
	uint32_t tag;

	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(header) + FRAME_HEADER_BYTES || message.msg_flags & MSG_TRUNC)
		return 0;
	got -= (ssize_t)sizeof(header);
	tag = find_tag(&message);
	if (tag) {
		frame = put_tag(frame, tag, &header);
		got += FRAME_TAG_BYTES;
	}
	segment_frame(&header, frame, (size_t)got, on_segment, card);
	return 0;
}

static void take_frames(struct card *card)
{
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		int ret = take_frame(card);

		if (ret && ret != -EINTR)
			return;
	}
}

/*
 * A card that goes down says so once, as an error that is read instead of a frame, and may come up
 * again; but with an error libuv has stopped listening.
 */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	take_frames(poll->data);
	if (status)
		uv_poll_start(poll, UV_READABLE, on_readable);
}

/* A frame that the card does not take at once is lost, as on a cable. */
static void card_send(void *self, const void *frame, size_t bytes)
{
	struct card *card = self;
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)frame, bytes } };
	ssize_t put = writev(card->fd, parts, ARRAY_SIZE(parts));

	(void)put;
}

static void card_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct card *card = self;

	card->receive = fn;
	card->receiver = receiver;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void card_close(void *self)
{
	struct card *card = self;

	uv_poll_stop(&card->poll);
	close(card->fd);
	uv_close((uv_handle_t *)&card->poll, on_closed);
}

static const struct net_ops ops = {
	.send = card_send,
	.receive = card_receive,
	.close = card_close,
};

static int bind_socket(int fd, unsigned index)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)index };
	struct packet_mreq promiscuous = { .mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC };
	const int on = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)))
		return -errno;
	return 0;
}

int card_open(struct net *out, uv_loop_t *loop, unsigned index)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ret;
	struct card *card;

	if (fd < 0)
		return -errno;
	card = calloc(1, sizeof(*card));
	ret = card ? bind_socket(fd, index) : -ENOMEM;
	ret = ret ? ret : uv_poll_init(loop, &card->poll, fd);
	if (ret) {
		free(card);
		close(fd);
		return ret;
	}
	card->fd = fd;
	card->index = index;
	card->poll.data = card;
	uv_poll_start(&card->poll, UV_READABLE, on_readable);
	*out = (struct net){ .ops = &ops, .self = card };
	return 0;
}

unsigned card_index(const struct net *net)
{
	return net->ops == &ops ? ((struct card *)net->self)->index : 0;
}
