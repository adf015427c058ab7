/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small virtio driver for tests: finds a device's registers through configuration space, sets up
 * its queues in guest memory, and passes chains, all by the accesses that a guest makes. With it
 * come fakes for the two functions of vm/irq.h that PCI calls.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "dev/pci/pci.h"
#include "dev/virtio/devices.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#ifndef DRIVER_MEMORY
#define DRIVER_MEMORY (8 * MIB)
#endif
#ifndef DRIVER_GROWTH
#define DRIVER_GROWTH 0
#endif
#define DRIVER_SLOT        4
#define DRIVER_QUEUES      4
#define DRIVER_QUEUE_SIZE  16
#define DRIVER_RINGS       0x10000 /* guest-physical; 0x4000 bytes a queue */
#define DRIVER_DATA        0x100000
#define DRIVER_MSI_ADDRESS 0xfee00000ull
#define DRIVER_WAIT_MS     5000

struct irq {
	pthread_mutex_t lock;
	bool line[IRQ_LINES];
	unsigned messages[16]; /* by data */
};

struct driver_queue {
	uint64_t desc, avail, used, notify;
	uint16_t avail_index, used_index, next_desc;
};

struct driver {
	struct irq irq;
	struct power power;
	struct pci_host *host;
	struct memory *memory;
	struct virtio_place place;
	uint64_t common, isr, device, notify, msix; /* bus addresses */
	uint32_t notify_stride;
	unsigned msix_capability, cfg_capability;
	struct driver_queue queue[DRIVER_QUEUES];
};

struct driver_segment {
	uint64_t gpa;
	uint32_t len;
	bool is_write;
};

void irq_set_line(struct irq *irq, unsigned gsi, bool level)
{
	pthread_mutex_lock(&irq->lock);
	irq->line[gsi] = level;
	pthread_mutex_unlock(&irq->lock);
}

void irq_send_msi(struct irq *irq, uint64_t address, uint32_t data)
{
	assert_int_equal(address, DRIVER_MSI_ADDRESS);
	pthread_mutex_lock(&irq->lock);
	irq->messages[data % ARRAY_SIZE(irq->messages)]++;
	pthread_mutex_unlock(&irq->lock);
}

static inline bool driver_line(struct driver *d)
{
	bool level;

	pthread_mutex_lock(&d->irq.lock);
	level = d->irq.line[PCI_INTX_GSI(DRIVER_SLOT, 0)];
	pthread_mutex_unlock(&d->irq.lock);
	return level;
}

static inline unsigned driver_messages(struct driver *d, unsigned data)
{
	unsigned count;

	pthread_mutex_lock(&d->irq.lock);
	count = d->irq.messages[data];
	pthread_mutex_unlock(&d->irq.lock);
	return count;
}

static inline void driver_ignore_power(void *self, enum power_event event, unsigned status)
{
	(void)self;
	(void)event;
	(void)status;
}

static inline uint64_t driver_call(dev_access_fn *fn, void *self, uint64_t offset, unsigned size,
				   bool is_write, uint64_t value)
{
	struct dev_access a = {
		.offset = offset, .size = size, .is_write = is_write, .value = value
	};

	fn(self, &a);
	return a.value;
}

static inline uint64_t config_read(struct driver *d, unsigned reg, unsigned size)
{
	return driver_call(pci_ecam_access, d->host, DRIVER_SLOT << 15 | reg, size, false, 0);
}

static inline void config_write(struct driver *d, unsigned reg, unsigned size, uint64_t value)
{
	driver_call(pci_ecam_access, d->host, DRIVER_SLOT << 15 | reg, size, true, value);
}

static inline uint64_t mmio_read(struct driver *d, uint64_t addr, unsigned size)
{
	return driver_call(pci_window_access, d->host, addr - PCI_WINDOW_BASE, size, false, 0);
}

