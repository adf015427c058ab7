/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The switch's DHCP server: what it says to clients, old and new, and to those that make it up. */
#include "switch/dhcp.h"
#include "tests/unit/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BOOTP_BYTES 240
#define BOOTP_YOUR  16
#define REPLY_BOOTP (FRAME_HEADER_BYTES + IPV4_BYTES + UDP_BYTES)

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t server_mac[] = { 0x00, 0x15, 0x5d, 1, 2, 3 };

struct fixture {
	struct dhcp *dhcp;
	uint8_t frame[TEST_FRAME_MAX], reply[DHCP_REPLY_BYTES];
	uint64_t now_s;
};

static void set_network(struct fixture *f, const char *host)
{
	struct dhcp_network network = { .dns = { { 192, 168, 100, 254 } }, .dns_count = 1 };

	memcpy(network.mac, server_mac, sizeof(server_mac));
	assert_true(address_parse(host, &network.host));
	dhcp_set_network(f->dhcp, &network);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dhcp = dhcp_create();
	assert_non_null(f->dhcp);
	f->now_s = 1000;
	set_network(f, "192.168.100.1/24");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dhcp_destroy(f->dhcp);
	free(f);
	return 0;
}

/* What client number n says; addresses 0: nothing of it. Returns the frame's bytes. */
static size_t make_message(struct fixture *f, unsigned n, unsigned type, uint32_t requested,
			   uint32_t server)
{
	uint8_t mac[6] = { 2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n };
	uint8_t message[BOOTP_BYTES + 32] = { 1, 1, 6 }, *p = message + BOOTP_BYTES;

	memcpy(message + 28, mac, 6);
	memcpy(message + 236, "\x63\x82\x53\x63", 4);
	*p++ = 53;
	*p++ = 1;
	*p++ = (uint8_t)type;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t value = i ? server : requested;

		if (!value)
			continue;
		*p++ = i ? 54 : 50;
		*p++ = 4;
		store_be16(p, value >> 16);
		store_be16(p + 2, value & 0xffff);
		p += 4;
	}
	*p = 255;
	return make_udp(f->frame, everybody, mac, "0.0.0.0", 68, "255.255.255.255", 67, message,
			sizeof(message));
}

/* The type of the answer, 0 for none; the address that it gives in *given. */
static unsigned say(struct fixture *f, unsigned n, unsigned type, uint32_t requested,
		    uint32_t server, uint32_t *given)
{
	size_t bytes = make_message(f, n, type, requested, server);
	const uint8_t *bootp = f->reply + REPLY_BOOTP;
	struct frame frame;

	assert_true(frame_parse(&frame, f->frame, bytes));
	assert_true(dhcp_is_request(&frame));
	*given = 0;
	if (!dhcp_answer(f->dhcp, &frame, f->now_s, f->reply))
		return 0;
	*given = (uint32_t)load_be16(bootp + BOOTP_YOUR) << 16 | load_be16(bootp + BOOTP_YOUR + 2);
	assert_int_equal(bootp[BOOTP_BYTES], 53);
	return bootp[BOOTP_BYTES + 2];
}

/* A client that gets an address in the usual way. */
static uint32_t join(struct fixture *f, unsigned n)
{
	uint32_t offered, given;

	assert_int_equal(say(f, n, DISCOVER, 0, 0, &offered), OFFER);
	assert_int_equal(say(f, n, REQUEST, offered, 0xc0a86401, &given), ACK);
	assert_int_equal(offered, given);
	return given;
}

/* The value of an option of the last answer, NULL where it has none. */
static const uint8_t *option(const struct fixture *f, unsigned code)
{
	const uint8_t *p = f->reply + REPLY_BOOTP + BOOTP_BYTES;

	while (*p != 255) {
		if (*p == code)
			return p + 2;
		p += 2 + p[1];
	}
	return NULL;
}

static void a_client_gets_all_it_needs(void **state)
{
	struct fixture *f = *state;
	uint32_t ip = join(f, 7);

	assert_int_equal(ip >> 8, 0xc0a864);
	assert_true((ip & 255) >= 128);
	assert_memory_equal(f->reply, "\2\0\0\0\0\7", 6);
	assert_memory_equal(f->reply + 6, server_mac, 6);
	assert_memory_equal(option(f, 1), "\xff\xff\xff\0", 4);
	assert_memory_equal(option(f, 3), "\xc0\xa8\x64\x01", 4);
	assert_memory_equal(option(f, 6), "\xc0\xa8\x64\xfe", 4);
	assert_memory_equal(option(f, 54), "\xc0\xa8\x64\x01", 4);
	assert_non_null(option(f, 51));
}

static void each_client_has_its_own(void **state)
{
	struct fixture *f = *state;
	uint32_t first = join(f, 1), second = join(f, 2);

	assert_int_not_equal(first, second);
	f->now_s += 100000; /* long after the lease: nobody else came */
	assert_int_equal(join(f, 1), first);
	assert_int_equal(join(f, 2), second);
}

