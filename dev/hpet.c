/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HPET. Nothing ticks: the counter comes from the time. Each comparator knows the counter value
 * at which it fires next, as a 64-bit number that 32-bit comparators reach too.
 */
#include "dev/hpet.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define REG_CAPABILITIES 0x000
#define REG_CONFIG       0x010
#define REG_STATUS       0x020
#define REG_COUNTER      0x0f0
#define REG_TIMERS       0x100
#define TIMER_STRIDE     0x20
#define TIMER_CONFIG     0x00
#define TIMER_COMPARATOR 0x08

#define CONFIG_ENABLE BIT(0)
#define CONFIG_LEGACY BIT(1)

#define TIMER_LEVEL     BIT(1)
#define TIMER_INTERRUPT BIT(2)
#define TIMER_PERIODIC  BIT(3)
#define TIMER_SET_VALUE BIT(6)
#define TIMER_32BIT     BIT(8)
#define TIMER_ROUTE(c)  ((unsigned)bits(c, 13, 9))
#define TIMER_WRITABLE  0x3f4eull
/* Periodic and 64 bits wide, and the global interrupts that each may use: two quiet ISA lines. */
#define TIMER_ROUTES    (BIT(10) | BIT(11))
#define TIMER_ABILITIES (BIT(4) | BIT(5) | TIMER_ROUTES << 32)

#define TICK_NS (HPET_PERIOD_FS / 1000000)
/* Comparators fire no more often than this, whatever period a guest sets. */
#define SHORTEST_TICKS (20000 / TICK_NS)

struct comparator {
	struct hpet *hpet;
	unsigned index;
	struct timer timer;
	uint64_t config, value, period;
	bool armed;
	uint64_t next; /* the counter's value at the next match, while armed */
	unsigned line; /* that it drives high, by level */
	bool high;
};

struct hpet {
	pthread_mutex_t lock; /* all but `legacy` */
	struct clock *clock;
	struct irq *irq;
	uint64_t config, status;
	uint64_t base; /* the counter at start_ns; it goes on from there while enabled */
	uint64_t start_ns;
	struct comparator comparator[HPET_TIMERS];
	atomic_bool legacy;
};

bool hpet_owns_legacy_lines(const struct hpet *hpet)
{
	return hpet && atomic_load_explicit(&hpet->legacy, memory_order_relaxed);
}

/* --- the counter; all with the lock held --- */

static uint64_t counter(const struct hpet *hpet)
{
	if (!(hpet->config & CONFIG_ENABLE))
		return hpet->base;
	return hpet->base + (clock_now_ns(hpet->clock) - hpet->start_ns) / TICK_NS;
}

/* --- lines --- */

static unsigned line_of(const struct comparator *c)
{
	if ((c->hpet->config & CONFIG_LEGACY) && c->index == 0)
		return 0;
	if ((c->hpet->config & CONFIG_LEGACY) && c->index == 1)
		return 8;
	return TIMER_ROUTE(c->config);
}

static bool can_drive(const struct comparator *c)
{
	return ((c->hpet->config & CONFIG_LEGACY) && c->index < 2) ||
	       (BIT(TIMER_ROUTE(c->config)) & TIMER_ROUTES);
}

/* A line is high while one of the comparators holds it high. */
static void drive(struct hpet *hpet, unsigned line)
{
	bool high = false;

	for (unsigned i = 0; i < HPET_TIMERS; i++)
		high |= hpet->comparator[i].high && hpet->comparator[i].line == line;
	irq_set_line(hpet->irq, line, high);
}

/* Level-triggered interrupts follow the status bit. */
static void update_level(struct comparator *c)
{
	bool was_high = c->high;
	unsigned was_line = c->line;

	c->line = line_of(c);
	c->high = (c->hpet->status & BIT(c->index)) && (c->config & TIMER_INTERRUPT) &&
		  (c->config & TIMER_LEVEL) && can_drive(c);
	if (was_high && (!c->high || was_line != c->line))
		drive(c->hpet, was_line);
	if (c->high)
		drive(c->hpet, c->line);
}

