/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters of cpu/pmu.h: what each counts, how they are brought up to date, their overflows.
 *
 * The processor that is modelled retires one instruction a cycle at most: a counter mask above one
 * is never reached. What asks for more than a plain count (edges, inverted masks) counts nothing.
 *
 * SDM3: "Architectural Performance Monitoring Version 1", "… Version 2", "Performance Monitoring
 * Interrupt (PMI)"
 */
#include "cpu/pmu.h"

#include "cpu/insn.h"
#include "cpu/msr.h"

#define COUNTER_MASK (BIT(PMU_WIDTH_BITS) - 1)

/* IA32_PERFEVTSELx */
#define SELECT_EVENT      0xffffull /* with its unit mask */
#define SELECT_USR        BIT(16)
#define SELECT_OS         BIT(17)
#define SELECT_EDGE       BIT(18)
#define SELECT_INT        BIT(20)
#define SELECT_ENABLE     BIT(22)
#define SELECT_INVERT     BIT(23)
#define SELECT_MASK_SHIFT 24

/* IA32_FIXED_CTR_CTRL: four bits each */
#define FIXED_BITS 4
#define FIXED_OS   BIT(0)
#define FIXED_USR  BIT(1)
#define FIXED_PMI  BIT(3)

/* RDPMC's ECX */
#define RDPMC_FIXED BIT(30)

#define MSR_PERF_GLOBAL_STATUS 0x38e

static const struct {
	uint16_t select;
	uint8_t event;
} events[] = {
	{ 0x003c, PMU_CYCLES },       /* UnHalted Core Cycles */
	{ 0x013c, PMU_CYCLES },       /* UnHalted Reference Cycles */
	{ 0x00c0, PMU_INSTRUCTIONS }, /* Instructions Retired */
};

static const uint8_t fixed_events[PMU_FIXED] = { PMU_INSTRUCTIONS, PMU_CYCLES, PMU_CYCLES };

static struct clock *clock_of(struct cpu *cpu)
{
	return cpu->soft->config.clock;
}

/* ---- what counts ---- */

static uint64_t global_bit(unsigned n)
{
	return n < PMU_GENERAL ? BIT(n) : BIT(n - PMU_GENERAL + PMU_FIXED_SHIFT);
}

static uint64_t fixed_bits(const struct pmu *pmu, unsigned n)
{
	return pmu->fixed_ctrl >> (n - PMU_GENERAL) * FIXED_BITS;
}

static uint8_t general_event(uint64_t select, bool is_user)
{
	uint64_t needs = SELECT_ENABLE | (is_user ? SELECT_USR : SELECT_OS);

	if ((select & needs) != needs || (select & (SELECT_EDGE | SELECT_INVERT)) ||
	    select >> SELECT_MASK_SHIFT > 1)
		return PMU_NOTHING;
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		if ((select & SELECT_EVENT) == events[i].select)
			return events[i].event;
	return PMU_NOTHING;
}

static uint8_t event_of(const struct pmu *pmu, unsigned n, bool is_user)
{
	if (!(pmu->global_ctrl & global_bit(n)))
		return PMU_NOTHING;
	if (n < PMU_GENERAL)
		return general_event(pmu->select[n], is_user);
	if (fixed_bits(pmu, n) & (is_user ? FIXED_USR : FIXED_OS))
		return fixed_events[n - PMU_GENERAL];
	return PMU_NOTHING;
}

static bool interrupts(const struct pmu *pmu, unsigned n)
{
	return n < PMU_GENERAL ? pmu->select[n] & SELECT_INT : fixed_bits(pmu, n) & FIXED_PMI;
}

/* ---- overflow ---- */

static void timer_fired(void *self)
{
	cpu_attention_set(self, ATTENTION_COUNTER);
}

static bool counts_in_any_mode(const struct pmu *pmu, unsigned n, enum pmu_event event)
{
	return pmu->counts[false][n] == event || pmu->counts[true][n] == event;
}

/* How many of `event` may happen until a counter of them overflows. */
static uint64_t least_room(const struct pmu *pmu, enum pmu_event event)
{
	uint64_t room = PMU_UNARMED;

	for (unsigned n = 0; n < PMU_COUNTERS; n++)
		if (counts_in_any_mode(pmu, n, event))
			room = MIN(room, COUNTER_MASK + 1 - pmu->counter[n]);
	return room;
}

