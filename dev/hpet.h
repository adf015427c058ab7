/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The High Precision Event Timer: a 64-bit 100 MHz counter and comparators, with legacy
 * replacement routing.
 *
 * IA-PC HPET specification 1.0a. No FSB (message) delivery.
 */
#ifndef DEV_HPET_H
#define DEV_HPET_H

#include "dev/dev.h"
#include "vm/irq.h"

#define HPET_BASE      0xfed00000ull /* where stock systems expect it */
#define HPET_SIZE      0x400
#define HPET_PERIOD_FS 10000000u /* 100 MHz */
#define HPET_TIMERS    3
#define HPET_BLOCK_ID  0x8086a201u /* the low half of the capabilities, as ACPI's table wants it */

struct hpet;

int hpet_create(struct hpet **out, struct clock *clock, struct irq *irq);
extern const struct dev_ops hpet_ops; /* self: struct hpet */
dev_access_fn hpet_access;            /* HPET_SIZE bytes of MMIO */

/*
 * Whether the HPET has taken the ISA lines 0 and 8 from the PIT and the RTC, which then don't drive
 * them. Lock-free; accepts NULL (a machine without HPET).
 */
bool hpet_owns_legacy_lines(const struct hpet *hpet);

#endif
