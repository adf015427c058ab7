/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory map as boot protocols hand it over: which addresses are RAM and which the
 * firmware keeps. Source: ACPI: "System Address Map Interfaces".
 */
#ifndef BOOT_E820_H
#define BOOT_E820_H

#include "vm/memory.h"

#define E820_MAX_ENTRIES 8

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_entry {
	gpa_t base;
	uint64_t size_bytes;
	enum e820_type type;
};

/* Writes the map in ascending order and returns the number of entries. */
unsigned e820_build(const struct memory *memory, struct e820_entry out[E820_MAX_ENTRIES]);

/* End of the RAM that begins at 1 MiB, below the PCI hole. */
static inline gpa_t memory_low_top(const struct memory *memory)
{
	return memory->size_bytes < MEMORY_LOW_TOP ? memory->size_bytes : MEMORY_LOW_TOP;
}

#endif
