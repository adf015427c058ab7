/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC's timer. Nothing ticks: the current count comes from the time, and one timer of
 * the clock waits for the next end.
 */
#include "dev/lapic_timer.h"

/* A periodic timer that a guest sets shorter than this still fires no more often. */
#define SHORTEST_PERIOD_NS 20000ull
#define LONGEST_WAIT_TSC   BIT(62)

/* In ticks of the TSC, as all times here. */
static uint64_t count_ticks(const struct lapic_timer *t)
{
	return (uint64_t)t->bus_ratio << t->divide_shift;
}

static uint64_t period(const struct lapic_timer *t)
{
	return t->initial_count * count_ticks(t);
}

static uint64_t guest_tsc(const struct lapic_timer *t)
{
	return clock_tsc(t->clock) + t->tsc_offset;
}

/* Sets the clock's timer to when `now` on some TSC becomes `then`. */
static void wait_for(struct lapic_timer *t, uint64_t then, uint64_t now)
{
	uint64_t wait = then > now ? MIN(then - now, LONGEST_WAIT_TSC) : 0;

	timer_set(&t->timer, clock_now_ns(t->clock) + clock_tsc_to_ns(t->clock, wait) + 1);
}

/* Sets or cancels the clock's timer by the state. Lock held, as in all functions up to the API. */
static void arm(struct lapic_timer *t)
{
	if (t->deadline_tsc)
		wait_for(t, t->deadline_tsc, guest_tsc(t));
	else if (t->counting)
		wait_for(t, t->next_tsc, clock_tsc(t->clock));
	else
		timer_cancel(&t->timer);
}

/* The timer passed zero: what comes next. */
static void advance(struct lapic_timer *t, uint64_t now)
{
	uint64_t shortest = clock_ns_to_tsc(t->clock, SHORTEST_PERIOD_NS);

	if (t->mode != LAPIC_PERIODIC) {
		t->counting = false;
		return;
	}
	t->next_tsc += period(t);
	if (period(t) < shortest && t->next_tsc < now + shortest)
		t->next_tsc = now + shortest;
	else if (t->next_tsc <= now) /* late by more than a period: those are one interrupt */
		t->next_tsc += (now - t->next_tsc) / period(t) * period(t) + period(t);
}

/* Whether the timer's end has come; then it goes on to the next. */
static bool expire(struct lapic_timer *t)
{
	uint64_t now = clock_tsc(t->clock);

	if (t->deadline_tsc && guest_tsc(t) >= t->deadline_tsc) {
		t->deadline_tsc = 0;
		return true;
	}
	if (t->counting && now >= t->next_tsc) {
		advance(t, now);
		return true;
	}
	return false;
}

static void unlock_and_fire(struct lapic_timer *t, bool expired)
{
	pthread_mutex_unlock(&t->lock);
	if (expired)
		t->fire(t->self);
}

static void on_clock(void *self)
{
	struct lapic_timer *t = self;
	bool expired;

	pthread_mutex_lock(&t->lock);
	expired = expire(t);
	if (t->deadline_tsc || t->counting)
		arm(t);
	unlock_and_fire(t, expired);
}

static uint32_t current(const struct lapic_timer *t, uint64_t now)
{
	uint64_t elapsed = now - t->start_tsc;

	if (!t->counting || (t->mode == LAPIC_ONE_SHOT && elapsed >= period(t)))
		return 0;
	elapsed %= period(t);
	return (uint32_t)((period(t) - elapsed + count_ticks(t) - 1) / count_ticks(t));
}

static void start(struct lapic_timer *t, uint64_t start_tsc)
{
	t->start_tsc = start_tsc;
	t->next_tsc = start_tsc + period(t);
	t->counting = t->initial_count != 0;
}

/* --- what the APIC calls --- */

