/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X: the vector table and the pending bits in a BAR of their own, the table in its lower half,
 * the pending bits from its middle on.
 *
 * notify comes from any thread. The lock is a leaf: messages leave after it is dropped.
 *
 * Source: PCI 3.0, "MSI-X Capability and Table Structures".
 */
#include "dev/pci/host.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#define ENTRY_BYTES    PCI_MSIX_ENTRY_SIZE
#define BAR_LEAST      4096
#define BITS_PER_WORD  64
#define PENDING_WORDS  (PCI_MSIX_MAX / BITS_PER_WORD)
#define CAP_BODY_BYTES (PCI_CAP_MSIX_SIZEOF - 2)

struct pci_msix {
	struct pci_device *dev;
	pthread_mutex_t lock;
	unsigned capability; /* offset in configuration space */
	unsigned vectors;
	uint64_t pba_offset;
	bool is_enabled; /* written with the lock held, read without. Atomic */
	bool is_masked;  /* the function mask */
	uint64_t pending[PENDING_WORDS];
	uint8_t table[]; /* vectors * ENTRY_BYTES */
};

static bool is_vector_masked(const struct pci_msix *msix, unsigned vector)
{
	return msix->table[vector * ENTRY_BYTES + PCI_MSIX_ENTRY_VECTOR_CTRL] &
	       PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static bool test_pending(const struct pci_msix *msix, unsigned vector)
{
	return msix->pending[vector / BITS_PER_WORD] & BIT(vector % BITS_PER_WORD);
}

/*
 * With the lock held, which it drops around the message: sends this vector's message if nothing
 * masks it, and makes it pending otherwise.
 */
static void deliver(struct pci_msix *msix, unsigned vector)
{
	const uint8_t *entry = msix->table + vector * ENTRY_BYTES;
	uint64_t *word = &msix->pending[vector / BITS_PER_WORD];
	uint64_t address = load_le(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 8);
	uint32_t data = load_le(entry + PCI_MSIX_ENTRY_DATA, 4);

	if (msix->is_masked || is_vector_masked(msix, vector)) {
		*word |= BIT(vector % BITS_PER_WORD);
		return;
	}
	*word &= ~BIT(vector % BITS_PER_WORD);
	pthread_mutex_unlock(&msix->lock);
	irq_send_msi(msix->dev->host->irq, address, data);
	pthread_mutex_lock(&msix->lock);
}

/* With the lock held: after something was unmasked. */
static void deliver_pending(struct pci_msix *msix)
{
	if (!msix->is_enabled || msix->is_masked)
		return;
	for (unsigned v = 0; v < msix->vectors; v++) {
		if (test_pending(msix, v) && !is_vector_masked(msix, v))
			deliver(msix, v);
	}
}

static void store_table(struct pci_msix *msix, const struct dev_access *a)
{
	for (unsigned i = 0; i < a->size; i++) {
		uint64_t at = a->offset + i;
		uint8_t value = a->value >> (8 * i);

		if (at >= msix->vectors * ENTRY_BYTES)
			return;
		if (at % ENTRY_BYTES == PCI_MSIX_ENTRY_VECTOR_CTRL)
			value &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
		else if (at % ENTRY_BYTES > PCI_MSIX_ENTRY_VECTOR_CTRL)
			value = 0;
		msix->table[at] = value;
	}
	deliver_pending(msix);
}

/* Copies what of [offset, offset + size) lies in an area of area_bytes; the rest reads as zero. */
static uint64_t load_area(const void *area, uint64_t area_bytes, uint64_t offset, unsigned size)
{
	if (offset >= area_bytes)
		return 0;
	return load_le((const uint8_t *)area + offset, MIN(size, area_bytes - offset));
}

static void msix_access(void *self, struct dev_access *a)
{
	struct pci_msix *msix = self;

	pthread_mutex_lock(&msix->lock);
	if (a->is_write)
		store_table(msix, a);
	else if (a->offset < msix->pba_offset)
		a->value = load_area(msix->table, msix->vectors * ENTRY_BYTES, a->offset, a->size);
	else
		a->value = load_area(msix->pending, sizeof(msix->pending),
				     a->offset - msix->pba_offset, a->size);
	pthread_mutex_unlock(&msix->lock);
}

void pci_msix_reset(struct pci_msix *msix)
{
	if (!msix)
		return;
	pthread_mutex_lock(&msix->lock);
	memset(msix->table, 0, msix->vectors * ENTRY_BYTES);
	memset(msix->pending, 0, sizeof(msix->pending));
	for (unsigned v = 0; v < msix->vectors; v++)
		msix->table[v * ENTRY_BYTES + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
	pthread_mutex_unlock(&msix->lock);
}

void pci_msix_update(struct pci_device *dev)
{
	struct pci_msix *msix = dev->msix;
	uint16_t control;

	if (!msix)
		return;
	control = pci_config_load(dev, msix->capability + PCI_MSIX_FLAGS, 2);
	pthread_mutex_lock(&msix->lock);
	__atomic_store_n(&msix->is_enabled, !!(control & PCI_MSIX_FLAGS_ENABLE), __ATOMIC_RELAXED);
	msix->is_masked = control & PCI_MSIX_FLAGS_MASKALL;
	deliver_pending(msix);
	pthread_mutex_unlock(&msix->lock);
}

bool pci_msix_enabled(const struct pci_device *dev)
{
	return dev->msix && __atomic_load_n(&dev->msix->is_enabled, __ATOMIC_RELAXED);
}

void pci_msix_notify(struct pci_device *dev, unsigned vector)
{
	struct pci_msix *msix = dev->msix;

	if (!msix || vector >= msix->vectors || !dev->host)
		return;
	pthread_mutex_lock(&msix->lock);
	if (msix->is_enabled)
		deliver(msix, vector);
	pthread_mutex_unlock(&msix->lock);
}

static uint64_t bar_bytes(unsigned vectors)
{
	uint64_t bytes = BAR_LEAST;

	while (bytes / 2 < vectors * ENTRY_BYTES)
		bytes *= 2;
	return bytes;
}

static int add_capability(struct pci_device *dev, const struct pci_msix *msix, unsigned index)
{
	uint8_t body[CAP_BODY_BYTES];
	int at;

	store_le(body + PCI_MSIX_FLAGS - 2, msix->vectors - 1, 2);
	store_le(body + PCI_MSIX_TABLE - 2, index, 4);
	store_le(body + PCI_MSIX_PBA - 2, msix->pba_offset | index, 4);
	at = pci_add_capability(dev, PCI_CAP_ID_MSIX, body, sizeof(body));
	if (at > 0)
		store_le(dev->writable + at + PCI_MSIX_FLAGS,
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	return at;
}

int pci_add_msix(struct pci_device *dev, unsigned index, unsigned vectors)
{
	struct pci_bar bar = { .size_bytes = bar_bytes(vectors), .access = msix_access };
	struct pci_msix *msix;
	int ret;

	if (!vectors || vectors > PCI_MSIX_MAX || dev->msix)
		return -EINVAL;
	msix = calloc(1, sizeof(*msix) + vectors * ENTRY_BYTES);
	if (!msix)
		return -ENOMEM;
	pthread_mutex_init(&msix->lock, NULL);
	msix->dev = dev;
	msix->vectors = vectors;
	msix->pba_offset = bar.size_bytes / 2;
	pci_msix_reset(msix);
	bar.self = msix;
	ret = pci_add_bar(dev, index, &bar);
	if (!ret)
		ret = add_capability(dev, msix, index);
	if (ret < 0) {
		pci_msix_destroy(msix);
		return ret;
	}
	msix->capability = ret;
	dev->msix = msix;
	return 0;
}

void pci_msix_destroy(struct pci_msix *msix)
{
	if (!msix)
		return;
	pthread_mutex_destroy(&msix->lock);
	free(msix);
}
