/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered output: writers fill a ring under the lock and wake the loop; the loop writes until the
 * descriptor would block, then polls it.
 */
#include "console/sink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define RING_BYTES   (64 * KIB)
#define WRITE_BYTES  4096 /* what a pipe that polls writable takes without blocking */
#define LAST_WAIT_MS 1000

struct sink {
	uv_loop_t *loop;
	uv_async_t wake;
	uv_poll_t *poll; /* NULL: none, or a descriptor that is always ready. Loop's thread */
	bool polling;
	pthread_mutex_t lock;
	pthread_cond_t room;
	int fd; /* -1: none */
	bool direct, hurry;
	size_t first, count; /* of the ring */
	uint8_t ring[RING_BYTES];
};

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* One write of what lies in one piece. False: nothing more to do now. Lock held. */
static bool write_some(struct sink *sink)
{
	size_t len = MIN(MIN(sink->count, RING_BYTES - sink->first), (size_t)WRITE_BYTES);
	struct pollfd ready = { .fd = sink->fd, .events = POLLOUT };
	ssize_t n;

	if (!len || poll(&ready, 1, 0) == 0)
		return false;
	n = write(sink->fd, sink->ring + sink->first, len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0)
		n = (ssize_t)len; /* nobody reads any more */
	sink->first = (sink->first + (size_t)n) % RING_BYTES;
	sink->count -= (size_t)n;
	return true;
}

static void flush(struct sink *sink);

static void on_writable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	flush(handle->data);
}

static void flush(struct sink *sink)
{
	bool more;

	pthread_mutex_lock(&sink->lock);
	while (write_some(sink))
		;
	more = sink->count;
	pthread_cond_broadcast(&sink->room);
	pthread_mutex_unlock(&sink->lock);
	if (!sink->poll || more == sink->polling)
		return;
	sink->polling = more;
	if (more)
		uv_poll_start(sink->poll, UV_WRITABLE, on_writable);
	else
		uv_poll_stop(sink->poll);
}

static void on_wake(uv_async_t *handle)
{
	flush(handle->data);
}

int sink_create(struct sink **out, uv_loop_t *loop)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	int ret;

	if (!sink)
		return -ENOMEM;
	ret = uv_async_init(loop, &sink->wake, on_wake);
	if (ret) {
		free(sink);
		return ret;
	}
	sink->wake.data = sink;
	sink->loop = loop;
	sink->fd = -1;
	pthread_mutex_init(&sink->lock, NULL);
	pthread_cond_init(&sink->room, NULL);
	*out = sink;
	return 0;
}

static void free_sink(uv_handle_t *handle)
{
	struct sink *sink = handle->data;

	pthread_cond_destroy(&sink->room);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
}

static void write_the_rest(struct sink *sink)
{
	struct pollfd ready = { .fd = sink->fd, .events = POLLOUT };

	pthread_mutex_lock(&sink->lock);
	while (sink->count && (write_some(sink) || poll(&ready, 1, LAST_WAIT_MS) > 0))
		;
	pthread_mutex_unlock(&sink->lock);
}

void sink_destroy(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->fd >= 0)
		write_the_rest(sink);
	sink_close(sink);
	uv_close((uv_handle_t *)&sink->wake, free_sink);
}

int sink_open(struct sink *sink, int fd)
{
	uv_poll_t *handle = calloc(1, sizeof(*handle));
	int ret = handle ? uv_poll_init(sink->loop, handle, fd) : -ENOMEM;

	if (ret)
		free(handle);
	else
		handle->data = sink;
	if (ret && ret != UV_EPERM) { /* EPERM: epoll knows no waiting for such a file */
		close(fd);
		return ret;
	}
	pthread_mutex_lock(&sink->lock);
	sink->poll = ret ? NULL : handle;
	sink->direct = ret;
	sink->fd = fd;
	pthread_mutex_unlock(&sink->lock);
	return 0;
}

void sink_close(struct sink *sink)
{
	int fd;

	pthread_mutex_lock(&sink->lock);
	fd = sink->fd;
	sink->fd = -1;
	sink->count = 0;
	pthread_cond_broadcast(&sink->room);
	pthread_mutex_unlock(&sink->lock);
	if (sink->poll)
		uv_close((uv_handle_t *)sink->poll, free_handle);
	sink->poll = NULL;
	sink->polling = false;
	if (fd >= 0)
		close(fd);
}

static void write_directly(const struct sink *sink, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(sink->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* the disk is full, say */
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

/* Copies as much as there is room for, in one piece or less. Lock held. */
static size_t fill(struct sink *sink, const uint8_t *bytes, size_t len)
{
	size_t end = (sink->first + sink->count) % RING_BYTES;
	size_t n = MIN(MIN(len, RING_BYTES - sink->count), RING_BYTES - end);

	memcpy(sink->ring + end, bytes, n);
	sink->count += n;
	return n;
}

void sink_write(struct sink *sink, const uint8_t *bytes, size_t len)
{
	bool wake = false;

	pthread_mutex_lock(&sink->lock);
	if (sink->fd >= 0 && sink->direct) {
		write_directly(sink, bytes, len);
		len = 0;
	}
	while (len && sink->fd >= 0) {
		size_t n = fill(sink, bytes, len);

		wake |= sink->count == n; /* it was empty: the loop sleeps */
		bytes += n;
		len -= n;
		if (n)
			continue;
		if (sink->hurry)
			break;
		uv_async_send(&sink->wake);
		pthread_cond_wait(&sink->room, &sink->lock);
	}
	pthread_mutex_unlock(&sink->lock);
	if (wake)
		uv_async_send(&sink->wake);
}

void sink_hurry(struct sink *sink)
{
	pthread_mutex_lock(&sink->lock);
	sink->hurry = true;
	pthread_cond_broadcast(&sink->room);
	pthread_mutex_unlock(&sink->lock);
}
