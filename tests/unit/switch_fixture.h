/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole switch on sockets, turned by hand, and stations at its ports: what is sent has arrived
 * after fixture_turn. Requests go over the control socket, as management's do.
 */
#ifndef TESTS_SWITCH_FIXTURE_H
#define TESTS_SWITCH_FIXTURE_H

#include "lib/socket.h"
#include "switch/client.h"
#include "switch/server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define STATIONS_MAX 8
#define KEPT_FRAMES  64
#define KEPT_BYTES   2048
#define TURNS        30
#define PAYLOAD      0x0800 /* a type that no guard looks into far: IPv4 of nothing */

struct kept {
	size_t bytes;
	uint8_t data[KEPT_BYTES]; /* its beginning */
};

struct station {
	struct switch_client *client; /* NULL: not plugged in */
	bool does_not_read;
	unsigned count; /* frames that have come; the first KEPT_FRAMES are kept */
	struct kept frame[KEPT_FRAMES];
	struct error err;
	int error;
};

struct fixture {
	uv_loop_t loop;
	struct server *server;
	int control;
	char folder[64], ports[80], control_path[80];
	struct station station[STATIONS_MAX];
	char answer[65536];
};

static inline void fixture_start(struct fixture *f, unsigned linger_ms)
{
	struct error err = { "" };
	struct server_options options = { .name = "Test",
					  .ports_path = f->ports,
					  .control_path = f->control_path,
					  .linger_ms = linger_ms,
					  .patience_ms = linger_ms };

	snprintf(f->folder, sizeof(f->folder), "/tmp/test_switch.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->ports, sizeof(f->ports), "%s/ports", f->folder);
	snprintf(f->control_path, sizeof(f->control_path), "%s/control", f->folder);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	if (server_create(&f->server, &f->loop, &options, &err))
		fail_msg("%s", err.text);
	f->control = socket_connect(f->control_path);
	assert_true(f->control >= 0);
	fcntl(f->control, F_SETFL, O_NONBLOCK);
}

static inline void fixture_end(struct fixture *f)
{
	for (unsigned i = 0; i < STATIONS_MAX; i++)
		switch_client_close(f->station[i].client);
	close(f->control);
	server_destroy(f->server);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_not_equal(access(f->ports, F_OK), 0);
	assert_int_equal(rmdir(f->folder), 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_start(f, 0);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

static inline void station_take(void *self, const void *frame, size_t bytes)
{
	struct station *station = self;
	struct kept *kept;

	if (station->count++ >= KEPT_FRAMES)
		return;
	kept = &station->frame[station->count - 1];
	kept->bytes = bytes;
	memcpy(kept->data, frame, MIN(bytes, sizeof(kept->data)));
}

static inline void fixture_turn(struct fixture *f)
{
	for (int i = 0; i < TURNS; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		for (struct station *s = f->station; s < f->station + STATIONS_MAX; s++) {
			if (!s->client || s->does_not_read)
				continue;
			if (!s->error)
				s->error = switch_client_flush(s->client);
			if (!s->error || s->error == -EPIPE)
				s->error =
					switch_client_receive(s->client, station_take, s, &s->err);
		}
	}
}

/* One request; its arguments with single quotes for double ones. What came back, as text. */
static inline const char *fixture_ask(struct fixture *f, const char *name, const char *arguments)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "{\"execute\": \"%s\", \"arguments\": %s}\n", name,
			   arguments);
	size_t have = 0;

	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	assert_int_equal(write(f->control, text, (size_t)len), len);
	f->answer[0] = 0;
	for (int i = 0; i < TURNS && !strchr(f->answer, '\n'); i++) {
		ssize_t n;

		fixture_turn(f);
		n = read(f->control, f->answer + have, sizeof(f->answer) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
		f->answer[have] = 0;
	}
	return f->answer;
}

/* A request that must succeed. */
static inline void fixture_tell(struct fixture *f, const char *name, const char *arguments)
{
	if (strncmp(fixture_ask(f, name, arguments), "{\"return\":", 10) != 0)
		fail_msg("%s: %s", name, f->answer);
}

/* Station i's adapter has the address 00-15-5D-00-00-0i; its port is "i". */
static inline void fixture_mac(unsigned i, uint8_t mac[6])
{
	memcpy(mac, (const uint8_t[]){ 0x00, 0x15, 0x5d, 0, 0, (uint8_t)i }, 6);
}

static inline void fixture_plug(struct fixture *f, unsigned i)
{
	struct station *station = &f->station[i];
	char id[2] = { (char)('0' + i), 0 };

	if (switch_client_open(&station->client, f->ports, id, &station->err))
		fail_msg("%s", station->err.text);
	fixture_turn(f);
}

/* A port with further settings ("'spoofing': true", ""), and station i in it. */
static inline void fixture_add(struct fixture *f, unsigned i, const char *settings)
{
	char text[512];

	snprintf(text, sizeof(text), "{'port': '%u', 'mac': '00155D00000%u'%s%s}", i, i,
		 *settings ? ", " : "", settings);
	fixture_tell(f, "set_port", text);
	fixture_plug(f, i);
	assert_true(switch_client_is_accepted(f->station[i].client));
}

static inline void fixture_set(struct fixture *f, unsigned i, const char *settings)
{
	char text[512];

	snprintf(text, sizeof(text), "{'port': '%u', %s}", i, settings);
	fixture_tell(f, "set_port", text);
}

/* What came to all stations is forgotten. */
static inline void fixture_forget(struct fixture *f)
{
	for (unsigned i = 0; i < STATIONS_MAX; i++)
		f->station[i].count = 0;
}

/* Station i sends these bytes, and they arrive. Counts of frames start anew. */
static inline void fixture_send_bytes(struct fixture *f, unsigned i, const void *frame,
				      size_t bytes)
{
	fixture_forget(f);
	assert_true(switch_client_send(f->station[i].client, frame, bytes));
	fixture_turn(f);
}

/* The same for a frame of 60 bytes between two addresses. */
static inline void fixture_send(struct fixture *f, unsigned i, const uint8_t *source,
				const uint8_t *destination)
{
	uint8_t frame[60] = { 0 };

	memcpy(frame, destination, 6);
	memcpy(frame + 6, source, 6);
	frame[12] = PAYLOAD >> 8;
	frame[13] = PAYLOAD & 0xff;
	frame[14] = 0x45;
	fixture_send_bytes(f, i, frame, sizeof(frame));
}

/* The stations that got exactly one frame, as text: "13" for 1 and 3; "+" behind one with more. */
static inline const char *fixture_receivers(struct fixture *f)
{
	char *p = f->answer;

	for (unsigned i = 0; i < STATIONS_MAX; i++) {
		if (f->station[i].count)
			*p++ = (char)('0' + i);
		if (f->station[i].count > 1)
			*p++ = '+';
	}
	*p = 0;
	return f->answer;
}

static const uint8_t fixture_everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

#endif
