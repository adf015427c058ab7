/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC: priorities, what arrives, what ends. The one protocol between threads: who
 * delivers sets IRR, then reads PPR; the vCPU lowers PPR, then reads IRR; so one of the two sees
 * that an interrupt has become deliverable.
 */
#include "dev/lapic_state.h"

#include <errno.h>
#include <stdlib.h>

#define BASE_RESERVED 0xfff00000000002ffull

#define DFR_FLAT    0xfu /* the model, bits 31:28 */
#define DFR_CLUSTER 0x0u

/* --- state --- */

bool lapic_is_enabled(struct lapic *lapic)
{
	return lapic_mode(lapic) && (atomic_load(&lapic->svr) & SVR_ENABLE);
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
	unsigned lint0 = lapic_lvt(lapic, REG_LVT_LINT0);

	if (!lapic_mode(lapic))
		return true;
	return !(lint0 & LVT_MASKED) && bits(lint0, 10, 8) == APIC_EXTINT;
}

/* --- errors and arrivals --- */

bool lapic_request(struct lapic *lapic, uint8_t vector, bool level)
{
	if (!lapic_is_enabled(lapic))
		return false;
	if (level)
		vectors_add(&lapic->tmr, vector);
	else
		vectors_remove(&lapic->tmr, vector);
	return !vectors_add(&lapic->irr, vector) && outranks(lapic, vector);
}

bool lapic_add_error(struct lapic *lapic, unsigned error)
{
	unsigned entry = lapic_lvt(lapic, REG_LVT_ERROR);

	if (atomic_fetch_or(&lapic->esr_pending, error) & error)
		return false;
	if (entry & LVT_MASKED)
		return false;
	if ((uint8_t)entry < APIC_FIRST_VECTOR) {
		atomic_fetch_or(&lapic->esr_pending, ESR_RECEIVED_ILLEGAL);
		return false;
	}
	return lapic_request(lapic, (uint8_t)entry, false);
}

bool lapic_deliver(struct lapic *lapic, uint8_t vector, bool level)
{
	if (vector < APIC_FIRST_VECTOR)
		return lapic_add_error(lapic, ESR_RECEIVED_ILLEGAL);
	return lapic_request(lapic, vector, level);
}

static void timer_fired(void *self)
{
	struct lapic *lapic = self;
	unsigned entry = lapic_lvt(lapic, REG_LVT_TIMER);

	if (!(entry & LVT_MASKED) && lapic_deliver(lapic, (uint8_t)entry, false))
		lapic->notify(lapic->notify_self, lapic->id);
}

/* SDM3: "Local Vector Table" has what the entry may deliver. */
bool lapic_counter_overflow(struct lapic *lapic, struct apic_message *out)
{
	unsigned entry = lapic_lvt(lapic, REG_LVT_COUNTER);

	*out = (struct apic_message){ .delivery = (enum apic_delivery)bits(entry, 10, 8),
				      .vector = (uint8_t)entry };
	if (entry & LVT_MASKED)
		return false;
	atomic_fetch_or(&lapic->lvt[REG_LVT_COUNTER - REG_LVT_TIMER], LVT_MASKED);
	return out->delivery == APIC_FIXED || out->delivery == APIC_NMI;
}

/* --- destinations --- */

uint32_t lapic_ldr(struct lapic *lapic)
{
	if (lapic_is_x2apic(lapic))
		return (lapic->id >> 4) << 16 | (uint32_t)BIT(lapic->id & 15);
	return atomic_load_explicit(&lapic->ldr, memory_order_relaxed);
}

static bool matches_logical(struct lapic *lapic, uint32_t destination)
{
	uint32_t own = lapic_ldr(lapic);
	unsigned model = atomic_load_explicit(&lapic->dfr, memory_order_relaxed) >> 28;

	if (lapic_is_x2apic(lapic))
		return destination >> 16 == own >> 16 && (destination & own & 0xffff);
	own >>= 24;
	if (model == DFR_FLAT)
		return destination & own;
	return model == DFR_CLUSTER && destination >> 4 == own >> 4 && (destination & own & 0xf);
}

bool lapic_matches(struct lapic *lapic, const struct apic_message *message)
{
	uint32_t destination = message->destination;

	if (!lapic_mode(lapic))
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

void lapic_end(struct lapic *lapic, struct lapic_effects *out)
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
	uint64_t from = lapic_mode(lapic), to = value & BASE_MODE;

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
