/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What travels between the IOAPIC, the local APICs and message-signalled devices.
 *
 * SDM3: "Interrupt Command Register (ICR)", "Message Address Register Format".
 */
#ifndef DEV_APIC_H
#define DEV_APIC_H

#include "lib/base.h"

enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST_PRIORITY = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

struct apic_message {
	uint32_t destination;        /* 8 bits wide unless `wide` */
	enum apic_delivery delivery; /* 3 is reserved and goes nowhere */
	uint8_t vector;
	bool logical; /* destination mode */
	bool level;   /* trigger mode */
	bool wide;    /* the destination has 32 bits: an IPI in x2APIC mode */
};

#define APIC_BROADCAST      0xffu       /* 8-bit destination: everyone */
#define APIC_BROADCAST_WIDE 0xffffffffu /* 32-bit destination: everyone */

#define APIC_FIRST_VECTOR 16 /* vectors below are illegal in fixed and lowest-priority delivery */

#endif
