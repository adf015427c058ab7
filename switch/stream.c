/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames in and out of a socket: see switch/stream.h. */
#include "switch/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one read takes, behind what may be left of a frame. */
#define IN_ROOM (STREAM_IN_BYTES + WIRE_LENGTH_BYTES + FRAME_BYTES_MAX)

int stream_init(struct stream *stream, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	*stream = (struct stream){ .fd = fd };
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	stream->in = malloc(IN_ROOM);
	stream->out = malloc(STREAM_OUT_BYTES);
	if (stream->in && stream->out)
		return 0;
	free(stream->in);
	free(stream->out);
	return -ENOMEM;
}

void stream_finish(struct stream *stream)
{
	close(stream->fd);
	free(stream->in);
	free(stream->out);
}

/* --- in --- */

int stream_read(struct stream *stream, size_t max)
{
	size_t left = stream->in_end - stream->in_first;
	ssize_t n;

	memmove(stream->in, stream->in + stream->in_first, left);
	stream->in_first = 0;
	stream->in_end = left;
	n = recv(stream->fd, stream->in + left, MIN(max, IN_ROOM - left), 0);
	if (n > 0) {
		stream->in_end += (size_t)n;
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n ? -errno : -EPIPE;
}

int stream_next(struct stream *stream, const uint8_t **frame, size_t *bytes)
{
	const uint8_t *p = stream->in + stream->in_first;
	size_t have = stream->in_end - stream->in_first, length;

	if (have < WIRE_LENGTH_BYTES)
		return 0;
	length = wire_get_length(p);
	if (length > FRAME_BYTES_MAX) {
		*bytes = length;
		return -EPROTO;
	}
	if (have - WIRE_LENGTH_BYTES < length)
		return 0;
	*frame = p + WIRE_LENGTH_BYTES;
	*bytes = length;
	stream->in_first += WIRE_LENGTH_BYTES + length;
	return 1;
}

int stream_next_line(struct stream *stream, const char **line)
{
	uint8_t *start = stream->in + stream->in_first;
	size_t have = stream->in_end - stream->in_first;
	uint8_t *newline = memchr(start, '\n', MIN(have, WIRE_LINE_MAX));

	if (!newline)
		return have < WIRE_LINE_MAX ? 0 : -EPROTO;
	*newline = 0;
	*line = (const char *)start;
	stream->in_first += (size_t)(newline + 1 - start);
	return 1;
}

/* --- out --- */

static void append(struct stream *stream, const void *data, size_t bytes)
{
	size_t at = (stream->out_first + stream->out_len) % STREAM_OUT_BYTES;
	size_t first = MIN(bytes, STREAM_OUT_BYTES - at);

	memcpy(stream->out + at, data, first);
	memcpy(stream->out, (const uint8_t *)data + first, bytes - first);
	stream->out_len += bytes;
}

static bool has_room(struct stream *stream, size_t bytes)
{
	if (bytes <= STREAM_OUT_BYTES - stream->out_len)
		return true;
	return !stream_flush(stream) && bytes <= STREAM_OUT_BYTES - stream->out_len;
}

bool stream_put(struct stream *stream, const struct iovec *parts, unsigned count, size_t bytes)
{
	uint8_t length[WIRE_LENGTH_BYTES];

	if (bytes > FRAME_BYTES_MAX || !has_room(stream, bytes + sizeof(length)))
		return false;
	wire_put_length(length, (uint32_t)bytes);
	append(stream, length, sizeof(length));
	for (unsigned i = 0; i < count; i++)
		append(stream, parts[i].iov_base, parts[i].iov_len);
	return true;
}

bool stream_put_line(struct stream *stream, const char *line)
{
	size_t bytes = strlen(line);

	if (!has_room(stream, bytes + 1))
		return false;
	append(stream, line, bytes);
	append(stream, "\n", 1);
	return true;
}

static ssize_t send_some(const struct stream *stream)
{
	size_t first = MIN(stream->out_len, STREAM_OUT_BYTES - stream->out_first);
	struct iovec parts[2] = { { stream->out + stream->out_first, first },
				  { stream->out, stream->out_len - first } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = parts[1].iov_len ? 2 : 1 };

	return sendmsg(stream->fd, &message, MSG_NOSIGNAL);
}

int stream_flush(struct stream *stream)
{
	while (stream->out_len) {
		ssize_t n = send_some(stream);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		stream->out_first = (stream->out_first + (size_t)n) % STREAM_OUT_BYTES;
		stream->out_len -= (size_t)n;
	}
	stream->out_first = 0; /* the same memory again: it is in the cache */
	return 0;
}
