/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A serial port. Its line is infinitely fast on the way out: a byte written goes straight
 * to the back end. Input waits in a 16-byte FIFO and, behind that, at the back end.
 *
 * National PC16550D data sheet.
 */
#ifndef DEV_UART_H
#define DEV_UART_H

#include "console/console.h"
#include "dev/dev.h"
#include "vm/irq.h"

#define UART_PORTS 8

struct uart;

/* Attaches itself to `console`, which is borrowed and outlives the UART. */
int uart_create(struct uart **out, struct clock *clock, struct irq *irq, unsigned gsi,
		struct console *console);
extern const struct dev_ops uart_ops; /* self: struct uart */
dev_access_fn uart_access;            /* UART_PORTS ports: 3f8h with GSI 4, 2f8h with GSI 3 */

#endif
