/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input by libuv's poll handles; files that epoll refuses (regular ones) are always readable. */
#include "console/source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 4096

struct source {
	uv_loop_t *loop;
	uv_async_t wake;
	uv_poll_t *poll; /* NULL: none, or the file is always ready */
	bool polling;
	struct console *console;
	struct source_hooks hooks;
	int fd;             /* -1: none, or at its end */
	size_t first, last; /* in bytes: read and not pushed */
	uint8_t bytes[READ_BYTES];
};

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void on_readable(uv_poll_t *handle, int status, int events);

/* Pushes what was read before. True where nothing of it is left. */
static bool push(struct source *s)
{
	if (s->first < s->last)
		s->first += console_push(s->console, s->bytes + s->first, s->last - s->first);
	return s->first == s->last;
}

/* Behind what is left. What has no room there, which only a filter's input may, is lost. */
static void append(struct source *s, const uint8_t *bytes, size_t len)
{
	memmove(s->bytes, s->bytes + s->first, s->last - s->first);
	s->last -= s->first;
	s->first = 0;
	len = MIN(len, sizeof(s->bytes) - s->last);
	memcpy(s->bytes + s->last, bytes, len);
	s->last += len;
}

/* False at the end of input. */
static bool read_more(struct source *s)
{
	uint8_t bytes[READ_BYTES];
	ssize_t n = read(s->fd, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	if (s->hooks.filter)
		n = (ssize_t)s->hooks.filter(s->hooks.self, bytes, (size_t)n);
	append(s, bytes, (size_t)n);
	return true;
}

/* What was read and not pushed is kept. The descriptor itself is the caller's. */
static void stop_reading(struct source *s)
{
	if (s->poll)
		uv_close((uv_handle_t *)s->poll, free_handle);
	s->poll = NULL;
	s->polling = false;
	s->fd = -1;
}

/* Starting anew what is started would lose an event that has just come. */
static void set_polling(struct source *s, bool on)
{
	if (on == s->polling || !s->poll)
		return;
	if (on)
		uv_poll_start(s->poll, UV_READABLE | UV_DISCONNECT, on_readable);
	else
		uv_poll_stop(s->poll);
	s->polling = on;
}

/* One step: push the old, read the new, push it; poll only while there is room. A filter sees all
 * input, room or not: it may be what ends a machine that hangs. */
static void step(struct source *s, bool readable)
{
	bool room = push(s);

	if ((room || s->hooks.filter) && readable && s->fd >= 0) {
		if (!read_more(s)) {
			stop_reading(s);
			if (s->hooks.ended)
				s->hooks.ended(s->hooks.self);
			return;
		}
		room = push(s);
		if (room && !s->poll)
			uv_async_send(&s->wake);
	}
	set_polling(s, room || s->hooks.filter);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	step(handle->data, true);
}

static void on_wake(uv_async_t *handle)
{
	struct source *s = handle->data;

	step(s, !s->poll);
}

int source_create(struct source **out, uv_loop_t *loop, struct console *console,
		  const struct source_hooks *hooks)
{
	struct source *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	ret = uv_async_init(loop, &s->wake, on_wake);
	if (ret) {
		free(s);
		return ret;
	}
	s->wake.data = s;
	s->loop = loop;
	s->console = console;
	s->hooks = *hooks;
	s->fd = -1;
	*out = s;
	return 0;
}

static void free_source(uv_handle_t *handle)
{
	free(handle->data);
}

void source_destroy(struct source *s)
{
	if (!s)
		return;
	stop_reading(s);
	uv_close((uv_handle_t *)&s->wake, free_source);
}

int source_open(struct source *s, int fd)
{
	uv_poll_t *handle = calloc(1, sizeof(*handle));
	int ret = handle ? uv_poll_init(s->loop, handle, fd) : -ENOMEM;

	if (ret)
		free(handle);
	if (ret && ret != UV_EPERM)
		return ret;
	s->fd = fd;
	if (!ret) {
		handle->data = s;
		s->poll = handle;
	}
	uv_async_send(&s->wake);
	return 0;
}

void source_continue(struct source *s)
{
	uv_async_send(&s->wake);
}
