/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC: 24 pins, a redirection table, and the messages that it sends to local APICs.
 *
 * Functions that may make it send collect the messages for the caller, who delivers them with no
 * lock of the IOAPIC held. Intel 82093AA data sheet, with version 20h's EOI register.
 */
#ifndef DEV_IOAPIC_H
#define DEV_IOAPIC_H

#include "dev/apic.h"
#include "dev/dev.h"

#define IOAPIC_PINS 24

struct ioapic;

/* What is to be sent, in order. Set count to 0 before use. */
struct ioapic_messages {
	unsigned count;
	struct apic_message message[IOAPIC_PINS];
};

int ioapic_create(struct ioapic **out);
void ioapic_destroy(struct ioapic *ioapic); /* accepts NULL */
void ioapic_reset(struct ioapic *ioapic);   /* all lines count as low */

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level, struct ioapic_messages *out);
void ioapic_access(struct ioapic *ioapic, struct dev_access *access, struct ioapic_messages *out);
/* What pin (below IOAPIC_PINS) sends when it is asserted. false: nothing, it is masked. */
bool ioapic_pin_message(struct ioapic *ioapic, unsigned pin, struct apic_message *out);
/* A local APIC broadcast the end of a level-triggered interrupt. */
void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector, struct ioapic_messages *out);

#endif
