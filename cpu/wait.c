/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sleeping until something asks for attention: see cpu/wait.h. */
#define _GNU_SOURCE
#include "cpu/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpu/pmu.h"
#include "cpu/world.h"

/* How long MWAIT sleeps between two looks at its line. */
#define MWAIT_FIRST_NS 8000
#define MWAIT_LAST_NS  512000

/* Waits until something in `wake` asks for attention, with a limit until then. Returns whether it
 * does. */
static bool sleep_until(struct cpu *cpu, uint32_t wake, const struct timespec *limit)
{
	uint32_t attention;
	long result = 0;

	pmu_fall_asleep(cpu);
	world_leave(cpu);
	__atomic_store_n(&cpu->is_sleeping, true, __ATOMIC_SEQ_CST);
	for (;;) {
		attention = __atomic_load_n(&cpu->attention, __ATOMIC_SEQ_CST);
		if ((attention & wake) || (result && errno == ETIMEDOUT))
			break;
		result = syscall(SYS_futex, &cpu->attention, FUTEX_WAIT_PRIVATE, attention, limit,
				 NULL, 0);
	}
	__atomic_store_n(&cpu->is_sleeping, false, __ATOMIC_SEQ_CST);
	world_enter(cpu);
	pmu_wake_up(cpu);
	return attention & wake;
}

void cpu_wake(struct cpu *cpu)
{
	if (__atomic_load_n(&cpu->is_sleeping, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &cpu->attention, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool is_line_changed(const struct cpu *cpu)
{
	const struct monitor *monitor = &cpu->monitor;

	return monitor->line && memcmp(monitor->line, monitor->seen, MONITOR_LINE_BYTES);
}

void wait_for_store(struct cpu *cpu)
{
	bool breaks = cpu->monitor.breaks_on_masked || (cpu->rflags & RFLAGS_IF);
	uint32_t deaf = ATTENTION_HALT | ATTENTION_RENDEZVOUS | ATTENTION_COUNTING |
			ATTENTION_COUNTER | (breaks ? 0 : ATTENTION_INTERRUPT);
	struct timespec limit = { .tv_nsec = MWAIT_FIRST_NS };

	while (!is_line_changed(cpu) && limit.tv_nsec <= MWAIT_LAST_NS &&
	       !sleep_until(cpu, ~deaf, &limit))
		limit.tv_nsec *= 2;
	cpu->activity = CPU_ACTIVE;
	cpu->monitor.is_armed = false;
	cpu_attention_clear(cpu, ATTENTION_HALT);
}

void wait_for_attention(struct cpu *cpu, uint32_t wake)
{
	sleep_until(cpu, wake, NULL);
}
