/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The router: ISA lines to the PIC and the IOAPIC, messages to the local APICs that they match, the
 * PIC's output to the bootstrap processor (and the IOAPIC's pin 0). The chips are in dev/.
 *
 * The chips lock themselves and return what is to be done; it is done here with no lock held, so
 * the sink may be anything.
 */
#include "vm/irq.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/pic.h"

#define BSP        0u
#define NO_VCPU    UINT32_MAX
#define PIN_PIC    0u /* the PIC's output, for virtual wire mode through the IOAPIC */
#define PIN_TIMER  2u /* where line 0 arrives */
#define LINE_TIMER 0u
#define LINE_NONE  2u /* the PICs' cascade */

#define MSI_BASE     0xfee00000u
#define MSI_SHIFT    20 /* above: the base; below: destination and flags */
#define MSI_REDIRECT BIT(3)
#define MSI_LOGICAL  BIT(2)
#define MSI_ASSERT   BIT(14) /* of the data */
#define MSI_LEVEL    BIT(15)

struct irq {
	unsigned vcpus;
	struct pic *pic;
	struct ioapic *ioapic;
	struct lapic **lapic;
	atomic_bool *extint;     /* each vCPU: a message asks it to take the PIC's interrupt */
	atomic_uint lines;       /* the lines as devices drive them */
	atomic_uint next_lowest; /* where the search for the lowest priority begins */
	irq_signal_fn *sink;
	void *sink_self;
	const struct irq_apics *apics; /* NULL: ours */
	void *apics_self;
};

static void signal_vcpu(struct irq *irq, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	if (irq->sink)
		irq->sink(irq->sink_self, vcpu, what, vector);
}

/* --- messages --- */

static void deliver_to(struct irq *irq, unsigned vcpu, const struct apic_message *message)
{
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		if (lapic_deliver(irq->lapic[vcpu], message->vector, message->level))
			signal_vcpu(irq, vcpu, VCPU_INTERRUPT, 0);
		break;
	case APIC_NMI:
		signal_vcpu(irq, vcpu, VCPU_NMI, 0);
		break;
	case APIC_INIT:
		signal_vcpu(irq, vcpu, VCPU_INIT, 0);
		break;
	case APIC_STARTUP:
		signal_vcpu(irq, vcpu, VCPU_SIPI, message->vector);
		break;
	case APIC_EXTINT:
		atomic_store(&irq->extint[vcpu], true);
		signal_vcpu(irq, vcpu, VCPU_INTERRUPT, 0);
		break;
	case APIC_SMI: /* there is no system management mode */
		break;
	}
}

/* Ties go round, so that interrupts spread. */
static void deliver_lowest(struct irq *irq, const struct apic_message *message)
{
	unsigned first = atomic_fetch_add_explicit(&irq->next_lowest, 1, memory_order_relaxed);
	unsigned best = NO_VCPU, best_priority = UINT32_MAX;

	for (unsigned i = 0; i < irq->vcpus; i++) {
		unsigned vcpu = (first + i) % irq->vcpus;
		struct lapic *lapic = irq->lapic[vcpu];

		if (!lapic_matches(lapic, message) || !lapic_is_enabled(lapic))
			continue;
		if (lapic_priority(lapic) < best_priority) {
			best_priority = lapic_priority(lapic);
			best = vcpu;
		}
	}
	if (best != NO_VCPU)
		deliver_to(irq, best, message);
}

static bool is_broadcast(const struct apic_message *message)
{
	return message->destination == (message->wide ? APIC_BROADCAST_WIDE : APIC_BROADCAST);
}

/* The form in which an engine's own local APICs take messages. */
static void encode_msi(const struct apic_message *message, uint64_t *address, uint32_t *data)
{
	*address = MSI_BASE | (uint64_t)(message->destination & APIC_BROADCAST) << 12 |
		   (message->logical ? MSI_LOGICAL : 0);
	*data = message->vector | (uint32_t)message->delivery << 8 |
		(uint32_t)(message->level ? MSI_LEVEL | MSI_ASSERT : 0);
}

