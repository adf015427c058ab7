/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guards find in frames, and how a guest may try to hide it from them: tags, options,
 * extension headers, fragments, frames that end early.
 */
#include "switch/frame.h"
#include "switch/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A frame under construction. It is copied to its exact size, so that a sanitizer sees its end. */
struct builder {
	uint8_t data[512];
	size_t bytes;
	size_t ip; /* where its IP header begins; 0: it has none yet */
	bool is_ipv6;
};

static void add_padding(struct builder *b, const void *data, size_t bytes)
{
	memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
}

/* IP says how long it is. */
static void add(struct builder *b, const void *data, size_t bytes)
{
	uint8_t *ip = b->data + b->ip;

	add_padding(b, data, bytes);
	if (b->ip && b->is_ipv6)
		store_be16(ip + IPV6_PAYLOAD, (unsigned)(b->bytes - b->ip - IPV6_BYTES));
	else if (b->ip)
		store_be16(ip + IPV4_TOTAL, (unsigned)(b->bytes - b->ip));
}

#define ADD(b, ...) \
	add(b, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static struct builder begin(void)
{
	struct builder b = { .bytes = 0 };

	ADD(&b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x15, 0x5d, 0, 0, 1);
	return b;
}

static enum frame_kind kind(const struct builder *b)
{
	uint8_t *copy = malloc(b->bytes);
	enum frame_kind found;
	struct frame frame;

	memcpy(copy, b->data, b->bytes);
	found = frame_parse(&frame, copy, b->bytes) ? frame_kind(&frame) : FRAME_UNREADABLE;
	free(copy);
	return found;
}

/* No frame that ends early makes it read on; and none of them hides what the whole one shows. */
static void check_cuts(const struct builder *b)
{
	for (size_t cut = 14; cut < b->bytes; cut++) {
		struct builder part = *b;

		part.bytes = cut;
		assert_int_not_equal(kind(&part), FRAME_PLAIN);
	}
}

static void add_ipv4(struct builder *b, unsigned protocol, unsigned words, unsigned fragment)
{
	ADD(b, 0x08, 0x00, (uint8_t)(0x40 | words), 0, 0, 0, 0, 0, (uint8_t)(fragment >> 8),
	    (uint8_t)fragment, 64, (uint8_t)protocol, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2);
	b->ip = b->bytes - IPV4_BYTES;
	for (unsigned i = 5; i < words; i++)
		ADD(b, 1, 1, 1, 1);
}

static void add_ipv6(struct builder *b, unsigned next)
{
	ADD(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 64, (uint8_t)next, 255);
	b->ip = b->bytes - 8;
	b->is_ipv6 = true;
	for (unsigned i = 0; i < 32; i++)
		ADD(b, 0xfe);
}

static void add_udp(struct builder *b, unsigned from, unsigned to)
{
	ADD(b, (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to, 0, 20, 0, 0, 1,
	    2, 3, 4);
}

static void dhcp_servers(void **state)
{
	struct builder b = begin();

	(void)state;
	add_ipv4(&b, 17, 5, 0);
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	check_cuts(&b);
	b = begin();
	add_ipv4(&b, 17, 5, 0);
	add_udp(&b, 68, 67);
	assert_int_equal(kind(&b), FRAME_PLAIN);
	b = begin();
	add_ipv4(&b, 6, 5, 0); /* TCP */
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_PLAIN);
	b = begin();
	add_ipv6(&b, 17);
	add_udp(&b, 547, 546);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	check_cuts(&b);
	b = begin();
	add_ipv6(&b, 17);
	add_udp(&b, 546, 547);
	assert_int_equal(kind(&b), FRAME_PLAIN);
}

static void routers(void **state)
{
	static const struct {
		bool is_ipv6;
		uint8_t type;
		enum frame_kind kind;
	} cases[] = {
		{ true, 134, FRAME_ROUTER }, { true, 137, FRAME_ROUTER },
		{ true, 133, FRAME_PLAIN },  { true, 135, FRAME_PLAIN },
		{ true, 128, FRAME_PLAIN },  { false, 5, FRAME_ROUTER },
		{ false, 9, FRAME_ROUTER },  { false, 10, FRAME_PLAIN },
		{ false, 8, FRAME_PLAIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct builder b = begin();

		if (cases[i].is_ipv6)
			add_ipv6(&b, 58);
		else
			add_ipv4(&b, 1, 5, 0);
		ADD(&b, cases[i].type, 0, 0, 0);
		assert_int_equal(kind(&b), cases[i].kind);
	}
}

static void options_and_headers_hide_nothing(void **state)
{
	struct builder b = begin();

	(void)state;
	add_ipv4(&b, 17, 15, 0);
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	check_cuts(&b);
	b = begin();
	add_ipv6(&b, 0);
	ADD(&b, 60, 0, 1, 4, 0, 0, 0, 0);                          /* hop by hop */
	ADD(&b, 51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* options for the receiver */
	ADD(&b, 43, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);  /* authentication */
	ADD(&b, 58, 0, 0, 0, 0, 0, 0, 0);                          /* routing */
	ADD(&b, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_ROUTER);
	check_cuts(&b);
}

static void tags_hide_nothing(void **state)
{
	struct builder b = begin();

	(void)state;
	ADD(&b, 0x81, 0x00, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06);
	add_ipv4(&b, 17, 5, 0);
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	check_cuts(&b);
	b = begin();
	ADD(&b, 0x88, 0xa8, 0x00, 0x05);
	add_ipv6(&b, 58);
	ADD(&b, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_ROUTER);
	b = begin();
	for (unsigned i = 0; i < 8; i++)
		ADD(&b, 0x81, 0x00, 0x00, 0x05);
	add_ipv6(&b, 58);
	ADD(&b, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
}

static void fragments_hide_nothing(void **state)
{
	struct builder b = begin();

	(void)state;
	add_ipv4(&b, 17, 5, 0x2000); /* the first of several */
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	b = begin();
	add_ipv4(&b, 17, 5, 0x0010); /* a later one is worth nothing alone */
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_PLAIN);
	b = begin();
	add_ipv6(&b, 44);
	ADD(&b, 58, 0, 0, 1, 0, 0, 0, 9, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_ROUTER);
	b = begin();
	add_ipv6(&b, 44);
	ADD(&b, 60, 0, 0, 1, 0, 0, 0, 9); /* a first fragment that ends in its extension headers */
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	add_ipv6(&b, 44);
	ADD(&b, 58, 0, 0, 0x09, 0, 0, 0, 9, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_PLAIN);
}

/* What the receiver cuts off is not what it reads behind the first fragment. */
static void padding_hides_nothing(void **state)
{
	static const uint8_t ping[] = { 128, 0, 0, 0 }, udp[UDP_BYTES] = { 0, 1, 0, 1 };
	struct builder b = begin();

	(void)state;
	add_ipv6(&b, 44);
	ADD(&b, 60, 0, 0, 1, 0, 0, 0, 9, 58, 0, 1, 4, 0, 0, 0, 0);
	add_padding(&b, ping, sizeof(ping));
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	add_ipv4(&b, 17, 5, 0x2000);
	ADD(&b, 0, 67, 0, 68);
	add_padding(&b, udp, sizeof(udp));
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	add_ipv4(&b, 17, 5, 0);
	add_udp(&b, 68, 67);
	add_padding(&b, udp, sizeof(udp)); /* as every short frame has it */
	assert_int_equal(kind(&b), FRAME_PLAIN);
}

static void snap_headers_hide_nothing(void **state)
{
	static const uint8_t snap[] = { 0, 60, 0xaa, 0xaa, 3, 0, 0, 0 };
	struct builder b = begin();

	(void)state;
	ADD(&b, 0x81, 0x00, 0x00, 0x05);
	add(&b, snap, sizeof(snap));
	add_ipv6(&b, 58);
	ADD(&b, 134, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_ROUTER);
	b = begin();
	add(&b, snap, sizeof(snap));
	add_ipv4(&b, 17, 5, 0);
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_DHCP_SERVER);
	b = begin();
	ADD(&b, 0, 3, 0x42, 0x42, 3); /* LLC, no SNAP */
	assert_int_equal(kind(&b), FRAME_PLAIN);
}

static void what_cannot_be_read_is_said_so(void **state)
{
	struct builder b = begin();

	(void)state;
	add_ipv4(&b, 17, 3, 0); /* a header shorter than a header is */
	add_udp(&b, 67, 68);
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	add_ipv4(&b, 17, 15, 0);
	b.bytes -= 8; /* options that go on behind the end */
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	add_ipv6(&b, 0);
	for (unsigned i = 0; i < 20; i++)
		ADD(&b, 60, 0, 1, 4, 0, 0, 0, 0);
	assert_int_equal(kind(&b), FRAME_UNREADABLE);
	b = begin();
	ADD(&b, 0x08, 0x06, 0, 1); /* ARP is plain */
	assert_int_equal(kind(&b), FRAME_PLAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_servers),
		cmocka_unit_test(routers),
		cmocka_unit_test(options_and_headers_hide_nothing),
		cmocka_unit_test(tags_hide_nothing),
		cmocka_unit_test(fragments_hide_nothing),
		cmocka_unit_test(padding_hides_nothing),
		cmocka_unit_test(snap_headers_hide_nothing),
		cmocka_unit_test(what_cannot_be_read_is_said_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
