/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills in struct pvclock_vcpu_time_info and struct pvclock_wall_clock, little-endian and packed.
 * Linux: "KVM-specific MSRs".
 *
 * time = system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32)
 */
#include "cpu/kvmclock.h"

#include <time.h>

#include "cpu/soft.h"

#define SYSTEM_TIME_ENABLE BIT(0)
#define TSC_STABLE         BIT(0)

struct time_info {
	uint32_t version; /* odd while it changes */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time_ns;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};

_Static_assert(sizeof(struct time_info) == 32, "the guest's layout");

struct wall_clock {
	uint32_t version;
	uint32_t seconds;
	uint32_t nanoseconds;
};

_Static_assert(sizeof(struct wall_clock) == 12, "the guest's layout");

/* ns per tick = 2^shift * mul / 2^32, with the least shift that keeps mul in 32 bits. */
static void set_rate(struct time_info *info, uint64_t tsc_khz)
{
	uint64_t hz = MAX(tsc_khz, 1) * 1000;
	int8_t shift = 0;

	while ((NS_PER_SECOND >> shift) >= hz)
		shift++;
	info->tsc_shift = shift;
	info->tsc_to_system_mul =
		(uint32_t)(((unsigned __int128)NS_PER_SECOND << (32 - shift)) / hz);
}

/* Written so that a reader on another vCPU sees the version odd, the fields, the version even. */
static void publish(struct cpu *cpu, gpa_t gpa, struct time_info *info)
{
	struct memory *memory = cpu->soft->config.memory;
	uint32_t version;

	if (memory_read(memory, gpa, &version, sizeof(version)) < 0)
		return;
	info->version = (version | 1) + 2;
	if (memory_write(memory, gpa, &info->version, sizeof(info->version)) < 0)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (memory_write(memory, gpa, info, sizeof(*info)) < 0)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	info->version++;
	memory_write(memory, gpa, &info->version, sizeof(info->version));
}

void kvmclock_update(struct cpu *cpu)
{
	const struct clock *clock = cpu->soft->config.clock;
	struct time_info info = { .flags = TSC_STABLE };

	if (!(cpu->msr.kvm_system_time & SYSTEM_TIME_ENABLE))
		return;
	info.tsc_timestamp = cpu->msr.tsc_offset; /* what this vCPU's TSC was at clock_tsc 0 */
	info.system_time_ns = clock_tsc_to_ns(clock, 0);
	set_rate(&info, clock_tsc_khz(clock));
	publish(cpu, cpu->msr.kvm_system_time & ~SYSTEM_TIME_ENABLE, &info);
}

bool kvmclock_write_system_time(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
				uint64_t value)
{
	(void)row;
	(void)msr;
	cpu->msr.kvm_system_time = value;
	kvmclock_update(cpu);
	return true;
}

/* The MSR is the whole VM's. */
static void set_wall_clock(struct soft *soft, uint64_t value)
{
	for (unsigned i = 0; i < soft->config.vcpus; i++)
		if (soft->cpu[i])
			__atomic_store_n(&soft->cpu[i]->msr.kvm_wall_clock, value,
					 __ATOMIC_RELAXED);
}

bool kvmclock_write_wall_clock(struct cpu *cpu, const struct msr_row *row, uint32_t msr,
			       uint64_t value)
{
	uint64_t uptime_ns = clock_now_ns(cpu->soft->config.clock);
	struct wall_clock wall = { 0 };
	struct timespec now;
	uint64_t ns;

	(void)row;
	(void)msr;
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec - uptime_ns;
	wall.version = 2;
	wall.seconds = (uint32_t)(ns / NS_PER_SECOND);
	wall.nanoseconds = (uint32_t)(ns % NS_PER_SECOND);
	set_wall_clock(cpu->soft, value);
	memory_write(cpu->soft->config.memory, value, &wall, sizeof(wall));
	return true;
}