static void an_address_of_another_is_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t first = join(f, 1), given;

	assert_int_equal(say(f, 2, REQUEST, first, 0, &given), NAK);
	assert_int_equal(say(f, 2, REQUEST, 0x0a000001, 0, &given), NAK);
	assert_int_equal(say(f, 2, REQUEST, 0xc0a86401, 0, &given), NAK); /* the host's */
	assert_int_equal(say(f, 2, REQUEST, 0xc0a864fe, 0, &given), NAK); /* the name server's */
	assert_int_equal(say(f, 2, REQUEST, first + 9, 0, &given), ACK);
	assert_int_equal(say(f, 2, REQUEST, first + 9, 0x0a000001, &given), 0); /* another server */
}

static void what_is_given_back_goes_to_others(void **state)
{
	struct fixture *f = *state;
	uint32_t first = join(f, 1), given;

	assert_int_equal(say(f, 1, RELEASE, 0, 0, &given), 0);
	assert_int_equal(say(f, 2, REQUEST, first, 0, &given), ACK);
	assert_int_equal(say(f, 2, DECLINE, first, 0, &given), 0);
	assert_int_equal(say(f, 3, REQUEST, first, 0, &given), NAK);
	f->now_s += 3600;
	assert_int_equal(say(f, 3, REQUEST, first, 0, &given), ACK);
}

static void one_client_cannot_decline_them_all(void **state)
{
	struct fixture *f = *state;
	uint32_t given;

	for (unsigned i = 0; i < 500; i++) {
		uint32_t ip = join(f, 1);

		assert_int_equal(say(f, 1, DECLINE, ip, 0, &given), 0);
		assert_int_equal(say(f, 1, REQUEST, ip, 0, &given), NAK);
	}
	join(f, 2);
}

static void the_pool_has_an_end(void **state)
{
	struct fixture *f = *state;
	unsigned clients = 0;
	uint32_t given;

	while (clients < 1000 && say(f, clients + 1, DISCOVER, 0, 0, &given) == OFFER)
		clients++;
	assert_int_equal(clients, 126); /* .128 to .254 without the name server */
	f->now_s += 3600;
	assert_int_equal(say(f, 5000, DISCOVER, 0, 0, &given), OFFER);
}

static void a_large_network_is_given_out_to_the_tables_end(void **state)
{
	struct fixture *f = *state;
	unsigned clients = 0;
	uint32_t given;

	set_network(f, "10.0.0.1/8");
	while (clients < 5000 && say(f, clients + 1, DISCOVER, 0, 0, &given) == OFFER)
		clients++;
	assert_int_equal(clients, 1024);
	f->now_s += 3600;
	assert_int_equal(say(f, 5000, DISCOVER, 0, 0, &given), OFFER);
}

static void tiny_networks_have_no_pool(void **state)
{
	static const char *const hosts[] = { "192.168.100.1/32", "192.168.100.1/31",
					     "192.168.100.2/30" };
	struct fixture *f = *state;
	uint32_t given;

	for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++) {
		set_network(f, hosts[i]);
		assert_int_equal(say(f, 1, DISCOVER, 0, 0, &given), 0);
	}
}

static void a_client_is_its_hardware_address(void **state)
{
	struct fixture *f = *state;
	size_t bytes = make_message(f, 1, DISCOVER, 0, 0);
	struct frame frame;

	f->frame[6] ^= 4; /* the frame's source, not what the message says */
	assert_true(frame_parse(&frame, f->frame, bytes));
	assert_int_equal(dhcp_answer(f->dhcp, &frame, f->now_s, f->reply), 0);
}

static void options_may_lie_about_their_length(void **state)
{
	struct fixture *f = *state;
	size_t bytes = make_message(f, 1, DISCOVER, 0xc0a864c8, 0);

	for (size_t at = REPLY_BOOTP; at < bytes; at++) {
		uint8_t *copy = malloc(bytes); /* for a sanitizer to see */
		struct frame frame;

		memcpy(copy, f->frame, bytes);
		copy[at] ^= 0xff;
		assert_true(frame_parse(&frame, copy, bytes));
		dhcp_answer(f->dhcp, &frame, f->now_s, f->reply);
		free(copy);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_gets_all_it_needs),
		TEST(each_client_has_its_own),
		TEST(an_address_of_another_is_refused),
		TEST(what_is_given_back_goes_to_others),
		TEST(one_client_cannot_decline_them_all),
		TEST(the_pool_has_an_end),
		TEST(a_large_network_is_given_out_to_the_tables_end),
		TEST(tiny_networks_have_no_pool),
		TEST(a_client_is_its_hardware_address),
		TEST(options_may_lie_about_their_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
