/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC. A level-triggered entry sends once and waits, with Remote IRR set, for the end of
 * that interrupt; an edge that comes while its entry is masked is lost. Lines are "asserted or
 * not", so the polarity bit is only kept.
 */
#include "dev/ioapic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Memory-mapped registers, and the registers behind the window. */
#define MMIO_SELECT  0x00
#define MMIO_WINDOW  0x10
#define MMIO_EOI     0x40
#define REG_ID       0x00
#define REG_VERSION  0x01
#define REG_ARBITER  0x02
#define REG_TABLE    0x10 /* two registers an entry, the low half first */
#define ID_BITS      0x0f000000u
#define VERSION      0x20u
#define MAX_ENTRY    ((IOAPIC_PINS - 1) << 16)
#define ENTRY_MASKED BIT(16)
#define ENTRY_LEVEL  BIT(15)
#define ENTRY_IRR    BIT(14)
#define ENTRY_LOGIC  BIT(11)
/* Vector to logical destination, polarity, trigger mode, mask; the destination. */
#define ENTRY_WRITABLE 0xff0000000001afffull

struct ioapic {
	pthread_mutex_t lock; /* everything */
	uint32_t id;
	uint8_t select;
	uint32_t lines; /* the pins as they are */
	uint64_t entry[IOAPIC_PINS];
};

static enum apic_delivery delivery(uint64_t entry)
{
	return (enum apic_delivery)bits(entry, 10, 8);
}

static bool is_level(uint64_t entry)
{
	return (entry & ENTRY_LEVEL) &&
	       (delivery(entry) == APIC_FIXED || delivery(entry) == APIC_LOWEST_PRIORITY);
}

static struct apic_message message_of(uint64_t entry)
{
	return (struct apic_message){
		.destination = (uint32_t)bits(entry, 63, 56),
		.delivery = delivery(entry),
		.vector = (uint8_t)entry,
		.logical = entry & ENTRY_LOGIC,
		.level = is_level(entry),
	};
}

static void send(struct ioapic *ioapic, unsigned pin, struct ioapic_messages *out)
{
	out->message[out->count++] = message_of(ioapic->entry[pin]);
}

/* Sends what an asserted level-triggered pin has to send now. */
static void service_level(struct ioapic *ioapic, unsigned pin, struct ioapic_messages *out)
{
	uint64_t *entry = &ioapic->entry[pin];

	if (!is_level(*entry) || !(ioapic->lines & BIT(pin)) ||
	    (*entry & (ENTRY_MASKED | ENTRY_IRR)))
		return;
	*entry |= ENTRY_IRR;
	send(ioapic, pin, out);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level, struct ioapic_messages *out)
{
	bool rising;

	if (pin >= IOAPIC_PINS)
		return;
	pthread_mutex_lock(&ioapic->lock);
	rising = level && !(ioapic->lines & BIT(pin));
	if (level)
		ioapic->lines |= BIT(pin);
	else
		ioapic->lines &= ~BIT(pin);
	if (is_level(ioapic->entry[pin]))
		service_level(ioapic, pin, out);
	else if (rising && !(ioapic->entry[pin] & ENTRY_MASKED))
		send(ioapic, pin, out);
	pthread_mutex_unlock(&ioapic->lock);
}

bool ioapic_pin_message(struct ioapic *ioapic, unsigned pin, struct apic_message *out)
{
	uint64_t entry;

	pthread_mutex_lock(&ioapic->lock);
	entry = ioapic->entry[pin];
	pthread_mutex_unlock(&ioapic->lock);
	*out = message_of(entry);
	return !(entry & ENTRY_MASKED);
}

static void end_of_interrupt(struct ioapic *ioapic, uint8_t vector, struct ioapic_messages *out)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((uint8_t)*entry != vector || !(*entry & ENTRY_IRR))
			continue;
		*entry &= ~ENTRY_IRR;
		service_level(ioapic, pin, out);
	}
}

void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector, struct ioapic_messages *out)
{
	pthread_mutex_lock(&ioapic->lock);
	end_of_interrupt(ioapic, vector, out);
	pthread_mutex_unlock(&ioapic->lock);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	unsigned entry = (ioapic->select - REG_TABLE) / 2;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITER:
		return ioapic->id;
	case REG_VERSION:
		return MAX_ENTRY | VERSION;
	}
	if (ioapic->select < REG_TABLE || entry >= IOAPIC_PINS)
		return 0;
	return (uint32_t)(ioapic->entry[entry] >> (ioapic->select & 1 ? 32 : 0));
}

static void write_entry(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value,
			struct ioapic_messages *out)
{
	uint64_t *entry = &ioapic->entry[pin], mask = high ? 0xffffffff00000000ull : 0xffffffffull;
	uint64_t wide = high ? (uint64_t)value << 32 : value;

	mask &= ENTRY_WRITABLE;
	*entry = (*entry & ~mask) | (wide & mask);
	if (!is_level(*entry))
		*entry &= ~ENTRY_IRR;
	service_level(ioapic, pin, out);
}

static void write_register(struct ioapic *ioapic, uint32_t value, struct ioapic_messages *out)
{
	unsigned entry = (ioapic->select - REG_TABLE) / 2;

	if (ioapic->select == REG_ID)
		ioapic->id = value & ID_BITS;
	else if (ioapic->select >= REG_TABLE && entry < IOAPIC_PINS)
		write_entry(ioapic, entry, ioapic->select & 1, value, out);
}

void ioapic_access(struct ioapic *ioapic, struct dev_access *access, struct ioapic_messages *out)
{
	uint32_t value = (uint32_t)access->value;

	pthread_mutex_lock(&ioapic->lock);
	access->value = 0;
	switch (access->offset) {
	case MMIO_SELECT:
		if (access->is_write)
			ioapic->select = (uint8_t)value;
		else
			access->value = ioapic->select;
		break;
	case MMIO_WINDOW:
		if (access->is_write)
			write_register(ioapic, value, out);
		else
			access->value = read_register(ioapic);
		break;
	case MMIO_EOI:
		if (access->is_write)
			end_of_interrupt(ioapic, (uint8_t)value, out);
		break;
	}
	pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_reset(struct ioapic *ioapic)
{
	pthread_mutex_lock(&ioapic->lock);
	ioapic->id = 0;
	ioapic->select = 0;
	ioapic->lines = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
	pthread_mutex_unlock(&ioapic->lock);
}

int ioapic_create(struct ioapic **out)
{
	struct ioapic *ioapic = calloc(1, sizeof(*ioapic));

	if (!ioapic)
		return -ENOMEM;
	pthread_mutex_init(&ioapic->lock, NULL);
	ioapic_reset(ioapic);
	*out = ioapic;
	return 0;
}

void ioapic_destroy(struct ioapic *ioapic)
{
	if (!ioapic)
		return;
	pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}
