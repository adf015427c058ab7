/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines over a socket: see ctl/line.h. */
#include "ctl/line.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int64_t line_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

int line_wait(int fd, int64_t until_ms)
{
	struct pollfd wait = { fd, POLLIN, 0 };
	int64_t left;

	while ((left = until_ms - line_now_ms()) > 0)
		if (poll(&wait, 1, (int)left) > 0)
			return 0;
	return -ETIMEDOUT;
}

int line_send(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int line_read(int fd, struct text *line, size_t max_bytes, int timeout_ms)
{
	int64_t until = line_now_ms() + timeout_ms;

	while (!line->len || line->s[line->len - 1] != '\n') {
		char part[4096], *end;
		ssize_t n;

		if (line_wait(fd, until))
			return -ETIMEDOUT;
		n = recv(fd, part, sizeof(part), MSG_PEEK);
		if (n <= 0)
			return -EPIPE;
		end = memchr(part, '\n', (size_t)n);
		n = recv(fd, part, end ? (size_t)(end + 1 - part) : (size_t)n, 0);
		if (n <= 0)
			return -EPIPE;
		if (line->len > max_bytes)
			return -EMSGSIZE;
		text_add_n(line, part, (size_t)n);
	}
	return 0;
}
