/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux bzImage by the 64-bit boot protocol: the protected-mode part goes to the kernel's preferred
 * address, the "zero page" carries the setup header, the memory map and pointers, and vCPU 0 starts
 * in 64-bit mode at startup_64. The real-mode part of the file never runs.
 *
 * Source: Linux: "The Linux/x86 Boot Protocol", "64-bit BOOT PROTOCOL"; "Zero Page".
 */
#include "boot/e820.h"
#include "boot/image.h"
#include "boot/layout.h"
#include "boot/state.h"

#include <errno.h>

/* Offsets in the file's first sectors and, the same, in the zero page. */
enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	HEADER_LENGTH = 0x201, /* the jump's displacement: the header ends that far behind it */
	HEADER_MAGIC = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	RELOCATABLE_KERNEL = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END = 0x264,
	HEADER_END_MAX = 0x290, /* the zero page has other fields from here on */
};

/* Fields of the zero page outside the setup header. */
enum {
	ACPI_RSDP_ADDR = 0x070,
	E820_ENTRIES = 0x1e8,
	E820_TABLE = 0x2d0,
	E820_ENTRY_BYTES = 20,
};

#define SECTOR_BYTES         512
#define DEFAULT_SETUP_SECTS  4
#define SYSSIZE_UNIT         16
#define BOOT_FLAG_VALUE      0xaa55
#define HEADER_MAGIC_VALUE   0x53726448 /* "HdrS" */
#define VERSION_64BIT        0x020c
#define LOADER_UNKNOWN       0xff
#define LOADFLAG_LOADED_HIGH BIT(0)
#define XLOADFLAG_KERNEL_64  BIT(0)
#define STARTUP_64           0x200
#define FALLBACK_ADDRESS     (1 * MIB)
#define GPR_RSI              6

_Static_assert(HEADER_END_MAX <= IMAGE_HEAD_BYTES, "no more of the file is looked at");

static uint64_t field(const struct boot_image *image, unsigned offset, unsigned bytes)
{
	return load_le(image->bytes + offset, bytes);
}

bool linux_probe(const struct boot_image *image)
{
	return image_has(image, 0, HEADER_MAGIC + 4) &&
	       field(image, BOOT_FLAG, 2) == BOOT_FLAG_VALUE &&
	       field(image, HEADER_MAGIC, 4) == HEADER_MAGIC_VALUE;
}

static uint64_t payload_offset(const struct boot_image *image)
{
	uint64_t sectors = field(image, SETUP_SECTS, 1);

	return ((sectors ? sectors : DEFAULT_SETUP_SECTS) + 1) * SECTOR_BYTES;
}

static int check_header(const struct boot_image *image, struct error *err)
{
	uint64_t end;

	if (!image_has(image, 0, HEADER_END))
		return error_set(err, -ENOEXEC, "kernel '%s': truncated inside its setup header",
				 image->name);
	if (field(image, VERSION, 2) < VERSION_64BIT ||
	    !(field(image, XLOADFLAGS, 2) & XLOADFLAG_KERNEL_64))
		return error_set(err, -ENOEXEC,
				 "kernel '%s': a Linux kernel without the 64-bit entry point",
				 image->name);
	end = payload_offset(image) + field(image, SYSSIZE, 4) * SYSSIZE_UNIT;
	if (end > image->size_bytes)
		return error_set(err, -ENOEXEC,
				 "kernel '%s': truncated: %llu bytes of %llu are missing",
				 image->name, (unsigned long long)(end - image->size_bytes),
				 (unsigned long long)end);
	return 0;
}

/* Puts the kernel where it likes to be, or at 1 MiB where it does not mind and memory is short. */
static int place_kernel(struct boot_image *image, struct memory *memory, struct error *err)
{
	uint64_t offset = payload_offset(image), bytes = field(image, SYSSIZE, 4) * SYSSIZE_UNIT;
	uint64_t need = MAX(field(image, INIT_SIZE, 4), bytes);
	gpa_t base = field(image, PREF_ADDRESS, 8);
	int ret;

	if (field(image, RELOCATABLE_KERNEL, 1) && !memory_is_ram(memory, base, need))
		base = FALLBACK_ADDRESS;
	if (base < FALLBACK_ADDRESS)
		return error_set(err, -ENOEXEC, "kernel '%s': wants to lie at %#llx, below 1 MiB",
				 image->name, (unsigned long long)base);
	if (base > memory_low_top(memory) || need > memory_low_top(memory) - base)
		return error_set(err, -E2BIG,
				 "kernel '%s': needs %llu MiB of memory from %llu MiB up, the "
				 "machine has %llu",
				 image->name, (unsigned long long)(need / MIB + 1),
				 (unsigned long long)(base / MIB),
				 (unsigned long long)(memory->size_bytes / MIB));
	ret = image_claim(image, base, base + need, err);
	if (ret)
		return ret;
	return image_place(image, memory, offset, bytes, base, bytes, err);
}

static void write_memory_map(struct memory *memory, uint8_t *zero_page)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(memory, map);

	zero_page[E820_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = zero_page + E820_TABLE + i * E820_ENTRY_BYTES;

		store_le(p, map[i].base, 8);
		store_le(p + 8, map[i].size_bytes, 8);
		store_le(p + 16, map[i].type, 4);
	}
}

static void write_zero_page(const struct boot_image *image, struct memory *memory, gpa_t initrd)
{
	uint8_t page[PAGE_BYTES] = { 0 };
	uint64_t header_end = HEADER_MAGIC + field(image, HEADER_LENGTH, 1);

	header_end = MIN(MIN(header_end, HEADER_END_MAX), image->size_bytes);
	memcpy(page + SETUP_SECTS, image->bytes + SETUP_SECTS, header_end - SETUP_SECTS);
	page[TYPE_OF_LOADER] = LOADER_UNKNOWN;
	page[LOADFLAGS] |= LOADFLAG_LOADED_HIGH;
	store_le(page + RAMDISK_IMAGE, initrd, 4);
	store_le(page + RAMDISK_SIZE, initrd ? image->initrd->size_bytes : 0, 4);
	store_le(page + CMD_LINE_PTR, LAYOUT_CMDLINE, 4);
	store_le(page + ACPI_RSDP_ADDR, image->rsdp, 8);
	write_memory_map(memory, page);
	memory_write(memory, LAYOUT_INFO, page, sizeof(page));
}

int linux_load(struct boot_image *image, struct memory *memory, struct engine_registers *out,
	       struct error *err)
{
	uint64_t cmdline_max;
	gpa_t initrd, limit;
	int cmdline_bytes, ret;

	ret = check_header(image, err);
	if (ret)
		return ret;
	cmdline_max = MIN(field(image, CMDLINE_SIZE, 4) + 1, LAYOUT_CMDLINE_END - LAYOUT_CMDLINE);
	cmdline_bytes = image_check_cmdline(image, cmdline_max, err);
	if (cmdline_bytes < 0)
		return cmdline_bytes;
	ret = place_kernel(image, memory, err);
	if (ret)
		return ret;
	limit = MIN(memory_low_top(memory), field(image, INITRD_ADDR_MAX, 4) + 1);
	ret = image_place_initrd(image, memory, LAYOUT_FIRMWARE_END, limit, &initrd, err);
	if (ret)
		return ret;
	memory_write(memory, LAYOUT_CMDLINE, image->cmdline, (uint64_t)cmdline_bytes);
	write_zero_page(image, memory, initrd);
	state_long_mode(out, memory, image->kernel_base + STARTUP_64);
	out->gpr[GPR_RSI] = LAYOUT_INFO;
	return 0;
}
