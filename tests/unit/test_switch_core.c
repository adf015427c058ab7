/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The switch without sockets: what takes time, and what has limits. */
#include "switch/core.h"
#include "switch/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ull
#define PORTS  4
#define TYPE   0x88 /* the first byte of a type that is nothing in particular */

struct bench {
	struct switch_core *core;
	struct switch_port *port[PORTS];
	unsigned got[PORTS];
	bool is_full;
	struct switch_port *answers; /* sends a frame to the first port for each that it gets */
};

static void make_mac(uint8_t mac[6], unsigned i)
{
	memcpy(mac,
	       (const uint8_t[]){ 0x00, 0x15, 0x5d, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
				  (uint8_t)i },
	       6);
}

static bool deliver(void *self, struct switch_port *to, const struct iovec *parts, unsigned count,
		    size_t bytes)
{
	struct bench *b = self;
	size_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += parts[i].iov_len;
	assert_int_equal(sum, bytes);
	if (b->is_full)
		return false;
	for (unsigned i = 0; i < PORTS; i++)
		b->got[i] += to == b->port[i];
	if (to == b->answers) {
		uint8_t frame[60] = { [12] = TYPE };

		make_mac(frame, 0);
		make_mac(frame + 6, to->index);
		switch_input(to, frame, sizeof(frame), 0);
	}
	return true;
}

/* Ports with spoofing on; the adapter of port i has address i. */
static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->core = switch_create(deliver, b);
	assert_non_null(b->core);
	for (unsigned i = 0; i < PORTS; i++) {
		struct switch_policy policy;

		switch_policy_init(&policy);
		make_mac(policy.mac, i);
		policy.spoofing = true;
		b->port[i] = switch_port_create(b->core, &policy, NULL);
		assert_non_null(b->port[i]);
		switch_port_connect(b->port[i], true);
	}
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	switch_destroy(b->core);
	free(b);
	return 0;
}

/* The ports that got it, a bit each. */
static unsigned input(struct bench *b, unsigned from, unsigned source, unsigned destination,
		      uint64_t now_ns)
{
	uint8_t frame[60] = { [12] = TYPE };
	unsigned bits = 0;

	make_mac(frame, destination);
	make_mac(frame + 6, source);
	memset(b->got, 0, sizeof(b->got));
	switch_input(b->port[from], frame, sizeof(frame), now_ns);
	for (unsigned i = 0; i < PORTS; i++)
		bits |= b->got[i] << i;
	return bits;
}

static void what_is_learned_grows_old(void **state)
{
	struct bench *b = *state;

	input(b, 0, 100, 1, 0);
	assert_int_equal(input(b, 1, 1, 100, MAC_AGE_NS), 1u << 0);
	assert_int_equal(input(b, 1, 1, 100, MAC_AGE_NS + 1), 1u << 0 | 1u << 2 | 1u << 3);
	input(b, 0, 100, 1, MAC_AGE_NS + 2); /* heard again */
	assert_int_equal(input(b, 1, 1, 100, 2 * MAC_AGE_NS), 1u << 0);
}

static void an_address_may_move(void **state)
{
	struct bench *b = *state;

	input(b, 0, 100, 1, 0);
	assert_int_equal(input(b, 1, 1, 100, 1), 1u << 0);
	input(b, 2, 100, 1, 2);
	assert_int_equal(input(b, 1, 1, 100, 3), 1u << 2);
	switch_port_connect(b->port[2], false);
	switch_port_connect(b->port[2], true);
	assert_int_equal(input(b, 1, 1, 100, 4), 1u << 0 | 1u << 2 | 1u << 3);
}

static void nothing_comes_back_the_way_it_came(void **state)
{
	struct bench *b = *state;

	input(b, 0, 100, 1, 0);
	assert_int_equal(input(b, 0, 0, 100, 1), 0);
	assert_int_equal(b->port[0]->counters.in_dropped, 0); /* it is there already */
	assert_int_equal(input(b, 0, 100, 0, 1), 0);
}

