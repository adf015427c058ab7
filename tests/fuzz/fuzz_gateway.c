/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of a guest to the host in user space: what reads them before libslirp does, libslirp
 * behind that, and DHCP. The input is records: a byte that chooses the form, two of a length, then
 * the frame or what of it is random. In a network namespace of its own, from which nothing gets
 * out; where there is none, without translation.
 */
#define _GNU_SOURCE /* unshare */
#include "switch/dhcp.h"
#include "switch/gateway.h"
#include "switch/packet.h"

#include <sched.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FORMS      8
#define FRAMES_MAX 32

static const uint8_t host_mac[] = { 0x00, 0x15, 0x5d, 1, 2, 3 };
static const uint8_t guest_mac[] = { 0x00, 0x15, 0x5d, 4, 5, 6 };

/* Beginnings of frames behind the addresses, so that random bytes come further. */
static const struct {
	uint16_t type;
	uint8_t bytes;
	uint8_t start[40];
} forms[FORMS] = {
	{ 0, 0, { 0 } },
	{ ETHERTYPE_ARP, 8, { 0, 1, 8, 0, 6, 4, 0, 1 } },
	{ ETHERTYPE_IPV4, 20, { 0x45, 0, 0,  60, 0, 0, 0,  0, 64, PROTOCOL_TCP,
				0,    0, 10, 0,  0, 2, 10, 0, 0,  1 } },
	{ ETHERTYPE_IPV4, 20, { 0x45, 0, 0,  60, 0, 0, 0, 0, 64, PROTOCOL_UDP,
				0,    0, 10, 0,  0, 2, 8, 8, 8,  8 } },
	{ ETHERTYPE_IPV4, 28, { 0x45, 0, 1,   44,  0,   0,   0, 0,  64, PROTOCOL_UDP, 0, 0, 0, 0,
				0,    0, 255, 255, 255, 255, 0, 68, 0,  67,           1, 24 } },
	{ ETHERTYPE_IPV4, 20, { 0x45, 0, 0,  60, 0, 0, 32, 0, 64, PROTOCOL_ICMP,
				0,    0, 10, 0,  0, 2, 10, 0, 0,  1 } },
	{ ETHERTYPE_IPV6, 40, { 0x60, 0,    0, 0,    0, 40, PROTOCOL_ICMPV6,
				255,  0xfd, 0, 0,    0, 0,  0,
				0,    0,    0, 0,    0, 0,  0,
				0,    0,    2, 0xfd, 0, 0,  0,
				0,    0,    0, 0,    0, 0,  0,
				0,    0,    0, 0,    1 } },
	{ ETHERTYPE_IPV6,
	  40,
	  { 0x60, 0, 0, 0, 0, 40, PROTOCOL_TCP, 64,   0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0,    0, 0, 0, 0, 2,  0xfe,         0x80, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0,    0, 0, 1 } },
};

/* Whether nothing gets out; set once, before the first input. */
static bool is_alone;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	is_alone = !unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET);
	return 0;
}

static void on_output(void *receiver, const void *frame, size_t bytes)
{
	(void)receiver;
	if (bytes < FRAME_HEADER_BYTES ||
	    memcmp((const uint8_t *)frame + FRAME_MAC_BYTES, host_mac, FRAME_MAC_BYTES))
		abort(); /* it comes from the adapter's address and from no other */
}

/* A frame as long as it says, for a sanitizer; its bytes. */
static uint8_t *make_frame(unsigned form, const uint8_t *random, size_t bytes, size_t *length)
{
	size_t header = form ? FRAME_HEADER_BYTES + forms[form].bytes : 0;
	uint8_t *frame = malloc(header + bytes + 1), *ip = frame + FRAME_HEADER_BYTES;

	*length = header + bytes;
	if (header) {
		memcpy(frame, host_mac, FRAME_MAC_BYTES);
		memcpy(frame + FRAME_MAC_BYTES, guest_mac, FRAME_MAC_BYTES);
		store_be16(frame + 2 * FRAME_MAC_BYTES, forms[form].type);
		memcpy(ip, forms[form].start, forms[form].bytes);
		if (forms[form].type == ETHERTYPE_IPV4) {
			store_be16(ip + IPV4_TOTAL, (unsigned)(*length - FRAME_HEADER_BYTES));
			store_be16(ip + IPV4_CHECKSUM,
				   checksum_finish(checksum_add(0, ip, IPV4_BYTES)));
		}
		if (forms[form].type == ETHERTYPE_IPV6)
			store_be16(ip + IPV6_PAYLOAD, (unsigned)bytes);
	}
	memcpy(frame + header, random, bytes);
	if (forms[form].type == ETHERTYPE_IPV6 && bytes >= ICMPV6_BYTES &&
	    ip[IPV6_NEXT] == PROTOCOL_ICMPV6)
		checksum_icmpv6(ip, bytes);
	return frame;
}

static void configure(struct gateway *gateway)
{
	struct gateway_config *config = calloc(1, sizeof(*config));

	memcpy(config->mac, host_mac, sizeof(config->mac));
	address_parse("10.0.0.1/8", &config->addresses[0]);
	address_parse("fd00::1/64", &config->addresses[1]);
	config->address_count = 2;
	config->kernel = !is_alone;
	if (is_alone) {
		address_parse("10.0.0.0/8", &config->nats[0]);
		address_parse("fd00::/64", &config->nats[1]);
		memcpy(config->dhcp, config->nats, sizeof(config->dhcp));
		config->nat_count = config->dhcp_count = 2;
	}
	gateway_configure(gateway, config, NULL);
	free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gateway *gateway;
	uv_loop_t loop;

	uv_loop_init(&loop);
	gateway = gateway_open(&loop, on_output, NULL);
	configure(gateway);
	for (unsigned i = 0; i < FRAMES_MAX && size >= 3; i++) {
		size_t bytes = MIN(size - 3, load_be16(data + 1) % 1500u), length;
		uint8_t *frame = make_frame(data[0] % FORMS, data + 3, bytes, &length);

		gateway_input(gateway, frame, length);
		free(frame);
		uv_run(&loop, UV_RUN_NOWAIT);
		data += 3 + bytes;
		size -= 3 + bytes;
	}
	gateway_close(gateway);
	for (unsigned i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (uv_loop_close(&loop))
		abort(); /* something is left */
	return 0;
}
