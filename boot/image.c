/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers of the loaders: copying from the image file into guest memory, with all sizes checked. */
#include "boot/image.h"

#include "boot/layout.h"

#include <errno.h>

static int does_not_fit(const struct boot_image *image, const struct memory *memory, gpa_t gpa,
			uint64_t size_bytes, struct error *err)
{
	return error_set(err, -E2BIG,
			 "kernel '%s': needs %llu bytes at %#llx, which are not in the %llu MiB of "
			 "memory",
			 image->name, (unsigned long long)size_bytes, (unsigned long long)gpa,
			 (unsigned long long)(memory->size_bytes / MIB));
}

bool image_has(const struct boot_image *image, uint64_t offset, uint64_t len)
{
	return offset <= image->size_bytes && len <= image->size_bytes - offset;
}

int image_place(const struct boot_image *image, struct memory *memory, uint64_t offset,
		uint64_t file_bytes, gpa_t gpa, uint64_t memory_bytes, struct error *err)
{
	uint8_t *p;
	int ret = 0;

	if (!image_has(image, offset, file_bytes))
		return error_set(err, -ENOEXEC,
				 "kernel '%s': truncated: its headers speak of bytes %llu to %llu, "
				 "the file has %llu",
				 image->name, (unsigned long long)offset,
				 (unsigned long long)(offset + file_bytes),
				 (unsigned long long)image->size_bytes);
	if (file_bytes > memory_bytes)
		return error_set(err, -ENOEXEC,
				 "kernel '%s': a segment is larger in the file than in memory",
				 image->name);
	p = memory_at(memory, gpa, memory_bytes);
	if (!p)
		return does_not_fit(image, memory, gpa, memory_bytes, err);
	if (image->file)
		ret = boot_file_read(image->file, offset, p, file_bytes, err);
	else
		memcpy(p, image->bytes + offset, file_bytes);
	memset(p + file_bytes, 0, memory_bytes - file_bytes);
	memory_written(memory, gpa, memory_bytes);
	return ret;
}

int image_claim(struct boot_image *image, gpa_t base, gpa_t end, struct error *err)
{
	if (base < LAYOUT_KERNEL_MIN || end <= base)
		return error_set(err, -ENOEXEC, "kernel '%s': wants to lie at %#llx to %#llx",
				 image->name, (unsigned long long)base, (unsigned long long)end);
	image->kernel_base = image->kernel_end ? MIN(image->kernel_base, base) : base;
	image->kernel_end = MAX(image->kernel_end, end);
	return 0;
}

gpa_t image_find_place(const struct boot_image *image, gpa_t base, gpa_t limit, uint64_t size_bytes)
{
	gpa_t end = limit;

	for (int tries = 0; tries < 2; tries++) {
		gpa_t start = size_bytes <= end ? align_down(end - size_bytes, PAGE_BYTES) : 0;

		if (start < base)
			return 0;
		if (start >= image->kernel_end || start + size_bytes <= image->kernel_base)
			return start;
		end = image->kernel_base;
	}
	return 0;
}

int image_place_initrd(const struct boot_image *image, struct memory *memory, gpa_t base,
		       gpa_t limit, gpa_t *gpa, struct error *err)
{
	const struct boot_file *initrd = image->initrd;
	uint8_t *p;
	int ret;

	*gpa = 0;
	if (!initrd || !initrd->size_bytes)
		return 0;
	*gpa = image_find_place(image, base, limit, initrd->size_bytes);
	p = *gpa ? memory_at(memory, *gpa, initrd->size_bytes) : NULL;
	if (!p)
		return error_set(err, -E2BIG,
				 "initrd '%s': too big: %llu bytes beside the kernel do not fit "
				 "into %llu MiB of memory",
				 initrd->name, (unsigned long long)initrd->size_bytes,
				 (unsigned long long)(memory->size_bytes / MIB));
	ret = boot_file_read(initrd, 0, p, initrd->size_bytes, err);
	if (!ret)
		memory_written(memory, *gpa, initrd->size_bytes);
	return ret;
}

int image_check_cmdline(const struct boot_image *image, uint64_t max_bytes, struct error *err)
{
	uint64_t size_bytes = strlen(image->cmdline) + 1;

	if (size_bytes <= max_bytes)
		return (int)size_bytes;
	return error_set(
		err, -E2BIG,
		"--append: the command line has %llu characters, kernel '%s' takes at most "
		"%llu",
		(unsigned long long)(size_bytes - 1), image->name,
		(unsigned long long)(max_bytes - 1));
}
