/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer of a local APIC: one-shot, periodic, TSC-deadline. Part of struct lapic.
 *
 * Setters are called on the vCPU's thread; `fire` comes on that thread or on the clock's, with no
 * lock held. SDM3: "APIC Timer".
 */
#ifndef DEV_LAPIC_TIMER_H
#define DEV_LAPIC_TIMER_H

#include <pthread.h>

#include "vm/clock.h"

enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE };

struct lapic_timer {
	pthread_mutex_t lock; /* all below */
	struct clock *clock;
	struct timer timer;
	void (*fire)(void *self);
	void *self;
	enum lapic_timer_mode mode;
	unsigned bus_ratio; /* of the TSC to the clock that is divided */
	unsigned divide_shift;
	uint32_t initial_count;
	bool counting;         /* one-shot and periodic; these by the clock's TSC: */
	uint64_t start_tsc;    /* when it counted from initial_count */
	uint64_t next_tsc;     /* when it reaches 0 */
	uint64_t deadline_tsc; /* 0: none */
	uint64_t tsc_offset;   /* of the vCPU's TSC to the clock's */
};

void lapic_timer_init(struct lapic_timer *t, struct clock *clock, void (*fire)(void *), void *self);
void lapic_timer_finish(struct lapic_timer *t);
void lapic_timer_reset(struct lapic_timer *t); /* keeps the TSC offset */

void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode);
void lapic_timer_set_initial(struct lapic_timer *t, uint32_t count); /* starts; 0 stops */
void lapic_timer_set_divide(struct lapic_timer *t, unsigned shift);  /* by 1 << shift */
uint32_t lapic_timer_initial(struct lapic_timer *t);
uint32_t lapic_timer_current(struct lapic_timer *t);

/* IA32_TSC_DEADLINE; ignored and 0 outside that mode. One that has passed fires inside the call. */
void lapic_timer_set_deadline(struct lapic_timer *t, uint64_t tsc);
uint64_t lapic_timer_deadline(struct lapic_timer *t);
void lapic_timer_set_tsc_offset(struct lapic_timer *t, uint64_t offset);

#endif