/* A timer that is early does no harm: it is set again then. */
static void expect_overflow(struct cpu *cpu)
{
	struct pmu *pmu = &cpu->pmu;
	uint64_t cycles = least_room(pmu, PMU_CYCLES), deadline;

	pmu->room = least_room(pmu, PMU_INSTRUCTIONS);
	if (cycles == PMU_UNARMED)
		return;
	deadline = clock_tsc(clock_of(cpu)) + cycles;
	if (deadline >= pmu->armed)
		return;
	pmu->armed = deadline;
	timer_set(&pmu->timer, clock_tsc_to_ns(clock_of(cpu), deadline));
}

static void add(struct cpu *cpu, unsigned n, uint64_t amount)
{
	struct pmu *pmu = &cpu->pmu;
	uint64_t sum = pmu->counter[n] + amount;

	pmu->counter[n] = sum & COUNTER_MASK;
	if (likely(!(sum >> PMU_WIDTH_BITS)))
		return;
	pmu->global_status |= global_bit(n);
	if (interrupts(pmu, n))
		irq_counter_overflow(cpu->soft->config.irq, cpu->index);
}

/* ---- counting ---- */

/* Cycles so far; only differences mean something. */
static uint64_t cycles_now(struct cpu *cpu)
{
	return clock_tsc(clock_of(cpu)) - cpu->pmu.asleep;
}

static uint64_t take_retired(struct cpu *cpu)
{
	struct pmu *pmu = &cpu->pmu;
	uint64_t retired = pmu->retired;

	pmu->retired = 0;
	if (pmu->from && cpu->insn) {
		retired += (uint64_t)(cpu->insn - pmu->from);
		pmu->from = cpu->insn;
	}
	return retired;
}

void pmu_sync(struct cpu *cpu)
{
	struct pmu *pmu = &cpu->pmu;
	const uint8_t *counts = pmu->counts[pmu->is_user];
	uint64_t amount[] = { [PMU_NOTHING] = 0, [PMU_CYCLES] = 0, [PMU_INSTRUCTIONS] = 0 };
	uint64_t now;

	if (!pmu->is_counting)
		return;
	now = cycles_now(cpu);
	amount[PMU_CYCLES] = now - pmu->synced;
	amount[PMU_INSTRUCTIONS] = take_retired(cpu);
	pmu->synced = now;
	for (unsigned n = 0; n < PMU_COUNTERS; n++)
		add(cpu, n, amount[counts[n]]);
	pmu->room = least_room(pmu, PMU_INSTRUCTIONS);
}

static void start_exact(struct cpu *cpu)
{
	cpu->pmu.is_exact = true;
	cpu->pmu.is_user = cpu->cpl != 0;
	cpu_attention_set(cpu, ATTENTION_COUNTING);
}

static void stop_exact(struct cpu *cpu)
{
	cpu->pmu.is_exact = false;
	cpu->pmu.from = NULL;
	cpu->pmu.retired = 0;
	cpu_attention_clear(cpu, ATTENTION_COUNTING);
}

/* What is counted may be another: after pmu_sync. */
static void settle(struct cpu *cpu)
{
	struct pmu *pmu = &cpu->pmu;
	bool is_exact = false;

	if (!pmu->is_counting)
		pmu->synced = cycles_now(cpu);
	pmu->is_counting = false;
	for (unsigned n = 0; n < PMU_COUNTERS; n++) {
		uint8_t os = event_of(pmu, n, false), user = event_of(pmu, n, true);

		pmu->counts[false][n] = os;
		pmu->counts[true][n] = user;
		pmu->is_counting |= os || user;
		is_exact |= os != user || os == PMU_INSTRUCTIONS;
	}
	if (is_exact && !pmu->is_exact)
		start_exact(cpu);
	else if (!is_exact && pmu->is_exact)
		stop_exact(cpu);
	expect_overflow(cpu);
}

/* The same by an instruction, which will have retired under the new rules. */
static void settle_by_insn(struct cpu *cpu)
{
	bool was_exact = cpu->pmu.is_exact;

	settle(cpu);
	if (cpu->pmu.is_exact && !was_exact)
		cpu->pmu.retired = 1;
}

