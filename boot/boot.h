/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What memory and the first vCPU hold when a kernel is started directly, without firmware.
 *
 * The kind of kernel is told from the file's content: a Linux bzImage, a multiboot 1 image, or an
 * ELF image with a PVH entry note. Files are opened once and read again at each reset, so a reset
 * starts the very same file even if its name is gone by then.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "boot/file.h"
#include "vm/engine.h"

struct boot_source {
	struct boot_file kernel, initrd; /* without an initrd its fd is -1 */
	const char *cmdline;             /* borrowed, "" for none */
};

/*
 * Opens both files; initrd_path may be NULL, the strings are borrowed. On error nothing stays open,
 * and err names the file.
 */
int boot_open(struct boot_source *source, const char *kernel_path, const char *initrd_path,
	      const char *cmdline, struct error *err);
void boot_close(struct boot_source *source);

/*
 * Places kernel, initrd, command line and the protocol's tables in guest memory and says with which
 * registers vCPU 0 starts. ACPI tables are there already, with the RSDP at `rsdp`. -ENOEXEC,
 * -E2BIG, -EIO and such, with a text that names the file and the reason; memory may hold parts
 * then.
 */
int boot_load(const struct boot_source *source, struct memory *memory, gpa_t rsdp,
	      struct engine_registers *out, struct error *err);

#endif
