/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC. Registers of the vCPU's own thread are plain; what other threads set or read is
 * atomic. The one protocol between threads: who delivers sets IRR, then reads PPR; the vCPU lowers
 * PPR, then reads IRR; so one of the two sees that an interrupt has become deliverable.
 *
 * The APIC ID is read-only, as in current processors.
 */
#include "dev/lapic.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

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
#define VERSION                                                                          \
	(0x14u | (LVTS - 1) << 16 | BIT(24)) /* bit 24: EOI broadcasts can be suppressed \
					      */

#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u

#define BASE_RESERVED 0xfff00000000002ffull
#define BASE_MODE     (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)

#define SVR_ENABLE       BIT(8)
#define SVR_NO_BROADCAST BIT(12)
#define SVR_RESET        0xffu

#define LVT_MASKED    BIT(16)
#define LVT_READ_ONLY 0x5000u /* delivery status, remote IRR */

#define ICR_BUSY    BIT(12)
#define ICR_ASSERT  BIT(14)
#define ICR_LEVEL   BIT(15)
#define ICR_LOGICAL BIT(11)

#define ESR_SENT_ILLEGAL     BIT(5)
#define ESR_RECEIVED_ILLEGAL BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)

#define DFR_FLAT    0xfu /* the model, bits 31:28 */
#define DFR_CLUSTER 0x0u

enum { READ = 1, WRITE = 2, READ_X2 = 4, WRITE_X2 = 8 };
#define ALWAYS_READ (READ | READ_X2)
#define READ_WRITE  (READ | WRITE | READ_X2 | WRITE_X2)

/* Who may do what in which mode, and the bits that may be set: the rest is #GP in x2APIC mode. */
static const struct {
	uint8_t access;
	uint32_t writable;
} registers[REGISTERS] = {
	[REG_ID] = { ALWAYS_READ | WRITE, 0 },
	[REG_VERSION] = { ALWAYS_READ, 0 },
	[REG_TPR] = { READ_WRITE, 0xff },
	[REG_APR] = { READ, 0 },
	[REG_PPR] = { ALWAYS_READ, 0 },
	[REG_EOI] = { READ | WRITE | WRITE_X2, 0 },
	[REG_RRD] = { READ, 0 },
	[REG_LDR] = { ALWAYS_READ | WRITE, 0xff000000 },
	[REG_DFR] = { READ | WRITE, 0xf0000000 },
	[REG_SVR] = { READ_WRITE, 0x13ff },
	[REG_ISR... REG_ISR + 7] = { ALWAYS_READ, 0 },
	[REG_TMR... REG_TMR + 7] = { ALWAYS_READ, 0 },
	[REG_IRR... REG_IRR + 7] = { ALWAYS_READ, 0 },
	[REG_ESR] = { READ_WRITE, 0 },
	[REG_ICR] = { READ_WRITE, 0x000cdfff },
	[REG_ICR_HIGH] = { READ | WRITE, 0xff000000 },
	[REG_LVT_TIMER] = { READ_WRITE, 0x000710ff },
	[REG_LVT_THERMAL] = { READ_WRITE, 0x000117ff },
	[REG_LVT_COUNTER] = { READ_WRITE, 0x000117ff },
	[REG_LVT_LINT0] = { READ_WRITE, 0x0001f7ff },
	[REG_LVT_LINT1] = { READ_WRITE, 0x0001f7ff },
	[REG_LVT_ERROR] = { READ_WRITE, 0x000110ff },
	[REG_INITIAL] = { READ_WRITE, 0xffffffff },
	[REG_CURRENT] = { ALWAYS_READ, 0 },
	[REG_DIVIDE] = { READ_WRITE, 0x0b },
	[REG_SELF_IPI] = { WRITE_X2, 0xff },
};

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

/* --- state --- */

static uint64_t mode(struct lapic *lapic)
{
	return atomic_load_explicit(&lapic->base, memory_order_relaxed) & BASE_MODE;
}

static bool is_x2apic(struct lapic *lapic)
{
	return mode(lapic) == BASE_MODE;
}

