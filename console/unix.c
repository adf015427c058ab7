/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end on a listening socket: see console/backends.h. A second client waits in the
 * listening queue until the first has gone.
 */
#define _GNU_SOURCE /* accept4 */
#include "console/backends.h"
#include "console/sink.h"
#include "console/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct unix_end {
	struct console console;
	struct sink *sink;
	struct source *source;
	uv_poll_t *listener; /* frees itself */
	int listen_fd, client_fd;
	struct sockaddr_un address; /* the path is ours to remove once listen_fd is bound */
	bool bound;
};

static struct unix_end *from(struct console *console)
{
	return container_of(console, struct unix_end, console);
}

static void unix_write(struct console *console, const uint8_t *bytes, size_t len)
{
	sink_write(from(console)->sink, bytes, len);
}

static void unix_input_ready(struct console *console)
{
	source_continue(from(console)->source);
}

static void unix_hurry(struct console *console)
{
	sink_hurry(from(console)->sink);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void unix_destroy(struct console *console)
{
	struct unix_end *u = from(console);

	if (u->listener)
		uv_close((uv_handle_t *)u->listener, free_handle);
	source_destroy(u->source);
	sink_destroy(u->sink);
	close_fd(&u->client_fd);
	close_fd(&u->listen_fd);
	if (u->bound)
		unlink(u->address.sun_path);
	free(u);
}

static const struct console_ops unix_ops = {
	.name = "unix",
	.write = unix_write,
	.input_ready = unix_input_ready,
	.hurry = unix_hurry,
	.destroy = unix_destroy,
};

static void on_connection(uv_poll_t *handle, int status, int events);

static void wait_for_client(struct unix_end *u)
{
	uv_poll_start(u->listener, UV_READABLE, on_connection);
}

static void client_gone(void *self)
{
	struct unix_end *u = self;

	sink_close(u->sink);
	close_fd(&u->client_fd);
	wait_for_client(u);
}

/* Input and output poll the same socket, so each needs a descriptor of its own. */
static void on_connection(uv_poll_t *handle, int status, int events)
{
	struct unix_end *u = handle->data;
	int fd = accept4(u->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), out;

	(void)status;
	(void)events;
	if (fd < 0)
		return;
	out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (out < 0 || sink_open(u->sink, out)) {
		close(fd);
		return;
	}
	u->client_fd = fd;
	uv_poll_stop(u->listener);
	if (source_open(u->source, fd))
		client_gone(u);
}

static int listen_at(struct unix_end *u, const char *path)
{
	size_t len = strlen(path);

	if (len >= sizeof(u->address.sun_path))
		return -ENAMETOOLONG;
	u->address.sun_family = AF_UNIX;
	memcpy(u->address.sun_path, path, len + 1);
	u->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->listen_fd < 0 ||
	    bind(u->listen_fd, (struct sockaddr *)&u->address, sizeof(u->address)))
		return -errno;
	u->bound = true;
	return listen(u->listen_fd, SOMAXCONN) ? -errno : 0; /* nobody's connect has to wait */
}

static int start(struct unix_end *u, uv_loop_t *loop, const char *path)
{
	const struct source_hooks hooks = { .ended = client_gone, .self = u };
	int ret = sink_create(&u->sink, loop);

	if (!ret)
		ret = source_create(&u->source, loop, &u->console, &hooks);
	if (!ret)
		ret = listen_at(u, path);
	if (ret)
		return ret;
	u->listener = calloc(1, sizeof(*u->listener));
	if (!u->listener)
		return -ENOMEM;
	ret = uv_poll_init(loop, u->listener, u->listen_fd);
	if (ret) {
		free(u->listener);
		u->listener = NULL;
		return ret;
	}
	u->listener->data = u;
	wait_for_client(u);
	return 0;
}

int console_unix_create(struct console **out, uv_loop_t *loop, const char *path, struct error *err)
{
	struct unix_end *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return error_set(err, -ENOMEM, "--serial: '%s': out of memory", path);
	u->console.ops = &unix_ops;
	u->listen_fd = u->client_fd = -1;
	ret = start(u, loop, path);
	if (ret) {
		unix_destroy(&u->console);
		return error_set(err, ret, "--serial: '%s': %s", path, strerror(-ret));
	}
	*out = &u->console;
	return 0;
}
