/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SMBIOS tables: names and sizes that a guest shows to people. They lie in the firmware's area
 * below 1 MiB, where a guest searches for the entry point.
 *
 * Source: SMBIOS 3.0: "Structure definitions".
 */
#ifndef BOOT_SMBIOS_H
#define BOOT_SMBIOS_H

#include "vm/memory.h"

/* Writes the entry points (2.1 and 3.0) and the tables to LAYOUT_SMBIOS. */
void smbios_write_tables(struct memory *memory);

#endif
