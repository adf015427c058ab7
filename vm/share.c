/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's share of the host's processors: see vm/share.h. */
#include "vm/share.h"

#include "vm/clock.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define PERIOD_MS  10
#define BURST_NS   (50 * 1000000ll) /* of the time that may be saved up, for each processor */
#define NICE_MIN   (-20)
#define NICE_MAX   19
#define STEP_TIMES 5 /* a step of nice is this over that */
#define STEP_OVER  4
#define SCALE      1000000ull

struct share {
	uv_timer_t timer; /* freed with it */
	struct share_setup setup;
	unsigned maximum_percent;
	bool is_held;
	int64_t credit_ns;
	uint64_t at_ns, cpu_ns; /* when it was last looked at */
};

/* --- the maximum --- */

static uint64_t time_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

int64_t share_credit_ns(int64_t credit_ns, unsigned cpus, unsigned percent, uint64_t elapsed_ns,
			uint64_t used_ns)
{
	int64_t burst = BURST_NS * cpus * percent / 100;

	elapsed_ns = MIN(elapsed_ns, NS_PER_SECOND); /* the host stood still: no reason for more */
	credit_ns += (int64_t)(elapsed_ns * cpus * percent / 100) - (int64_t)used_ns;
	return MIN(credit_ns, burst);
}

static void look(struct share *share)
{
	uint64_t now = time_of(CLOCK_MONOTONIC), cpu = time_of(CLOCK_PROCESS_CPUTIME_ID);

	share->credit_ns =
		share_credit_ns(share->credit_ns, share->setup.cpus, share->maximum_percent,
				now - share->at_ns, cpu - share->cpu_ns);
	share->at_ns = now;
	share->cpu_ns = cpu;
}

static void hold(struct share *share, bool is_held)
{
	if (share->is_held == is_held)
		return;
	share->is_held = is_held;
	share->setup.hold(share->setup.self, is_held);
}

static void on_timer(uv_timer_t *timer)
{
	struct share *share = container_of(timer, struct share, timer);

	look(share);
	hold(share, share->credit_ns < 0);
}

static void set_maximum(struct share *share, unsigned percent)
{
	bool was_limited = share->maximum_percent < SHARE_MAXIMUM_DEFAULT;

	share->maximum_percent = percent;
	if (percent >= SHARE_MAXIMUM_DEFAULT) {
		uv_timer_stop(&share->timer);
		hold(share, false);
	} else if (!was_limited) {
		look(share);
		share->credit_ns = 0;
		uv_timer_start(&share->timer, on_timer, PERIOD_MS, PERIOD_MS);
	}
}

/* --- the weight --- */

int share_nice(unsigned weight)
{
	uint64_t own = weight * SCALE, equal = SHARE_WEIGHT_DEFAULT * SCALE;
	int nice = 0;

	/* The nearest step: a step too many, looked at from half a step away, is none. */
	for (; nice > NICE_MIN && own * 8 > equal * 9; nice--)
		own = own * STEP_OVER / STEP_TIMES;
	for (; nice < NICE_MAX && own * 9 < equal * 8; nice++)
		own = own * STEP_TIMES / STEP_OVER;
	return nice;
}

/* Threads that come later have it from the one that makes them, which is one of these. */
static int set_threads(int nice)
{
	DIR *folder = opendir("/proc/self/task");
	const struct dirent *entry;
	int ret = folder ? 0 : -errno;

	while (folder && (entry = readdir(folder))) {
		long thread = strtol(entry->d_name, NULL, 10);

		if (thread > 0 && setpriority(PRIO_PROCESS, (id_t)thread, nice) && errno != ESRCH)
			ret = -errno;
	}
	if (folder)
		closedir(folder);
	return ret;
}

/* Where the kernel groups processes by sessions, nice values count within a group only. */
static void set_session(int nice)
{
	FILE *file = fopen("/proc/self/autogroup", "we");

	if (!file)
		return;
	fprintf(file, "%d\n", nice);
	fclose(file);
}

static int set_weight(unsigned weight, struct error *err)
{
	int nice = share_nice(weight), ret = set_threads(nice);

	set_session(nice);
	if (!ret)
		return 0;
	return error_set(err, ret,
			 "the host does not let it have a weight of %u (the nice value %d): %s",
			 weight, nice, strerror(-ret));
}

/* --- both --- */

int share_set(struct share *share, unsigned maximum_percent, unsigned weight, struct error *err)
{
	set_maximum(share, MAX(1u, MIN(maximum_percent, (unsigned)SHARE_MAXIMUM_DEFAULT)));
	return set_weight(weight, err);
}

int share_create(struct share **out, uv_loop_t *loop, const struct share_setup *setup)
{
	struct share *share = calloc(1, sizeof(*share));
	int ret = share ? uv_timer_init(loop, &share->timer) : -ENOMEM;

	if (ret) {
		free(share);
		return ret;
	}
	share->setup = *setup;
	share->maximum_percent = SHARE_MAXIMUM_DEFAULT;
	*out = share;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct share, timer));
}

void share_destroy(struct share *share)
{
	if (share)
		uv_close((uv_handle_t *)&share->timer, on_closed);
}
