/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums and segments: see switch/segment.h. RFC 9293: "Header Format". */
#include "switch/segment.h"

#include "switch/frame.h"
#include "switch/packet.h"

#define SEGMENT_BYTES_MAX 9216 /* of a wire: a jumbo frame */

/* Where the headers of a TCP segment are in a frame. */
struct layout {
	size_t ip, tcp, payload, end;
	bool v6;
};

static bool find_layout(struct layout *layout, const uint8_t *data, size_t bytes)
{
	struct frame frame;
	const uint8_t *ip;
	size_t left;

	if (!frame_parse(&frame, data, bytes))
		return false;
	ip = data + frame.payload;
	left = bytes - frame.payload;
	*layout = (struct layout){ .ip = frame.payload, .v6 = frame.type == ETHERTYPE_IPV6 };
	if (layout->v6) {
		if (left < IPV6_BYTES || ip[IPV6_NEXT] != PROTOCOL_TCP)
			return false;
		layout->tcp = layout->ip + IPV6_BYTES;
	} else {
		if (frame.type != ETHERTYPE_IPV4 || left < IPV4_BYTES ||
		    ip[IPV4_PROTOCOL] != PROTOCOL_TCP)
			return false;
		layout->tcp = layout->ip + (ip[0] & 15) * 4u;
	}
	if (layout->tcp < layout->ip + IPV4_BYTES || layout->tcp + TCP_BYTES > bytes)
		return false;
	layout->payload = layout->tcp + (data[layout->tcp + TCP_DATA_OFFSET] >> 4) * 4u;
	layout->end = bytes;
	return layout->payload >= layout->tcp + TCP_BYTES && layout->payload <= bytes;
}

static void put_tcp_checksum(const struct layout *layout, uint8_t *segment, size_t bytes)
{
	uint8_t *ip = segment + layout->ip, *tcp = segment + layout->tcp;
	size_t tcp_bytes = bytes - layout->tcp;
	uint32_t sum = PROTOCOL_TCP + (uint32_t)tcp_bytes;

	store_be16(tcp + TCP_CHECKSUM, 0);
	sum = layout->v6 ? checksum_add(sum, ip + IPV6_SOURCE, IPV6_BYTES - IPV6_SOURCE)
			 : checksum_add(sum, ip + IPV4_SOURCE, IPV4_BYTES - IPV4_SOURCE);
	store_be16(tcp + TCP_CHECKSUM, checksum_finish(checksum_add(sum, tcp, tcp_bytes)));
}

/* The nth segment's headers: lengths, sequence number, flags that the first or last one has. */
static void fix_headers(const struct layout *layout, uint8_t *segment, size_t bytes, unsigned n,
			size_t offset, bool is_last)
{
	uint8_t *ip = segment + layout->ip, *tcp = segment + layout->tcp;
	size_t header = layout->tcp - layout->ip;

	if (layout->v6) {
		store_be16(ip + IPV6_PAYLOAD, (unsigned)(bytes - layout->ip - IPV6_BYTES));
	} else {
		store_be16(ip + IPV4_TOTAL, (unsigned)(bytes - layout->ip));
		store_be16(ip + IPV4_ID, load_be16(ip + IPV4_ID) + n);
		store_be16(ip + IPV4_CHECKSUM, 0);
		store_be16(ip + IPV4_CHECKSUM, checksum_finish(checksum_add(0, ip, header)));
	}
	store_be32(tcp + TCP_SEQUENCE, load_be32(tcp + TCP_SEQUENCE) + (uint32_t)offset);
	if (!is_last)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (n)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	put_tcp_checksum(layout, segment, bytes);
}

static void cut(const struct layout *layout, size_t size, const uint8_t *frame, segment_fn *fn,
		void *self)
{
	uint8_t segment[SEGMENT_BYTES_MAX];
	size_t left = layout->end - layout->payload, offset = 0;

	for (unsigned n = 0; left; n++) {
		size_t bytes = MIN(left, size);

		memcpy(segment, frame, layout->payload);
		memcpy(segment + layout->payload, frame + layout->payload + offset, bytes);
		left -= bytes;
		fix_headers(layout, segment, layout->payload + bytes, n, offset, !left);
		fn(self, segment, layout->payload + bytes);
		offset += bytes;
	}
}

static bool put_checksum(const struct virtio_net_hdr *header, uint8_t *frame, size_t bytes)
{
	size_t start = header->csum_start, at = start + header->csum_offset;

	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start > bytes || at + 2 > bytes)
		return false;
	/* The sum of the pseudo header is in its place already. */
	store_be16(frame + at, checksum_finish(checksum_add(0, frame + start, bytes - start)));
	return true;
}

void segment_frame(const struct virtio_net_hdr *header, uint8_t *frame, size_t bytes,
		   segment_fn *fn, void *self)
{
	unsigned type = header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	struct layout layout;

	if (type == VIRTIO_NET_HDR_GSO_NONE) {
		if (put_checksum(header, frame, bytes))
			fn(self, frame, bytes);
		return;
	}
	if (!header->gso_size || !find_layout(&layout, frame, bytes) ||
	    type != (layout.v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) ||
	    layout.payload + header->gso_size > SEGMENT_BYTES_MAX)
		return;
	cut(&layout, header->gso_size, frame, fn, self);
}
