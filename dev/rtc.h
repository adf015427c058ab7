/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 real-time clock with 128 bytes of CMOS memory. Shows the host's UTC time plus what
 * the guest set it ahead; drives ISA line 8.
 *
 * Motorola MC146818A data sheet; CMOS bytes as PC firmware uses them.
 */
#ifndef DEV_RTC_H
#define DEV_RTC_H

#include "dev/dev.h"
#include "dev/hpet.h"
#include "vm/irq.h"

struct rtc;

/*
 * low_bytes is RAM below 4 GiB, high_bytes RAM above: the CMOS memory-size bytes say so. hpet may
 * be NULL.
 */
int rtc_create(struct rtc **out, struct clock *clock, struct irq *irq, const struct hpet *hpet,
	       uint64_t low_bytes, uint64_t high_bytes);
extern const struct dev_ops rtc_ops; /* self: struct rtc */
dev_access_fn rtc_access;            /* ports 70h and 71h */

#endif
