/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port of a VM's network card: frames through a real switch, which comes late, ends, comes
 * back, refuses the port for a time, or does not read.
 */
#include "net/net.h"

#include "lib/socket.h"
#include "switch/server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS     10000000000ull
#define FRAME_BYTES 100
#define FRAMES      1000

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 1 }, mac_b[6] = { 2, 0, 0, 0, 0, 2 };

struct fixture {
	uv_loop_t loop;
	char folder[32], ports[64], control[64];
	struct server *server;
	struct net a, b;
	unsigned got; /* by b; of the last one: */
	uint8_t last[FRAME_BYTES];
};

static void start_switch(struct fixture *f)
{
	const struct server_options options = { .name = "test",
						.ports_path = f->ports,
						.control_path = f->control };

	assert_int_equal(server_create(&f->server, &f->loop, &options, NULL), 0);
}

static void end_switch(struct fixture *f)
{
	if (f->server)
		server_destroy(f->server);
	f->server = NULL;
}

static void add_port(struct fixture *f, const char *id, const uint8_t mac[6])
{
	struct switch_policy policy;

	switch_policy_init(&policy);
	memcpy(policy.mac, mac, sizeof(policy.mac));
	assert_int_equal(server_set_port(f->server, id, &policy, NULL), 0);
}

static void add_ports(struct fixture *f)
{
	add_port(f, "a", mac_a);
	add_port(f, "b", mac_b);
}

