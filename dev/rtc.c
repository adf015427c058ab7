/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818. The time is the host's UTC plus an offset, which the guest changes by setting the
 * clock; while it holds the clock (SET, or the divider in reset), the fields stand still in `held`.
 * One timer ticks at each second for the update and alarm flags; another one only while periodic
 * interrupts are on.
 */
#include "dev/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "dev/bytes.h"

#define IRQ_RTC    8
#define CMOS_BYTES 128 /* as many as an index of 7 bits reaches */

enum {
	REG_SECOND = 0x00,
	REG_SECOND_ALARM = 0x01,
	REG_MINUTE = 0x02,
	REG_MINUTE_ALARM = 0x03,
	REG_HOUR = 0x04,
	REG_HOUR_ALARM = 0x05,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CMOS_BASE_MEMORY = 0x15,    /* KiB below 1 MiB */
	CMOS_EXTENDED = 0x17,       /* KiB above 1 MiB, at most ffffh */
	CMOS_EXTENDED_AGAIN = 0x30, /* the same */
	REG_CENTURY = 0x32,
	CMOS_ABOVE_16M = 0x34, /* units of 64 KiB */
	CMOS_ABOVE_4G = 0x5b,  /* three bytes, units of 64 KiB */
};

#define A_UIP         BIT(7)
#define A_DIVIDER(a)  bits(a, 6, 4)
#define A_RATE(a)     bits(a, 3, 0)
#define A_RESET       0x26 /* 32.768 kHz, 1024 Hz */
#define DIVIDER_RESET 6    /* 6 and 7 hold the divider in reset */
#define B_SET         BIT(7)
#define B_PERIODIC    BIT(6)
#define B_ALARM       BIT(5)
#define B_UPDATE      BIT(4)
#define B_BINARY      BIT(2)
#define B_24H         BIT(1)
#define B_RESET       B_24H
#define C_PERIODIC    BIT(6) /* flags lie where their enables lie in B */
#define C_ALARM       BIT(5)
#define C_UPDATE      BIT(4)
#define C_IRQ         BIT(7)
#define C_FLAGS       (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID       BIT(7)
#define HOUR_PM       0x80
#define ALARM_ANY     0xc0 /* an alarm byte with both bits set matches always */

#define INDEX_MASK 0x7f      /* bit 7 of port 70h is the NMI mask, which nothing here needs */
#define UIP_NS     244000ull /* update-in-progress shows this long before a second ends */
#define BASE_HZ    32768ull

struct rtc {
	pthread_mutex_t lock; /* all below */
	struct clock *clock;
	struct irq *irq;
	const struct hpet *hpet;
	struct timer second, periodic;
	int64_t offset_s; /* the guest's time less the host's: seconds and, below one, */
	uint64_t offset_fraction_ns;
	bool holding;
	struct tm held;            /* the time while `holding` */
	uint64_t held_fraction_ns; /* of its second */
	uint64_t periodic_next_ns;
	uint8_t index;
	uint8_t cmos[CMOS_BYTES]; /* also registers A to D and the alarm; not the time */
};

/* --- time; all with the lock held --- */

/* Seconds since 1970; *fraction_ns: of the running second. */
static int64_t guest_time(const struct rtc *rtc, uint64_t *fraction_ns)
{
	struct timespec host;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &host);
	ns = (uint64_t)host.tv_nsec + rtc->offset_fraction_ns;
	*fraction_ns = ns % NS_PER_SECOND;
	return host.tv_sec + rtc->offset_s + (int64_t)(ns / NS_PER_SECOND);
}

/* From now on guest_time goes on from here. */
static void set_guest_time(struct rtc *rtc, int64_t seconds, uint64_t fraction_ns)
{
	struct timespec host;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &host);
	ns = NS_PER_SECOND + fraction_ns - (uint64_t)host.tv_nsec;
	rtc->offset_fraction_ns = ns % NS_PER_SECOND;
	rtc->offset_s = seconds - host.tv_sec - (ns < NS_PER_SECOND);
}

