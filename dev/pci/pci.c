/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host bridge: configuration space by ports and by ECAM, the two bridges of the board, INTx
 * lines and the reset control register. BARs are in bar.c, MSI-X in msix.c.
 *
 * Locks: a device's `lock` covers its configuration space; the host's `intx_lock` is taken inside
 * it and covers lines only.
 *
 * Source: PCI 3.0, "Configuration Space"; PCI Express base specification, "Enhanced Configuration
 * Access Mechanism (ECAM)"; ICH9 data sheet, "RST_CNT".
 */
#include "dev/pci/host.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#define FIRST_CAPABILITY 0x40

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_MASK   0x80fffffcu /* what port cf8h keeps */

#define PORT_RESET     1 /* offsets from PCI_PORTS_BASE */
#define PORT_DATA      4
#define RESET_CPU      BIT(2)
#define RESET_WRITABLE 0x0e

#define VENDOR_INTEL    0x8086
#define DEVICE_Q35_HOST 0x29c0
#define DEVICE_ICH9_ISA 0x2918
#define Q35_PCIEXBAR    0x60 /* host bridge: base of ECAM, bit 0 enables */

static const struct pci_identity bridge_identity = {
	.vendor = VENDOR_INTEL,
	.device = DEVICE_Q35_HOST,
	.class_code = 0x060000,
};

static const struct pci_identity isa_identity = {
	.vendor = VENDOR_INTEL,
	.device = DEVICE_ICH9_ISA,
	.revision = 2,
	.class_code = 0x060100,
};

/* INTx */

/* With intx_lock held. */
static void drive_intx(struct pci_device *dev)
{
	struct pci_host *host = dev->host;
	bool driven = dev->intx_wanted && !dev->intx_disabled;
	unsigned gsi = PCI_INTX_GSI(dev->slot, 0);
	unsigned *asserted = &host->intx_asserted[gsi - PCI_INTX_GSI_FIRST];

	if (driven == dev->intx_driven)
		return;
	dev->intx_driven = driven;
	*asserted += driven ? 1 : -1u;
	irq_set_line(host->irq, gsi, *asserted > 0);
}