static void count(void *receiver, const void *frame, size_t bytes)
{
	struct fixture *f = receiver;

	f->got++;
	assert_int_equal(bytes, FRAME_BYTES);
	memcpy(f->last, frame, bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/net_switch.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->ports, sizeof(f->ports), "%s/ports", f->folder);
	snprintf(f->control, sizeof(f->control), "%s/control", f->folder);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(net_switch_open(&f->a, &f->loop, f->ports, "a", NULL), 0);
	assert_int_equal(net_switch_open(&f->b, &f->loop, f->ports, "b", NULL), 0);
	f->b.ops->receive(f->b.self, count, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_close(&f->a);
	net_close(&f->b);
	end_switch(f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static void send_frame(struct fixture *f, uint32_t number)
{
	uint8_t frame[FRAME_BYTES] = { 0 };

	memcpy(frame, mac_b, 6);
	memcpy(frame + 6, mac_a, 6);
	store_le(frame + 14, number, 4);
	f->a.ops->send(f->a.self, frame, sizeof(frame));
}

static bool are_connected(const struct fixture *f, unsigned clients)
{
	return f->server->connected == clients;
}

/* Lets the loop run until that many clients are at the switch. */
static bool wait_connected(struct fixture *f, unsigned clients)
{
	uint64_t until = uv_hrtime() + WAIT_NS;

	while (!are_connected(f, clients) && uv_hrtime() < until)
		uv_run(&f->loop, UV_RUN_ONCE);
	return are_connected(f, clients);
}

static bool wait_got(struct fixture *f, unsigned frames)
{
	uint64_t until = uv_hrtime() + WAIT_NS;

	while (f->got < frames && uv_hrtime() < until)
		uv_run(&f->loop, UV_RUN_ONCE);
	return f->got == frames;
}

/* No switch at first: frames are lost. Then there is one, then none, then one again. */
static void comes_and_goes(void **state)
{
	struct fixture *f = *state;

	send_frame(f, 0);
	net_flush(&f->a);
	for (unsigned round = 0; round < 2; round++) {
		start_switch(f);
		add_ports(f);
		assert_true(wait_connected(f, 2));
		send_frame(f, round + 7);
		net_flush(&f->a);
		assert_true(wait_got(f, round + 1));
		assert_int_equal(load_le(f->last + 14, 4), round + 7);
		end_switch(f);
		uv_run(&f->loop, UV_RUN_ONCE);
		send_frame(f, 0);
		net_flush(&f->a);
	}
}

/* A switch that does not know the port refuses it; it is tried again. */
static void refused(void **state)
{
	struct fixture *f = *state;

	start_switch(f);
	add_port(f, "a", mac_a);
	assert_true(wait_connected(f, 1));
	for (unsigned i = 0; i < 20; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_true(are_connected(f, 1));
	add_port(f, "b", mac_b);
	assert_true(wait_connected(f, 2));
	server_remove_port(server_find_port(f->server, "a"));
	assert_true(are_connected(f, 1));
}

static void *send_many(void *self)
{
	struct fixture *f = self;

	for (uint32_t i = 0; i < FRAMES; i++) {
		send_frame(f, i);
		if (i % 64 == 63)
			net_flush(&f->a);
	}
	net_flush(&f->a);
	return NULL;
}

/* From another thread, as a card's thread does; all arrive, in order. */
static void many_frames(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	start_switch(f);
	add_ports(f);
	assert_true(wait_connected(f, 2));
	assert_int_equal(pthread_create(&thread, NULL, send_many, f), 0);
	assert_true(wait_got(f, FRAMES));
	pthread_join(thread, NULL);
	assert_int_equal(load_le(f->last + 14, 4), FRAMES - 1);
}

static void count_room(void *sender)
{
	++*(unsigned *)sender;
}

/*
 * Somebody listens and reads nothing: there is no room, what is sent nevertheless is dropped, and
 * nobody waits. Its end is said once.
 */
static void does_not_read(void **state)
{
	struct fixture *f = *state;
	int listener = socket_listen(f->ports), client[2];
	unsigned told = 0;

	assert_true(listener >= 0);
	net_tell_room(&f->a, count_room, &told);
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++) {
		while ((client[i] = accept(listener, NULL, NULL)) < 0)
			uv_run(&f->loop, UV_RUN_ONCE);
	}
	for (unsigned i = 0; i < 40; i++) {
		send_many(f);
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_false(net_has_room(&f->a));
	assert_int_equal(told, 0);
	close(client[0]);
	close(client[1]);
	close(listener);
	unlink(f->ports);
	start_switch(f);
	add_ports(f);
	assert_true(wait_connected(f, 2));
	assert_int_equal(told, 1);
	assert_true(net_has_room(&f->a));
	send_frame(f, 1);
	net_flush(&f->a);
	assert_true(wait_got(f, 1));
}

/* A switch that reads slowly gets everything from a sender who waits for room. */
static void waits_for_room(void **state)
{
	struct fixture *f = *state;
	const unsigned batches = 400;
	unsigned told = 0, waits = 0;

	start_switch(f);
	add_ports(f);
	assert_true(wait_connected(f, 2));
	net_tell_room(&f->a, count_room, &told);
	for (unsigned i = 0; i < batches; i++) {
		for (uint32_t k = 0; k < 64; k++)
			send_frame(f, i * 64 + k);
		net_flush(&f->a);
		for (bool waited = false; !net_has_room(&f->a); waited = true) {
			waits += !waited;
			uv_run(&f->loop, UV_RUN_ONCE);
		}
	}
	assert_true(waits);
	assert_int_equal(told, waits);
	assert_true(wait_got(f, batches * 64));
}

/* It says what no switch says. */
static void speaks_nonsense(void **state)
{
	struct fixture *f = *state;
	int listener = socket_listen(f->ports), client;

	assert_true(listener >= 0);
	for (unsigned i = 0; i < 4; i++) {
		char hello[64];

		while ((client = accept(listener, NULL, NULL)) < 0)
			uv_run(&f->loop, UV_RUN_ONCE);
		assert_int_equal(send(client, "nonsense\n", 9, MSG_NOSIGNAL), 9);
		while (recv(client, hello, sizeof(hello), MSG_DONTWAIT) != 0)
			uv_run(&f->loop, UV_RUN_ONCE);
		close(client);
	}
	close(listener);
	unlink(f->ports);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(many_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_room, setup, teardown),
		cmocka_unit_test_setup_teardown(speaks_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
