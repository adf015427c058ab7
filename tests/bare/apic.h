/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of a bare test image, in xAPIC mode: its registers, by their offset.
 */
#ifndef BARE_APIC_H
#define BARE_APIC_H

#include <stdint.h>

#define APIC_AT      0xfee00000u
#define APIC_ID      0x20
#define APIC_TPR     0x80
#define APIC_EOI     0xb0
#define APIC_SVR     0xf0
#define APIC_IRR     0x200
#define APIC_ICR     0x300
#define APIC_TIMER   0x320
#define APIC_COUNTER 0x340 /* the LVT's entry for performance counters */
#define APIC_INITIAL 0x380
#define APIC_CURRENT 0x390
#define APIC_DIVIDE  0x3e0

#define APIC_ENABLE    0x1ff /* for APIC_SVR; the spurious vector is ff */
#define LVT_MASKED     (1u << 16)
#define LVT_NMI        (4u << 8)
#define TIMER_PERIODIC (1u << 17)
#define TIMER_DEADLINE (2u << 17)
#define DIVIDE_BY_1    0xb
#define ICR_SELF       (1u << 18)
#define ICR_NMI        (4u << 8)
#define ICR_OTHER      (3u << 18) /* all but self */

static inline void apic_write(unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(APIC_AT + reg) = value;
}

static inline uint32_t apic_read(unsigned reg)
{
	return *(volatile uint32_t *)(uintptr_t)(APIC_AT + reg);
}

#endif
