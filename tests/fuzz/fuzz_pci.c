/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI configuration space, BARs, MSI-X and a virtio device's registers: the input is a list of
 * accesses by ports, ECAM and the window. Each is 8 bytes: what, size, address, value.
 */
#include "dev/pci/pci.h"
#include "dev/virtio/devices.h"

#include <stdlib.h>

#define MEMORY       (2 * MIB)
#define SLOT         2
#define ACCESS_BYTES 8

struct irq {
	unsigned calls;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void irq_set_line(struct irq *irq, unsigned gsi, bool level)
{
	(void)level;
	irq->calls++;
	if (gsi >= IRQ_LINES)
		abort();
}

void irq_send_msi(struct irq *irq, uint64_t address, uint32_t data)
{
	(void)address;
	(void)data;
	irq->calls++;
}

static void ignore_power(void *self, enum power_event event, unsigned status)
{
	(void)self;
	(void)event;
	(void)status;
}

static void access_once(struct pci_host *host, const uint8_t *p)
{
	static const struct {
		dev_access_fn *fn;
		uint64_t base, span;
		unsigned sizes;
	} spaces[] = {
		{ pci_port_access, 0, PCI_PORTS_BYTES, 3 },
		{ pci_ecam_access, SLOT << 15, 0x1000, 4 },
		{ pci_window_access, 0, 0x10000, 4 },
		{ pci_window64_access, 0, 0x10000, 4 },
	};
	unsigned space = p[0] % ARRAY_SIZE(spaces);
	struct dev_access a = {
		.size = 1u << p[1] % spaces[space].sizes,
		.is_write = p[1] & 0x80,
		.value = load_le(p + 4, 4),
	};

	a.offset = spaces[space].base + load_le(p + 2, 2) % (spaces[space].span - a.size + 1);
	a.value &= size_mask(a.size);
	spaces[space].fn(host, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct irq irq = { 0 };
	struct power power = { .request = ignore_power };
	struct virtio_place place = { .slot = SLOT };
	struct virtio_rng *rng;

	if (memory_create(&place.memory, MEMORY, NULL) || pci_create(&place.host, &irq, &power) ||
	    virtio_rng_create(&rng, &place))
		return 0;
	pci_assign_bars(place.host);
	for (; size >= ACCESS_BYTES; size -= ACCESS_BYTES, data += ACCESS_BYTES)
		access_once(place.host, data);
	virtio_rng_dev_ops.destroy(rng);
	pci_destroy(place.host);
	memory_destroy(place.memory);
	return 0;
}