static uint64_t fraction_ns(const struct rtc *rtc)
{
	uint64_t fraction;

	guest_time(rtc, &fraction);
	return fraction;
}

static struct tm time_now(const struct rtc *rtc)
{
	uint64_t fraction;
	time_t seconds = guest_time(rtc, &fraction);
	struct tm tm = { 0 };

	if (rtc->holding)
		return rtc->held;
	gmtime_r(&seconds, &tm);
	return tm;
}

static void arm_second(struct rtc *rtc)
{
	uint64_t left_ns = NS_PER_SECOND - fraction_ns(rtc);

	timer_set(&rtc->second, clock_now_ns(rtc->clock) + left_ns);
}

static void hold(struct rtc *rtc)
{
	if (rtc->holding)
		return;
	rtc->held = time_now(rtc);
	rtc->held_fraction_ns = fraction_ns(rtc);
	rtc->holding = true;
}

/* The time goes on from what is held. Fields out of range carry over. */
static void release(struct rtc *rtc)
{
	if (!rtc->holding)
		return;
	rtc->holding = false;
	set_guest_time(rtc, timegm(&rtc->held), rtc->held_fraction_ns);
	arm_second(rtc);
}

static bool is_held_by_guest(const struct rtc *rtc)
{
	return (rtc->cmos[REG_B] & B_SET) || A_DIVIDER(rtc->cmos[REG_A]) >= DIVIDER_RESET;
}

/* --- encoding: BCD or binary, 12 or 24 hours --- */

