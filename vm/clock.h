/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM's time: nanoseconds since it was created, the time-stamp counter that all its vCPUs share,
 * and timers for devices.
 *
 * The guest's TSC is the host's, less an offset, and nanoseconds are that TSC scaled: the two never
 * drift apart. Timer callbacks run on the clock's own thread, one at a time, with no lock held:
 * they take their device's lock. A callback may fire once more while its timer is being set or
 * cancelled on another thread: devices check their state under their lock.
 */
#ifndef VM_CLOCK_H
#define VM_CLOCK_H

#include "lib/base.h"

#define NS_PER_SECOND 1000000000ull

struct clock;

typedef void timer_fn(void *self);

/* Embed in the device. Only vm/clock.c looks inside. */
struct timer {
	struct clock *clock;
	timer_fn *fn;
	void *self;
	uint64_t deadline_ns; /* the rest is meaningful while armed */
	bool armed;
	struct timer *child, *sibling; /* of the clock's pairing heap */
	struct timer **link;           /* what points at this timer */
};

int clock_create(struct clock **out);
/*
 * Stops the thread; accepts NULL. Comes before the devices' destroy, which leave their timers
 * alone: no timer may be set or cancelled afterwards.
 */
void clock_destroy(struct clock *clock);

uint64_t clock_now_ns(const struct clock *clock);
uint64_t clock_tsc(const struct clock *clock); /* the guest's TSC, before a vCPU's own adjustment */
uint64_t clock_host_tsc(const struct clock *clock,
			uint64_t tsc);             /* the host's when clock_tsc is `tsc` */
uint64_t clock_tsc_khz(const struct clock *clock); /* its constant rate */
uint64_t clock_tsc_to_ns(const struct clock *clock, uint64_t tsc); /* on clock_now_ns's scale */
uint64_t clock_ns_to_tsc(const struct clock *clock, uint64_t ns);

/*
 * The rate of the bus clock (CPUID's "core crystal clock"), at which local APIC timers count before
 * division: the TSC's divided by the result, exactly. Some 100 MHz.
 */
unsigned clock_bus_ratio(uint64_t tsc_khz);

void timer_init(struct timer *timer, struct clock *clock, timer_fn *fn, void *self);
/* (Re)arms: fn runs once, at or soon after deadline_ns; a deadline that has passed fires at once.
 */
void timer_set(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer); /* no effect on one that is not armed */

#endif
