/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a local APIC as its vCPU reaches them, through the page of xAPIC mode and the
 * MSRs of x2APIC mode. The APIC ID is read-only, as in current processors.
 */
#include "dev/lapic_state.h"

/* Bit 24: EOI broadcasts can be suppressed. */
#define VERSION (0x14u | (LVTS - 1) << 16 | BIT(24))

#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u

#define LVT_READ_ONLY 0x5000u /* delivery status, remote IRR */

#define ICR_BUSY    BIT(12)
#define ICR_ASSERT  BIT(14)
#define ICR_LEVEL   BIT(15)
#define ICR_LOGICAL BIT(11)

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

static void send_ipi(struct lapic *lapic, uint64_t icr, struct lapic_effects *out)
{
	bool wide = lapic_is_x2apic(lapic);

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
		lapic_add_error(lapic, ESR_SENT_ILLEGAL);
		out->ipi = false;
	}
}

static void send_self_ipi(struct lapic *lapic, uint8_t vector)
{
	if (vector < APIC_FIRST_VECTOR)
		lapic_add_error(lapic, ESR_SENT_ILLEGAL);
	else
		lapic_request(lapic, vector, false);
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
		return lapic_is_x2apic(lapic) ? lapic->id : lapic->id << 24;
	case REG_VERSION:
		return (uint32_t)VERSION;
	case REG_TPR:
		return lapic_tpr(lapic);
	case REG_APR:
	case REG_PPR:
		return lapic_priority(lapic);
	case REG_LDR:
		return lapic_ldr(lapic);
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
		return lapic_lvt(lapic, reg);
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
		lapic_end(lapic, out);
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

	if (lapic_mode(lapic) != LAPIC_BASE_ENABLE) {
		access->value = size_mask(access->size);
		return;
	}
	if (!known)
		lapic_add_error(lapic, ESR_ILLEGAL_REGISTER);
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
	if (!lapic_is_x2apic(lapic) || reg >= REGISTERS || !(registers[reg].access & READ_X2))
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
	if (!lapic_is_x2apic(lapic) || reg >= REGISTERS || !(registers[reg].access & WRITE_X2))
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
