/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time and timers.
 *
 * Nanoseconds are the time-stamp counter scaled by its rate, so reading them costs an RDTSC and a
 * multiplication. Timers hang in a pairing heap, which lives inside them: arming never allocates
 * and so never fails. The thread waits in a timerfd, which whoever arms an earlier timer sets: the
 * thread itself needs not wake for that.
 */
#include "vm/clock.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define CPUID_TSC             0x15u
#define CPUID_HYPERVISOR      0x40000000u
#define CPUID_HYPERVISOR_TIME 0x40000010u
#define CPUID_1_ECX_GUEST     BIT(31)
#define CALIBRATION_MAX_NS    (20 * NS_PER_SECOND / 1000)
#define CALIBRATION_PPM       10 /* how far off the TSC's rate may be */
/* A long wait is taken in steps, so that errors of the rate stay small. */
#define LONGEST_WAIT_NS NS_PER_SECOND
#define NEVER           UINT64_MAX
#define BUS_KHZ         100000u /* about */
#define SCALE_SHIFT     32

struct clock {
	uint64_t base_tsc;
	uint64_t tsc_khz;
	uint64_t ns_per_tsc, tsc_per_ns; /* fixed point, SCALE_SHIFT fraction bits */
	pthread_mutex_t lock;            /* the rest, and every timer */
	struct timer *first;
	uint64_t wakes_at_ns; /* what the timerfd is set to, NEVER if not */
	int fd;
	bool stopping;
	pthread_t thread;
};

/* --- the rate --- */

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t hypervisor_khz(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & CPUID_1_ECX_GUEST))
		return 0;
	__cpuid(CPUID_HYPERVISOR, a, b, c, d);
	if (a < CPUID_HYPERVISOR_TIME || a > CPUID_HYPERVISOR + 0xffff)
		return 0;
	__cpuid(CPUID_HYPERVISOR_TIME, a, b, c, d);
	return a;
}

static uint64_t crystal_khz(void)
{
	unsigned denominator, numerator, crystal_hz, d;

	if (!__get_cpuid(CPUID_TSC, &denominator, &numerator, &crystal_hz, &d))
		return 0;
	if (!denominator || !numerator || !crystal_hz)
		return 0;
	return (uint64_t)crystal_hz * numerator / denominator / 1000;
}

/* The TSC and the monotonic clock at one instant, which lies within `gap` ticks. */
struct instant {
	uint64_t tsc, ns, gap;
};

/* The tightest of some tries. */
static struct instant look(void)
{
	struct instant best = { .gap = UINT64_MAX };

	for (int i = 0; i < 10; i++) {
		uint64_t before = __rdtsc(), now = monotonic_ns(), after = __rdtsc();

		if (after - before < best.gap)
			best = (struct instant){ before + (after - before) / 2, now,
						 after - before };
	}
	return best;
}

/* Whether either instant may be anywhere in its gap, and the rate between them is right still. */
static bool is_precise(const struct instant *from, const struct instant *to)
{
	return (from->gap + to->gap) / 2 * (1000000 / CALIBRATION_PPM) <= to->tsc - from->tsc;
}

/* Takes some 2 ms where the clock is read without a system call. */
static uint64_t calibrate_khz(void)
{
	struct instant from = look(), to;

	do {
		_mm_pause();
		to = look();
	} while (!is_precise(&from, &to) && to.ns - from.ns < CALIBRATION_MAX_NS);
	return (to.tsc - from.tsc) * (NS_PER_SECOND / 1000) / (to.ns - from.ns);
}

static uint64_t host_tsc_khz(void)
{
	uint64_t khz = hypervisor_khz();

	if (!khz)
		khz = crystal_khz();
	return khz ? khz : MAX(calibrate_khz(), 1);
}

/* --- time --- */

static uint64_t scale(uint64_t value, uint64_t factor)
{
	return (uint64_t)(((unsigned __int128)value * factor) >> SCALE_SHIFT);
}

uint64_t clock_tsc(const struct clock *clock)
{
	return __rdtsc() - clock->base_tsc;
}

uint64_t clock_host_tsc(const struct clock *clock, uint64_t tsc)
{
	return clock->base_tsc + tsc;
}

uint64_t clock_tsc_khz(const struct clock *clock)
{
	return clock->tsc_khz;
}

uint64_t clock_tsc_to_ns(const struct clock *clock, uint64_t tsc)
{
	return scale(tsc, clock->ns_per_tsc);
}

uint64_t clock_ns_to_tsc(const struct clock *clock, uint64_t ns)
{
	return scale(ns, clock->tsc_per_ns);
}

uint64_t clock_now_ns(const struct clock *clock)
{
	return clock_tsc_to_ns(clock, clock_tsc(clock));
}

/* What is lost when a rate is divided and rounded down, in Hz; guests that count in kHz lose more.
 */
static uint64_t division_loss(uint64_t khz, unsigned ratio)
{
	return (khz * 1000 % ratio) << 32 | khz % ratio;
}

unsigned clock_bus_ratio(uint64_t tsc_khz)
{
	unsigned nearest = (unsigned)MAX((tsc_khz + BUS_KHZ / 2) / BUS_KHZ, 1), best = nearest;

	for (unsigned ratio = MAX(nearest * 2 / 3, 1); ratio <= nearest * 3 / 2; ratio++)
		if (division_loss(tsc_khz, ratio) < division_loss(tsc_khz, best))
			best = ratio;
	return best;
}

/* --- the pairing heap: a tree whose parents are not later than their children --- */

static void heap_link(struct timer **link, struct timer *timer)
{
	*link = timer;
	if (timer)
		timer->link = link;
}