static inline void mmio_write(struct driver *d, uint64_t addr, unsigned size, uint64_t value)
{
	driver_call(pci_window_access, d->host, addr - PCI_WINDOW_BASE, size, true, value);
}

/* A machine without a device; then create one at d->place, then driver_probe. */
static inline void driver_open(struct driver *d)
{
	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->irq.lock, NULL);
	d->power.request = driver_ignore_power;
	assert_int_equal(memory_create_growing(&d->memory, DRIVER_MEMORY, DRIVER_GROWTH, NULL), 0);
	assert_int_equal(pci_create(&d->host, &d->irq, &d->power), 0);
	d->place = (struct virtio_place){ d->host, DRIVER_SLOT, d->memory };
}

/* After the device was destroyed. */
static inline void driver_close(struct driver *d)
{
	pci_destroy(d->host);
	memory_destroy(d->memory);
	pthread_mutex_destroy(&d->irq.lock);
}

static inline void driver_see_capability(struct driver *d, unsigned at)
{
	unsigned bar = config_read(d, at + VIRTIO_PCI_CAP_BAR, 1);
	uint64_t base = config_read(d, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~0xfull;
	uint64_t address = base + config_read(d, at + VIRTIO_PCI_CAP_OFFSET, 4);

	switch (config_read(d, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = address;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		d->isr = address;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d->device = address;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d->notify = address;
		d->notify_stride = config_read(d, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		d->cfg_capability = at;
		break;
	}
}

static inline void driver_probe(struct driver *d)
{
	assert_int_equal(pci_assign_bars(d->host), 0);
	for (unsigned at = config_read(d, PCI_CAPABILITY_LIST, 1); at;
	     at = config_read(d, at + 1, 1)) {
		if (config_read(d, at, 1) == PCI_CAP_ID_VNDR)
			driver_see_capability(d, at);
		if (config_read(d, at, 1) == PCI_CAP_ID_MSIX) {
			unsigned bar = config_read(d, at + PCI_MSIX_TABLE, 4) & 7;

			d->msix_capability = at;
			d->msix = config_read(d, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~0xfull;
		}
	}
	assert_true(d->common && d->isr && d->device && d->notify && d->msix);
}

static inline unsigned driver_status(struct driver *d)
{
	return mmio_read(d, d->common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void driver_set_status(struct driver *d, unsigned status)
{
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static inline uint64_t driver_features(struct driver *d)
{
	uint64_t features;

	mmio_write(d, d->common + VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	features = mmio_read(d, d->common + VIRTIO_PCI_COMMON_DF, 4);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return features | mmio_read(d, d->common + VIRTIO_PCI_COMMON_DF, 4) << 32;
}

/* Resets, then goes as far as FEATURES_OK; false where the device refuses the features. */
static inline bool driver_negotiate(struct driver *d, uint64_t features)
{
	driver_set_status(d, 0);
	assert_int_equal(driver_status(d), 0);
	driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned half = 0; half < 2; half++) {
		mmio_write(d, d->common + VIRTIO_PCI_COMMON_GFSELECT, 4, half);
		mmio_write(d, d->common + VIRTIO_PCI_COMMON_GF, 4,
			   (features >> (32 * half)) & UINT32_MAX);
	}
	driver_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				     VIRTIO_CONFIG_S_FEATURES_OK);
	return driver_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void driver_set_address(struct driver *d, unsigned reg, uint64_t gpa)
{
	mmio_write(d, d->common + reg, 4, gpa & UINT32_MAX);
	mmio_write(d, d->common + reg + 4, 4, gpa >> 32);
}

/* The queue's interrupts go to vector index + 1. */
static inline void driver_setup_queue(struct driver *d, unsigned index)
{
	struct driver_queue *q = &d->queue[index];
	uint64_t at = DRIVER_RINGS + index * 0x4000;

	*q = (struct driver_queue){ .desc = at, .avail = at + 0x1000, .used = at + 0x2000 };
	memset(memory_at(d->memory, at, 0x4000), 0, 0x4000);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	assert_true(mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2) >= DRIVER_QUEUE_SIZE);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2, DRIVER_QUEUE_SIZE);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_MSIX, 2, index + 1);
	driver_set_address(d, VIRTIO_PCI_COMMON_Q_DESCLO, q->desc);
	driver_set_address(d, VIRTIO_PCI_COMMON_Q_AVAILLO, q->avail);
	driver_set_address(d, VIRTIO_PCI_COMMON_Q_USEDLO, q->used);
	q->notify = d->notify +
		    d->notify_stride * mmio_read(d, d->common + VIRTIO_PCI_COMMON_Q_NOFF, 2);
	mmio_write(d, d->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static inline void driver_go(struct driver *d)
{
	driver_set_status(d, driver_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* All of it: features, `queues` queues, DRIVER_OK. */
static inline void driver_start(struct driver *d, uint64_t features, unsigned queues)
{
	assert_true(driver_negotiate(d, features));
	for (unsigned i = 0; i < queues; i++)
		driver_setup_queue(d, i);
	driver_go(d);
	assert_true(driver_status(d) & VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void driver_enable_msix(struct driver *d, unsigned vectors)
{
	for (unsigned v = 0; v < vectors; v++) {
		mmio_write(d, d->msix + 16 * v, 8, DRIVER_MSI_ADDRESS);
		mmio_write(d, d->msix + 16 * v + 8, 8, v); /* data, and not masked */
	}
	config_write(d, d->msix_capability + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

/* Adds a chain and returns its head; does not notify. */
static inline uint16_t driver_add(struct driver *d, unsigned index,
				  const struct driver_segment *segments, unsigned count)
{
	struct driver_queue *q = &d->queue[index];
	uint16_t head = q->next_desc, *avail = memory_at(d->memory, q->avail, 0x200);
	struct vring_desc *desc = memory_at(d->memory, q->desc, 0x1000);

	for (unsigned i = 0; i < count; i++) {
		uint16_t at = q->next_desc, next = (at + 1) % DRIVER_QUEUE_SIZE;

		desc[at] = (struct vring_desc){
			.addr = segments[i].gpa,
			.len = segments[i].len,
			.flags = (segments[i].is_write ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < count ? VRING_DESC_F_NEXT : 0),
			.next = next,
		};
		q->next_desc = next;
	}
	avail[2 + q->avail_index % DRIVER_QUEUE_SIZE] = head;
	__atomic_store_n(&avail[1], ++q->avail_index, __ATOMIC_SEQ_CST);
	return head;
}

static inline void driver_kick(struct driver *d, unsigned index)
{
	mmio_write(d, d->queue[index].notify, 2, index);
}

static inline void driver_sleep(void)
{
	struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
}

static inline bool driver_has_used(struct driver *d, unsigned index)
{
	struct driver_queue *q = &d->queue[index];
	const uint16_t *used = memory_at(d->memory, q->used, 0x200);

	return __atomic_load_n(&used[1], __ATOMIC_SEQ_CST) != q->used_index;
}

/* Waits for the next used chain; its length in *len. */
static inline uint16_t driver_wait(struct driver *d, unsigned index, uint32_t *len)
{
	struct driver_queue *q = &d->queue[index];
	const struct vring_used_elem *elem;

	for (unsigned i = 0; i < DRIVER_WAIT_MS && !driver_has_used(d, index); i++)
		driver_sleep();
	assert_true(driver_has_used(d, index));
	elem = memory_at(d->memory, q->used + 4 + 8 * (q->used_index++ % DRIVER_QUEUE_SIZE), 8);
	if (len)
		*len = elem->len;
	return elem->id;
}

static inline void driver_wait_status(struct driver *d, unsigned bit)
{
	for (unsigned i = 0; i < DRIVER_WAIT_MS && !(driver_status(d) & bit); i++)
		driver_sleep();
	assert_true(driver_status(d) & bit);
}

#endif
