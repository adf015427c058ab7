/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a local APIC, for its own files: lapic.c has priorities, arrivals and ends of
 * interrupts, lapic_registers.c what the vCPU reads and writes. Registers of the vCPU's own thread
 * are plain; what other threads set or read is atomic.
 */
#ifndef DEV_LAPIC_STATE_H
#define DEV_LAPIC_STATE_H

#include <stdatomic.h>

#include "dev/lapic.h"
#include "dev/lapic_timer.h"
#include "dev/vectors.h"

/* Registers, by offset / 16 in the page, which is also the MSR less 800h. */
enum lapic_register {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10, /* eight registers each */
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_THERMAL = 0x33,
	REG_LVT_COUNTER = 0x34,
	REG_LVT_LINT0 = 0x35,
	REG_LVT_LINT1 = 0x36,
	REG_LVT_ERROR = 0x37,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REGISTERS = 0x40,
};

#define LVTS 6

#define BASE_MODE (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)

#define SVR_ENABLE       BIT(8)
#define SVR_NO_BROADCAST BIT(12)
#define SVR_RESET        0xffu

#define LVT_MASKED BIT(16)

#define ESR_SENT_ILLEGAL     BIT(5)
#define ESR_RECEIVED_ILLEGAL BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)

struct lapic {
	unsigned id;
	lapic_notify_fn *notify;
	void *notify_self;
	atomic_uint_least64_t base;
	atomic_uint tpr, ppr, ldr, dfr, svr;
	atomic_uint lvt[LVTS];
	atomic_uint esr_pending; /* collected since the last write of ESR */
	unsigned esr, divide;
	uint32_t icr, icr_high;
	struct vectors irr, tmr;
	struct vectors isr; /* the vCPU's thread only */
	struct lapic_timer timer;
};

static inline uint64_t lapic_mode(struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->base, memory_order_relaxed) & BASE_MODE;
}

static inline bool lapic_is_x2apic(struct lapic *lapic)
{
	return lapic_mode(lapic) == BASE_MODE;
}

static inline unsigned lapic_lvt(struct lapic *lapic, enum lapic_register reg)
{
	return atomic_load_explicit(&lapic->lvt[reg - REG_LVT_TIMER], memory_order_relaxed);
}

/* The logical destination, which in x2APIC mode follows from the ID. */
uint32_t lapic_ldr(struct lapic *lapic);

/* Collects an error; the first of its kind interrupts. True where that became pending. */
bool lapic_add_error(struct lapic *lapic, unsigned error);

/* An interrupt arrives with a legal vector. True where lapic_pending became true by it. */
bool lapic_request(struct lapic *lapic, uint8_t vector, bool level);

/* EOI: the best interrupt in service ends. */
void lapic_end(struct lapic *lapic, struct lapic_effects *out);

#endif