static void a_port_that_makes_up_addresses_pushes_out_its_own(void **state)
{
	struct bench *b = *state;
	unsigned known = 0;

	for (unsigned i = 0; i < 100; i++)
		input(b, 1, 1000 + i, 2, i);
	for (unsigned i = 0; i < 100000; i++)
		input(b, 0, 100000 + i, 2, 1000 + i);
	for (unsigned i = 0; i < 100; i++)
		known += input(b, 2, 2, 1000 + i, 200000) == 1u << 1;
	assert_int_equal(known, 100);
	known = 0;
	for (unsigned i = 0; i < 100000; i++)
		known += input(b, 2, 2, 100000 + i, 200000) == 1u << 0;
	assert_in_range(known, 1, MAC_PER_PORT_MAX);
}

static void a_full_table_floods(void **state)
{
	struct mac_table *table = mac_create();
	unsigned known = 0;
	uint8_t mac[6];

	(void)state;
	for (unsigned port = 0; port < 20; port++) {
		for (unsigned i = 0; i < MAC_PER_PORT_MAX; i++) {
			make_mac(mac, port << 16 | i);
			mac_learn(table, port, mac, port, port * 10000 + i);
		}
	}
	for (unsigned port = 0; port < 20; port++) {
		for (unsigned i = 0; i < MAC_PER_PORT_MAX; i++) {
			int found;

			make_mac(mac, port << 16 | i);
			found = mac_find(table, port, mac, 1000000);
			assert_true(found == (int)port || found == MAC_PORT_NONE);
			known += found == (int)port;
			assert_int_equal(mac_find(table, port + 1, mac, 1000000), MAC_PORT_NONE);
		}
	}
	assert_in_range(known, MAC_ENTRIES / 2, MAC_ENTRIES);
	for (unsigned port = 0; port < 20; port++)
		mac_forget_port(table, port);
	for (unsigned i = 0; i < MAC_PER_PORT_MAX; i++) {
		make_mac(mac, 19u << 16 | i);
		assert_int_equal(mac_find(table, 19, mac, 1000000), MAC_PORT_NONE);
	}
	mac_destroy(table);
}

/* What a port gets through in a second of one-megabit bandwidth, asked each millisecond. */
static void a_limit_holds_over_time(void **state)
{
	struct bench *b = *state;
	struct switch_policy policy = b->port[0]->policy;
	uint8_t frame[1250] = { [12] = TYPE };
	uint64_t wait_ns, sent = 0;

	policy.max_bits_per_second = 1000000;
	switch_port_set_policy(b->port[0], &policy);
	make_mac(frame, 1);
	for (uint64_t now = 5 * SECOND; now < 15 * SECOND; now += SECOND / 1000) {
		while (switch_port_allowance(b->port[0], now, &wait_ns)) {
			switch_input(b->port[0], frame, sizeof(frame), now);
			sent += sizeof(frame);
		}
		assert_true(wait_ns);
	}
	assert_in_range(sent, 1240000, 1265000); /* ten seconds of 125,000 bytes */
}

static void a_wait_is_long_enough(void **state)
{
	struct bench *b = *state;
	struct switch_policy policy = b->port[0]->policy;
	uint8_t frame[60] = { [12] = TYPE };
	uint64_t wait_ns, now = SECOND;

	policy.max_bits_per_second = 1; /* the slowest that there is */
	switch_port_set_policy(b->port[0], &policy);
	make_mac(frame, 1);
	while (switch_port_allowance(b->port[0], now, &wait_ns))
		switch_input(b->port[0], frame, sizeof(frame), now);
	for (unsigned turns = 0; !switch_port_allowance(b->port[0], now, &wait_ns); turns++) {
		assert_true(turns < 100000);
		now += wait_ns;
	}
	policy.max_bits_per_second = UINT64_MAX;
	switch_port_set_policy(b->port[0], &policy);
	assert_int_equal(switch_port_allowance(b->port[0], now, &wait_ns), SIZE_MAX);
}

