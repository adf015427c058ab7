/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device: blobs by key, a directory of named files, read through a
 * selector and a data port or by DMA. Stock firmware and test kernels ask it for the machine's size
 * and tables.
 *
 * QEMU: "QEMU Firmware Configuration (fw_cfg) Device".
 */
#ifndef DEV_FWCFG_H
#define DEV_FWCFG_H

#include "dev/dev.h"
#include "lib/error.h"
#include "vm/memory.h"

#define FWCFG_PORT      0x510
#define FWCFG_PORTS     2 /* 510h selector (16 bits), 511h data */
#define FWCFG_DMA_PORT  0x514
#define FWCFG_DMA_PORTS 8 /* big-endian address; the low half starts the transfer */

/* Keys with a fixed meaning that the board or a boot protocol may add. */
enum fwcfg_key {
	FWCFG_SIGNATURE = 0x00, /* made by fwcfg_create, as are the ID and the directory */
	FWCFG_ID = 0x01,
	FWCFG_RAM_SIZE = 0x03, /* 8 bytes; made by fwcfg_create */
	FWCFG_CPUS = 0x05,     /* 2 bytes; made by fwcfg_create */
	FWCFG_KERNEL_ADDR = 0x07,
	FWCFG_KERNEL_SIZE = 0x08,
	FWCFG_INITRD_ADDR = 0x0a,
	FWCFG_INITRD_SIZE = 0x0b,
	FWCFG_BOOT_MENU = 0x0e,
	FWCFG_MAX_CPUS = 0x0f, /* 2 bytes; made by fwcfg_create */
	FWCFG_KERNEL_DATA = 0x11,
	FWCFG_INITRD_DATA = 0x12,
	FWCFG_CMDLINE_ADDR = 0x13,
	FWCFG_CMDLINE_SIZE = 0x14,
	FWCFG_CMDLINE_DATA = 0x15,
	FWCFG_SETUP_ADDR = 0x16,
	FWCFG_SETUP_SIZE = 0x17,
	FWCFG_SETUP_DATA = 0x18,
	FWCFG_DIRECTORY = 0x19,
	FWCFG_FIRST_FILE = 0x20,
};

#define FWCFG_FILES     64 /* at most */
#define FWCFG_NAME_SIZE 56 /* with the terminating 0 */

struct fwcfg;

/* memory (for DMA) is borrowed. */
int fwcfg_create(struct fwcfg **out, struct memory *memory, unsigned vcpus);
extern const struct dev_ops fwcfg_ops; /* self: struct fwcfg */
dev_access_fn fwcfg_access;            /* FWCFG_PORTS at FWCFG_PORT */
dev_access_fn fwcfg_dma_access;        /* FWCFG_DMA_PORTS at FWCFG_DMA_PORT */

/*
 * Both copy `data`; before the first vCPU runs. Adding what exists replaces it. -ENOMEM; -EINVAL
 * for a key that is FWCFG_DIRECTORY or above; -ENOSPC, -ENAMETOOLONG for a file. Files are listed
 * in the order of their names, as firmware expects.
 */
int fwcfg_add(struct fwcfg *fwcfg, enum fwcfg_key key, const void *data, size_t len);
int fwcfg_add_file(struct fwcfg *fwcfg, const char *name, const void *data, size_t len);

#endif
