/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a loader of one kind of kernel is given, and helpers that all of them use. Everything in the
 * kernel image is untrusted: loaders check each size against the image and against guest memory.
 */
#ifndef BOOT_IMAGE_H
#define BOOT_IMAGE_H

#include "boot/boot.h"

/* Loaders that look at no more of the file need not have all of it in `bytes`. */
#define IMAGE_HEAD_BYTES 4096u

struct boot_image {
	const char *name;               /* of the kernel file, for messages */
	const uint8_t *bytes;           /* the whole file, or IMAGE_HEAD_BYTES of it */
	uint64_t size_bytes;            /* of the file */
	const struct boot_file *file;   /* what image_place reads, if not `bytes` */
	const struct boot_file *initrd; /* NULL: none */
	const char *cmdline;
	gpa_t rsdp;
	gpa_t kernel_base, kernel_end; /* set by the loader: what comes later keeps out of it */
};

/* A loader: true where the file is of its kind. */
typedef bool image_probe_fn(const struct boot_image *image);
typedef int image_load_fn(struct boot_image *image, struct memory *memory,
			  struct engine_registers *out, struct error *err);

image_probe_fn linux_probe, multiboot_probe, elf_probe;
image_load_fn linux_load, multiboot_load, elf_load;

/* Finds the loader and runs it: boot_load on an image that is in our memory already. */
image_load_fn image_load;

/* Whether [offset, offset + len) lies inside the file. */
bool image_has(const struct boot_image *image, uint64_t offset, uint64_t len);

/*
 * Copies file bytes to memory and fills up with zeros to memory_bytes. -ENOEXEC where the file is
 * too short for them, -E2BIG where memory is; the text says which.
 */
int image_place(const struct boot_image *image, struct memory *memory, uint64_t offset,
		uint64_t file_bytes, gpa_t gpa, uint64_t memory_bytes, struct error *err);

/*
 * Adds [base, end) to what the kernel takes. -ENOEXEC where it is empty or reaches into the pages
 * below LAYOUT_KERNEL_MIN.
 */
int image_claim(struct boot_image *image, gpa_t base, gpa_t end, struct error *err);

/* The highest page-aligned place in [base, limit) that misses the kernel, or 0. */
gpa_t image_find_place(const struct boot_image *image, gpa_t base, gpa_t limit,
		       uint64_t size_bytes);

/*
 * Reads the initrd to such a place. *gpa is where, or 0 where there is no initrd or an empty one.
 * -E2BIG where there is no room.
 */
int image_place_initrd(const struct boot_image *image, struct memory *memory, gpa_t base,
		       gpa_t limit, gpa_t *gpa, struct error *err);

/* Bytes of the command line with its NUL; -E2BIG with a text where there are more than max_bytes.
 */
int image_check_cmdline(const struct boot_image *image, uint64_t max_bytes, struct error *err);

#endif
