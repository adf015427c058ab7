/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain dispatch between a character device and its back end, and the null back end.
 */
#include "console/console.h"

#include <errno.h>
#include <stdlib.h>

void console_attach(struct console *console, console_input_fn *input, void *front)
{
	console->input = input;
	console->front = front;
}

void console_write(struct console *console, const uint8_t *bytes, size_t len)
{
	console->ops->write(console, bytes, len);
}

void console_input_ready(struct console *console)
{
	console->ops->input_ready(console);
}

size_t console_push(struct console *console, const uint8_t *bytes, size_t len)
{
	return console->input ? console->input(console->front, bytes, len) : 0;
}

void console_hurry(struct console *console)
{
	console->ops->hurry(console);
}

void console_destroy(struct console *console)
{
	if (console)
		console->ops->destroy(console);
}

static void null_write(struct console *console, const uint8_t *bytes, size_t len)
{
	(void)console;
	(void)bytes;
	(void)len;
}

static void null_nothing(struct console *console)
{
	(void)console;
}

static void null_destroy(struct console *console)
{
	free(console);
}

static const struct console_ops null_ops = {
	.name = "null",
	.write = null_write,
	.input_ready = null_nothing,
	.hurry = null_nothing,
	.destroy = null_destroy,
};

int console_null_create(struct console **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->ops = &null_ops;
	return 0;
}
