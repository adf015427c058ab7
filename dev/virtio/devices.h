/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio devices, as the board makes them. Each is one PCI function that attaches itself to
 * its slot; what it is given is borrowed and outlives it. Destroying one (dev_ops) ends its I/O
 * threads first, so a back end may be closed right after.
 *
 * create: 0, -ENOMEM, -EAGAIN (no thread to be had) or what pci_attach says.
 */
#ifndef DEV_VIRTIO_DEVICES_H
#define DEV_VIRTIO_DEVICES_H

#include "block/block.h"
#include "dev/dev.h"
#include "net/net.h"
#include "vm/memory.h"

struct pci_host;
struct console;

struct virtio_blk;
struct virtio_console;
struct virtio_net;
struct virtio_rng;

/* Where a device sits and what it reaches. */
struct virtio_place {
	struct pci_host *host;
	unsigned slot;
	struct memory *memory;
};

/* queues: request queues, 1 to VIRTIO_BLK_QUEUES. serial: at most 20 characters, copied. */
#define VIRTIO_BLK_QUEUES 4
int virtio_blk_create(struct virtio_blk **out, const struct virtio_place *place,
		      const struct block *disk, unsigned queues, const char *serial);

/* Create and destroy on the loop's thread. */
int virtio_net_create(struct virtio_net **out, const struct virtio_place *place,
		      const struct net *net, const uint8_t mac[NET_MAC_BYTES]);

/* One port: hvc0, or with a name (borrowed) a port for programs that look for it by that name. */
int virtio_console_create(struct virtio_console **out, const struct virtio_place *place,
			  struct console *console, const char *name);

int virtio_rng_create(struct virtio_rng **out, const struct virtio_place *place);

/* self = what create gave */
extern const struct dev_ops virtio_blk_dev_ops;
extern const struct dev_ops virtio_net_dev_ops;
extern const struct dev_ops virtio_console_dev_ops;
extern const struct dev_ops virtio_rng_dev_ops;

#endif