/* Joins two trees; the result's sibling is empty and its link for the caller to set. */
static struct timer *heap_meld(struct timer *a, struct timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->deadline_ns < a->deadline_ns) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	heap_link(&b->sibling, a->child);
	heap_link(&a->child, b);
	return a;
}

/* Makes one tree of a list of siblings: pairs from the left, then all from the right. */
static struct timer *heap_meld_siblings(struct timer *list)
{
	struct timer *pairs = NULL, *tree = NULL;

	while (list) {
		struct timer *a = list, *b = a->sibling, *pair;

		list = b ? b->sibling : NULL;
		a->sibling = NULL;
		if (b)
			b->sibling = NULL;
		pair = heap_meld(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct timer *next = pairs->sibling;

		pairs->sibling = NULL;
		tree = heap_meld(tree, pairs);
		pairs = next;
	}
	return tree;
}

static void heap_insert(struct clock *clock, struct timer *timer)
{
	timer->child = timer->sibling = NULL;
	timer->armed = true;
	heap_link(&clock->first, heap_meld(clock->first, timer));
}

static void heap_remove(struct clock *clock, struct timer *timer)
{
	struct timer *children = heap_meld_siblings(timer->child);

	heap_link(timer->link, timer->sibling);
	timer->armed = false;
	heap_link(&clock->first, heap_meld(clock->first, children));
}

/* --- the thread --- */

/* Sets the timerfd for the first timer, unless it wakes the thread early enough. Lock held. */
static void set_wake(struct clock *clock, uint64_t now_ns)
{
	uint64_t wait_ns;
	struct itimerspec spec = { 0 };

	if (clock->stopping || !clock->first || clock->first->deadline_ns >= clock->wakes_at_ns)
		return;
	wait_ns = clock->first->deadline_ns > now_ns ? clock->first->deadline_ns - now_ns : 1;
	wait_ns = MIN(wait_ns, LONGEST_WAIT_NS);
	clock->wakes_at_ns = now_ns + wait_ns;
	spec.it_value.tv_sec = (time_t)(wait_ns / NS_PER_SECOND);
	spec.it_value.tv_nsec = (long)(wait_ns % NS_PER_SECOND);
	timerfd_settime(clock->fd, 0, &spec, NULL);
}

/* Runs what is due. Lock held, dropped while a callback runs. */
static void run_timers(struct clock *clock)
{
	struct timer *timer;

	while (!clock->stopping && (timer = clock->first) &&
	       timer->deadline_ns <= clock_now_ns(clock)) {
		heap_remove(clock, timer);
		pthread_mutex_unlock(&clock->lock);
		timer->fn(timer->self);
		pthread_mutex_lock(&clock->lock);
	}
}

static void *run(void *self)
{
	struct clock *clock = self;
	uint64_t expirations;

	prctl(PR_SET_NAME, "clock");
	pthread_mutex_lock(&clock->lock);
	while (!clock->stopping) {
		/* While this thread is up, nobody needs to set the timerfd for it. */
		clock->wakes_at_ns = 0;
		run_timers(clock);
		clock->wakes_at_ns = NEVER;
		set_wake(clock, clock_now_ns(clock));
		pthread_mutex_unlock(&clock->lock);
		if (read(clock->fd, &expirations, sizeof(expirations)) < 0)
			expirations = 0; /* interrupted: look again */
		pthread_mutex_lock(&clock->lock);
	}
	pthread_mutex_unlock(&clock->lock);
	return NULL;
}

int clock_create(struct clock **out)
{
	struct clock *clock = calloc(1, sizeof(*clock));
	int rc;

	if (!clock)
		return -ENOMEM;
	clock->tsc_khz = host_tsc_khz();
	clock->ns_per_tsc = (1000000ull << SCALE_SHIFT) / clock->tsc_khz;
	clock->tsc_per_ns = (clock->tsc_khz << SCALE_SHIFT) / 1000000;
	clock->base_tsc = __rdtsc();
	clock->wakes_at_ns = NEVER;
	pthread_mutex_init(&clock->lock, NULL);
	clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	rc = clock->fd < 0 ? -errno : -pthread_create(&clock->thread, NULL, run, clock);
	if (rc) {
		if (clock->fd >= 0)
			close(clock->fd);
		free(clock);
		return rc;
	}
	*out = clock;
	return 0;
}

void clock_destroy(struct clock *clock)
{
	struct itimerspec now = { .it_value.tv_nsec = 1 };

	if (!clock)
		return;
	pthread_mutex_lock(&clock->lock);
	clock->stopping = true;
	timerfd_settime(clock->fd, 0, &now, NULL);
	pthread_mutex_unlock(&clock->lock);
	pthread_join(clock->thread, NULL);
	close(clock->fd);
	pthread_mutex_destroy(&clock->lock);
	free(clock);
}

/* --- timers --- */

void timer_init(struct timer *timer, struct clock *clock, timer_fn *fn, void *self)
{
	*timer = (struct timer){ .clock = clock, .fn = fn, .self = self };
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
	struct clock *clock = timer->clock;

	pthread_mutex_lock(&clock->lock);
	if (timer->armed)
		heap_remove(clock, timer);
	timer->deadline_ns = deadline_ns;
	heap_insert(clock, timer);
	set_wake(clock, clock_now_ns(clock));
	pthread_mutex_unlock(&clock->lock);
}

void timer_cancel(struct timer *timer)
{
	struct clock *clock = timer->clock;

	pthread_mutex_lock(&clock->lock);
	if (timer->armed)
		heap_remove(clock, timer);
	pthread_mutex_unlock(&clock->lock);
}
