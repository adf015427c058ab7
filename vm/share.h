/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of the host's processors the machine gets. A maximum, in percent of what its virtual
 * processors could use: where the process has used more, the vCPUs are held until that is made up
 * for. A weight against others, 100 for what every process has: it becomes the nice value of all
 * threads, where each step is a factor of 1.25, so weights from about 2 to 6000 differ.
 *
 * Everything is the main thread's.
 */
#ifndef VM_SHARE_H
#define VM_SHARE_H

#include "lib/error.h"

#include <uv.h>

#define SHARE_MAXIMUM_DEFAULT 100 /* percent: all that there is */
#define SHARE_WEIGHT_DEFAULT  100
#define SHARE_WEIGHT_MAX      10000

struct share_setup {
	unsigned cpus;
	void (*hold)(void *self, bool is_held); /* stops the vCPUs soon, and lets them go on */
	void *self;
};

struct share;

/* 0, -ENOMEM or what libuv says. */
int share_create(struct share **out, uv_loop_t *loop, const struct share_setup *setup);

/* The loop must run until its handles are closed. Accepts NULL. */
void share_destroy(struct share *share);

/*
 * From now on. percent: 1 to 100. weight: 1 to SHARE_WEIGHT_MAX. -EACCES, and the rest holds all
 * the same, where the host does not let us have more weight than we have.
 */
int share_set(struct share *share, unsigned maximum_percent, unsigned weight, struct error *err);

/* The nice value of a weight: -20 to 19. */
int share_nice(unsigned weight);

/*
 * What may be used (negative: was used in advance) after `elapsed_ns` in which `used_ns` of
 * processor time were used, out of `percent` of `cpus` processors. A machine that used nothing for
 * a while saves up no more than a short burst.
 */
int64_t share_credit_ns(int64_t credit_ns, unsigned cpus, unsigned percent, uint64_t elapsed_ns,
			uint64_t used_ns);

#endif
