/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RTC: the host's time in each encoding, setting it, its three interrupts, CMOS memory.
 */
#include "tests/unit/chip.h"

#include "dev/rtc.h"

#define GSI     8
#define REG_A   0x0a
#define REG_B   0x0b
#define REG_C   0x0c
#define REG_D   0x0d
#define CENTURY 0x32
#define SET     0x80
#define PIE     0x40
#define AIE     0x20
#define UIE     0x10
#define BINARY  0x04
#define H24     0x02

struct fixture {
	struct chip_machine m;
	struct hpet *hpet;
	struct rtc *rtc;
};

static uint8_t in(struct fixture *f, unsigned index)
{
	chip_write(rtc_access, f->rtc, 0, 1, index);
	return (uint8_t)chip_read(rtc_access, f->rtc, 1, 1);
}

static void out(struct fixture *f, unsigned index, uint8_t value)
{
	chip_write(rtc_access, f->rtc, 0, 1, index);
	chip_write(rtc_access, f->rtc, 1, 1, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(GSI));
	assert_int_equal(hpet_create(&f->hpet, f->m.clock, f->m.irq), 0);
	assert_int_equal(rtc_create(&f->rtc, f->m.clock, f->m.irq, f->hpet, 3 * GIB, 5 * GIB), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chip_machine_stop(&f->m);
	rtc_ops.destroy(f->rtc);
	hpet_ops.destroy(f->hpet);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

/* The chip's time in seconds since 1970; binary mode. */
static int64_t read_clock(struct fixture *f)
{
	struct tm tm;
	uint8_t again;

	do {
		tm = (struct tm){ .tm_sec = in(f, 0),
				  .tm_min = in(f, 2),
				  .tm_hour = in(f, 4),
				  .tm_mday = in(f, 7),
				  .tm_mon = in(f, 8) - 1,
				  .tm_year = in(f, 9) + in(f, CENTURY) * 100 - 1900 };
		again = in(f, 0);
	} while (again != tm.tm_sec);
	return timegm(&tm);
}

static void set_clock(struct fixture *f, int year, int month, int day, int hour, int minute,
		      int second)
{
	out(f, REG_B, SET | BINARY | H24);
	out(f, 0, (uint8_t)second);
	out(f, 2, (uint8_t)minute);
	out(f, 4, (uint8_t)hour);
	out(f, 7, (uint8_t)day);
	out(f, 8, (uint8_t)month);
	out(f, 9, (uint8_t)(year % 100));
	out(f, CENTURY, (uint8_t)(year / 100));
	out(f, REG_B, BINARY | H24);
}

static void it_shows_the_hosts_time(void **state)
{
	struct fixture *f = *state;
	int64_t now;

	out(f, REG_B, BINARY | H24);
	now = read_clock(f);
	assert_in_range(now, time(NULL) - 2, time(NULL));
	assert_int_equal(in(f, 6), (now / 86400 + 4) % 7 + 1);
	assert_int_equal(in(f, REG_D), 0x80);
}

static void encodings(void **state)
{
	struct fixture *f = *state;

	set_clock(f, 2026, 12, 31, 23, 58, 30);
	assert_int_equal(in(f, 4), 23);
	out(f, REG_B, H24);
	assert_int_equal(in(f, 4), 0x23);
	assert_int_equal(in(f, 2), 0x58);
	assert_int_equal(in(f, 9), 0x26);
	assert_int_equal(in(f, CENTURY), 0x20);
	out(f, REG_B, BINARY);
	assert_int_equal(in(f, 4), 0x80 | 11);
	out(f, REG_B, 0);
	assert_int_equal(in(f, 4), 0x91);
	out(f, 4, 0x12); /* twelve in the morning is midnight */
	out(f, REG_B, H24);
	assert_int_equal(in(f, 4), 0x00);
	out(f, REG_B, 0);
	assert_int_equal(in(f, 4), 0x12);
	out(f, 4, 0x92);
	out(f, REG_B, H24);
	assert_int_equal(in(f, 4), 0x12);
}

static void a_set_clock_goes_on_from_there(void **state)
{
	struct fixture *f = *state;
	struct tm tm = { .tm_year = 137,
			 .tm_mon = 1,
			 .tm_mday = 28,
			 .tm_hour = 23,
			 .tm_min = 59,
			 .tm_sec = 59 };
	int64_t target = timegm(&tm), now;

	set_clock(f, 2037, 2, 28, 23, 59, 59);
	now = read_clock(f);
	assert_in_range(now, target, target + 2);
	chip_sleep(&f->m, 1100 * MS);
	now = read_clock(f);
	assert_in_range(now, target + 1, target + 4);
	set_clock(f, 1903, 1, 1, 0, 0, 0); /* far from the host's */
	assert_int_equal(in(f, CENTURY), 19);
	assert_int_equal(in(f, 9), 3);
	rtc_ops.reset(f->rtc); /* the battery keeps it */
	out(f, REG_B, BINARY | H24);
	assert_int_equal(in(f, 9), 3);
}

static void the_divider_reset_holds_the_clock(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	out(f, REG_B, SET | BINARY | H24);
	out(f, REG_A, 0x70);
	out(f, 0, 10);
	out(f, REG_B, BINARY | H24);
	chip_sleep(&f->m, 1200 * MS);
	assert_int_equal(in(f, 0), 10);
	start = clock_now_ns(f->m.clock);
	out(f, REG_A, 0x26);
	while (in(f, 0) == 10 && clock_now_ns(f->m.clock) - start < 3000 * MS)
		usleep(1000);
	/* the first second is half a one */
	assert_in_range(clock_now_ns(f->m.clock) - start, 499 * MS, 990 * MS);
}

static void update_and_alarm_interrupt(void **state)
{
	struct fixture *f = *state;

	set_clock(f, 2030, 5, 5, 12, 30, 30);
	out(f, 1, 32);
	out(f, 3, 0xc0);
	out(f, 5, 0xff);
	in(f, REG_C);
	out(f, REG_B, BINARY | H24 | UIE);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	assert_int_equal(in(f, REG_C) & 0xb0, 0x90);
	assert_int_equal(in(f, REG_C) & 0xb0, 0);
	out(f, REG_B, BINARY | H24 | AIE);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	assert_int_equal(in(f, REG_C) & 0xa0, 0xa0);
	assert_in_range(in(f, 0), 32, 33);
}

static void periodic_interrupts_at_the_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t start = clock_now_ns(f->m.clock);

	out(f, REG_A, 0x28); /* 256 Hz */
	out(f, REG_B, BINARY | H24 | PIE);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
		assert_int_equal(in(f, REG_C) & 0xc0, 0xc0);
	}
	assert_true(clock_now_ns(f->m.clock) - start >= 27 * MS);
	out(f, REG_B, BINARY | H24);
	in(f, REG_C);
	chip_pic_take(&f->m);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(in(f, REG_C) & 0xc0, 0x40); /* the flag shows without an interrupt */
	out(f, REG_A, 0x20);
	in(f, REG_C);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(in(f, REG_C) & 0x40, 0);
}

