/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory BARs: registration, sizing, decoding in the host bridge's windows, and the addresses that
 * firmware would give them.
 *
 * A window searches the list of all BARs for the address. The list is fixed before the first vCPU
 * runs; where a BAR answers is one atomic word, so look-up takes no lock. An access that began
 * before a BAR moved may still end at the device: so it is on a real bus.
 *
 * Source: PCI 3.0, "Base Addresses".
 */
#include "dev/pci/host.h"

#include <errno.h>
#include <linux/pci_regs.h>

#define BAR_MIN_BYTES 16

static unsigned bar_register(unsigned index)
{
	return PCI_BASE_ADDRESS_0 + 4 * index;
}

static bool is_free(const struct pci_device *dev, unsigned index)
{
	if (index >= PCI_BARS || dev->bar[index].size_bytes)
		return false;
	return !index || !dev->bar[index - 1].size_bytes || !dev->bar[index - 1].is_64bit;
}

int pci_add_bar(struct pci_device *dev, unsigned index, const struct pci_bar *bar)
{
	uint64_t size = bar->size_bytes, limit = bar->is_64bit ? PCI_WINDOW64_BYTES : GIB;
	unsigned reg = bar_register(index);

	if (size < BAR_MIN_BYTES || (size & (size - 1)) || size > limit)
		return -EINVAL;
	if (!is_free(dev, index) || (bar->is_64bit && !is_free(dev, index + 1)))
		return -EINVAL;
	dev->bar[index] = *bar;
	if (bar->is_64bit) {
		dev->config[reg] = PCI_BASE_ADDRESS_MEM_TYPE_64;
		store_le(dev->writable + reg, ~(size - 1), 8);
	} else {
		store_le(dev->writable + reg, ~(size - 1), 4);
	}
	return 0;
}

void pci_bars_attach(struct pci_host *host, struct pci_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (dev->bar[i].size_bytes)
			host->decode[host->decodes++] = (struct pci_decode){ dev, i };
	}
}

/* Decoding */

static bool is_inside(uint64_t base, uint64_t size, uint64_t window, uint64_t window_bytes)
{
	return base >= window && size <= window_bytes && base - window <= window_bytes - size;
}

static uint64_t programmed_base(const struct pci_device *dev, unsigned index)
{
	unsigned bytes = dev->bar[index].is_64bit ? 8 : 4;
	uint64_t base = load_le(dev->config + bar_register(index), bytes);

	return base & ~(uint64_t)~PCI_BASE_ADDRESS_MEM_MASK;
}

static uint64_t decoded_base(const struct pci_device *dev, unsigned index)
{
	uint64_t base = programmed_base(dev, index), size = dev->bar[index].size_bytes;

	if (!(pci_config_load(dev, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return BAR_UNMAPPED;
	if (is_inside(base, size, PCI_WINDOW_BASE, PCI_WINDOW_BYTES) ||
	    is_inside(base, size, PCI_WINDOW64_BASE, PCI_WINDOW64_BYTES))
		return base;
	return BAR_UNMAPPED;
}

void pci_bars_update(struct pci_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (dev->bar[i].size_bytes)
			__atomic_store_n(&dev->bar_base[i], decoded_base(dev, i), __ATOMIC_RELEASE);
	}
}

/* The BAR that holds all of [addr, addr + size), and the offset into it; or NULL. */
static const struct pci_bar *find(const struct pci_host *host, uint64_t addr, unsigned size,
				  uint64_t *offset)
{
	for (unsigned i = 0; i < host->decodes; i++) {
		const struct pci_decode *d = &host->decode[i];
		const struct pci_bar *bar = &d->dev->bar[d->index];
		uint64_t base = __atomic_load_n(&d->dev->bar_base[d->index], __ATOMIC_ACQUIRE);

		if (base != BAR_UNMAPPED && addr >= base && addr - base <= bar->size_bytes - size) {
			*offset = addr - base;
			return bar;
		}
	}
	return NULL;
}

static void access_window(struct pci_host *host, uint64_t addr, struct dev_access *a)
{
	struct dev_access inner = *a;
	const struct pci_bar *bar = find(host, addr, a->size, &inner.offset);

	if (bar)
		bar->access(bar->self, &inner);
	else
		inner.value = size_mask(a->size);
	a->value = inner.value;
}

void pci_window_access(void *self, struct dev_access *a)
{
	access_window(self, PCI_WINDOW_BASE + a->offset, a);
}

void pci_window64_access(void *self, struct dev_access *a)
{
	access_window(self, PCI_WINDOW64_BASE + a->offset, a);
}

/* What firmware does */

struct allocation {
	uint64_t next, end;
};

static bool allocate(struct allocation *window, uint64_t size, uint64_t *base)
{
	uint64_t at = align_up(window->next, size);

	if (at > window->end || size > window->end - at)
		return false;
	window->next = at + size;
	*base = at;
	return true;
}

int pci_assign_bars(struct pci_host *host)
{
	struct allocation low = { PCI_WINDOW_BASE, PCI_WINDOW_BASE + PCI_WINDOW_BYTES };
	struct allocation high = { PCI_WINDOW64_BASE, PCI_WINDOW64_BASE + PCI_WINDOW64_BYTES };

	for (unsigned i = 0; i < host->decodes; i++) {
		struct pci_device *dev = host->decode[i].dev;
		unsigned index = host->decode[i].index;
		const struct pci_bar *bar = &dev->bar[index];
		uint8_t *reg = dev->config + bar_register(index);
		uint64_t base;

		if (!allocate(&low, bar->size_bytes, &base) &&
		    !(bar->is_64bit && allocate(&high, bar->size_bytes, &base)))
			return -ENOSPC;
		pthread_mutex_lock(&dev->lock);
		store_le(reg, base | *reg, bar->is_64bit ? 8 : 4);
		dev->config[PCI_COMMAND] |= PCI_COMMAND_MEMORY;
		pci_bars_update(dev);
		pthread_mutex_unlock(&dev->lock);
	}
	return 0;
}