/* Takes over the command register's interrupt disable bit. With dev->lock held. */
static void update_intx(struct pci_device *dev)
{
	pthread_mutex_lock(&dev->host->intx_lock);
	dev->intx_disabled = pci_config_load(dev, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
	drive_intx(dev);
	pthread_mutex_unlock(&dev->host->intx_lock);
}

void pci_set_intx(struct pci_device *dev, bool level)
{
	if (!dev->host)
		return;
	pthread_mutex_lock(&dev->host->intx_lock);
	__atomic_store_n(&dev->intx_wanted, level, __ATOMIC_RELAXED);
	drive_intx(dev);
	pthread_mutex_unlock(&dev->host->intx_lock);
}

/* Configuration space of one device */

static void take_over(struct pci_device *dev)
{
	pci_bars_update(dev);
	update_intx(dev);
	pci_msix_update(dev);
}

/* Shows what is not a plain byte of memory: the interrupt status bit. */
static void refresh_status(struct pci_device *dev)
{
	uint8_t *status = &dev->config[PCI_STATUS];

	*status &= ~PCI_STATUS_INTERRUPT;
	if (__atomic_load_n(&dev->intx_wanted, __ATOMIC_RELAXED))
		*status |= PCI_STATUS_INTERRUPT;
}

static void store_config(struct pci_device *dev, const struct dev_access *a)
{
	for (unsigned i = 0; i < a->size; i++) {
		uint8_t mask = dev->writable[a->offset + i];
		uint8_t *byte = &dev->config[a->offset + i];

		*byte = (*byte & ~mask) | ((a->value >> (8 * i)) & mask);
	}
}

/* a->offset is below the end of extended configuration space, which has nothing in it. */
static void config_access(struct pci_device *dev, struct dev_access *a)
{
	struct dev_access clipped = *a;

	if (!a->is_write)
		a->value = 0;
	if (a->offset >= PCI_CONFIG_BYTES)
		return;
	clipped.size = MIN(a->size, PCI_CONFIG_BYTES - a->offset);
	pthread_mutex_lock(&dev->lock);
	if (a->is_write) {
		store_config(dev, &clipped);
		take_over(dev);
	} else {
		refresh_status(dev);
	}
	if (dev->config_hook)
		dev->config_hook(dev->config_hook_self, &clipped);
	if (!a->is_write)
		a->value = load_le(dev->config + a->offset, clipped.size);
	pthread_mutex_unlock(&dev->lock);
}

/* The device with this bus, device and function (16 bits), or NULL. */
static struct pci_device *find(struct pci_host *host, unsigned bdf)
{
	bool is_present = bits(bdf, 15, 8) == 0 && bits(bdf, 2, 0) == 0;

	return is_present ? host->slot[bits(bdf, 7, 3)] : NULL;
}

static void access_function(struct pci_host *host, unsigned bdf, struct dev_access *a)
{
	struct pci_device *dev = find(host, bdf);

	if (dev)
		config_access(dev, a);
	else
		a->value = size_mask(a->size);
}

/* Ports and ECAM */

static void access_address(struct pci_host *host, struct dev_access *a)
{
	if (a->is_write)
		__atomic_store_n(&host->address, a->value & ADDRESS_MASK, __ATOMIC_RELAXED);
	else
		a->value = __atomic_load_n(&host->address, __ATOMIC_RELAXED);
}

static void access_reset_control(struct pci_host *host, struct dev_access *a)
{
	uint8_t old;

	if (!a->is_write) {
		a->value = __atomic_load_n(&host->reset_control, __ATOMIC_RELAXED);
		return;
	}
	old = __atomic_exchange_n(&host->reset_control, a->value & RESET_WRITABLE,
				  __ATOMIC_RELAXED);
	if ((a->value & RESET_CPU) && !(old & RESET_CPU))
		host->power->request(host->power->self, POWER_RESET, 0);
}

static void access_data(struct pci_host *host, struct dev_access *a)
{
	uint32_t address = __atomic_load_n(&host->address, __ATOMIC_RELAXED);
	struct dev_access config = *a;

	config.offset = bits(address, 7, 0) + (a->offset - PORT_DATA);
	if (address & ADDRESS_ENABLE)
		access_function(host, bits(address, 23, 8), &config);
	else
		config.value = size_mask(a->size);
	a->value = config.value;
}

void pci_port_access(void *self, struct dev_access *a)
{
	if (a->offset >= PORT_DATA)
		access_data(self, a);
	else if (a->offset == 0 && a->size == 4)
		access_address(self, a);
	else if (a->offset == PORT_RESET && a->size == 1)
		access_reset_control(self, a);
	else
		a->value = size_mask(a->size);
}

void pci_ecam_access(void *self, struct dev_access *a)
{
	struct dev_access config = *a;

	config.offset = bits(a->offset, 11, 0);
	access_function(self, bits(a->offset, 27, 12), &config);
	a->value = config.value;
}

/* Devices */

void pci_device_init(struct pci_device *dev, const struct pci_identity *identity)
{
	uint8_t *c = dev->config;

	memset(dev, 0, sizeof(*dev));
	pthread_mutex_init(&dev->lock, NULL);
	for (unsigned i = 0; i < PCI_BARS; i++)
		dev->bar_base[i] = BAR_UNMAPPED;
	store_le(c + PCI_VENDOR_ID, identity->vendor, 2);
	store_le(c + PCI_DEVICE_ID, identity->device, 2);
	store_le(c + PCI_REVISION_ID, identity->revision, 1);
	store_le(c + PCI_CLASS_PROG, identity->class_code, 3);
	store_le(c + PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor, 2);
	store_le(c + PCI_SUBSYSTEM_ID, identity->subsystem, 2);
	c[PCI_INTERRUPT_PIN] = identity->has_intx;
	store_le(dev->writable + PCI_COMMAND,
		 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	dev->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	dev->writable[PCI_INTERRUPT_LINE] = identity->has_intx ? 0xff : 0;
	dev->next_capability = FIRST_CAPABILITY;
	dev->last_link = PCI_CAPABILITY_LIST;
}

void pci_device_finish(struct pci_device *dev)
{
	pci_msix_destroy(dev->msix);
	dev->msix = NULL;
	pthread_mutex_destroy(&dev->lock);
}

int pci_add_capability(struct pci_device *dev, uint8_t id, const void *body, unsigned body_bytes)
{
	unsigned at = dev->next_capability;

	if (at + 2 + body_bytes > PCI_CONFIG_BYTES)
		return -ENOSPC;
	dev->config[at] = id;
	memcpy(dev->config + at + 2, body, body_bytes);
	dev->config[dev->last_link] = at;
	dev->last_link = at + 1;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	dev->next_capability = align_up(at + 2 + body_bytes, 4);
	return at;
}

int pci_attach(struct pci_host *host, unsigned slot, struct pci_device *dev)
{
	if (slot >= PCI_SLOTS)
		return -EINVAL;
	if (host->slot[slot])
		return -EEXIST;
	memcpy(dev->after_reset, dev->config, sizeof(dev->config));
	dev->host = host;
	dev->slot = slot;
	host->slot[slot] = dev;
	pci_bars_attach(host, dev);
	return 0;
}

static void reset_device(struct pci_device *dev)
{
	pci_set_intx(dev, false);
	pthread_mutex_lock(&dev->lock);
	memcpy(dev->config, dev->after_reset, sizeof(dev->config));
	pci_msix_reset(dev->msix);
	take_over(dev);
	pthread_mutex_unlock(&dev->lock);
}

void pci_reset(struct pci_host *host)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		if (host->slot[i])
			reset_device(host->slot[i]);
	}
	host->address = 0;
	host->reset_control = 0;
}

int pci_create(struct pci_host **out, struct irq *irq, const struct power *power)
{
	struct pci_host *host = calloc(1, sizeof(*host));

	if (!host)
		return -ENOMEM;
	host->irq = irq;
	host->power = power;
	pthread_mutex_init(&host->intx_lock, NULL);
	pci_device_init(&host->bridge, &bridge_identity);
	store_le(host->bridge.config + Q35_PCIEXBAR, PCI_ECAM_BASE | 1, 8);
	pci_device_init(&host->isa, &isa_identity);
	pci_attach(host, 0, &host->bridge);
	pci_attach(host, PCI_SLOT_ISA, &host->isa);
	*out = host;
	return 0;
}

void pci_destroy(struct pci_host *host)
{
	if (!host)
		return;
	pci_device_finish(&host->bridge);
	pci_device_finish(&host->isa);
	pthread_mutex_destroy(&host->intx_lock);
	free(host);
}
