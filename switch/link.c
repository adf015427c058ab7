/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections: see switch/link.h. Each turn of the loop takes one read from every client that has
 * something, so that none keeps the others waiting. A port that has used up its bandwidth is not
 * read until it may send again: its client then waits, with its frames.
 */
#include "switch/link.h"

#include "switch/stream.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_MS    1000000ull
#define NAMELESS_MAX 64

struct link {
	struct server *server;
	struct server_port *port; /* NULL: has not said which */
	struct link *next, **back;
	struct link *next_dirty;
	struct stream stream;
	uv_poll_t poll;
	uv_timer_t pause; /* until the port may send again */
	unsigned open_handles;
	int watched; /* events that poll waits for */
	bool is_dirty, is_paused, is_closed;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* --- coming and going --- */

static void on_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;

	if (--link->open_handles)
		return;
	stream_finish(&link->stream);
	free(link);
}

static void leave_dirty(struct link *link)
{
	struct link **at = &link->server->dirty;

	while (*at && *at != link)
		at = &(*at)->next_dirty;
	if (*at)
		*at = link->next_dirty;
	link->is_dirty = false;
}

static void leave_port(struct link *link)
{
	if (!link->port) {
		link->server->nameless--;
		return;
	}
	link->port->link = NULL;
	switch_port_connect(link->port->port, false);
	server_count_clients(link->server, -1);
	link->port = NULL;
}

void link_destroy(struct link *link)
{
	if (!link || link->is_closed)
		return;
	link->is_closed = true;
	leave_dirty(link);
	leave_port(link);
	*link->back = link->next;
	if (link->next)
		link->next->back = link->back;
	uv_close((uv_handle_t *)&link->poll, on_closed);
	uv_close((uv_handle_t *)&link->pause, on_closed);
}

/*
 * Waits for what can be done: to read, or, where it may not send, to see that it is gone; to write,
 * where something waits.
 */
static void watch(struct link *link)
{
	int events = (link->is_paused ? UV_DISCONNECT : UV_READABLE) |
		     (stream_waits(&link->stream) ? UV_WRITABLE : 0);

	if (link->is_closed || events == link->watched)
		return;
	link->watched = events;
	if (uv_poll_start(&link->poll, events, on_poll))
		link_destroy(link);
}

static struct link *oldest_nameless(const struct server *server)
{
	struct link *oldest = NULL;

	for (struct link *link = server->links; link; link = link->next) {
		if (!link->port)
			oldest = link;
	}
	return oldest;
}

void link_create(struct server *server, int fd)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link || stream_init(&link->stream, fd)) {
		free(link);
		close(fd);
		return;
	}
	if (uv_poll_init(server->loop, &link->poll, fd)) {
		stream_finish(&link->stream);
		free(link);
		return;
	}
	uv_timer_init(server->loop, &link->pause);
	link->open_handles = 2;
	link->poll.data = link->pause.data = link;
	link->server = server;
	link->next = server->links;
	link->back = &server->links;
	if (link->next)
		link->next->back = &link->next;
	server->links = link;
	server->nameless++;
	watch(link);
	if (server->nameless > NAMELESS_MAX)
		link_destroy(oldest_nameless(server));
}

/* --- out --- */

static void mark_dirty(struct link *link)
{
	if (link->is_dirty)
		return;
	link->is_dirty = true;
	link->next_dirty = link->server->dirty;
	link->server->dirty = link;
	if (!link->next_dirty)
		server_flush_soon(link->server);
}

bool link_deliver(struct link *link, const struct iovec *parts, unsigned count, size_t bytes)
{
	if (!stream_put(&link->stream, parts, count, bytes))
		return false;
	mark_dirty(link);
	return true;
}

static void flush(struct link *link)
{
	if (stream_flush(&link->stream))
		link_destroy(link);
	else
		watch(link);
}

void link_flush_all(struct server *server)
{
	while (server->dirty) {
		struct link *link = server->dirty;

		leave_dirty(link);
		flush(link);
	}
}

/* --- in --- */

static void answer(struct link *link, const char *problem)
{
	json_t *object = problem ? json_pack("{s:{s:s}}", "error", "text", problem)
				 : json_pack("{s:{}}", "return");
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	if (text && stream_put_line(&link->stream, text))
		mark_dirty(link);
	free(text);
	json_decref(object);
}

static void refuse(struct link *link, const char *problem)
{
	answer(link, problem);
	stream_flush(&link->stream); /* what is not taken at once is lost with the connection */
	link_destroy(link);
}

/* The client says which port it is. */
static void greet(struct link *link, const char *line)
{
	json_t *hello = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *id = json_string_value(json_object_get(hello, "port"));
	struct server_port *port = id ? server_find_port(link->server, id) : NULL;
	struct error err;

	if (!port || port->link || port->net.ops) {
		error_set(&err, -EACCES, "switch '%s' has %s port '%s'", link->server->name,
			  port ? "another client at" : "no", id ? id : "");
		refuse(link, err.text);
	} else {
		link->server->nameless--;
		port->link = link;
		link->port = port;
		switch_port_connect(port->port, true);
		server_count_clients(link->server, 1);
		answer(link, NULL);
	}
	json_decref(hello);
}

static void take_hello(struct link *link)
{
	const char *line;
	int ret = stream_next_line(&link->stream, &line);

	if (ret < 0)
		refuse(link, "the first line must be {\"port\": \"ID\"}");
	else if (ret > 0)
		greet(link, line);
}

static void take_frames(struct link *link, uint64_t now_ns)
{
	const uint8_t *frame;
	size_t bytes;
	int ret;

	while ((ret = stream_next(&link->stream, &frame, &bytes)) > 0)
		server_take(link->port, frame, bytes, now_ns);
	if (!ret)
		return;
	server_take(link->port, NULL, bytes, now_ns); /* counts; nothing is there to be read */
	link_destroy(link);
}

static void on_pause_over(uv_timer_t *timer)
{
	link_resume(timer->data);
}

/* How much it may send; where that is nothing, it is not read for a while. */
static size_t allowance(struct link *link, uint64_t now_ns)
{
	uint64_t wait_ns;
	size_t bytes = switch_port_allowance(link->port->port, now_ns, &wait_ns);

	if (!bytes) {
		link->is_paused = true;
		uv_timer_start(&link->pause, on_pause_over, wait_ns / NS_PER_MS + 1, 0);
		watch(link);
	}
	return bytes;
}

void link_resume(struct link *link)
{
	if (!link || !link->is_paused)
		return;
	link->is_paused = false;
	uv_timer_stop(&link->pause);
	watch(link);
}

static void take(struct link *link)
{
	uint64_t now_ns = uv_hrtime();
	size_t max = link->port ? allowance(link, now_ns) : WIRE_LINE_MAX;
	int ret;

	if (!max)
		return;
	ret = stream_read(&link->stream, MIN(max, STREAM_IN_BYTES));
	if (ret < 0) {
		link_destroy(link);
		return;
	}
	if (!link->port)
		take_hello(link);
	if (link->port)
		take_frames(link, now_ns);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;

	if (status < 0 || (events & UV_DISCONNECT && link->is_paused)) {
		link_destroy(link);
		return;
	}
	if (events & UV_WRITABLE)
		flush(link);
	if (!link->is_closed && events & UV_READABLE)
		take(link);
}