static void an_answer_may_come_at_once(void **state)
{
	struct bench *b = *state;
	struct switch_policy policy = b->port[3]->policy;

	policy.mirroring = SWITCH_MIRROR_DESTINATION;
	switch_port_set_policy(b->port[3], &policy);
	policy = b->port[0]->policy;
	policy.mirroring = SWITCH_MIRROR_SOURCE;
	switch_port_set_policy(b->port[0], &policy);
	b->answers = b->port[1];
	input(b, 0, 0, 1, 0);
	assert_int_equal(b->got[0], 1);
	assert_int_equal(b->got[1], 1);
	assert_int_equal(b->got[2], 0);
	assert_int_equal(b->got[3], 2); /* copies of the frame and of the answer */
	input(b, 0, 0, 100, 0);         /* to all of them, and so no copies but of the answer */
	assert_int_equal(b->got[1], 1);
	assert_int_equal(b->got[2], 1);
	assert_int_equal(b->got[3], 2);
}

static void equal_drops_make_one_record(void **state)
{
	struct bench *b = *state;
	const struct drop_ring *ring = &b->port[0]->drops;
	struct switch_policy policy = b->port[0]->policy;

	policy.spoofing = false;
	switch_port_set_policy(b->port[0], &policy);
	for (unsigned i = 0; i < 1000; i++)
		input(b, 0, 100, 1, 5 + i);
	assert_int_equal(ring->count, 1);
	assert_int_equal(drop_at(ring, 0)->count, 1000);
	assert_int_equal(drop_at(ring, 0)->first_ns, 5);
	assert_int_equal(drop_at(ring, 0)->last_ns, 1004);
	assert_int_equal(ring->by_reason[DROP_SPOOFED_SOURCE], 1000);
	for (unsigned i = 0; i < DROP_RECORDS; i++)
		input(b, 0, 200 + i, 1, 2000 + i);
	assert_int_equal(drop_at(ring, 0)->last_ns, 2000); /* the oldest one is gone */
	assert_int_equal(drop_at(ring, DROP_RECORDS - 1)->last_ns, 2000 + DROP_RECORDS - 1);
	assert_null(drop_at(ring, DROP_RECORDS));
	for (unsigned reason = 0; reason < DROP_REASONS; reason++)
		assert_non_null(drop_text(reason)->words);
}

static void no_room_is_a_drop_of_the_receivers(void **state)
{
	struct bench *b = *state;

	b->is_full = true;
	input(b, 0, 0, 1, 0);
	assert_int_equal(b->port[1]->counters.out_dropped, 1);
	assert_int_equal(b->port[1]->counters.out_frames, 0);
	assert_int_equal(b->port[0]->counters.in_dropped, 0);
	assert_int_equal(drop_at(&b->port[1]->drops, 0)->reason, DROP_QUEUE_FULL);
}

static void ports_come_and_go(void **state)
{
	struct bench *b = *state;
	struct switch_policy policy = b->port[1]->policy;
	struct switch_port *many[SWITCH_PORTS_MAX];
	unsigned count = 0;

	input(b, 1, 100, 0, 0);
	switch_port_destroy(b->port[1]);
	b->port[1] = NULL;
	assert_int_equal(input(b, 0, 0, 1, 1), 1u << 2 | 1u << 3); /* nobody's */
	b->port[1] = switch_port_create(b->core, &policy, NULL);
	switch_port_connect(b->port[1], true);
	assert_int_equal(input(b, 0, 0, 1, 1), 1u << 1);
	assert_int_equal(input(b, 0, 0, 100, 1), 1u << 1 | 1u << 2 | 1u << 3);
	while ((many[count] = switch_port_create(b->core, &policy, NULL)) != NULL)
		count++;
	assert_int_equal(count, SWITCH_PORTS_MAX - PORTS);
	while (count)
		switch_port_destroy(many[--count]);
}

#define C(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		C(what_is_learned_grows_old),
		C(an_address_may_move),
		C(nothing_comes_back_the_way_it_came),
		C(a_port_that_makes_up_addresses_pushes_out_its_own),
		C(a_full_table_floods),
		C(a_limit_holds_over_time),
		C(a_wait_is_long_enough),
		C(an_answer_may_come_at_once),
		C(equal_drops_make_one_record),
		C(no_room_is_a_drop_of_the_receivers),
		C(ports_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