static void send_away(struct irq *irq, const struct apic_message *message)
{
	uint64_t address;
	uint32_t data;

	encode_msi(message, &address, &data);
	if (message->delivery != APIC_SMI)
		irq->apics->send(irq->apics_self, address, data);
}

static void deliver(struct irq *irq, const struct apic_message *message)
{
	uint32_t destination = message->destination;

	if (irq->apics)
		send_away(irq, message);
	else if (message->delivery == APIC_LOWEST_PRIORITY) {
		deliver_lowest(irq, message);
	} else if (!message->logical && !is_broadcast(message)) {
		if (destination < irq->vcpus && lapic_matches(irq->lapic[destination], message))
			deliver_to(irq, destination, message);
	} else {
		for (unsigned vcpu = 0; vcpu < irq->vcpus; vcpu++)
			if (lapic_matches(irq->lapic[vcpu], message))
				deliver_to(irq, vcpu, message);
	}
}

static void deliver_all(struct irq *irq, const struct ioapic_messages *messages)
{
	for (unsigned i = 0; i < messages->count; i++)
		deliver(irq, &messages->message[i]);
}

/* --- lines --- */

static void set_pin(struct irq *irq, unsigned pin, bool level)
{
	struct ioapic_messages messages;

	messages.count = 0;
	ioapic_set_line(irq->ioapic, pin, level, &messages);
	deliver_all(irq, &messages);
}

/* An engine with local APICs of its own asks these itself. */
static bool takes_pic(struct irq *irq)
{
	return irq->apics || lapic_takes_pic(irq->lapic[BSP]);
}

/* The PIC's output rose. At the IOAPIC it is an edge, which is all that ExtINT delivery wants. */
static void pic_rose(struct irq *irq)
{
	if (takes_pic(irq))
		signal_vcpu(irq, BSP, VCPU_INTERRUPT, 0);
	set_pin(irq, PIN_PIC, true);
	set_pin(irq, PIN_PIC, false);
}

void irq_set_line(struct irq *irq, unsigned gsi, bool level)
{
	unsigned bit = (unsigned)BIT(gsi % 32), old;

	if (gsi >= IRQ_LINES || gsi == LINE_NONE)
		return;
	old = level ? atomic_fetch_or(&irq->lines, bit) : atomic_fetch_and(&irq->lines, ~bit);
	if (!(old & bit) == !level)
		return;
	if (gsi < PIC_LINES && pic_set_line(irq->pic, gsi, level))
		pic_rose(irq);
	set_pin(irq, gsi == LINE_TIMER ? PIN_TIMER : gsi, level);
}

void irq_send_msi(struct irq *irq, uint64_t address, uint32_t data)
{
	struct apic_message message = {
		.destination = (uint32_t)bits(address, 19, 12),
		.delivery = (enum apic_delivery)bits(data, 10, 8),
		.vector = (uint8_t)data,
		.logical = address & MSI_LOGICAL,
		.level = data & MSI_LEVEL,
	};

	if (address >> MSI_SHIFT != MSI_BASE >> MSI_SHIFT)
		return;
	if (message.delivery == APIC_FIXED && message.logical && (address & MSI_REDIRECT))
		message.delivery = APIC_LOWEST_PRIORITY;
	deliver(irq, &message);
}

/* --- the chips' ranges --- */

void irq_pic_master_access(void *self, struct dev_access *access)
{
	struct irq *irq = self;

	if (pic_access(irq->pic, false, access))
		pic_rose(irq);
}

void irq_pic_slave_access(void *self, struct dev_access *access)
{
	struct irq *irq = self;

	if (pic_access(irq->pic, true, access))
		pic_rose(irq);
}