static void fire(struct comparator *c)
{
	if (c->config & TIMER_LEVEL) {
		c->hpet->status |= BIT(c->index);
		update_level(c);
	} else if ((c->config & TIMER_INTERRUPT) && can_drive(c)) {
		irq_set_line(c->hpet->irq, line_of(c), true);
		drive(c->hpet, line_of(c));
	}
}

/* --- comparators --- */

static uint64_t width_mask(const struct comparator *c)
{
	return c->config & TIMER_32BIT ? UINT32_MAX : UINT64_MAX;
}

static void arm(struct comparator *c)
{
	struct hpet *hpet = c->hpet;
	uint64_t wait = c->next - counter(hpet);

	if (!c->armed) {
		timer_cancel(&c->timer);
		return;
	}
	if (wait > BIT(63)) /* it has passed */
		wait = 0;
	timer_set(&c->timer, clock_now_ns(hpet->clock) + MIN(wait, BIT(56)) * TICK_NS + 1);
}

/* Finds the next match from the registers as they are now. */
static void restart(struct comparator *c)
{
	uint64_t now = counter(c->hpet), wait = (c->value - now) & width_mask(c);

	/* 64 bits wide, a value that lies behind is centuries ahead. */
	c->armed = (c->hpet->config & CONFIG_ENABLE) && wait < BIT(63);
	c->next = now + wait;
	arm(c);
}

/* Where to after a match: the next period, or all the way round. */
static void advance(struct comparator *c, uint64_t now)
{
	uint64_t period = c->period & width_mask(c), late = now - c->next;

	if ((c->config & TIMER_PERIODIC) && period >= BIT(63)) {
		c->armed = false; /* centuries ahead; what is that far would count as passed */
	} else if ((c->config & TIMER_PERIODIC) && period) {
		uint64_t steps = late / period + 1;

		if (period < SHORTEST_TICKS)
			steps = (late + SHORTEST_TICKS) / period + 1;
		c->next += steps * period;
		c->value = (c->value + steps * period) & width_mask(c);
	} else if (c->config & TIMER_32BIT) {
		c->next += BIT(32);
	} else {
		c->armed = false;
	}
}

static void on_timer(void *self)
{
	struct comparator *c = self;
	uint64_t now;

	pthread_mutex_lock(&c->hpet->lock);
	now = counter(c->hpet);
	if (c->armed && now - c->next < BIT(63)) {
		fire(c);
		advance(c, now);
	}
	if (c->armed)
		arm(c);
	pthread_mutex_unlock(&c->hpet->lock);
}

/* --- registers: 64 bits each, at multiples of 8 --- */