bool lapic_is_enabled(struct lapic *lapic)
{
	return mode(lapic) && (atomic_load(&lapic->svr) & SVR_ENABLE);
}

static unsigned lvt(struct lapic *lapic, enum lapic_register reg)
{
	return atomic_load_explicit(&lapic->lvt[reg - REG_LVT_TIMER], memory_order_relaxed);
}

static void update_ppr(struct lapic *lapic)
{
	int in_service = vectors_highest(&lapic->isr);
	unsigned tpr = atomic_load_explicit(&lapic->tpr, memory_order_relaxed);
	unsigned served = in_service < 0 ? 0 : (unsigned)in_service & 0xf0;

	atomic_store(&lapic->ppr, (tpr & 0xf0) >= served ? tpr : served);
}

static bool outranks(struct lapic *lapic, int vector)
{
	return vector >= 0 && (unsigned)vector >> 4 > atomic_load(&lapic->ppr) >> 4;
}

bool lapic_pending(struct lapic *lapic)
{
	return outranks(lapic, vectors_highest(&lapic->irr));
}

uint8_t lapic_priority(struct lapic *lapic)
{
	return (uint8_t)atomic_load(&lapic->ppr);
}

bool lapic_takes_pic(struct lapic *lapic)
{
	unsigned lint0 = lvt(lapic, REG_LVT_LINT0);

	if (!mode(lapic))
		return true;
	return !(lint0 & LVT_MASKED) && bits(lint0, 10, 8) == APIC_EXTINT;
}

/* --- errors and arrivals --- */

static bool accept(struct lapic *lapic, uint8_t vector, bool level)
{
	if (!lapic_is_enabled(lapic))
		return false;
	if (level)
		vectors_add(&lapic->tmr, vector);
	else
		vectors_remove(&lapic->tmr, vector);
	return !vectors_add(&lapic->irr, vector) && outranks(lapic, vector);
}

/* Collects an error; the first of its kind interrupts. True where that became pending. */
static bool add_error(struct lapic *lapic, unsigned error)
{
	unsigned entry = lvt(lapic, REG_LVT_ERROR);

	if (atomic_fetch_or(&lapic->esr_pending, error) & error)
		return false;
	if (entry & LVT_MASKED)
		return false;
	if ((uint8_t)entry < APIC_FIRST_VECTOR) {
		atomic_fetch_or(&lapic->esr_pending, ESR_RECEIVED_ILLEGAL);
		return false;
	}
	return accept(lapic, (uint8_t)entry, false);
}

bool lapic_deliver(struct lapic *lapic, uint8_t vector, bool level)
{
	if (vector < APIC_FIRST_VECTOR)
		return add_error(lapic, ESR_RECEIVED_ILLEGAL);
	return accept(lapic, vector, level);
}

static void timer_fired(void *self)
{
	struct lapic *lapic = self;
	unsigned entry = lvt(lapic, REG_LVT_TIMER);

	if (!(entry & LVT_MASKED) && lapic_deliver(lapic, (uint8_t)entry, false))
		lapic->notify(lapic->notify_self, lapic->id);
}

/* SDM3: "Local Vector Table" has what the entry may deliver. */
bool lapic_counter_overflow(struct lapic *lapic, struct apic_message *out)
{
	unsigned entry = lvt(lapic, REG_LVT_COUNTER);

	*out = (struct apic_message){ .delivery = (enum apic_delivery)bits(entry, 10, 8),
				      .vector = (uint8_t)entry };
	if (entry & LVT_MASKED)
		return false;
	atomic_fetch_or(&lapic->lvt[REG_LVT_COUNTER - REG_LVT_TIMER], LVT_MASKED);
	return out->delivery == APIC_FIXED || out->delivery == APIC_NMI;
}

/* --- destinations --- */

static uint32_t ldr(struct lapic *lapic)
{
	if (is_x2apic(lapic))
		return (lapic->id >> 4) << 16 | (uint32_t)BIT(lapic->id & 15);
	return atomic_load_explicit(&lapic->ldr, memory_order_relaxed);
}

