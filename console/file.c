/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The back end that writes to a file: see console/backends.h. */
#include "console/backends.h"
#include "console/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct file {
	struct console console;
	struct sink *sink;
};

static struct file *from(struct console *console)
{
	return container_of(console, struct file, console);
}

static void file_write(struct console *console, const uint8_t *bytes, size_t len)
{
	sink_write(from(console)->sink, bytes, len);
}

static void file_input_ready(struct console *console)
{
	(void)console; /* there is never input */
}

static void file_hurry(struct console *console)
{
	sink_hurry(from(console)->sink);
}

static void file_destroy(struct console *console)
{
	struct file *f = from(console);

	sink_destroy(f->sink);
	free(f);
}

static const struct console_ops file_ops = {
	.name = "file",
	.write = file_write,
	.input_ready = file_input_ready,
	.hurry = file_hurry,
	.destroy = file_destroy,
};

int console_file_create(struct console **out, uv_loop_t *loop, const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	struct file *f;
	int ret;

	if (fd < 0)
		return error_set(err, -errno, "--serial: '%s': %s", path, strerror(errno));
	f = calloc(1, sizeof(*f));
	ret = f ? sink_create(&f->sink, loop) : -ENOMEM;
	if (!ret) {
		f->console.ops = &file_ops;
		ret = sink_open(f->sink, fd);
		if (!ret) {
			*out = &f->console;
			return 0;
		}
		sink_destroy(f->sink);
	} else {
		close(fd);
	}
	free(f);
	return error_set(err, ret, "--serial: '%s': %s", path, strerror(-ret));
}
