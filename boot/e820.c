/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map: RAM less the firmware's areas below 1 MiB, and the PCI configuration window,
 * which an operating system believes in only if the firmware reserves it here.
 */
#include "boot/e820.h"

#include "boot/layout.h"
#include "dev/pci/pci.h"

static unsigned add(struct e820_entry *out, unsigned n, gpa_t base, gpa_t end, enum e820_type type)
{
	out[n] = (struct e820_entry){ base, end - base, type };
	return n + 1;
}

unsigned e820_build(const struct memory *memory, struct e820_entry out[E820_MAX_ENTRIES])
{
	unsigned n = 0;

	n = add(out, n, 0, LAYOUT_LOW_RAM_END, E820_RAM);
	n = add(out, n, LAYOUT_LOW_RAM_END, MEMORY_VGA_BASE, E820_RESERVED);
	n = add(out, n, LAYOUT_FIRMWARE, LAYOUT_FIRMWARE_END, E820_RESERVED);
	n = add(out, n, LAYOUT_FIRMWARE_END, memory_low_top(memory), E820_RAM);
	n = add(out, n, PCI_ECAM_BASE, PCI_ECAM_BASE + PCI_ECAM_BYTES, E820_RESERVED);
	if (memory->top > MEMORY_HIGH_BASE)
		n = add(out, n, MEMORY_HIGH_BASE, memory->top, E820_RAM);
	return n;
}