static bool matches_logical(struct lapic *lapic, uint32_t destination)
{
	uint32_t own = ldr(lapic);
	unsigned model = atomic_load_explicit(&lapic->dfr, memory_order_relaxed) >> 28;

	if (is_x2apic(lapic))
		return destination >> 16 == own >> 16 && (destination & own & 0xffff);
	own >>= 24;
	if (model == DFR_FLAT)
		return destination & own;
	return model == DFR_CLUSTER && destination >> 4 == own >> 4 && (destination & own & 0xf);
}

bool lapic_matches(struct lapic *lapic, const struct apic_message *message)
{
	uint32_t destination = message->destination;

	if (!mode(lapic))
		return false;
	if (destination == (message->wide ? APIC_BROADCAST_WIDE : APIC_BROADCAST))
		return true;
	return message->logical ? matches_logical(lapic, destination) : destination == lapic->id;
}

/* --- the vCPU: acceptance, end, priority --- */

int lapic_accept(struct lapic *lapic)
{
	int vector = vectors_highest(&lapic->irr);

	if (!outranks(lapic, vector))
		return -1;
	vectors_remove(&lapic->irr, (uint8_t)vector);
	vectors_add(&lapic->isr, (uint8_t)vector);
	update_ppr(lapic);
	return vector;
}

static void end_of_interrupt(struct lapic *lapic, struct lapic_effects *out)
{
	int vector = vectors_highest(&lapic->isr);

	if (vector < 0)
		return;
	vectors_remove(&lapic->isr, (uint8_t)vector);
	update_ppr(lapic);
	if (atomic_load(&lapic->svr) & SVR_NO_BROADCAST)
		return;
	out->eoi_vector = (uint8_t)vector;
	out->broadcast_eoi =
		vectors_register(&lapic->tmr, (unsigned)vector / 32) & BIT((unsigned)vector % 32);
}

uint8_t lapic_tpr(struct lapic *lapic)
{
	return (uint8_t)atomic_load_explicit(&lapic->tpr, memory_order_relaxed);
}

void lapic_set_tpr(struct lapic *lapic, uint8_t tpr)
{
	atomic_store_explicit(&lapic->tpr, tpr, memory_order_relaxed);
	update_ppr(lapic);
}

/* --- registers --- */

static void send_ipi(struct lapic *lapic, uint64_t icr, struct lapic_effects *out)
{
	bool wide = is_x2apic(lapic);

	out->icr = (struct apic_message){
		.destination = (uint32_t)(icr >> (wide ? 32 : 56)),
		.delivery = (enum apic_delivery)bits(icr, 10, 8),
		.vector = (uint8_t)icr,
		.logical = icr & ICR_LOGICAL,
		.wide = wide,
	};
	out->icr_shorthand = (uint8_t)bits(icr, 19, 18);
	/* "INIT level de-assert" is for processors older than these. */
	out->ipi = out->icr.delivery != APIC_INIT || !(icr & ICR_LEVEL) || (icr & ICR_ASSERT);
	if (out->icr.delivery <= APIC_LOWEST_PRIORITY && out->icr.vector < APIC_FIRST_VECTOR) {
		add_error(lapic, ESR_SENT_ILLEGAL);
		out->ipi = false;
	}
}

static void send_self_ipi(struct lapic *lapic, uint8_t vector)
{
	if (vector < APIC_FIRST_VECTOR)
		add_error(lapic, ESR_SENT_ILLEGAL);
	else
		accept(lapic, vector, false);
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
	atomic_store(&lapic->svr, value);
	if (value & SVR_ENABLE)
		return;
	for (int i = 0; i < LVTS; i++)
		atomic_fetch_or(&lapic->lvt[i], LVT_MASKED);
}

static void write_lvt(struct lapic *lapic, enum lapic_register reg, uint32_t value)
{
	static const enum lapic_timer_mode modes[4] = { LAPIC_ONE_SHOT, LAPIC_PERIODIC,
							LAPIC_TSC_DEADLINE, LAPIC_ONE_SHOT };

	value &= ~LVT_READ_ONLY;
	if (!(atomic_load(&lapic->svr) & SVR_ENABLE))
		value |= LVT_MASKED;
	atomic_store(&lapic->lvt[reg - REG_LVT_TIMER], value);
	if (reg == REG_LVT_TIMER)
		lapic_timer_set_mode(&lapic->timer, modes[bits(value, 18, 17)]);
}

