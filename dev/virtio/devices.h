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

struct virtio_balloon;
struct virtio_blk;
struct virtio_console;
struct virtio_mem;
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

/* Create and destroy on the loop's thread. The link is up. */
int virtio_net_create(struct virtio_net **out, const struct virtio_place *place,
		      const struct net *net, const uint8_t mac[NET_MAC_BYTES]);

/* Whether the guest sees a cable in the adapter; it is told of a change. Any thread. */
void virtio_net_set_link(struct virtio_net *nic, bool is_up);

/* One port: hvc0, or with a name (borrowed) a port for programs that look for it by that name. */
int virtio_console_create(struct virtio_console **out, const struct virtio_place *place,
			  struct console *console, const char *name);

/* Whether a program in the guest has the port open; a plain console has none. Any thread. */
bool virtio_console_is_used(const struct virtio_console *con);

int virtio_rng_create(struct virtio_rng **out, const struct virtio_place *place);

/*
 * gives_back: a driver that runs short of memory may take back from the balloon by itself.
 * The functions below are for any thread.
 */
int virtio_balloon_create(struct virtio_balloon **out, const struct virtio_place *place,
			  bool gives_back);

/* How much the guest is asked to do without from now on, also after a reset. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes);

struct virtio_balloon_report {
	bool has_driver;
	uint64_t held_bytes;      /* that the driver says it does without, at most all RAM */
	unsigned samples;         /* how often the driver has said the following since its start */
	uint64_t available_bytes; /* that the guest could use without paying for it */
	uint64_t sample_held_bytes; /* what the balloon held then */
};

void virtio_balloon_report(struct virtio_balloon *balloon, struct virtio_balloon_report *report);

/* Asks the driver for numbers; a later report has them. */
void virtio_balloon_ask(struct virtio_balloon *balloon);

/* For memory that can grow (memory->growth), which is all this device's. */
int virtio_mem_create(struct virtio_mem **out, const struct virtio_place *place);

/*
 * How much the guest is to have beyond what it started with, from now on, also after a reset: whole
 * blocks of 2 MiB. As memory_grow; nothing has changed after an error. Main thread.
 */
int virtio_mem_request(struct virtio_mem *mem, uint64_t bytes);

struct virtio_mem_report {
	bool has_driver;
	uint64_t requested_bytes;
	uint64_t plugged_bytes; /* what the guest has of it */
};

/* Any thread. */
void virtio_mem_report(struct virtio_mem *mem, struct virtio_mem_report *report);

/* self = what create gave */
extern const struct dev_ops virtio_balloon_dev_ops;
extern const struct dev_ops virtio_blk_dev_ops;
extern const struct dev_ops virtio_mem_dev_ops;
extern const struct dev_ops virtio_net_dev_ops;
extern const struct dev_ops virtio_console_dev_ops;
extern const struct dev_ops virtio_rng_dev_ops;

#endif
