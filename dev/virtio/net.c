/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: one pair of queues. The guest's frames go out on an I/O thread; frames for the guest
 * come on the back end's thread straight into its buffers, and where it has none they wait in a
 * short backlog, which the I/O thread empties when the guest brings new buffers.
 *
 * Checksums: the guest may leave TCP's and UDP's to us (CSUM). No segmentation offload.
 *
 * Source: VIRTIO 1.2, "Network Device".
 */
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#define CLASS_ETHERNET     0x020000
#define HEADER_BYTES       sizeof(struct virtio_net_hdr_v1)
#define TX_BATCH           64
#define RX_CHAINS_MAX      64  /* that one frame may be spread over */
#define BACKLOG_FRAMES_MAX 256 /* a power of two */

_Static_assert(HEADER_BYTES == 12, "the header of virtio 1.x");
_Static_assert(NET_MAC_BYTES == ETH_ALEN, "an Ethernet address");

enum { QUEUE_RX, QUEUE_TX, QUEUES };

struct frame {
	size_t bytes;
	uint8_t data[];
};

struct virtio_net {
	struct virtio_device virtio;
	struct virtio_net_config config;
	const struct net *net;
	struct worker *worker;       /* one thread */
	struct virtq_chain tx_chain; /* the I/O thread's */
	uint8_t tx_frame[NET_FRAME_MAX];

	pthread_mutex_t rx_lock; /* held while an rx chain is in use; all below */
	struct virtq_chain rx_first, rx_more;
	struct frame *backlog[BACKLOG_FRAMES_MAX];
	unsigned backlog_first, backlog_count;
};

/* Frames from the guest */

/* The Internet checksum over [start, bytes), into the field that the header names. */
static bool fill_checksum(uint8_t *frame, size_t bytes, size_t start, size_t offset)
{
	uint64_t sum = 0;
	uint16_t folded;

	if (start + offset + 2 > bytes)
		return false;
	for (size_t i = start; i < bytes; i += 2)
		sum += load_le(frame + i, MIN(bytes - i, 2));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	folded = ~sum;
	store_le(frame + start + offset, folded ? folded : 0xffff, 2); /* UDP: 0 means none */
	return true;
}

static void send_frame(struct virtio_net *nic)
{
	const struct virtq_chain *chain = &nic->tx_chain;
	size_t bytes = chain->readable_bytes - HEADER_BYTES;
	struct virtio_net_hdr_v1 header;

	if (chain->readable_bytes <= HEADER_BYTES || bytes > sizeof(nic->tx_frame))
		return;
	virtq_read(chain, 0, &header, HEADER_BYTES);
	virtq_read(chain, HEADER_BYTES, nic->tx_frame, bytes);
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return;
	if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    !fill_checksum(nic->tx_frame, bytes, header.csum_start, header.csum_offset))
		return;
	nic->net->ops->send(nic->net->self, nic->tx_frame, bytes);
}

/* A batch: one interrupt, and one call on the host where the back end can do that. */
static bool transmit(struct virtio_net *nic)
{
	struct virtq_used used[TX_BATCH];
	unsigned count = 0;

	if (!net_has_room(nic->net))
		return false; /* has_room_again comes; the guest's queue is the place to wait */
	while (count < TX_BATCH && virtio_pop(&nic->virtio, QUEUE_TX, &nic->tx_chain)) {
		send_frame(nic);
		used[count++] = (struct virtq_used){ nic->tx_chain.head, 0 };
	}
	if (!count)
		return false;
	net_flush(nic->net);
	virtio_push(&nic->virtio, QUEUE_TX, used, count);
	return true;
}

static void has_room_again(void *sender)
{
	worker_kick(((struct virtio_net *)sender)->worker);
}

/* Frames for the guest. With rx_lock held. */

enum delivery { DELIVERED, DROPPED, NO_BUFFERS };

/* A frame on its way into one or more chains. */
struct spread {
	const uint8_t *frame;
	size_t bytes, done; /* of the frame */
	struct virtq_used used[RX_CHAINS_MAX];
	unsigned count;
};

/* The next chain: the first begins with a header, written last. */
static bool fill_chain(struct virtio_net *nic, struct spread *s, struct virtq_chain *chain)
{
	size_t header = s->count ? 0 : HEADER_BYTES, written;

	if (chain->writable_bytes < header)
		return false;
	written = virtq_write(&nic->virtio.queue[QUEUE_RX], chain, header, s->frame + s->done,
			      s->bytes - s->done);
	s->done += written;
	s->used[s->count++] = (struct virtq_used){ chain->head, header + written };
	return true;
}

static enum delivery spread(struct virtio_net *nic, struct spread *s)
{
	bool may_merge = virtio_has_feature(&nic->virtio, VIRTIO_NET_F_MRG_RXBUF);

	while (s->done < s->bytes) {
		struct virtq_chain *chain = s->count ? &nic->rx_more : &nic->rx_first;

		if (s->count == (may_merge ? RX_CHAINS_MAX : 1))
			return DROPPED;
		if (!virtio_pop(&nic->virtio, QUEUE_RX, chain))
			return NO_BUFFERS;
		if (!fill_chain(nic, s, chain)) {
			virtio_fail(&nic->virtio);
			return DROPPED;
		}
	}
	return DELIVERED;
}

static enum delivery deliver(struct virtio_net *nic, const void *frame, size_t bytes)
{
	struct spread s = { .frame = frame, .bytes = bytes };
	struct virtio_net_hdr_v1 header = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct virtq *q = &nic->virtio.queue[QUEUE_RX];
	enum delivery result = spread(nic, &s);