void irq_elcr_access(void *self, struct dev_access *access)
{
	struct irq *irq = self;

	if (pic_elcr_access(irq->pic, access))
		pic_rose(irq);
}

void irq_ioapic_access(void *self, struct dev_access *access)
{
	struct irq *irq = self;
	struct ioapic_messages messages;

	messages.count = 0;
	ioapic_access(irq->ioapic, access, &messages);
	if (irq->apics && access->is_write)
		irq->apics->pins_changed(irq->apics_self);
	deliver_all(irq, &messages);
}

/* --- local APICs of the engine's own --- */

void irq_set_apics(struct irq *irq, const struct irq_apics *apics, void *self)
{
	irq->apics_self = self;
	irq->apics = apics;
}

bool irq_pin_message(struct irq *irq, unsigned pin, uint64_t *address, uint32_t *data)
{
	struct apic_message message;

	if (!ioapic_pin_message(irq->ioapic, pin, &message))
		return false;
	encode_msi(&message, address, data);
	return true;
}

void irq_end_of_interrupt(struct irq *irq, uint8_t vector)
{
	struct ioapic_messages messages;

	messages.count = 0;
	ioapic_end_of_interrupt(irq->ioapic, vector, &messages);
	deliver_all(irq, &messages);
}

/* --- a vCPU's side --- */

/* Whether the next interrupt is the PIC's. */
static bool pic_pending(struct irq *irq, unsigned vcpu)
{
	if (vcpu == BSP && pic_output(irq->pic) && takes_pic(irq))
		return true;
	return atomic_load_explicit(&irq->extint[vcpu], memory_order_relaxed);
}

bool irq_pending(struct irq *irq, unsigned vcpu)
{
	return lapic_pending(irq->lapic[vcpu]) || pic_pending(irq, vcpu);
}

/* The vCPU's own doing may have made an interrupt deliverable. */
static void look(struct irq *irq, unsigned vcpu)
{
	if (irq_pending(irq, vcpu))
		signal_vcpu(irq, vcpu, VCPU_INTERRUPT, 0);
}

int irq_accept(struct irq *irq, unsigned vcpu)
{
	int vector;

	if (pic_pending(irq, vcpu)) {
		atomic_store(&irq->extint[vcpu], false);
		vector = pic_acknowledge(irq->pic);
		if (pic_output(irq->pic)) /* with automatic EOI: INTR falls between two of them */
			pic_rose(irq);
	} else {
		vector = lapic_accept(irq->lapic[vcpu]);
	}
	look(irq, vcpu);
	return vector;
}

static void send_ipi(struct irq *irq, unsigned vcpu, const struct lapic_effects *effects)
{
	switch (effects->icr_shorthand) {
	case LAPIC_TO_DESTINATION:
		deliver(irq, &effects->icr);
		break;
	case LAPIC_TO_SELF:
		deliver_to(irq, vcpu, &effects->icr);
		break;
	default:
		for (unsigned i = 0; i < irq->vcpus; i++)
			if (i != vcpu || effects->icr_shorthand == LAPIC_TO_ALL)
				deliver_to(irq, i, &effects->icr);
		break;
	}
}

static void apply(struct irq *irq, unsigned vcpu, const struct lapic_effects *effects)
{
	if (effects->ipi)
		send_ipi(irq, vcpu, effects);
	if (effects->broadcast_eoi)
		irq_end_of_interrupt(irq, effects->eoi_vector);
	look(irq, vcpu);
}

void irq_apic_mmio(struct irq *irq, unsigned vcpu, struct dev_access *access)
{
	struct lapic_effects effects = { 0 };
	bool is_write = access->is_write;

	lapic_mmio(irq->lapic[vcpu], access, &effects);
	if (is_write)
		apply(irq, vcpu, &effects);
}

bool irq_apic_rdmsr(struct irq *irq, unsigned vcpu, uint32_t msr, uint64_t *value)
{
	return lapic_read_msr(irq->lapic[vcpu], msr, value);
}

