/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debug-exit port. Reads give zero.
 */
#include "dev/debug_exit.h"

#include <errno.h>
#include <stdlib.h>

struct debug_exit {
	const struct power *power;
};

void debug_exit_access(void *self, struct dev_access *access)
{
	struct debug_exit *d = self;

	if (access->is_write)
		d->power->request(d->power->self, POWER_EXIT,
				  (unsigned)(access->value << 1 | 1) & 0xff);
	else
		access->value = 0;
}

int debug_exit_create(struct debug_exit **out, const struct power *power)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->power = power;
	return 0;
}

static void reset(void *self)
{
	(void)self;
}

const struct dev_ops debug_exit_ops = { .name = "debug-exit", .reset = reset, .destroy = free };