static uint8_t encode(const struct rtc *rtc, int value)
{
	unsigned v = (unsigned)value % 100;

	return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int decode(const struct rtc *rtc, uint8_t byte)
{
	return rtc->cmos[REG_B] & B_BINARY ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->cmos[REG_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct rtc *rtc, uint8_t byte)
{
	if (rtc->cmos[REG_B] & B_24H)
		return decode(rtc, byte);
	return decode(rtc, byte & ~HOUR_PM) % 12 + (byte & HOUR_PM ? 12 : 0);
}

static uint8_t read_time(const struct rtc *rtc, unsigned reg)
{
	struct tm tm = time_now(rtc);

	switch (reg) {
	case REG_SECOND:
		return encode(rtc, tm.tm_sec);
	case REG_MINUTE:
		return encode(rtc, tm.tm_min);
	case REG_HOUR:
		return encode_hour(rtc, tm.tm_hour);
	case REG_WEEKDAY:
		return encode(rtc, tm.tm_wday + 1);
	case REG_DAY:
		return encode(rtc, tm.tm_mday);
	case REG_MONTH:
		return encode(rtc, tm.tm_mon + 1);
	case REG_YEAR:
		return encode(rtc, tm.tm_year);
	default:
		return encode(rtc, (tm.tm_year + 1900) / 100);
	}
}

static void set_field(struct rtc *rtc, unsigned reg, uint8_t byte)
{
	struct tm *tm = &rtc->held;
	int value = decode(rtc, byte), year = tm->tm_year + 1900;

	switch (reg) {
	case REG_SECOND:
		tm->tm_sec = value;
		break;
	case REG_MINUTE:
		tm->tm_min = value;
		break;
	case REG_HOUR:
		tm->tm_hour = decode_hour(rtc, byte);
		break;
	case REG_WEEKDAY: /* follows from the date */
		break;
	case REG_DAY:
		tm->tm_mday = value;
		break;
	case REG_MONTH:
		tm->tm_mon = value - 1;
		break;
	case REG_YEAR:
		tm->tm_year = year / 100 * 100 + value % 100 - 1900;
		break;
	default:
		tm->tm_year = value % 100 * 100 + year % 100 - 1900;
	}
}

static void write_time(struct rtc *rtc, unsigned reg, uint8_t byte)
{
	hold(rtc);
	set_field(rtc, reg, byte);
	if (!is_held_by_guest(rtc))
		release(rtc);
}

/* --- interrupts --- */

static void update_line(struct rtc *rtc)
{
	uint8_t *c = &rtc->cmos[REG_C];

	*c &= C_FLAGS;
	if (*c & rtc->cmos[REG_B])
		*c |= C_IRQ;
	if (!hpet_owns_legacy_lines(rtc->hpet))
		irq_set_line(rtc->irq, IRQ_RTC, *c & C_IRQ);
}

static bool alarm_byte_matches(uint8_t alarm, uint8_t now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

static bool alarm_matches(const struct rtc *rtc)
{
	return alarm_byte_matches(rtc->cmos[REG_SECOND_ALARM], read_time(rtc, REG_SECOND)) &&
	       alarm_byte_matches(rtc->cmos[REG_MINUTE_ALARM], read_time(rtc, REG_MINUTE)) &&
	       alarm_byte_matches(rtc->cmos[REG_HOUR_ALARM], read_time(rtc, REG_HOUR));
}

static void on_second(void *self)
{
	struct rtc *rtc = self;

	pthread_mutex_lock(&rtc->lock);
	if (!rtc->holding) {
		rtc->cmos[REG_C] |= C_UPDATE | (alarm_matches(rtc) ? C_ALARM : 0);
		update_line(rtc);
		arm_second(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
}

/* 0: no periodic interrupt. Rates 1 and 2 are those of 8 and 9. */
static uint64_t period_ns(const struct rtc *rtc)
{
	unsigned rate = A_RATE(rtc->cmos[REG_A]);

	if (!rate)
		return 0;
	return (NS_PER_SECOND << ((rate < 3 ? rate + 7 : rate) - 1)) / BASE_HZ;
}

/* Sets the flag if its time has come since the last look. */
static void update_periodic(struct rtc *rtc)
{
	uint64_t now_ns = clock_now_ns(rtc->clock), period = period_ns(rtc);

	if (!period || now_ns < rtc->periodic_next_ns)
		return;
	rtc->cmos[REG_C] |= C_PERIODIC;
	rtc->periodic_next_ns += (now_ns - rtc->periodic_next_ns) / period * period + period;
}

static void arm_periodic(struct rtc *rtc)
{
	if (period_ns(rtc) && (rtc->cmos[REG_B] & B_PERIODIC))
		timer_set(&rtc->periodic, rtc->periodic_next_ns);
	else
		timer_cancel(&rtc->periodic);
}

static void on_periodic(void *self)
{
	struct rtc *rtc = self;

	pthread_mutex_lock(&rtc->lock);
	update_periodic(rtc);
	update_line(rtc);
	arm_periodic(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

/* --- registers --- */

static uint8_t read_a(const struct rtc *rtc)
{
	bool updating = !rtc->holding && fraction_ns(rtc) >= NS_PER_SECOND - UIP_NS;

	return rtc->cmos[REG_A] | (updating ? A_UIP : 0);
}

static uint8_t read_c(struct rtc *rtc)
{
	uint8_t value;

	update_periodic(rtc);
	update_line(rtc);
	value = rtc->cmos[REG_C];
	rtc->cmos[REG_C] = 0;
	update_line(rtc);
	return value;
}

/* After a write to A or B: the clock stops or goes on. */
static void apply_hold(struct rtc *rtc)
{
	if (is_held_by_guest(rtc))
		hold(rtc);
	else
		release(rtc);
}

static void write_a(struct rtc *rtc, uint8_t value)
{
	uint64_t period = period_ns(rtc);

	value &= ~A_UIP;
	/* Out of reset, the first update comes after half a second. */
	if (A_DIVIDER(value) >= DIVIDER_RESET) {
		hold(rtc);
		rtc->held_fraction_ns = NS_PER_SECOND / 2;
	}
	rtc->cmos[REG_A] = value;
	apply_hold(rtc);
	if (period_ns(rtc) != period)
		rtc->periodic_next_ns = clock_now_ns(rtc->clock) + period_ns(rtc);
	arm_periodic(rtc);
}

static void write_b(struct rtc *rtc, uint8_t value)
{
	if (value & B_SET)
		value &= ~B_UPDATE;
	update_periodic(rtc);
	rtc->cmos[REG_B] = value;
	apply_hold(rtc);
	arm_periodic(rtc);
	update_line(rtc);
}

static bool is_time(unsigned index)
{
	return index == REG_CENTURY || index == REG_SECOND || index == REG_MINUTE ||
	       index == REG_HOUR || (index >= REG_WEEKDAY && index <= REG_YEAR);
}

static uint8_t read_indexed(struct rtc *rtc, unsigned index)
{
	if (is_time(index))
		return read_time(rtc, index);
	if (index == REG_A)
		return read_a(rtc);
	if (index == REG_C)
		return read_c(rtc);
	if (index == REG_D)
		return D_VALID;
	return rtc->cmos[index];
}

static void write_indexed(struct rtc *rtc, unsigned index, uint8_t value)
{
	if (is_time(index))
		write_time(rtc, index, value);
	else if (index == REG_A)
		write_a(rtc, value);
	else if (index == REG_B)
		write_b(rtc, value);
	else if (index != REG_C && index != REG_D)
		rtc->cmos[index] = value;
}

static uint8_t read_byte(void *self, unsigned offset)
{
	struct rtc *rtc = self;

	return offset & 1 ? read_indexed(rtc, rtc->index) : 0xff;
}

static void write_byte(void *self, unsigned offset, uint8_t value)
{
	struct rtc *rtc = self;

	if (offset & 1)
		write_indexed(rtc, rtc->index, value);
	else
		rtc->index = value & INDEX_MASK;
}

void rtc_access(void *self, struct dev_access *access)
{
	struct rtc *rtc = self;

	pthread_mutex_lock(&rtc->lock);
	dev_access_bytes(access, self, read_byte, write_byte);
	pthread_mutex_unlock(&rtc->lock);
}

/* --- life --- */

/* CMOS memory and the time have a battery; only the control registers are reset. */
static void reset(void *self)
{
	struct rtc *rtc = self;

	pthread_mutex_lock(&rtc->lock);
	rtc->index = 0;
	rtc->cmos[REG_A] = A_RESET;
	rtc->cmos[REG_B] = B_RESET;
	rtc->cmos[REG_C] = 0;
	release(rtc);
	arm_periodic(rtc);
	update_line(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void destroy(void *self)
{
	struct rtc *rtc = self;

	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

const struct dev_ops rtc_ops = { .name = "rtc", .reset = reset, .destroy = destroy };

static void set_memory_size(struct rtc *rtc, uint64_t low_bytes, uint64_t high_bytes)
{
	uint64_t extended = low_bytes > MIB ? (low_bytes - MIB) / KIB : 0;
	uint64_t above_16m = low_bytes > 16 * MIB ? (low_bytes - 16 * MIB) / (64 * KIB) : 0;

	store_le(&rtc->cmos[CMOS_BASE_MEMORY], 640, 2);
	store_le(&rtc->cmos[CMOS_EXTENDED], MIN(extended, 0xffff), 2);
	store_le(&rtc->cmos[CMOS_EXTENDED_AGAIN], MIN(extended, 0xffff), 2);
	store_le(&rtc->cmos[CMOS_ABOVE_16M], MIN(above_16m, 0xffff), 2);
	store_le(&rtc->cmos[CMOS_ABOVE_4G], MIN(high_bytes / (64 * KIB), 0xffffff), 3);
}

int rtc_create(struct rtc **out, struct clock *clock, struct irq *irq, const struct hpet *hpet,
	       uint64_t low_bytes, uint64_t high_bytes)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return -ENOMEM;
	rtc->clock = clock;
	rtc->irq = irq;
	rtc->hpet = hpet;
	pthread_mutex_init(&rtc->lock, NULL);
	timer_init(&rtc->second, clock, on_second, rtc);
	timer_init(&rtc->periodic, clock, on_periodic, rtc);
	set_memory_size(rtc, low_bytes, high_bytes);
	reset(rtc);
	arm_second(rtc);
	*out = rtc;
	return 0;
}
