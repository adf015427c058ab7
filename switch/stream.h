/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of the stream of switch/wire.h: frames in and out of a socket that does not block, many
 * with one system call. What does not go out at once waits, up to so many bytes; then there is no
 * room for more. The other end is hostile. For one thread.
 */
#ifndef SWITCH_STREAM_H
#define SWITCH_STREAM_H

#include "switch/frame.h"
#include "switch/wire.h"

#include <sys/uio.h>

#define STREAM_IN_BYTES  (256 * KIB) /* that one read takes at most */
#define STREAM_OUT_BYTES (4 * MIB)   /* that wait for the other end, which may be late by some ms */

struct stream {
	int fd;
	uint8_t *in, *out;
	size_t in_first, in_end;   /* what has come and was not taken */
	size_t out_first, out_len; /* out is a ring */
};

/* Takes a connected socket and makes it not block. -errno: the socket is still the caller's. */
int stream_init(struct stream *stream, int fd);
void stream_finish(struct stream *stream); /* closes */

/* Reads once, at most max bytes. Whether anything came; -EPIPE: the other end is gone; -errno. */
int stream_read(struct stream *stream, size_t max);

/*
 * 1: a frame that has come whole, of any length down to 0, borrowed until the next read. 0: there
 * is none. -EPROTO: a length that no frame has; nothing more can be understood.
 */
int stream_next(struct stream *stream, const uint8_t **frame, size_t *bytes);

/*
 * The same for a line, before the frames: its text without the newline, ended by a zero byte.
 * -EPROTO: longer than WIRE_LINE_MAX.
 */
int stream_next_line(struct stream *stream, const char **line);

/* Appends a frame of FRAME_BYTES_MAX at most. False: no room, also after trying to send. */
bool stream_put(struct stream *stream, const struct iovec *parts, unsigned count, size_t bytes);

/* Appends what is no frame. */
bool stream_put_line(struct stream *stream, const char *line);

/* Sends what can be sent. 0, or -errno: the other end is gone. stream_waits says what is left. */
int stream_flush(struct stream *stream);

static inline bool stream_waits(const struct stream *stream)
{
	return stream->out_len != 0;
}

#endif