void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode)
{
	bool expired = false;

	pthread_mutex_lock(&t->lock);
	if (mode == t->mode) {
		pthread_mutex_unlock(&t->lock);
		return;
	}
	if (mode == LAPIC_TSC_DEADLINE || t->mode == LAPIC_TSC_DEADLINE) {
		t->deadline_tsc = 0;
		t->counting = false;
	} else if (t->counting) {
		/* The count goes on where it is; one that reached 0 stays there. */
		uint64_t elapsed = clock_tsc(t->clock) - t->start_tsc;

		expired = expire(t);
		if (t->counting && t->mode == LAPIC_PERIODIC)
			start(t, t->start_tsc + elapsed / period(t) * period(t));
	}
	t->mode = mode;
	arm(t);
	unlock_and_fire(t, expired);
}

void lapic_timer_set_initial(struct lapic_timer *t, uint32_t count)
{
	pthread_mutex_lock(&t->lock);
	if (t->mode != LAPIC_TSC_DEADLINE) {
		t->initial_count = count;
		start(t, clock_tsc(t->clock));
		arm(t);
	}
	pthread_mutex_unlock(&t->lock);
}

void lapic_timer_set_divide(struct lapic_timer *t, unsigned shift)
{
	uint64_t now, left;

	pthread_mutex_lock(&t->lock);
	now = clock_tsc(t->clock);
	left = current(t, now);
	t->divide_shift = shift;
	if (left) {
		start(t, now - (t->initial_count - left) * count_ticks(t));
		arm(t);
	}
	pthread_mutex_unlock(&t->lock);
}

uint32_t lapic_timer_initial(struct lapic_timer *t)
{
	uint32_t count;

	pthread_mutex_lock(&t->lock);
	count = t->mode == LAPIC_TSC_DEADLINE ? 0 : t->initial_count;
	pthread_mutex_unlock(&t->lock);
	return count;
}

uint32_t lapic_timer_current(struct lapic_timer *t)
{
	uint32_t count;

	pthread_mutex_lock(&t->lock);
	count = current(t, clock_tsc(t->clock));
	pthread_mutex_unlock(&t->lock);
	return count;
}

void lapic_timer_set_deadline(struct lapic_timer *t, uint64_t tsc)
{
	bool expired = false;

	pthread_mutex_lock(&t->lock);
	if (t->mode == LAPIC_TSC_DEADLINE) {
		t->deadline_tsc = tsc;
		expired = expire(t);
		arm(t);
	}
	unlock_and_fire(t, expired);
}

uint64_t lapic_timer_deadline(struct lapic_timer *t)
{
	uint64_t tsc;
	bool expired;

	pthread_mutex_lock(&t->lock);
	expired = t->deadline_tsc && expire(t);
	tsc = t->deadline_tsc;
	unlock_and_fire(t, expired);
	return tsc;
}

void lapic_timer_set_tsc_offset(struct lapic_timer *t, uint64_t offset)
{
	bool expired;

	pthread_mutex_lock(&t->lock);
	t->tsc_offset = offset;
	expired = t->deadline_tsc && expire(t);
	if (t->deadline_tsc)
		arm(t);
	unlock_and_fire(t, expired);
}

void lapic_timer_reset(struct lapic_timer *t)
{
	pthread_mutex_lock(&t->lock);
	t->mode = LAPIC_ONE_SHOT;
	t->divide_shift = 1;
	t->initial_count = 0;
	t->counting = false;
	t->deadline_tsc = 0;
	arm(t);
	pthread_mutex_unlock(&t->lock);
}

void lapic_timer_init(struct lapic_timer *t, struct clock *clock, void (*fire)(void *), void *self)
{
	*t = (struct lapic_timer){ .clock = clock, .fire = fire, .self = self };
	t->bus_ratio = clock_bus_ratio(clock_tsc_khz(clock));
	pthread_mutex_init(&t->lock, NULL);
	timer_init(&t->timer, clock, on_clock, t);
	lapic_timer_reset(t);
}

void lapic_timer_finish(struct lapic_timer *t)
{
	pthread_mutex_destroy(&t->lock);
}