void pmu_set_global_ctrl(struct cpu *cpu, uint64_t value)
{
	if (cpu->pmu.global_ctrl == value)
		return;
	pmu_sync(cpu);
	cpu->pmu.global_ctrl = value;
	settle(cpu);
}

void pmu_attend(struct cpu *cpu)
{
	cpu_attention_clear(cpu, ATTENTION_COUNTER);
	cpu->pmu.armed = PMU_UNARMED;
	pmu_sync(cpu);
	expect_overflow(cpu);
}

void pmu_fall_asleep(struct cpu *cpu)
{
	cpu->pmu.asleep_since = clock_tsc(clock_of(cpu));
}

void pmu_wake_up(struct cpu *cpu)
{
	cpu->pmu.asleep += clock_tsc(clock_of(cpu)) - cpu->pmu.asleep_since;
}

void pmu_begin_block(struct cpu *cpu, const struct insn *first)
{
	struct pmu *pmu = &cpu->pmu;
	bool is_user = cpu->cpl != 0;

	if (is_user != pmu->is_user) {
		pmu_sync(cpu);
		pmu->is_user = is_user;
	}
	pmu->from = first;
}

static void retire(struct cpu *cpu, uint64_t count)
{
	cpu->pmu.retired += count;
	if (cpu->pmu.retired >= cpu->pmu.room)
		pmu_sync(cpu);
}

void pmu_end_block(struct cpu *cpu, const struct insn *end)
{
	const struct insn *from = cpu->pmu.from;

	cpu->pmu.from = NULL;
	if (from)
		retire(cpu, (uint64_t)(end - from));
}

void pmu_break_block(struct cpu *cpu, bool retires)
{
	const struct insn *from = cpu->pmu.from;

	cpu->pmu.from = NULL;
	if (from && cpu->insn)
		retire(cpu, (uint64_t)(cpu->insn - from) + retires);
}

/* ---- registers ---- */

bool pmu_read(struct cpu *cpu, uint32_t ecx, uint64_t *value)
{
	bool is_fixed = ecx & RDPMC_FIXED;
	uint32_t n = ecx & ~(uint32_t)RDPMC_FIXED;

	if (n >= (is_fixed ? PMU_FIXED : PMU_GENERAL))
		return false;
	pmu_sync(cpu);
	*value = cpu->pmu.counter[is_fixed ? n + PMU_GENERAL : n];
	return true;
}

bool pmu_read_general(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	return pmu_read(cpu, msr - row->first, value);
}

bool pmu_read_fixed(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	return pmu_read(cpu, (uint32_t)RDPMC_FIXED | (msr - row->first), value);
}

static bool write_counter(struct cpu *cpu, unsigned n, uint64_t value)
{
	pmu_sync(cpu);
	cpu->pmu.counter[n] = value & COUNTER_MASK;
	settle_by_insn(cpu);
	return true;
}

/* Without full-width writes: 32 bits, the sign goes up. */
bool pmu_write_general(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	return write_counter(cpu, msr - row->first, (uint64_t)(int64_t)(int32_t)value);
}

bool pmu_write_fixed(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	return write_counter(cpu, PMU_GENERAL + (msr - row->first), value);
}

bool pmu_read_control(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_PERF_GLOBAL_STATUS)
		pmu_sync(cpu);
	*value = ((const uint64_t *)((const uint8_t *)&cpu->pmu + row->offset))[msr - row->first];
	return true;
}

bool pmu_write_control(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	pmu_sync(cpu);
	((uint64_t *)((uint8_t *)&cpu->pmu + row->offset))[msr - row->first] = value;
	settle_by_insn(cpu);
	return true;
}

bool pmu_write_overflow(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	(void)row;
	(void)msr;
	pmu_sync(cpu);
	cpu->pmu.global_status &= ~value;
	return true;
}

void pmu_init(struct cpu *cpu)
{
	timer_init(&cpu->pmu.timer, clock_of(cpu), timer_fired, cpu);
	cpu->pmu.armed = PMU_UNARMED;
}

void pmu_reset(struct cpu *cpu)
{
	struct pmu *pmu = &cpu->pmu;

	memset(pmu->counter, 0, sizeof(pmu->counter));
	memset(pmu->select, 0, sizeof(pmu->select));
	pmu->fixed_ctrl = pmu->global_status = 0;
	pmu->global_ctrl = PMU_GLOBAL_RESET;
	settle(cpu);
}
