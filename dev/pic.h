/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259A interrupt controllers of a PC with their edge/level control registers.
 *
 * Inputs are the ISA lines 0 to 15 (2 is the cascade and ignored). The one output goes to the
 * CPU's INTR. Knows nothing of APICs; vm/irq.c wires the output. Intel 8259A data sheet.
 */
#ifndef DEV_PIC_H
#define DEV_PIC_H

#include "dev/dev.h"

#define PIC_LINES 16

struct pic;

int pic_create(struct pic **out);
void pic_destroy(struct pic *pic); /* accepts NULL */
void pic_reset(struct pic *pic);   /* all lines count as low */

/* These return whether the output is now high and may not have been before: the CPU must look. */
bool pic_set_line(struct pic *pic, unsigned line, bool level);
bool pic_access(struct pic *pic, bool slave, struct dev_access *access); /* 20h, 21h; a0h, a1h */
bool pic_elcr_access(struct pic *pic, struct dev_access *access);        /* ports 4d0h and 4d1h */

/* The INTR output. Lock-free. */
bool pic_output(struct pic *pic);

/* The INTA cycle: the vector; the spurious one where no request is left. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
