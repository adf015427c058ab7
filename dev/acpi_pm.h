/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI fixed hardware: PM1a event and control blocks, the 3.579545 MHz PM timer (32 bits), an
 * empty GPE0 block, and the power button. (The reset register is port cf9h, in dev/pci.)
 *
 * The machine is always in ACPI mode: SCI_EN reads 1, the FADT's SMI_CMD is 0, no SMM. SCI is GSI
 * 9, level, active high. ACPI: "Fixed Hardware Registers".
 */
#ifndef DEV_ACPI_PM_H
#define DEV_ACPI_PM_H

#include "dev/dev.h"
#include "vm/irq.h"
#include "vm/power.h"

/* The block of ports, and offsets in it for the FADT. */
#define ACPI_PM_BASE     0x600
#define ACPI_PM_SIZE     0x40
#define ACPI_PM1_EVT     0x00 /* 4 bytes: status, enable */
#define ACPI_PM1_CNT     0x04 /* 2 bytes */
#define ACPI_PM_TMR      0x08 /* 4 bytes */
#define ACPI_GPE0        0x20 /* 4 bytes: status, enable; no event exists */
#define ACPI_GPE0_BYTES  4
#define ACPI_SCI_GSI     9
#define ACPI_SLP_TYP_S5  5 /* SLP_TYPa for \_S5 */
#define ACPI_RESET_PORT  0xcf9
#define ACPI_RESET_VALUE 0x06 /* the FADT's RESET_VALUE */

struct acpi_pm;

/* power is borrowed. */
int acpi_pm_create(struct acpi_pm **out, struct clock *clock, struct irq *irq,
		   const struct power *power);
extern const struct dev_ops acpi_pm_ops; /* self: struct acpi_pm */
dev_access_fn acpi_pm_access;            /* ACPI_PM_SIZE ports at ACPI_PM_BASE */

/* A press of the power button: an orderly shutdown where the guest handles it. Any thread. */
void acpi_pm_press_button(struct acpi_pm *pm);

#endif
