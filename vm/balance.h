/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory the guest has while it runs: RAM less what the balloon holds, and what is plugged
 * beyond it. A machine with static memory has what it started with until the operator resizes it:
 * less is the balloon's part, more is plugged. One with dynamic memory starts with some of its RAM
 * and then gets what it needs and a buffer, between a minimum and all of its RAM. Neither changes
 * while a hypervisor runs in the guest: pages that the balloon took might be its guests'.
 *
 * Everything is the main thread's.
 */
#ifndef VM_BALANCE_H
#define VM_BALANCE_H

#include "dev/virtio/devices.h"
#include "lib/error.h"

#include <uv.h>

#define BALANCE_PERIOD_MS 1000

struct balance_limits {
	uint64_t minimum_bytes, maximum_bytes;
	unsigned buffer_percent; /* of what the guest needs, on top of it */
	unsigned priority;       /* 0 to BALANCE_PRIORITY_MAX: see balance_spare */
};

#define BALANCE_PRIORITY_MAX     100
#define BALANCE_PRIORITY_DEFAULT 50

/* What the host has, and has left without swapping. */
struct balance_host {
	uint64_t total_bytes, available_bytes;
};

struct balance_setup {
	struct virtio_balloon *balloon; /* outlives it */
	struct virtio_mem *mem;         /* the same; NULL: nothing can be plugged */
	uint64_t growth_bytes;          /* the most that can be plugged */
	uint64_t ram_bytes, startup_bytes;
	bool is_dynamic;
	struct balance_limits limits; /* of dynamic memory, which is looked at */
	unsigned period_ms;           /* so often */
	bool (*nested_active)(void *self);
	void (*host)(void *self, struct balance_host *host); /* NULL: /proc/meminfo */
	void *self;
};

struct balance;

/* 0, -ENOMEM or what libuv says. */
int balance_create(struct balance **out, uv_loop_t *loop, const struct balance_setup *setup);

/* The loop must run until its handles are closed. Accepts NULL. */
void balance_destroy(struct balance *balance);

struct balance_report {
	uint64_t assigned_bytes; /* that the guest has */
	uint64_t demand_bytes;   /* that it needs; what it has where it does not say */
	uint64_t ram_bytes;      /* the most that it can have in this run */
};

void balance_report(struct balance *balance, struct balance_report *report);

/*
 * Static memory: the guest is to have that much. -EBUSY while a hypervisor runs in it, -ENOTSUP for
 * dynamic memory, -ERANGE for more than it can have, -ENODEV where no driver in the guest answers.
 */
int balance_resize(struct balance *balance, uint64_t bytes, struct error *err);

/* Dynamic memory. -EBUSY, -ENOTSUP as above, -EINVAL. A maximum above the RAM is the RAM. */
int balance_set_limits(struct balance *balance, const struct balance_limits *limits,
		       struct error *err);

/*
 * What a machine of that priority may take of what the host has left: all but a part that is kept
 * for those of higher priority, a sixteenth of the host's memory for priority 0 and nothing for the
 * highest. So where memory is short, the last of it goes to the highest.
 */
uint64_t balance_spare(unsigned priority, const struct balance_host *host);

/*
 * What a guest that has `assigned` bytes and needs `demand` of them is to have next, where the host
 * has `spare` for it. Growth is immediate, to shrink takes steps: a guest that has just freed
 * memory may want it again. Without anything to spare there is no buffer.
 */
uint64_t balance_next(const struct balance_limits *limits, uint64_t assigned, uint64_t demand,
		      uint64_t spare);

#endif
