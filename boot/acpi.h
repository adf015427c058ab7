/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables: what a guest reads to learn of processors, interrupt controllers, PCI, timers
 * and how to switch the machine off. They lie in the firmware's area below 1 MiB.
 *
 * Source: ACPI 6.5: "ACPI Software Programming Model".
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "vm/memory.h"

struct acpi_config {
	unsigned cpus; /* APIC IDs 0 to cpus - 1 */
};

/*
 * Writes all tables to LAYOUT_ACPI and says where the RSDP is. -ENOSPC, with a text, where they do
 * not fit.
 */
int acpi_write_tables(struct memory *memory, const struct acpi_config *config, gpa_t *rsdp,
		      struct error *err);

#endif
