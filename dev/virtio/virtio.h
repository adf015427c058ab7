/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all virtio devices share: the virtio 1.x PCI function with its registers, feature
 * negotiation, status, queues and interrupts. A device embeds struct virtio_device, describes
 * itself with a constant struct virtio_kind, and pops and pushes chains.
 *
 * Threads: registers come from any vCPU thread and are under `lock`. Ops run on those threads: an
 * op must not wait for another vCPU. pop, push and features come from any thread and take no lock
 * but the queue's, so that `reset` may wait for I/O threads with `lock` held.
 *
 * Source: VIRTIO 1.2, "Virtio Over PCI Bus", "General Initialization And Device Operation".
 */
#ifndef DEV_VIRTIO_VIRTIO_H
#define DEV_VIRTIO_VIRTIO_H

#include "dev/pci/pci.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 8

struct virtio_ops {
	/* The driver added to this queue, or switched the device on. Returns soon. */
	void (*notify)(void *self, unsigned queue);
	/* Returns once no chain is in use and none will be taken until resume. */
	void (*pause)(void *self);
	void (*resume)(void *self);
	/*
	 * The driver wrote to the device-specific structure; with `lock` held. NULL where nothing
	 * in it is the driver's to write.
	 */
	void (*write_config)(void *self, uint64_t offset, unsigned size, uint64_t value);
};

/* What a type of device is: one constant each. */
struct virtio_kind {
	uint16_t type;       /* VIRTIO_ID_* */
	uint32_t class_code; /* PCI */
	const struct virtio_ops *ops;
};

struct virtio_device {
	struct pci_device pci;
	const struct virtio_kind *kind;
	void *self;
	struct memory *memory;
	const void *config; /* the device-specific structure; aligned fields change atomically */
	unsigned config_bytes;
	uint64_t offered; /* features */
	unsigned queues;
	unsigned cfg_capability; /* where the PCI configuration access capability is */

	pthread_mutex_t lock; /* registers: all below but where "atomic" is said */
	uint64_t accepted;    /* features. Atomic */
	uint8_t status;       /* Atomic */
	uint8_t generation;   /* of config. Atomic */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;                   /* Atomic */
	uint16_t queue_vector[VIRTIO_QUEUES_MAX]; /* Atomic */
	struct virtq queue[VIRTIO_QUEUES_MAX];

	pthread_mutex_t isr_lock; /* isr and the INTx line that shows it */
	uint8_t isr;
};

/* What a device is made of beside its kind. Borrowed: config lives as long as the device. */
struct virtio_setup {
	const struct virtio_kind *kind;
	void *self;
	uint64_t features; /* the device's own; the transport's are added */
	unsigned queues;   /* 1 to VIRTIO_QUEUES_MAX */
	const void *config;
	unsigned config_bytes;
};

/* Makes the PCI function and attaches it. On failure there is nothing to finish. */
int virtio_init(struct virtio_device *dev, const struct virtio_place *place,
		const struct virtio_setup *setup);
void virtio_finish(struct virtio_device *dev);

/* As after power-on. Calls pause and resume. */
void virtio_reset(struct virtio_device *dev);

bool virtio_is_live(const struct virtio_device *dev); /* DRIVER_OK, and nothing wrong */
bool virtio_has_feature(const struct virtio_device *dev, unsigned bit);

/* Pops a chain of a live device's queue; a bad ring makes the device ask for a reset. */
bool virtio_pop(struct virtio_device *dev, unsigned queue, struct virtq_chain *chain);

/* Hands chains back, with an interrupt where the driver wants one. */
void virtio_push(struct virtio_device *dev, unsigned queue, const struct virtq_used *used,
		 unsigned count);
void virtio_push_one(struct virtio_device *dev, unsigned queue, const struct virtq_chain *chain,
		     uint32_t written_bytes);

/* Something in the device-specific structure has changed: the driver is told. Any thread. */
void virtio_config_changed(struct virtio_device *dev);

/* The driver broke a rule that the device can't answer for: DEVICE_NEEDS_RESET. Any thread. */
void virtio_fail(struct virtio_device *dev);

#endif
