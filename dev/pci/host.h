/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of dev/pci share: the host bridge's state, and what configuration space calls
 * after a write. Nobody else includes this.
 */
#ifndef DEV_PCI_HOST_H
#define DEV_PCI_HOST_H

#include "dev/pci/pci.h"

#define BAR_UNMAPPED UINT64_MAX

/* One BAR in the list that the windows search; fixed from the first instruction on. */
struct pci_decode {
	struct pci_device *dev;
	unsigned index;
};

struct pci_host {
	struct irq *irq;
	const struct power *power;
	uint32_t address;      /* port cf8h. Atomic */
	uint8_t reset_control; /* port cf9h. Atomic */
	struct pci_device *slot[PCI_SLOTS];
	struct pci_device bridge, isa;
	struct pci_decode decode[PCI_SLOTS * PCI_BARS];
	unsigned decodes;
	pthread_mutex_t intx_lock; /* a leaf, but for irq_set_line */
	unsigned intx_asserted[PCI_INTX_GSIS];
};

static inline uint32_t pci_config_load(const struct pci_device *dev, unsigned offset,
				       unsigned bytes)
{
	return load_le(dev->config + offset, bytes);
}

/* Registers of a device on the list of BARs that the windows search. */
void pci_bars_attach(struct pci_host *host, struct pci_device *dev);
/* Takes over BAR and command registers after a write. With dev->lock held. */
void pci_bars_update(struct pci_device *dev);

void pci_msix_reset(struct pci_msix *msix); /* accepts NULL */
/* Takes over message control after a write. With dev->lock held. */
void pci_msix_update(struct pci_device *dev);
void pci_msix_destroy(struct pci_msix *msix); /* accepts NULL */

#endif