static void write_divide(struct lapic *lapic, uint32_t value)
{
	/* 0, 1, 2, 3, 8, 9, ah divide by 2, 4 … 128; bh by 1. */
	unsigned code = (value & 3) | (value & 8) >> 1;

	lapic->divide = value;
	lapic_timer_set_divide(&lapic->timer, (code + 1) & 7);
}

static uint32_t read_register(struct lapic *lapic, unsigned reg)
{
	switch (reg) {
	case REG_ID:
		return is_x2apic(lapic) ? lapic->id : lapic->id << 24;
	case REG_VERSION:
		return (uint32_t)VERSION;
	case REG_TPR:
		return lapic_tpr(lapic);
	case REG_APR:
	case REG_PPR:
		return lapic_priority(lapic);
	case REG_LDR:
		return ldr(lapic);
	case REG_DFR:
		return atomic_load(&lapic->dfr);
	case REG_SVR:
		return atomic_load(&lapic->svr);
	case REG_ISR ... REG_ISR + 7:
		return vectors_register(&lapic->isr, reg - REG_ISR);
	case REG_TMR ... REG_TMR + 7:
		return vectors_register(&lapic->tmr, reg - REG_TMR);
	case REG_IRR ... REG_IRR + 7:
		return vectors_register(&lapic->irr, reg - REG_IRR);
	case REG_ESR:
		return lapic->esr;
	case REG_ICR:
		return lapic->icr;
	case REG_ICR_HIGH:
		return lapic->icr_high;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		return lvt(lapic, reg);
	case REG_INITIAL:
		return lapic_timer_initial(&lapic->timer);
	case REG_CURRENT:
		return lapic_timer_current(&lapic->timer);
	case REG_DIVIDE:
		return lapic->divide;
	}
	return 0;
}

/* `value` has no bits that are not writable. Of ICR the high half is in place. */
static void write_register(struct lapic *lapic, unsigned reg, uint32_t value,
			   struct lapic_effects *out)
{
	switch (reg) {
	case REG_TPR:
		lapic_set_tpr(lapic, (uint8_t)value);
		break;
	case REG_EOI:
		end_of_interrupt(lapic, out);
		break;
	case REG_LDR:
		atomic_store(&lapic->ldr, value);
		break;
	case REG_DFR:
		atomic_store(&lapic->dfr, value | 0x0fffffff);
		break;
	case REG_SVR:
		write_svr(lapic, value);
		break;
	case REG_ESR:
		lapic->esr = atomic_exchange(&lapic->esr_pending, 0);
		break;
	case REG_ICR:
		lapic->icr = value & ~ICR_BUSY;
		send_ipi(lapic, (uint64_t)lapic->icr_high << 32 | lapic->icr, out);
		break;
	case REG_ICR_HIGH:
		lapic->icr_high = value;
		break;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		write_lvt(lapic, reg, value);
		break;
	case REG_INITIAL:
		lapic_timer_set_initial(&lapic->timer, value);
		break;
	case REG_DIVIDE:
		write_divide(lapic, value);
		break;
	case REG_SELF_IPI:
		send_self_ipi(lapic, (uint8_t)value);
		break;
	}
}

/* Registers are 32 bits at multiples of 16; a read may take a part, a write takes the whole. */
void lapic_mmio(struct lapic *lapic, struct dev_access *access, struct lapic_effects *out)
{
	unsigned reg = (unsigned)(access->offset / 16), byte = access->offset % 16;
	bool known = reg < REGISTERS && (registers[reg].access & (READ | WRITE));

	if (mode(lapic) != LAPIC_BASE_ENABLE) {
		access->value = size_mask(access->size);
		return;
	}
	if (!known)
		add_error(lapic, ESR_ILLEGAL_REGISTER);
	if (access->is_write) {
		if (known && !byte && access->size >= 4 && (registers[reg].access & WRITE))
			write_register(lapic, reg,
				       (uint32_t)access->value & registers[reg].writable, out);
	} else {
		access->value = known && byte < 4 ? read_register(lapic, reg) >> 8 * byte : 0;
	}
}

bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *value)
{
	unsigned reg = msr - MSR_X2APIC;

	if (msr == MSR_TSC_DEADLINE) {
		*value = lapic_timer_deadline(&lapic->timer);
		return true;
	}
	if (!is_x2apic(lapic) || reg >= REGISTERS || !(registers[reg].access & READ_X2))
		return false;
	*value = read_register(lapic, reg);
	if (reg == REG_ICR)
		*value |= (uint64_t)lapic->icr_high << 32;
	return true;
}

bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, struct lapic_effects *out)
{
	unsigned reg = msr - MSR_X2APIC;

	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_set_deadline(&lapic->timer, value);
		return true;
	}
	if (!is_x2apic(lapic) || reg >= REGISTERS || !(registers[reg].access & WRITE_X2))
		return false;
	if (reg == REG_ICR) {
		if ((uint32_t)value & ~registers[reg].writable)
			return false;
		lapic->icr_high = (uint32_t)(value >> 32);
	} else if (value & ~(uint64_t)registers[reg].writable) {
		return false;
	}
	write_register(lapic, reg, (uint32_t)value, out);
	return true;
}

/* --- life --- */

static void reset_registers(struct lapic *lapic)
{
	lapic_timer_reset(&lapic->timer);
	atomic_store(&lapic->svr, SVR_RESET);
	for (int i = 0; i < LVTS; i++)
		atomic_store(&lapic->lvt[i], LVT_MASKED);
	vectors_clear(&lapic->irr);
	vectors_clear(&lapic->isr);
	vectors_clear(&lapic->tmr);
	atomic_store(&lapic->ldr, 0);
	atomic_store(&lapic->dfr, UINT32_MAX);
	atomic_store(&lapic->esr_pending, 0);
	lapic->esr = lapic->divide = 0;
	lapic->icr = lapic->icr_high = 0;
	lapic_set_tpr(lapic, 0);
}

uint64_t lapic_base(struct lapic *lapic)
{
	return atomic_load(&lapic->base);
}

/* SDM3: "x2APIC State Transitions". */
bool lapic_set_base(struct lapic *lapic, uint64_t value)
{
	uint64_t from = mode(lapic), to = value & BASE_MODE;

	if (value & BASE_RESERVED || to == LAPIC_BASE_X2APIC)
		return false;
	if ((from == BASE_MODE && to == LAPIC_BASE_ENABLE) || (!from && to == BASE_MODE))
		return false;
	atomic_store(&lapic->base, value);
	if (from && !to)
		reset_registers(lapic);
	return true;
}

void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset)
{
	lapic_timer_set_tsc_offset(&lapic->timer, offset);
}

void lapic_init(struct lapic *lapic)
{
	reset_registers(lapic);
}

void lapic_reset(struct lapic *lapic)
{
	atomic_store(&lapic->base,
		     LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE | (lapic->id ? 0 : LAPIC_BASE_BSP));
	reset_registers(lapic);
	/* Virtual wire mode, which firmware would set up: kernels that are started without it may
	 * rely on the PIC. */
	if (!lapic->id)
		atomic_store(&lapic->lvt[REG_LVT_LINT0 - REG_LVT_TIMER], APIC_EXTINT << 8);
}

int lapic_create(struct lapic **out, struct clock *clock, unsigned id, lapic_notify_fn *notify,
		 void *self)
{
	struct lapic *lapic = calloc(1, sizeof(*lapic));

	if (!lapic)
		return -ENOMEM;
	lapic->id = id;
	lapic->notify = notify;
	lapic->notify_self = self;
	lapic_timer_init(&lapic->timer, clock, timer_fired, lapic);
	lapic_reset(lapic);
	*out = lapic;
	return 0;
}

void lapic_destroy(struct lapic *lapic)
{
	if (!lapic)
		return;
	lapic_timer_finish(&lapic->timer);
	free(lapic);
}
