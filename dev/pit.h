/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 programmable interval timer: three 16-bit counters at 1.193182 MHz. Counter 0 drives ISA
 * line 0, counter 2 is gated and read through port 61h (the speaker's port).
 *
 * Intel 8254 data sheet.
 */
#ifndef DEV_PIT_H
#define DEV_PIT_H

#include "dev/dev.h"
#include "dev/hpet.h"
#include "vm/irq.h"

struct pit;

/* hpet may be NULL; borrowed like the others. */
int pit_create(struct pit **out, struct clock *clock, struct irq *irq, const struct hpet *hpet);
extern const struct dev_ops pit_ops; /* self: struct pit */
dev_access_fn pit_access;            /* ports 40h to 43h */
dev_access_fn pit_port61_access;     /* port 61h */

#endif
