/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The i8042 keyboard controller with a PS/2 keyboard on its first port and nothing on its second;
 * and port 92h ("fast A20 and reset"). Drives ISA line 1.
 *
 * The A20 gate is a bit that reads back: address line 20 is never masked. IBM PS/2 technical
 * reference, "Keyboard and Auxiliary Device Controller".
 */
#ifndef DEV_I8042_H
#define DEV_I8042_H

#include "dev/dev.h"
#include "vm/irq.h"
#include "vm/power.h"

struct i8042;

/* power is borrowed. */
int i8042_create(struct i8042 **out, struct irq *irq, const struct power *power);
extern const struct dev_ops i8042_ops; /* self: struct i8042 */
dev_access_fn i8042_data_access;       /* port 60h, 1 byte (61h is the PIT's) */
dev_access_fn i8042_command_access;    /* port 64h, 1 byte */
dev_access_fn i8042_port92_access;     /* port 92h, 1 byte */

#endif
