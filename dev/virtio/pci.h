/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between virtio.c and pci.c, the two halves of a virtio device: nobody else includes this.
 */
#ifndef DEV_VIRTIO_PCI_H
#define DEV_VIRTIO_PCI_H

#include "dev/virtio/virtio.h"

/* The PCI function with its capabilities, at `slot`. On failure pci_device_finish is due. */
int virtio_pci_attach(struct virtio_device *dev, struct pci_host *host, unsigned slot);

/* All registers to their state after reset, with no chain in use and `lock` held. */
void virtio_clear(struct virtio_device *dev);
/* The same with pause and resume around it. */
void virtio_restart(struct virtio_device *dev);

/* Reads and clears the ISR status, and lowers INTx. */
uint8_t virtio_take_isr(struct virtio_device *dev);

#endif
