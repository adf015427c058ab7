/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The back end on standard input and output: see console/backends.h. */
#include "console/backends.h"
#include "console/sink.h"
#include "console/source.h"
#include "console/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ESCAPE 0x1d /* Ctrl-] */

struct stdio {
	struct console console;
	struct sink *sink;
	struct source *source;
	struct console_keys keys;
	bool is_terminal; /* in raw mode; `saved` is what it was */
	struct termios saved;
	bool escaped; /* the last key was Ctrl-] */
	int in_fd;
	int flags[2]; /* of standard input and output, as we found them */
};

static struct stdio *from(struct console *console)
{
	return container_of(console, struct stdio, console);
}

static void stdio_write(struct console *console, const uint8_t *bytes, size_t len)
{
	sink_write(from(console)->sink, bytes, len);
}

static void stdio_input_ready(struct console *console)
{
	source_continue(from(console)->source);
}

static void stdio_hurry(struct console *console)
{
	sink_hurry(from(console)->sink);
}

static void stdio_destroy(struct console *console)
{
	struct stdio *s = from(console);

	source_destroy(s->source);
	sink_destroy(s->sink);
	if (s->in_fd >= 0)
		close(s->in_fd);
	for (int fd = 0; fd < 2; fd++)
		fcntl(fd, F_SETFL, s->flags[fd]);
	if (s->is_terminal)
		tty_restore(&s->saved);
	free(s);
}

static const struct console_ops stdio_ops = {
	.name = "stdio",
	.write = stdio_write,
	.input_ready = stdio_input_ready,
	.hurry = stdio_hurry,
	.destroy = stdio_destroy,
};

static size_t filter_keys(void *self, uint8_t *bytes, size_t len)
{
	struct stdio *s = self;
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		bool escape = bytes[i] == ESCAPE;

		if (s->escaped && !escape)
			s->keys.pressed(s->keys.self, (char)bytes[i]);
		else if (s->escaped || !escape)
			bytes[kept++] = bytes[i];
		s->escaped = escape && !s->escaped;
	}
	return kept;
}

/*
 * A descriptor of our own for standard input or output, so that it can be non-blocking without
 * making the shell's so. Regular files keep their shared offset, and sockets can't be opened again:
 * those are duplicated, and `flags` restored in the end.
 */
static int own_descriptor(int fd, const char *path, int mode)
{
	struct stat st;
	int own = -1;

	if (!fstat(fd, &st) && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* A standard stream that was closed goes nowhere, and is no error. */
static int open_both(struct stdio *s, uv_loop_t *loop)
{
	const struct source_hooks hooks = { .filter = s->is_terminal ? filter_keys : NULL,
					    .self = s };
	int ret = sink_create(&s->sink, loop), fd;

	if (!ret)
		ret = source_create(&s->source, loop, &s->console, &hooks);
	if (ret)
		return ret;
	fd = own_descriptor(STDOUT_FILENO, "/proc/self/fd/1", O_WRONLY);
	if (fd >= 0)
		ret = sink_open(s->sink, fd);
	if (ret)
		return ret;
	s->in_fd = own_descriptor(STDIN_FILENO, "/proc/self/fd/0", O_RDONLY);
	return s->in_fd >= 0 ? source_open(s->source, s->in_fd) : 0;
}

int console_stdio_create(struct console **out, uv_loop_t *loop, const struct console_keys *keys,
			 struct error *err)
{
	struct stdio *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return error_set(err, -ENOMEM, "--serial stdio: out of memory");
	s->console.ops = &stdio_ops;
	s->keys = *keys;
	s->in_fd = -1;
	for (int fd = 0; fd < 2; fd++)
		s->flags[fd] = fcntl(fd, F_GETFL);
	s->is_terminal = tty_enter_raw(&s->saved);
	ret = open_both(s, loop);
	if (ret) {
		stdio_destroy(&s->console);
		return error_set(err, ret, "--serial stdio: %s", strerror(-ret));
	}
	*out = &s->console;
	return 0;
}
