/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI bus: one host bridge, one bus, configuration space by ports cf8h/cfch and by ECAM,
 * memory BARs that the guest may move inside the PCI windows, INTx lines, and MSI-X.
 *
 * The host bridge owns two windows of the bus (below and above 4 GiB) and decodes BARs itself, so
 * that vm/bus stays constant while the guest programs BARs. Look-up in the windows takes no lock.
 * Bus 0 holds all devices, function 0 only. Slot 0 is the host bridge (8086:29c0, as in Q35) and
 * slot 31 the ISA bridge (8086:2918); pci_create makes both.
 *
 * INTx: pin p (0 = INTA … 3 = INTD) of slot s drives PCI_INTX_GSI(s, p), active low at the pin and
 * level triggered; the line in vm/irq is high while any device asserts it. ACPI's _PRT says so.
 *
 * Source: PCI 3.0, PCI Express base specification (ECAM), PCI Firmware specification.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include "dev/dev.h"
#include "vm/irq.h"
#include "vm/power.h"

#include <pthread.h>

#define PCI_ECAM_BASE      0xe0000000ull /* 256 buses of 1 MiB */
#define PCI_ECAM_BYTES     0x10000000ull
#define PCI_WINDOW_BASE    0xf0000000ull /* 32-bit BARs, up to the IOAPIC */
#define PCI_WINDOW_BYTES   0x0ec00000ull
#define PCI_WINDOW64_BASE  0x8000000000ull /* 64-bit BARs: 512 GiB up */
#define PCI_WINDOW64_BYTES 0x1000000000ull

#define PCI_PORTS_BASE  0xcf8 /* cf8h: address, cf9h: reset control, cfch to cffh: data */
#define PCI_PORTS_BYTES 8

#define PCI_SLOTS        32
#define PCI_SLOT_ISA     31
#define PCI_BARS         6
#define PCI_CONFIG_BYTES 256
#define PCI_MSIX_MAX     2048 /* vectors of a device */

#define PCI_INTX_GSI_FIRST      16
#define PCI_INTX_GSIS           8
#define PCI_INTX_GSI(slot, pin) (PCI_INTX_GSI_FIRST + ((slot) + (pin)) % PCI_INTX_GSIS)

struct pci_host;
struct pci_msix;

/* A memory BAR: what the guest finds when it sizes it, and who answers. */
struct pci_bar {
	uint64_t size_bytes;   /* power of two, at least 16; 0: no BAR */
	bool is_64bit;         /* takes the next slot too */
	dev_access_fn *access; /* offset from the BAR; any vCPU thread, no lock held */
	void *self;
};

/* What a kind of device is. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, programming interface */
	bool has_intx;       /* drives INTA */
};

/*
 * Embed in the device: pci_device_init, then BARs, capabilities, MSI-X, then pci_attach. Only
 * dev/pci writes the fields; `config` may be written by the device from its hook.
 */
struct pci_device {
	struct pci_host *host; /* NULL until attached */
	unsigned slot;
	struct pci_bar bar[PCI_BARS];
	uint64_t bar_base[PCI_BARS]; /* where it answers, BAR_UNMAPPED where not. Atomic */
	pthread_mutex_t lock;        /* configuration space; the hook runs with it held */
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES];    /* the bits that the guest may change */
	uint8_t after_reset[PCI_CONFIG_BYTES]; /* config at pci_attach */
	unsigned next_capability;              /* where the next one goes */
	unsigned last_link;                    /* the byte that links it */
	/* Called before a read and after a write of configuration space, bytes past `config` left
	 * out. NULL: none. */
	dev_access_fn *config_hook;
	void *config_hook_self;
	struct pci_msix *msix; /* NULL: none */
	bool intx_wanted;      /* what the device asks for; with the host's intx lock held */
	bool intx_disabled;    /* by the command register */
	bool intx_driven;      /* what reaches the line */
};

/* power: for port cf9h. All borrowed. -ENOMEM. */
int pci_create(struct pci_host **out, struct irq *irq, const struct power *power);
void pci_destroy(struct pci_host *host); /* accepts NULL; the devices are their owners' */

/* All devices to their configuration at pci_attach: BARs unmapped, MSI-X off, INTx low. */
void pci_reset(struct pci_host *host);

/*
 * What firmware does: gives each BAR an address in its window and switches memory decoding on. For
 * boot protocols without firmware; after pci_reset, before the first vCPU runs. -ENOSPC where a
 * window is too small.
 */
int pci_assign_bars(struct pci_host *host);

dev_access_fn pci_port_access;     /* self = host; offset from PCI_PORTS_BASE */
dev_access_fn pci_ecam_access;     /* self = host; offset from PCI_ECAM_BASE */
dev_access_fn pci_window_access;   /* self = host; offset from PCI_WINDOW_BASE */
dev_access_fn pci_window64_access; /* self = host; offset from PCI_WINDOW64_BASE */

void pci_device_init(struct pci_device *dev, const struct pci_identity *identity);
void pci_device_finish(struct pci_device *dev); /* frees what hangs off it; the host may be gone */

/* Before pci_attach. -EINVAL: the size is no power of two, or the slot is taken. */
int pci_add_bar(struct pci_device *dev, unsigned index, const struct pci_bar *bar);
/*
 * Appends a capability whose bytes after ID and link are `body`, and returns its offset in
 * configuration space, or -ENOSPC. Its bytes are read-only until the caller sets `writable`.
 */
int pci_add_capability(struct pci_device *dev, uint8_t id, const void *body, unsigned body_bytes);
/* MSI-X with its table and pending bits in 32-bit BAR `index`. -EINVAL, -ENOSPC, -ENOMEM. */
int pci_add_msix(struct pci_device *dev, unsigned index, unsigned vectors);

/* Puts it on the bus. -EEXIST: the slot is taken; -EINVAL: no such slot. Before the first vCPU. */
int pci_attach(struct pci_host *host, unsigned slot, struct pci_device *dev);

/* Interrupts. Any thread. */
bool pci_msix_enabled(const struct pci_device *dev);
/* Sends the vector's message, or sets its pending bit while masked. No effect while MSI-X is off
 * or where there is no such vector. */
void pci_msix_notify(struct pci_device *dev, unsigned vector);
/* The device's INTA. The command register's interrupt disable bit is applied here. */
void pci_set_intx(struct pci_device *dev, bool level);

#endif
