/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254. Nothing ticks: counts and outputs come from the time since a counter was loaded. Only
 * counter 0 has a timer, which waits for the next rising edge of its output. A new count takes
 * effect when it is written, also where the chip would wait for the end of the period.
 */
#include "dev/pit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dev/bytes.h"

#define PIT_HZ   1193182ull
#define COUNTERS 3
#define CONTROL  3 /* the port of the control word */
#define IRQ_PIT  0
/* Interrupts come no more often than this, whatever count a guest sets. */
#define SHORTEST_NS 20000ull

enum access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

#define READ_BACK        3      /* in the control word's counter field */
#define READ_BACK_STATUS BIT(4) /* 0: latch the status */
#define READ_BACK_COUNT  BIT(5) /* 0: latch the count */
#define CONTROL_BCD      BIT(0)
#define STATUS_OUT       BIT(7)
#define STATUS_NULL      BIT(6)

#define PORT61_GATE    BIT(0)
#define PORT61_KEPT    0x0f /* gate, speaker, and two error enables that only read back */
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT     BIT(5)
#define REFRESH_NS     15085

struct counter {
	uint8_t control; /* the low six bits of the control word: access, mode, BCD */
	enum access access;
	uint8_t mode; /* 0 to 5 */
	bool bcd;
	bool gate;
	bool loaded;    /* a count was written since the control word */
	bool running;   /* start_ns counts: loaded, triggered if need be, not halted by the gate */
	uint32_t count; /* 1 to 10000h */
	uint64_t start_ns; /* when it had `count` */
	uint64_t elapsed;  /* ticks when the gate halted it */
	uint8_t low;       /* the first byte of two */
	bool high_next_write, high_next_read;
	bool count_latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct pit {
	pthread_mutex_t lock; /* all below */
	struct clock *clock;
	struct irq *irq;
	const struct hpet *hpet;
	struct counter counter[COUNTERS];
	uint8_t port61;
	struct timer timer;
	uint64_t next_ns; /* the next rising edge of counter 0, UINT64_MAX if none */
};

static uint64_t ns_to_ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * PIT_HZ / NS_PER_SECOND);
}

/* Rounded up: at the result, so many ticks have passed. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * NS_PER_SECOND + PIT_HZ - 1) / PIT_HZ);
}

/* --- a counter; all with the lock held --- */

static uint64_t elapsed(const struct counter *c, uint64_t now_ns)
{
	return c->running ? ns_to_ticks(now_ns - c->start_ns) : c->elapsed;
}