static void the_hpet_may_take_its_line(void **state)
{
	struct fixture *f = *state;

	chip_write(hpet_access, f->hpet, 0x10, 4, 2);
	out(f, REG_A, 0x26);
	out(f, REG_B, BINARY | H24 | PIE);
	chip_sleep(&f->m, 20 * MS);
	assert_int_equal(chip_pic_take(&f->m), -1);
	assert_int_equal(in(f, REG_C) & 0xc0, 0xc0);
}

static void cmos_tells_the_memory_size(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, 0x15) | in(f, 0x16) << 8, 640);
	assert_int_equal(in(f, 0x17) | in(f, 0x18) << 8, 0xffff);
	assert_int_equal(in(f, 0x30) | in(f, 0x31) << 8, 0xffff);
	assert_int_equal(in(f, 0x34) | in(f, 0x35) << 8, (3 * GIB - 16 * MIB) / 65536);
	assert_int_equal(in(f, 0x5b) | in(f, 0x5c) << 8 | in(f, 0x5d) << 16, 5 * GIB / 65536);
	out(f, 0x40, 0x77);
	rtc_ops.reset(f->rtc);
	assert_int_equal(in(f, 0x40), 0x77);
	assert_int_equal(in(f, 0x80 | 0x40), 0x77); /* bit 7 is the NMI mask */
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();

	for (int i = 0; i < 200000; i++) {
		chip_write(rtc_access, f->rtc, 0, 1, chip_random(&seed) % 16);
		chip_random_access(rtc_access, f->rtc, 2, 2, &seed);
	}
	rtc_ops.reset(f->rtc);
	set_clock(f, 2026, 11, 22, 6, 10, 0);
	assert_int_equal(in(f, 2), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_shows_the_hosts_time),        TEST(encodings),
		TEST(a_set_clock_goes_on_from_there), TEST(the_divider_reset_holds_the_clock),
		TEST(update_and_alarm_interrupt),     TEST(periodic_interrupts_at_the_rate),
		TEST(the_hpet_may_take_its_line),     TEST(cmos_tells_the_memory_size),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
