/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: see lib/control.h. Clients are the operator's, but may still be broken. */
#include "lib/control.h"

#include "lib/socket.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 * KIB)
#define UNREAD_MAX     (1 * MIB) /* of answers */

struct client {
	uv_pipe_t pipe;
	struct control *control;
	struct client *next, **link;
	char *line; /* what has come of the next request */
	size_t len;
};

struct control {
	uv_pipe_t listener; /* freed with it */
	const struct control_request *requests;
	void *self;
	struct client *clients;
	char path[PATH_MAX];
};

struct reply {
	uv_write_t write;
	char *text;
};

/* --- clients --- */

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = container_of(handle, struct client, pipe);

	free(client->line);
	free(client);
}

static void drop(struct client *client)
{
	if (!client->link)
		return;
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->link = NULL;
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void free_reply(struct reply *reply)
{
	if (reply)
		free(reply->text);
	free(reply);
}

static void on_written(uv_write_t *write, int status)
{
	struct reply *reply = container_of(write, struct reply, write);

	(void)status;
	free_reply(reply);
}

static bool does_not_read(const struct client *client)
{
	const uv_stream_t *stream = (const uv_stream_t *)&client->pipe;

	return uv_stream_get_write_queue_size(stream) > UNREAD_MAX;
}

/* Takes the reference. */
static void send_answer(struct client *client, json_t *answer)
{
	struct reply *reply = calloc(1, sizeof(*reply));
	uv_buf_t buffer;
	size_t len;

	if (reply)
		reply->text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	if (!reply || !reply->text || does_not_read(client)) {
		free_reply(reply);
		drop(client);
		return;
	}
	len = strlen(reply->text);
	reply->text[len] = '\n'; /* in place of the end: the length is known */
	buffer = uv_buf_init(reply->text, (unsigned)len + 1);
	if (uv_write(&reply->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written))
		free_reply(reply);
}

static const struct control_request *find(const struct control *control, const char *name)
{
	for (const struct control_request *r = control->requests; name && r->name; r++) {
		if (!strcmp(r->name, name))
			return r;
	}
	return NULL;
}

static void execute(struct client *client, const json_t *request)
{
	struct control *control = client->control;
	const char *name = json_string_value(json_object_get(request, "execute"));
	const struct control_request *kind = find(control, name);
	json_t *given = json_object_get(request, "arguments"), *none = json_object();
	json_t *answer = json_object();
	struct error err = { "" };
	int ret;

	if (!kind)
		ret = error_set(&err, -EINVAL, "unknown request '%s'", name ? name : "");
	else
		ret = kind->run(control->self, json_is_object(given) ? given : none, answer, &err);
	json_decref(none);
	if (ret) {
		json_decref(answer);
		answer = json_pack("{s:{s:s}}", "error", "text", err.text);
	} else {
		answer = json_pack("{s:o}", "return", answer);
	}
	send_answer(client, answer);
}

static void take_line(struct client *client, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

	if (request)
		execute(client, request);
	else
		send_answer(client, json_pack("{s:{s:s}}", "error", "text", "this is no JSON"));
	json_decref(request);
}

/* Carries out the whole lines that there are and keeps the rest. */
static void take_lines(struct client *client)
{
	char *start = client->line, *end = client->line + client->len, *newline;

	while (client->link && (newline = memchr(start, '\n', (size_t)(end - start)))) {
		take_line(client, start, (size_t)(newline - start));
		start = newline + 1;
	}
	client->len = (size_t)(end - start);
	memmove(client->line, start, client->len);
}

static void give_room(uv_handle_t *handle, size_t wish, uv_buf_t *buffer)
{
	struct client *client = container_of(handle, struct client, pipe);

	(void)wish;
	*buffer = uv_buf_init(client->line + client->len, (unsigned)(LINE_MAX_BYTES - client->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct client *client = container_of(stream, struct client, pipe);

	(void)buffer;
	if (n < 0) { /* also where a line is too long: there is no room left */
		drop(client);
		return;
	}
	client->len += (size_t)n;
	take_lines(client);
}

/* --- the listener --- */

static bool is_heard(const uv_pipe_t *pipe)
{
	uv_os_fd_t fd;

	return !uv_fileno((const uv_handle_t *)pipe, &fd) && socket_is_heard(fd);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control *control = container_of(listener, struct control, listener);
	struct client *client = status ? NULL : calloc(1, sizeof(*client));

	if (!client)
		return;
	client->line = malloc(LINE_MAX_BYTES);
	if (!client->line || uv_pipe_init(listener->loop, &client->pipe, 0)) {
		free(client->line);
		free(client);
		return;
	}
	client->control = control;
	client->next = control->clients;
	client->link = &control->clients;
	if (client->next)
		client->next->link = &client->next;
	control->clients = client;
	if (uv_accept(listener, (uv_stream_t *)&client->pipe) || !is_heard(&client->pipe) ||
	    uv_read_start((uv_stream_t *)&client->pipe, give_room, on_read))
		drop(client);
}

static void on_listener_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct control, listener));
}

int control_create(struct control **out, uv_loop_t *loop, const char *path,
		   const struct control_request *requests, void *self, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd = control ? socket_listen(path) : -ENOMEM, ret = MIN(fd, 0);

	if (!ret) {
		control->requests = requests;
		control->self = self;
		snprintf(control->path, sizeof(control->path), "%s", path);
		ret = uv_pipe_init(loop, &control->listener, 0);
	}
	if (ret) {
		free(control);
		return error_set(err, ret, "--control: '%s': %s", path, strerror(-ret));
	}
	*out = control;
	ret = uv_pipe_open(&control->listener, fd);
	if (!ret)
		ret = uv_listen((uv_stream_t *)&control->listener, SOMAXCONN, on_connection);
	return ret ? error_set(err, ret, "--control: '%s': %s", path, uv_strerror(ret)) : 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	unlink(control->path);
	while (control->clients)
		drop(control->clients);
	uv_close((uv_handle_t *)&control->listener, on_listener_closed);
}
