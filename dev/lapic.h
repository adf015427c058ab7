/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of one vCPU: registers, priorities, local vector table and timer, in xAPIC and
 * x2APIC mode. What reaches which APIC is vm/irq.c's business.
 *
 * Threads: the registers belong to the vCPU's thread. IRR, TMR and the error flags are set from any
 * thread, and what routing and polling read (mode, LDR, DFR, PPR, LINT0) is read from any thread:
 * these are atomic. The timer's state has a lock, for the clock's thread.
 *
 * SDM3: "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef DEV_LAPIC_H
#define DEV_LAPIC_H

#include "dev/apic.h"
#include "dev/dev.h"
#include "vm/clock.h"

#define LAPIC_DEFAULT_BASE 0xfee00000ull

#define LAPIC_BASE_BSP    BIT(8) /* IA32_APIC_BASE */
#define LAPIC_BASE_X2APIC BIT(10)
#define LAPIC_BASE_ENABLE BIT(11)

struct lapic;

/* Tells that lapic_pending became true by the timer. No lock held; the clock's thread or the
 * vCPU's.
 */
typedef void lapic_notify_fn(void *self, unsigned id);

/* id is both the vCPU's index and its APIC ID, 0 to 254; 0 is the bootstrap processor. */
int lapic_create(struct lapic **out, struct clock *clock, unsigned id, lapic_notify_fn *notify,
		 void *self);
void lapic_destroy(struct lapic *lapic); /* accepts NULL */
void lapic_reset(struct lapic *lapic);   /* power-on: enabled in xAPIC mode */
void lapic_init(struct lapic *lapic);    /* INIT: as reset, but IA32_APIC_BASE stays */

/* What a register write asks of the rest of the machine. */
struct lapic_effects {
	bool ipi; /* icr_* below are an IPI to send */
	uint8_t icr_shorthand;
	struct apic_message icr;
	bool broadcast_eoi; /* to the IOAPIC, of eoi_vector */
	uint8_t eoi_vector;
};

enum { LAPIC_TO_DESTINATION, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS }; /* icr_shorthand */

/* The vCPU's side. */
void lapic_mmio(struct lapic *lapic, struct dev_access *access, struct lapic_effects *out);
bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *value);
bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, struct lapic_effects *out);
uint64_t lapic_base(struct lapic *lapic);
bool lapic_set_base(struct lapic *lapic, uint64_t value);
uint8_t lapic_tpr(struct lapic *lapic);
void lapic_set_tpr(struct lapic *lapic, uint8_t tpr);
void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset);
/* A performance counter has overflowed, which masks its LVT entry. false: nothing comes of it. */
bool lapic_counter_overflow(struct lapic *lapic, struct apic_message *out);
int lapic_accept(struct lapic *lapic); /* moves the best request from IRR to ISR; -1: none */

/* Any thread. */
bool lapic_pending(struct lapic *lapic);   /* a request above the processor's priority */
bool lapic_takes_pic(struct lapic *lapic); /* LINT0 lets the PIC's interrupts through */
bool lapic_matches(struct lapic *lapic, const struct apic_message *message);
bool lapic_is_enabled(struct lapic *lapic);  /* by IA32_APIC_BASE and by software */
uint8_t lapic_priority(struct lapic *lapic); /* PPR, for lowest-priority arbitration */
/*
 * A fixed interrupt arrives. True where lapic_pending became true by it. One with an illegal vector
 * sets an error bit; a disabled APIC drops it.
 */
bool lapic_deliver(struct lapic *lapic, uint8_t vector, bool level);

#endif
