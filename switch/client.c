/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client of a switch: see switch/client.h. */
#include "switch/client.h"

#include "lib/socket.h"
#include "switch/stream.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

_Static_assert(SWITCH_CLIENT_FRAME_MAX == FRAME_BYTES_MAX - FRAME_TAG_BYTES,
	       "one limit, two names");

struct switch_client {
	struct stream stream;
	bool is_accepted;
};

/* {"port": "ID"} */
static bool put_hello(struct stream *stream, const char *port)
{
	json_t *hello = json_pack("{s:s}", "port", port);
	char *text = hello ? json_dumps(hello, JSON_COMPACT) : NULL;
	bool is_put = text && strlen(text) < WIRE_LINE_MAX && stream_put_line(stream, text);

	free(text);
	json_decref(hello);
	return is_put && !stream_flush(stream);
}

int switch_client_open(struct switch_client **out, const char *path, const char *port,
		       struct error *err)
{
	struct switch_client *client = calloc(1, sizeof(*client));
	int fd = client ? socket_connect(path) : -ENOMEM, ret = MIN(fd, 0);

	if (!ret) {
		ret = stream_init(&client->stream, fd);
		if (ret)
			close(fd);
	}
	if (ret) {
		free(client);
		return error_set(err, ret, "switch '%s': %s", path, strerror(-ret));
	}
	if (!put_hello(&client->stream, port)) {
		switch_client_close(client);
		return error_set(err, -ECONNRESET, "switch '%s': it does not take port '%s'", path,
				 port);
	}
	*out = client;
	return 0;
}

void switch_client_close(struct switch_client *client)
{
	if (!client)
		return;
	stream_finish(&client->stream);
	free(client);
}

int switch_client_fd(const struct switch_client *client)
{
	return client->stream.fd;
}

bool switch_client_is_accepted(const struct switch_client *client)
{
	return client->is_accepted;
}

bool switch_client_send(struct switch_client *client, const void *frame, size_t bytes)
{
	struct iovec whole = { (void *)(uintptr_t)frame, bytes };

	return bytes <= SWITCH_CLIENT_FRAME_MAX + FRAME_TAG_BYTES &&
	       stream_put(&client->stream, &whole, 1, bytes);
}

int switch_client_flush(struct switch_client *client)
{
	return stream_flush(&client->stream);
}

bool switch_client_waits(const struct switch_client *client)
{
	return stream_waits(&client->stream);
}

/* The switch's answer. 1: it takes the port; 0: there is no answer yet. */
static int take_answer(struct switch_client *client, struct error *err)
{
	const char *line, *text;
	json_t *answer;
	int ret = stream_next_line(&client->stream, &line);

	if (ret <= 0)
		return ret ? error_set(err, ret, "the switch's answer has no end") : 0;
	answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	text = json_string_value(json_object_get(json_object_get(answer, "error"), "text"));
	client->is_accepted = json_object_get(answer, "return") != NULL;
	if (!client->is_accepted)
		ret = error_set(err, -EACCES, "%s", text ? text : "the switch's answer is none");
	json_decref(answer);
	return ret;
}

int switch_client_receive(struct switch_client *client,
			  void (*take)(void *self, const void *frame, size_t bytes), void *self,
			  struct error *err)
{
	int ret = stream_read(&client->stream, STREAM_IN_BYTES), next = 1;
	const uint8_t *frame;
	size_t bytes;

	if (!client->is_accepted) {
		next = take_answer(client, err);
		if (next < 0)
			return next;
	}
	if (ret < 0)
		return error_set(err, ret, "the switch is gone");
	while (next > 0) {
		next = stream_next(&client->stream, &frame, &bytes);
		if (next > 0)
			take(self, frame, bytes);
	}
	return next < 0 ? error_set(err, next, "the switch sends what is no frame") : 0;
}
