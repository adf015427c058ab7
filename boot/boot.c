/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Direct boot: opens the files, tells the kind of kernel, and calls its loader.
 */
#include "boot/boot.h"

#include "boot/image.h"

#include <errno.h>
#include <stdlib.h>

#define KERNEL_MAX_BYTES GIB /* larger files are disks or core dumps: don't read them in */

/* In the order in which they are tried. */
static const struct {
	image_probe_fn *probe;
	image_load_fn *load;
} kinds[] = {
	{ linux_probe, linux_load },
	{ multiboot_probe, multiboot_load },
	{ elf_probe, elf_load },
};

int boot_open(struct boot_source *source, const char *kernel_path, const char *initrd_path,
	      const char *cmdline, struct error *err)
{
	int ret;

	*source = (struct boot_source){ { .fd = -1 }, { .fd = -1 }, cmdline };
	ret = boot_file_open(&source->kernel, "kernel", kernel_path, err);
	if (!ret && initrd_path)
		ret = boot_file_open(&source->initrd, "initrd", initrd_path, err);
	if (ret)
		boot_close(source);
	return ret;
}

void boot_close(struct boot_source *source)
{
	boot_file_close(&source->kernel);
	boot_file_close(&source->initrd);
}

int image_load(struct boot_image *image, struct memory *memory, struct engine_registers *out,
	       struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].probe(image))
			return kinds[i].load(image, memory, out, err);
	}
	return error_set(err, -ENOEXEC,
			 "kernel '%s': not a kernel: no Linux bzImage, multiboot or PVH ELF image",
			 image->name);
}

/* The whole file in memory of ours, for loaders that look all over it. */
static int load_read(struct boot_image *image, const struct boot_file *kernel,
		     struct memory *memory, struct engine_registers *out, struct error *err)
{
	uint8_t *bytes = malloc(kernel->size_bytes);
	int ret;

	if (!bytes)
		return error_set(err, -ENOMEM, "kernel '%s': out of memory", kernel->name);
	image->bytes = bytes;
	ret = boot_file_read(kernel, 0, bytes, kernel->size_bytes, err);
	if (!ret)
		ret = image_load(image, memory, out, err);
	free(bytes);
	return ret;
}

/* Linux goes from its file to guest memory at once: it is large, and its header is in front. */
int boot_load(const struct boot_source *source, struct memory *memory, gpa_t rsdp,
	      struct engine_registers *out, struct error *err)
{
	const struct boot_file *kernel = &source->kernel;
	uint8_t head[IMAGE_HEAD_BYTES];
	struct boot_image image = {
		.name = kernel->name,
		.bytes = head,
		.size_bytes = kernel->size_bytes,
		.initrd = source->initrd.fd >= 0 ? &source->initrd : NULL,
		.cmdline = source->cmdline,
		.rsdp = rsdp,
	};
	int ret;

	if (!kernel->size_bytes || kernel->size_bytes > KERNEL_MAX_BYTES)
		return error_set(err, -ENOEXEC, "kernel '%s': not a kernel: the file is %s",
				 kernel->name, kernel->size_bytes ? "too large" : "empty");
	ret = boot_file_read(kernel, 0, head, MIN(kernel->size_bytes, sizeof(head)), err);
	if (ret)
		return ret;
	if (!linux_probe(&image))
		return load_read(&image, kernel, memory, out, err);
	image.file = kernel;
	return linux_load(&image, memory, out, err);
}
