/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvmclock as a guest computes it from the structure in its memory, against the VM's own clock.
 */
#include "tests/unit/vcpu.h"

#include <time.h>

#include "cpu/msr.h"

#define MSR_WALL_CLOCK  0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define INFO            0x5000

struct time_info {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
};

static uint64_t guest_time(struct vcpu *v, uint64_t tsc)
{
	struct time_info info;
	uint64_t delta;

	assert_int_equal(memory_read(v->config.memory, INFO, &info, sizeof(info)), 0);
	assert_int_equal(info.version & 1, 0);
	assert_int_equal(info.flags, 1);
	delta = tsc - info.tsc_timestamp;
	delta = info.shift < 0 ? delta >> -info.shift : delta << info.shift;
	return info.system_time + (uint64_t)(((unsigned __int128)delta * info.mul) >> 32);
}

static void assert_near(uint64_t a, uint64_t b, uint64_t most)
{
	assert_true((a > b ? a - b : b - a) <= most);
}

static void system_time_is_the_clocks(void **state)
{
	struct vcpu v;
	uint64_t hour;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_true(msr_write(v.cpu, MSR_SYSTEM_TIME, INFO | 1));
	assert_near(guest_time(&v, msr_tsc(v.cpu)), clock_now_ns(v.config.clock), 10000000);
	hour = clock_tsc_khz(v.config.clock) * 1000 * 3600;
	assert_near(guest_time(&v, hour), clock_tsc_to_ns(v.config.clock, hour), 10000);
	vcpu_teardown(&v);
}

static void a_moved_tsc_shows_the_same_time(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_AMD);
	assert_true(msr_write(v.cpu, MSR_SYSTEM_TIME, INFO | 1));
	assert_true(msr_write(v.cpu, 0x10, 1ull << 52));
	assert_near(guest_time(&v, msr_tsc(v.cpu)), clock_now_ns(v.config.clock), 10000000);
	assert_true(msr_write(v.cpu, 0x10, 0));
	assert_near(guest_time(&v, msr_tsc(v.cpu)), clock_now_ns(v.config.clock), 10000000);
	vcpu_teardown(&v);
}

static void wall_clock_and_uptime_make_the_hosts_time(void **state)
{
	uint32_t wall[3];
	struct vcpu v;
	uint64_t now;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_true(msr_write(v.cpu, MSR_WALL_CLOCK, INFO));
	assert_int_equal(memory_read(v.config.memory, INFO, wall, sizeof(wall)), 0);
	assert_int_equal(wall[0] & 1, 0);
	now = wall[1] * NS_PER_SECOND + wall[2] + clock_now_ns(v.config.clock);
	assert_near(now / NS_PER_SECOND, (uint64_t)time(NULL), 1);
	vcpu_teardown(&v);
}

/* Nothing is written there, and the write of the MSR still succeeds. */
static void addresses_outside_memory_are_harmless(void **state)
{
	static const uint64_t bad[] = { VCPU_MEMORY_BYTES - 8, 0xfee00000, ~0ull << 1, 1ull << 63 };
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(msr_write(v.cpu, MSR_SYSTEM_TIME, bad[i] | 1));
		assert_true(msr_write(v.cpu, MSR_WALL_CLOCK, bad[i]));
	}
	vcpu_teardown(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_time_is_the_clocks),
		cmocka_unit_test(a_moved_tsc_shows_the_same_time),
		cmocka_unit_test(wall_clock_and_uptime_make_the_hosts_time),
		cmocka_unit_test(addresses_outside_memory_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
