/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a virtio device: creation, reset, chains and interrupts. Its registers are in pci.c.
 */
#include "dev/virtio/virtio.h"
#include "dev/virtio/pci.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define ISR_QUEUE BIT(0) /* a queue has news; VIRTIO_PCI_ISR_CONFIG is the other bit */

#define TRANSPORT_FEATURES \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))

int virtio_init(struct virtio_device *dev, const struct virtio_place *place,
		const struct virtio_setup *setup)
{
	int ret;

	if (!setup->queues || setup->queues > VIRTIO_QUEUES_MAX)
		return -EINVAL;
	memset(dev, 0, sizeof(*dev));
	dev->kind = setup->kind;
	dev->self = setup->self;
	dev->memory = place->memory;
	dev->config = setup->config;
	dev->config_bytes = setup->config_bytes;
	dev->offered = setup->features | TRANSPORT_FEATURES;
	dev->queues = setup->queues;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_init(&dev->isr_lock, NULL);
	for (unsigned i = 0; i < dev->queues; i++)
		virtq_init(&dev->queue[i], place->memory);
	virtio_clear(dev);
	ret = virtio_pci_attach(dev, place->host, place->slot);
	if (ret)
		virtio_finish(dev);
	return ret;
}

void virtio_finish(struct virtio_device *dev)
{
	pci_device_finish(&dev->pci);
	for (unsigned i = 0; i < dev->queues; i++)
		virtq_finish(&dev->queue[i]);
	pthread_mutex_destroy(&dev->isr_lock);
	pthread_mutex_destroy(&dev->lock);
}

static void set_isr(struct virtio_device *dev, uint8_t bit)
{
	pthread_mutex_lock(&dev->isr_lock);
	dev->isr |= bit;
	pci_set_intx(&dev->pci, true);
	pthread_mutex_unlock(&dev->isr_lock);
}

uint8_t virtio_take_isr(struct virtio_device *dev)
{
	uint8_t isr;

	pthread_mutex_lock(&dev->isr_lock);
	isr = dev->isr;
	dev->isr = 0;
	pci_set_intx(&dev->pci, false);
	pthread_mutex_unlock(&dev->isr_lock);
	return isr;
}

void virtio_clear(struct virtio_device *dev)
{
	__atomic_store_n(&dev->status, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&dev->accepted, 0, __ATOMIC_RELAXED);
	dev->device_feature_select = dev->driver_feature_select = 0;
	dev->queue_select = 0;
	__atomic_store_n(&dev->config_vector, VIRTIO_MSI_NO_VECTOR, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < dev->queues; i++) {
		__atomic_store_n(&dev->queue_vector[i], VIRTIO_MSI_NO_VECTOR, __ATOMIC_RELAXED);
		virtq_reset(&dev->queue[i], VIRTQ_SIZE_MAX);
	}
	virtio_take_isr(dev);
}

void virtio_restart(struct virtio_device *dev)
{
	dev->kind->ops->pause(dev->self);
	virtio_clear(dev);
	dev->kind->ops->resume(dev->self);
}

void virtio_reset(struct virtio_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	virtio_restart(dev);
	pthread_mutex_unlock(&dev->lock);
}

bool virtio_has_feature(const struct virtio_device *dev, unsigned bit)
{
	return __atomic_load_n(&dev->accepted, __ATOMIC_RELAXED) & BIT(bit);
}

/* Interrupts */

static void interrupt(struct virtio_device *dev, const uint16_t *vector, uint8_t isr_bit)
{
	if (pci_msix_enabled(&dev->pci))
		pci_msix_notify(&dev->pci, __atomic_load_n(vector, __ATOMIC_RELAXED));
	else
		set_isr(dev, isr_bit);
}

void virtio_fail(struct virtio_device *dev)
{
	uint8_t old =
		__atomic_fetch_or(&dev->status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_SEQ_CST);

	if ((old & VIRTIO_CONFIG_S_DRIVER_OK) && !(old & VIRTIO_CONFIG_S_NEEDS_RESET))
		interrupt(dev, &dev->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

void virtio_config_changed(struct virtio_device *dev)
{
	__atomic_fetch_add(&dev->generation, 1, __ATOMIC_SEQ_CST);
	if (virtio_is_live(dev))
		interrupt(dev, &dev->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

/* Chains */

bool virtio_is_live(const struct virtio_device *dev)
{
	uint8_t status = __atomic_load_n(&dev->status, __ATOMIC_SEQ_CST);

	return (status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED));
}

bool virtio_pop(struct virtio_device *dev, unsigned queue, struct virtq_chain *chain)
{
	int ret;

	if (!virtio_is_live(dev))
		return false;
	ret = virtq_pop(&dev->queue[queue], chain);
	if (ret < 0)
		virtio_fail(dev);
	return ret > 0;
}

void virtio_push(struct virtio_device *dev, unsigned queue, const struct virtq_used *used,
		 unsigned count)
{
	if (virtq_push(&dev->queue[queue], used, count))
		interrupt(dev, &dev->queue_vector[queue], ISR_QUEUE);
}

void virtio_push_one(struct virtio_device *dev, unsigned queue, const struct virtq_chain *chain,
		     uint32_t written_bytes)
{
	struct virtq_used used = { chain->head, written_bytes };

	virtio_push(dev, queue, &used, 1);
}