	if (result != DELIVERED) {
		virtq_unpop(q, s.count);
		return result;
	}
	header.num_buffers = s.count;
	virtq_write(q, &nic->rx_first, 0, &header, HEADER_BYTES);
	virtio_push(&nic->virtio, QUEUE_RX, s.used, s.count);
	return DELIVERED;
}

static void put_aside(struct virtio_net *nic, const void *data, size_t bytes)
{
	unsigned at = (nic->backlog_first + nic->backlog_count) % BACKLOG_FRAMES_MAX;
	struct frame *frame;

	if (nic->backlog_count == BACKLOG_FRAMES_MAX)
		return;
	frame = malloc(sizeof(*frame) + bytes);
	if (!frame)
		return;
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	nic->backlog[at] = frame;
	nic->backlog_count++;
}

static void drop_oldest(struct virtio_net *nic)
{
	free(nic->backlog[nic->backlog_first]);
	nic->backlog_first = (nic->backlog_first + 1) % BACKLOG_FRAMES_MAX;
	nic->backlog_count--;
}

/* Delivers what waits, as far as there are buffers. */
static void drain_backlog(struct virtio_net *nic)
{
	while (nic->backlog_count) {
		const struct frame *frame = nic->backlog[nic->backlog_first];

		if (deliver(nic, frame->data, frame->bytes) == NO_BUFFERS)
			return;
		drop_oldest(nic);
	}
}

static void receive(void *receiver, const void *frame, size_t bytes)
{
	struct virtio_net *nic = receiver;

	if (!bytes || bytes > NET_FRAME_MAX)
		return;
	pthread_mutex_lock(&nic->rx_lock);
	if (virtio_is_live(&nic->virtio)) {
		drain_backlog(nic); /* frames stay in order */
		if (nic->backlog_count || deliver(nic, frame, bytes) == NO_BUFFERS)
			put_aside(nic, frame, bytes);
	}
	pthread_mutex_unlock(&nic->rx_lock);
}

/* The device */

static bool serve(void *self)
{
	struct virtio_net *nic = self;

	pthread_mutex_lock(&nic->rx_lock);
	drain_backlog(nic);
	pthread_mutex_unlock(&nic->rx_lock);
	return transmit(nic);
}

static void nic_notify(void *self, unsigned queue)
{
	struct virtio_net *nic = self;

	(void)queue;
	worker_kick(nic->worker);
}

static void nic_pause(void *self)
{
	struct virtio_net *nic = self;

	worker_pause(nic->worker);
	pthread_mutex_lock(&nic->rx_lock);
	while (nic->backlog_count)
		drop_oldest(nic);
}

static void nic_resume(void *self)
{
	struct virtio_net *nic = self;

	pthread_mutex_unlock(&nic->rx_lock);
	worker_resume(nic->worker);
}

static const struct virtio_ops nic_ops = {
	.notify = nic_notify,
	.pause = nic_pause,
	.resume = nic_resume,
};

static const struct virtio_kind nic_kind = {
	.type = VIRTIO_ID_NET,
	.class_code = CLASS_ETHERNET,
	.ops = &nic_ops,
};

int virtio_net_create(struct virtio_net **out, const struct virtio_place *place,
		      const struct net *net, const uint8_t mac[NET_MAC_BYTES])
{
	struct virtio_net *nic = calloc(1, sizeof(*nic));
	struct virtio_setup setup = {
		.kind = &nic_kind,
		.self = nic,
		.features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
			    BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM),
		.queues = QUEUES,
		.config_bytes = sizeof(nic->config),
	};
	int ret;

	if (!nic)
		return -ENOMEM;
	nic->net = net;
	memcpy(nic->config.mac, mac, NET_MAC_BYTES);
	nic->config.status = VIRTIO_NET_S_LINK_UP;
	setup.config = &nic->config;
	pthread_mutex_init(&nic->rx_lock, NULL);
	ret = worker_create(&nic->worker, "virtio-net", 1, serve, nic);
	if (!ret)
		ret = virtio_init(&nic->virtio, place, &setup);
	if (ret) {
		worker_destroy(nic->worker);
		pthread_mutex_destroy(&nic->rx_lock);
		free(nic);
		return ret;
	}
	net->ops->receive(net->self, receive, nic);
	net_tell_room(net, has_room_again, nic);
	*out = nic;
	return 0;
}

void virtio_net_set_link(struct virtio_net *nic, bool is_up)
{
	uint16_t status = is_up ? VIRTIO_NET_S_LINK_UP : 0;

	if (__atomic_exchange_n(&nic->config.status, status, __ATOMIC_SEQ_CST) != status)
		virtio_config_changed(&nic->virtio);
}

static void nic_reset(void *self)
{
	virtio_reset(&((struct virtio_net *)self)->virtio);
}

static void nic_destroy(void *self)
{
	struct virtio_net *nic = self;

	nic->net->ops->receive(nic->net->self, NULL, NULL);
	net_tell_room(nic->net, NULL, NULL);
	worker_destroy(nic->worker);
	while (nic->backlog_count)
		drop_oldest(nic);
	virtio_finish(&nic->virtio);
	pthread_mutex_destroy(&nic->rx_lock);
	free(nic);
}

const struct dev_ops virtio_net_dev_ops = {
	.name = "virtio-net",
	.reset = nic_reset,
	.destroy = nic_destroy,
};
