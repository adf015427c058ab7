/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel leaves for a card to do: checksums, and large TCP segments cut into small ones. */
#include "switch/segment.h"
#include "tests/unit/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TCP_BYTES 20
#define LARGE     10000
#define SIZE      1448
#define FIN_PSH   0x09
#define ACK       0x10
#define CWR       0x80

static const uint8_t one[] = { 2, 0, 0, 0, 0, 1 }, two[] = { 2, 0, 0, 0, 0, 2 };

struct seen {
	unsigned count;
	size_t payload; /* bytes so far */
	uint32_t next;  /* sequence number */
	const char *source, *destination;
	bool last_has_fin;
};

/* One TCP segment with `bytes` bytes of payload, each with its number; its whole length. */
static size_t make_tcp(uint8_t *frame, const char *source, const char *destination, size_t bytes)
{
	uint8_t *tcp =
		make_ip(frame, one, two, source, destination, PROTOCOL_TCP, TCP_BYTES + bytes);

	memset(tcp, 0, TCP_BYTES);
	store_be16(tcp + 4, 0xffff); /* the sequence number wraps on the way */
	store_be16(tcp + 6, 0xf000);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = FIN_PSH | ACK | CWR;
	for (size_t i = 0; i < bytes; i++)
		tcp[TCP_BYTES + i] = (uint8_t)(i * 7 + i / 256);
	return (size_t)(tcp - frame) + TCP_BYTES + bytes;
}

static void take(void *self, const void *data, size_t bytes)
{
	struct seen *seen = self;
	const uint8_t *frame = data;
	bool v6 = strchr(seen->source, ':') != NULL;
	const uint8_t *ip = frame + FRAME_HEADER_BYTES;
	const uint8_t *tcp = ip + (v6 ? IPV6_BYTES : IPV4_BYTES);
	size_t payload = bytes - (size_t)(tcp - frame) - TCP_BYTES;

	if (v6) {
		assert_int_equal(load_be16(ip + IPV6_PAYLOAD), TCP_BYTES + payload);
	} else {
		assert_int_equal(load_be16(ip + IPV4_TOTAL), IPV4_BYTES + TCP_BYTES + payload);
		assert_int_equal(load_be16(ip + IPV4_ID), seen->count);
		assert_int_equal(checksum_finish(checksum_add(0, ip, IPV4_BYTES)), 0);
	}
	assert_int_equal(load_be32(tcp + 4), seen->next);
	assert_int_equal(upper_checksum(tcp, TCP_BYTES + payload, PROTOCOL_TCP, seen->source,
					seen->destination),
			 0);
	for (size_t i = 0; i < payload; i++, seen->payload++)
		assert_int_equal(tcp[TCP_BYTES + i],
				 (uint8_t)(seen->payload * 7 + seen->payload / 256));
	assert_int_equal(!!(tcp[13] & CWR), seen->count == 0);
	seen->last_has_fin = tcp[13] & FIN_PSH;
	seen->next += (uint32_t)payload;
	seen->count++;
}

static void cut(const char *source, const char *destination, unsigned type)
{
	struct virtio_net_hdr header = { .gso_type = (uint8_t)type, .gso_size = SIZE };
	struct seen seen = { .source = source, .destination = destination, .next = 0xfffff000 };
	uint8_t *frame = malloc(FRAME_BYTES_MAX);

	segment_frame(&header, frame, make_tcp(frame, source, destination, LARGE), take, &seen);
	assert_int_equal(seen.payload, LARGE);
	assert_int_equal(seen.count, (LARGE + SIZE - 1) / SIZE);
	assert_true(seen.last_has_fin);
	free(frame);
}

static void large_segments_are_cut(void **state)
{
	(void)state;
	cut("10.0.0.1", "10.0.0.2", VIRTIO_NET_HDR_GSO_TCPV4);
	cut("10.0.0.1", "10.0.0.2", VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	cut("fd00::1", "fd00::2", VIRTIO_NET_HDR_GSO_TCPV6);
}

static void count(void *self, const void *frame, size_t bytes)
{
	(void)frame;
	(void)bytes;
	++*(unsigned *)self;
}

static unsigned passed(const struct virtio_net_hdr *header, const uint8_t *frame, size_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1); /* as long as it says, for a sanitizer */
	unsigned n = 0;

	memcpy(copy, frame, bytes);
	segment_frame(header, copy, bytes, count, &n);
	free(copy);
	return n;
}

static void a_checksum_that_is_left_is_made(void **state)
{
	struct virtio_net_hdr header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 .csum_start = FRAME_HEADER_BYTES + IPV4_BYTES,
					 .csum_offset = UDP_CHECKSUM };
	uint8_t frame[TEST_FRAME_MAX], *udp = frame + FRAME_HEADER_BYTES + IPV4_BYTES;
	size_t bytes = make_udp(frame, one, two, "10.0.0.1", 5, "10.0.0.2", 6, "hello", 5);
	unsigned right = load_be16(udp + UDP_CHECKSUM), n = 0;
	uint32_t pseudo;

	(void)state;
	pseudo = checksum_add(PROTOCOL_UDP + UDP_BYTES + 5,
			      frame + FRAME_HEADER_BYTES + IPV4_SOURCE, 8);
	store_be16(udp + UDP_CHECKSUM, (uint16_t)~checksum_finish(pseudo));
	segment_frame(&header, frame, bytes, count, &n);
	assert_int_equal(n, 1);
	assert_int_equal(load_be16(udp + UDP_CHECKSUM), right);
}

static void what_does_not_fit_is_dropped(void **state)
{
	struct virtio_net_hdr header = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = SIZE };
	uint8_t frame[4000];
	size_t bytes = make_tcp(frame, "10.0.0.1", "10.0.0.2", 3000);

	(void)state;
	assert_int_equal(passed(&header, frame, bytes), 3);
	for (size_t len = 0; len < FRAME_HEADER_BYTES + IPV4_BYTES + TCP_BYTES; len++)
		assert_int_equal(passed(&header, frame, len), 0);
	header.gso_size = 0;
	assert_int_equal(passed(&header, frame, bytes), 0);
	header.gso_size = 60000;
	assert_int_equal(passed(&header, frame, bytes), 0);
	header = (struct virtio_net_hdr){ .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = SIZE };
	assert_int_equal(passed(&header, frame, bytes), 0);
	header = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					  .csum_start = 0xffff,
					  .csum_offset = 0xffff };
	assert_int_equal(passed(&header, frame, bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_segments_are_cut),
		cmocka_unit_test(a_checksum_that_is_left_is_made),
		cmocka_unit_test(what_does_not_fit_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