static uint64_t read_register(const struct hpet *hpet, unsigned offset)
{
	const struct comparator *c =
		&hpet->comparator[(offset - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

	switch (offset) {
	case REG_CAPABILITIES:
		return (uint64_t)HPET_PERIOD_FS << 32 | HPET_BLOCK_ID;
	case REG_CONFIG:
		return hpet->config;
	case REG_STATUS:
		return hpet->status;
	case REG_COUNTER:
		return counter(hpet);
	}
	if (offset < REG_TIMERS || offset >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
		return 0;
	if (offset % TIMER_STRIDE == TIMER_CONFIG)
		return c->config | TIMER_ABILITIES;
	return offset % TIMER_STRIDE == TIMER_COMPARATOR ? c->value : 0;
}

static void write_config(struct hpet *hpet, uint64_t value)
{
	bool legacy = value & CONFIG_LEGACY;

	hpet->base = counter(hpet);
	hpet->start_ns = clock_now_ns(hpet->clock);
	hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	if (legacy != atomic_exchange(&hpet->legacy, legacy)) {
		/* Lines change hands low. */
		irq_set_line(hpet->irq, 0, false);
		irq_set_line(hpet->irq, 8, false);
	}
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		update_level(&hpet->comparator[i]);
		restart(&hpet->comparator[i]);
	}
}

static void write_status(struct hpet *hpet, uint64_t value)
{
	hpet->status &= ~value;
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		update_level(&hpet->comparator[i]);
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
	hpet->base = value;
	hpet->start_ns = clock_now_ns(hpet->clock);
	for (unsigned i = 0; i < HPET_TIMERS; i++)
		restart(&hpet->comparator[i]);
}

static void write_timer_config(struct comparator *c, uint64_t value)
{
	c->config = value & TIMER_WRITABLE;
	if (c->config & TIMER_32BIT) {
		c->value &= UINT32_MAX;
		c->period &= UINT32_MAX;
	}
	update_level(c);
	restart(c);
}

/* In periodic mode a write is the period, and the comparator too if SET_VALUE says so. */
static void write_comparator(struct comparator *c, uint64_t value, bool low_half)
{
	value &= width_mask(c);
	if (!(c->config & TIMER_PERIODIC) || (c->config & TIMER_SET_VALUE))
		c->value = value;
	if (c->config & TIMER_PERIODIC)
		c->period = value;
	if (low_half)
		c->config &= ~TIMER_SET_VALUE;
	restart(c);
}

static void write_register(struct hpet *hpet, unsigned offset, uint64_t value, bool low_half)
{
	struct comparator *c =
		&hpet->comparator[(offset - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

	if (offset == REG_CONFIG)
		write_config(hpet, value);
	else if (offset == REG_STATUS)
		write_status(hpet, value);
	else if (offset == REG_COUNTER)
		write_counter(hpet, value);
	else if (offset < REG_TIMERS || offset >= REG_TIMERS + HPET_TIMERS * TIMER_STRIDE)
		return;
	else if (offset % TIMER_STRIDE == TIMER_CONFIG)
		write_timer_config(c, value);
	else if (offset % TIMER_STRIDE == TIMER_COMPARATOR)
		write_comparator(c, value, low_half);
}

/* What a write of a part leaves of the rest: ones clear status bits, so there the rest is 0. */
static uint64_t merge_with(const struct hpet *hpet, unsigned offset)
{
	unsigned in_timer = offset % TIMER_STRIDE;
	const struct comparator *c =
		&hpet->comparator[(offset - REG_TIMERS) / TIMER_STRIDE % HPET_TIMERS];

	if (offset == REG_STATUS)
		return 0;
	if (offset >= REG_TIMERS && in_timer == TIMER_COMPARATOR && (c->config & TIMER_PERIODIC) &&
	    !(c->config & TIMER_SET_VALUE))
		return c->period;
	return read_register(hpet, offset);
}

void hpet_access(void *self, struct dev_access *access)
{
	struct hpet *hpet = self;
	unsigned offset = (unsigned)align_down(access->offset, 8), byte = access->offset % 8;
	uint64_t mask = size_mask(access->size) << 8 * byte;

	pthread_mutex_lock(&hpet->lock);
	if (access->is_write)
		write_register(hpet, offset,
			       (merge_with(hpet, offset) & ~mask) | access->value << 8 * byte,
			       !byte);
	else
		access->value = read_register(hpet, offset) >> 8 * byte;
	pthread_mutex_unlock(&hpet->lock);
}

/* --- life --- */

static void reset(void *self)
{
	struct hpet *hpet = self;

	pthread_mutex_lock(&hpet->lock);
	hpet->status = 0;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct comparator *c = &hpet->comparator[i];

		c->config = c->period = 0;
		c->value = UINT64_MAX;
		update_level(c);
	}
	write_config(hpet, 0);
	write_counter(hpet, 0);
	pthread_mutex_unlock(&hpet->lock);
}

static void destroy(void *self)
{
	struct hpet *hpet = self;

	pthread_mutex_destroy(&hpet->lock);
	free(hpet);
}

const struct dev_ops hpet_ops = { .name = "hpet", .reset = reset, .destroy = destroy };

int hpet_create(struct hpet **out, struct clock *clock, struct irq *irq)
{
	struct hpet *hpet = calloc(1, sizeof(*hpet));

	if (!hpet)
		return -ENOMEM;
	hpet->clock = clock;
	hpet->irq = irq;
	pthread_mutex_init(&hpet->lock, NULL);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct comparator *c = &hpet->comparator[i];

		c->hpet = hpet;
		c->index = i;
		timer_init(&c->timer, clock, on_timer, c);
	}
	reset(hpet);
	*out = hpet;
	return 0;
}
