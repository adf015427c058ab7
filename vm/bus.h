/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: address → device, for port I/O and memory-mapped I/O.
 *
 * The board maps every range before the first vCPU runs and the map is constant from then on, so
 * a look-up takes no lock. (PCI BARs move inside one window, which dev/pci decodes by itself.)
 */
#ifndef VM_BUS_H
#define VM_BUS_H

#include "dev/dev.h"
#include "lib/error.h"
#include "vm/addr.h"

enum bus_space { BUS_PIO, BUS_MMIO, BUS_SPACES };

struct bus;

int bus_create(struct bus **out);
void bus_destroy(struct bus *bus); /* accepts NULL */

/*
 * Gives [base, base + size) to a device. `name` is borrowed for the life of the bus.
 * -EEXIST where a range overlaps one that is mapped, -EINVAL for an empty or wrapping range.
 */
int bus_map(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, dev_access_fn *fn,
	    void *self, const char *name);

/*
 * One access of 1, 2, 4 or 8 bytes. What no device answers reads as all ones and swallows writes.
 * An access that straddles the end of a range is split into bytes. Any thread.
 */
uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size, uint64_t value);

#endif