bool irq_apic_wrmsr(struct irq *irq, unsigned vcpu, uint32_t msr, uint64_t value)
{
	struct lapic_effects effects = { 0 };

	if (!lapic_write_msr(irq->lapic[vcpu], msr, value, &effects))
		return false;
	apply(irq, vcpu, &effects);
	return true;
}

uint8_t irq_tpr(struct irq *irq, unsigned vcpu)
{
	return lapic_tpr(irq->lapic[vcpu]);
}

void irq_set_tpr(struct irq *irq, unsigned vcpu, uint8_t tpr)
{
	lapic_set_tpr(irq->lapic[vcpu], tpr);
	look(irq, vcpu);
}

uint64_t irq_apic_base(struct irq *irq, unsigned vcpu)
{
	return lapic_base(irq->lapic[vcpu]);
}

bool irq_set_apic_base(struct irq *irq, unsigned vcpu, uint64_t value)
{
	if (!lapic_set_base(irq->lapic[vcpu], value))
		return false;
	look(irq, vcpu);
	return true;
}

void irq_set_tsc_offset(struct irq *irq, unsigned vcpu, uint64_t offset)
{
	lapic_set_tsc_offset(irq->lapic[vcpu], offset);
}

void irq_counter_overflow(struct irq *irq, unsigned vcpu)
{
	struct apic_message message;

	if (lapic_counter_overflow(irq->lapic[vcpu], &message))
		deliver_to(irq, vcpu, &message);
}

void irq_apic_init(struct irq *irq, unsigned vcpu)
{
	atomic_store(&irq->extint[vcpu], false);
	lapic_init(irq->lapic[vcpu]);
}

/* --- life --- */

static void timer_fired(void *self, unsigned vcpu)
{
	signal_vcpu(self, vcpu, VCPU_INTERRUPT, 0);
}

void irq_set_sink(struct irq *irq, irq_signal_fn *fn, void *self)
{
	irq->sink_self = self;
	irq->sink = fn;
}

void irq_reset(struct irq *irq)
{
	atomic_store(&irq->lines, 0);
	pic_reset(irq->pic);
	ioapic_reset(irq->ioapic);
	if (irq->apics)
		irq->apics->pins_changed(irq->apics_self);
	for (unsigned i = 0; i < irq->vcpus; i++) {
		atomic_store(&irq->extint[i], false);
		lapic_reset(irq->lapic[i]);
	}
}

static int create_chips(struct irq *irq, struct clock *clock)
{
	int rc = pic_create(&irq->pic);

	if (!rc)
		rc = ioapic_create(&irq->ioapic);
	for (unsigned i = 0; i < irq->vcpus && !rc; i++)
		rc = lapic_create(&irq->lapic[i], clock, i, timer_fired, irq);
	return rc;
}

int irq_create(struct irq **out, struct clock *clock, unsigned vcpus)
{
	struct irq *irq;
	int rc = -ENOMEM;

	if (!vcpus || vcpus > IRQ_MAX_VCPUS)
		return -EINVAL;
	irq = calloc(1, sizeof(*irq));
	if (!irq)
		return -ENOMEM;
	irq->lapic = calloc(vcpus, sizeof(struct lapic *));
	irq->extint = calloc(vcpus, sizeof(*irq->extint));
	if (irq->lapic && irq->extint) {
		irq->vcpus = vcpus;
		rc = create_chips(irq, clock);
	}
	if (rc) {
		irq_destroy(irq);
		return rc;
	}
	*out = irq;
	return 0;
}

void irq_destroy(struct irq *irq)
{
	if (!irq)
		return;
	for (unsigned i = 0; i < irq->vcpus; i++)
		lapic_destroy(irq->lapic[i]);
	free(irq->lapic);
	free(irq->extint);
	ioapic_destroy(irq->ioapic);
	pic_destroy(irq->pic);
	free(irq);
}