static bool is_periodic(const struct counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5 wait for a trigger, which is the gate's rising edge. */
static bool is_triggered(const struct counter *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool output(const struct counter *c, uint64_t now_ns)
{
	uint64_t t = elapsed(c, now_ns);
	bool started = c->running || c->elapsed;

	switch (c->mode) {
	case 0:
		return c->loaded && t >= c->count;
	case 1:
		return !started || t >= c->count;
	case 2:
		return !c->running || t % c->count != c->count - 1;
	case 3:
		return !c->running || t % c->count < (c->count + 1) / 2;
	default:
		return !started || t != c->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static uint32_t from_bcd(uint16_t v)
{
	return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

static uint16_t current(const struct counter *c, uint64_t now_ns)
{
	uint64_t t = elapsed(c, now_ns);
	uint32_t wrap = c->bcd ? 10000 : 0x10000, left;

	if (!c->count)
		return 0;
	if (c->mode == 2)
		left = c->count - (uint32_t)(t % c->count);
	else if (c->mode == 3) /* by two, twice in a period */
		left = (c->count - (uint32_t)(2 * (t % c->count) % c->count)) & ~1u;
	else
		left = (c->count + wrap - (uint32_t)(t % wrap)) % wrap;
	return c->bcd ? to_bcd(left) : (uint16_t)left;
}

static void latch_count(struct counter *c, uint64_t now_ns)
{
	if (c->count_latched)
		return;
	c->latch = current(c, now_ns);
	c->count_latched = true;
	c->high_next_read = false;
}

static void latch_status(struct counter *c, uint64_t now_ns)
{
	if (c->status_latched)
		return;
	c->status =
		c->control | (output(c, now_ns) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL);
	c->status_latched = true;
}

static void start(struct counter *c, uint64_t now_ns)
{
	c->start_ns = now_ns;
	c->elapsed = 0;
	c->running = c->gate;
}

static void load(struct counter *c, uint16_t value, uint64_t now_ns)
{
	uint32_t count = c->bcd ? from_bcd(value) : value;

	c->count = count ? count : c->bcd ? 10000 : 0x10000;
	c->loaded = true;
	if (!is_triggered(c))
		start(c, now_ns);
}

static void set_control(struct counter *c, uint8_t control)
{
	c->control = control & 0x3f;
	c->access = (enum access)bits(control, 5, 4);
	c->mode = (uint8_t)bits(control, 3, 1);
	if (c->mode > 5) /* bit 2 of modes 2 and 3 does not matter */
		c->mode -= 4;
	c->bcd = control & CONTROL_BCD;
	c->loaded = c->running = false;
	c->elapsed = 0;
	c->high_next_write = c->high_next_read = false;
	c->count_latched = c->status_latched = false;
}

static void set_gate(struct counter *c, bool gate, uint64_t now_ns)
{
	bool rose = gate && !c->gate;

	if (!gate && c->gate && !is_triggered(c)) {
		c->elapsed = elapsed(c, now_ns);
		c->running = false;
	}
	c->gate = gate;
	if (!rose || !c->loaded)
		return;
	if (is_periodic(c) || is_triggered(c)) {
		start(c, now_ns);
	} else {
		c->start_ns = now_ns - ticks_to_ns(c->elapsed);
		c->running = true;
	}
}

static uint8_t read_counter(struct counter *c, uint64_t now_ns)
{
	uint16_t value = c->count_latched ? c->latch : current(c, now_ns);
	bool high = c->access == ACCESS_HIGH || c->high_next_read;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->access == ACCESS_BOTH)
		c->high_next_read = !c->high_next_read;
	if (!c->high_next_read)
		c->count_latched = false;
	return (uint8_t)(value >> (high ? 8 : 0));
}

static void write_counter(struct counter *c, uint8_t value, uint64_t now_ns)
{
	if (c->access == ACCESS_BOTH && !c->high_next_write) {
		c->low = value;
		c->high_next_write = true;
		if (c->mode == 0) /* halts until the second byte */
			c->running = c->loaded = false;
		return;
	}
	c->high_next_write = false;
	if (c->access == ACCESS_BOTH)
		load(c, (uint16_t)(value << 8 | c->low), now_ns);
	else
		load(c, (uint16_t)(c->access == ACCESS_HIGH ? value << 8 : value), now_ns);
}

/* --- counter 0 and its interrupt --- */

/* Ticks from the start to the first rising edge after tick t; UINT64_MAX: none to come. */
static uint64_t next_edge(const struct counter *c, uint64_t t)
{
	uint64_t strobe_end = c->mode == 4 ? c->count + 1 : c->count;

	if (!c->running)
		return UINT64_MAX;
	if (is_periodic(c))
		return (t / c->count + 1) * c->count;
	return t < strobe_end ? strobe_end : UINT64_MAX;
}

static void arm(struct pit *pit, uint64_t now_ns)
{
	const struct counter *c = &pit->counter[0];
	uint64_t edge = next_edge(c, elapsed(c, now_ns));

	pit->next_ns = UINT64_MAX;
	if (edge == UINT64_MAX) {
		timer_cancel(&pit->timer);
		return;
	}
	pit->next_ns = c->start_ns + ticks_to_ns(edge);
	timer_set(&pit->timer, pit->next_ns);
}

static void set_line(struct pit *pit, bool level)
{
	if (!hpet_owns_legacy_lines(pit->hpet))
		irq_set_line(pit->irq, IRQ_PIT, level);
}

static void on_timer(void *self)
{
	struct pit *pit = self;
	uint64_t now_ns;

	pthread_mutex_lock(&pit->lock);
	now_ns = clock_now_ns(pit->clock);
	if (now_ns >= pit->next_ns) {
		set_line(pit, false);
		set_line(pit, true);
		arm(pit, MAX(now_ns, pit->next_ns));
		if (pit->next_ns < now_ns + SHORTEST_NS) {
			pit->next_ns = now_ns + SHORTEST_NS;
			timer_set(&pit->timer, pit->next_ns);
		}
	} else if (pit->next_ns != UINT64_MAX) {
		timer_set(&pit->timer, pit->next_ns);
	}
	pthread_mutex_unlock(&pit->lock);
}

/* Counter 0 was written. */
static void restart_timer(struct pit *pit, uint64_t now_ns)
{
	set_line(pit, output(&pit->counter[0], now_ns));
	arm(pit, now_ns);
}

/* --- ports --- */

static void read_back(struct pit *pit, uint8_t value, uint64_t now_ns)
{
	for (unsigned i = 0; i < COUNTERS; i++) {
		if (!(value & BIT(i + 1)))
			continue;
		if (!(value & READ_BACK_COUNT))
			latch_count(&pit->counter[i], now_ns);
		if (!(value & READ_BACK_STATUS))
			latch_status(&pit->counter[i], now_ns);
	}
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now_ns)
{
	unsigned i = value >> 6;

	if (i == READ_BACK) {
		read_back(pit, value, now_ns);
	} else if (bits(value, 5, 4) == ACCESS_LATCH) {
		latch_count(&pit->counter[i], now_ns);
	} else {
		set_control(&pit->counter[i], value);
		if (i == 0)
			restart_timer(pit, now_ns);
	}
}

static uint8_t read_byte(void *self, unsigned offset)
{
	struct pit *pit = self;

	if (offset % 4 == CONTROL)
		return 0;
	return read_counter(&pit->counter[offset % 4], clock_now_ns(pit->clock));
}

static void write_byte(void *self, unsigned offset, uint8_t value)
{
	struct pit *pit = self;
	uint64_t now_ns = clock_now_ns(pit->clock);

	if (offset % 4 == CONTROL) {
		write_control(pit, value, now_ns);
		return;
	}
	write_counter(&pit->counter[offset % 4], value, now_ns);
	if (offset % 4 == 0)
		restart_timer(pit, now_ns);
}

void pit_access(void *self, struct dev_access *access)
{
	struct pit *pit = self;

	pthread_mutex_lock(&pit->lock);
	dev_access_bytes(access, self, read_byte, write_byte);
	pthread_mutex_unlock(&pit->lock);
}

void pit_port61_access(void *self, struct dev_access *access)
{
	struct pit *pit = self;
	uint64_t now_ns;

	pthread_mutex_lock(&pit->lock);
	now_ns = clock_now_ns(pit->clock);
	if (access->is_write) {
		pit->port61 = access->value & PORT61_KEPT;
		set_gate(&pit->counter[2], pit->port61 & PORT61_GATE, now_ns);
	} else {
		access->value = pit->port61 | (now_ns / REFRESH_NS & 1 ? PORT61_REFRESH : 0) |
				(output(&pit->counter[2], now_ns) ? PORT61_OUT : 0);
	}
	pthread_mutex_unlock(&pit->lock);
}

/* --- life --- */

static void reset(void *self)
{
	struct pit *pit = self;
	uint64_t now_ns = clock_now_ns(pit->clock);

	pthread_mutex_lock(&pit->lock);
	for (unsigned i = 0; i < COUNTERS; i++) {
		struct counter *c = &pit->counter[i];

		*c = (struct counter){ .gate = i != 2, .count = 0x10000 };
		set_control(c, ACCESS_BOTH << 4 | 3 << 1);
	}
	pit->port61 = 0;
	restart_timer(pit, now_ns);
	pthread_mutex_unlock(&pit->lock);
}

static void destroy(void *self)
{
	struct pit *pit = self;

	pthread_mutex_destroy(&pit->lock);
	free(pit);
}

const struct dev_ops pit_ops = { .name = "pit", .reset = reset, .destroy = destroy };

int pit_create(struct pit **out, struct clock *clock, struct irq *irq, const struct hpet *hpet)
{
	struct pit *pit = calloc(1, sizeof(*pit));

	if (!pit)
		return -ENOMEM;
	pit->clock = clock;
	pit->irq = irq;
	pit->hpet = hpet;
	pthread_mutex_init(&pit->lock, NULL);
	timer_init(&pit->timer, clock, on_timer, pit);
	reset(pit);
	*out = pit;
	return 0;
}
