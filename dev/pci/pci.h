/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI bus: one host bridge, one bus, configuration space by ports cf8h/cfch and by ECAM,
 * memory BARs that the guest may move inside the PCI windows, INTx lines, and MSI-X.
 *
 * The host bridge owns two windows of the bus (below and above 4 GiB) and decodes BARs itself, so
 * that vm/bus stays constant while the guest programs BARs. Source: PCI 3.0, PCI Express base
 * specification (ECAM), PCI Firmware specification.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include "dev/dev.h"
#include "vm/irq.h"
#include "vm/memory.h"

#define PCI_ECAM_BASE      0xe0000000ull /* 256 buses of 1 MiB */
#define PCI_ECAM_BYTES     0x10000000ull
#define PCI_WINDOW_BASE    0xf0000000ull /* 32-bit BARs, up to the IOAPIC */
#define PCI_WINDOW_BYTES   0x0ec00000ull
#define PCI_WINDOW64_BASE  0x8000000000ull /* 64-bit BARs: 512 GiB up */
#define PCI_WINDOW64_BYTES 0x1000000000ull

#define PCI_SLOTS        32
#define PCI_BARS         6
#define PCI_CONFIG_BYTES 256

struct pci_host;
struct pci_device;

/* A memory BAR: what the guest finds when it sizes it, and who answers. */
struct pci_bar {
	uint64_t size_bytes; /* power of two, at least 16; 0: no BAR */
	bool is_64bit;       /* takes the next slot too */
	dev_access_fn *access;
	void *self;
};

/* What a kind of device is. Embed struct pci_device in the device and call pci_attach. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, programming interface */
};

int pci_create(struct pci_host **out, struct irq *irq, struct memory *memory);
void pci_destroy(struct pci_host *host); /* accepts NULL; the devices are their owners' */
void pci_reset(struct pci_host *host);

dev_access_fn pci_port_access;     /* self = host; ports cf8h to cffh */
dev_access_fn pci_ecam_access;     /* self = host; offset from PCI_ECAM_BASE */
dev_access_fn pci_window_access;   /* self = host; offset from PCI_WINDOW_BASE */
dev_access_fn pci_window64_access; /* self = host; offset from PCI_WINDOW64_BASE */

#endif
