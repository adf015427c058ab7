/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF images: placing their segments, for every boot protocol that uses ELF.
 */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include "boot/image.h"

/*
 * Copies the PT_LOAD segments of a 32- or 64-bit x86 executable to their physical addresses and
 * claims these. *entry is the header's entry address. -ENOEXEC or -E2BIG with a text.
 */
int elf_place(struct boot_image *image, struct memory *memory, uint64_t *entry, struct error *err);

#endif
