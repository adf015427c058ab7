/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that the operator names: opened once, read again at each reset.
 */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include "lib/error.h"

struct boot_file {
	const char *what; /* "kernel", "initrd": for messages */
	const char *name; /* borrowed */
	int fd;           /* -1: none */
	uint64_t size_bytes;
};

/* Regular files only. On error fd is -1 and err names the file. */
int boot_file_open(struct boot_file *file, const char *what, const char *name, struct error *err);
void boot_file_close(struct boot_file *file);

/* Reads `bytes` of it from `offset` on, all of which were there when it was opened. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t bytes,
		   struct error *err);

#endif
