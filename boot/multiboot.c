/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 1: a header in the first 8 KiB says whether load addresses stand in it or in the
 * image's ELF headers; the kernel starts in 32-bit protected mode with EBX = information block.
 *
 * Block, memory map, command line and module lie below 640 KiB but not in page 0, out of the
 * kernel's way; a module that is too big for that goes to the top of low memory. The command line's
 * first word is the kernel's name, as boot managers have it.
 *
 * Source: Multiboot Specification version 0.6.96: "The layout of Multiboot header", "Machine
 * state", "Boot information format".
 */
#include "boot/e820.h"
#include "boot/elf.h"
#include "boot/image.h"
#include "boot/layout.h"
#include "boot/state.h"

#include <errno.h>
#include <stdio.h>

#define HEADER_MAGIC        0x1badb002u
#define HEADER_SEARCH_BYTES 8192
#define HEADER_BYTES        12
#define HEADER_KLUDGE_BYTES 32
#define FLAG_KLUDGE         BIT(16)   /* the header has load addresses */
#define FLAGS_REQUIRED      0xffffull /* must be understood ... */
#define FLAGS_KNOWN         0x7ull    /* ... page-aligned modules, memory map, video mode wish */
#define LOADER_MAGIC        0x2badb002u

/* Offsets in the information block. */
enum {
	INFO_FLAGS = 0,
	INFO_MEM_LOWER = 4,
	INFO_MEM_UPPER = 8,
	INFO_CMDLINE = 16,
	INFO_MODS_COUNT = 20,
	INFO_MODS_ADDR = 24,
	INFO_MMAP_LENGTH = 44,
	INFO_MMAP_ADDR = 48,
	INFO_LOADER_NAME = 64,
	INFO_BYTES = 120,
};

#define INFO_FLAG_MEMORY      BIT(0)
#define INFO_FLAG_CMDLINE     BIT(2)
#define INFO_FLAG_MODULES     BIT(3)
#define INFO_FLAG_MMAP        BIT(6)
#define INFO_FLAG_LOADER_NAME BIT(9)
#define GPR_RAX               0
#define GPR_RBX               3

#define MODULE_BYTES     16
#define MMAP_ENTRY_BYTES 24 /* its own size field does not count itself */
#define LOADER_NAME      "nidus"
#define CMDLINE_MAX      4096ull
#define MODULE_NAME_MAX  256

/* What hangs off the information block, in one piece of guest memory. */
struct block {
	uint8_t info[INFO_BYTES];
	uint8_t module[MODULE_BYTES];
	uint8_t mmap[E820_MAX_ENTRIES * MMAP_ENTRY_BYTES];
	char loader_name[sizeof(LOADER_NAME)];
	char module_name[MODULE_NAME_MAX];
	char cmdline[CMDLINE_MAX];
};

static bool find_header(const struct boot_image *image, uint64_t *offset)
{
	uint64_t end = MIN(image->size_bytes, (uint64_t)HEADER_SEARCH_BYTES);

	for (uint64_t i = 0; i + HEADER_BYTES <= end; i += 4) {
		const uint8_t *p = image->bytes + i;

		if (load_le(p, 4) == HEADER_MAGIC &&
		    (uint32_t)(load_le(p, 4) + load_le(p + 4, 4) + load_le(p + 8, 4)) == 0) {
			*offset = i;
			return true;
		}
	}
	return false;
}

bool multiboot_probe(const struct boot_image *image)
{
	uint64_t offset;

	return find_header(image, &offset);
}

/* Load addresses from the header itself ("a.out kludge"). */
static int load_kludge(struct boot_image *image, struct memory *memory, uint64_t offset,
		       uint32_t *entry, struct error *err)
{
	const uint8_t *p = image->bytes + offset;
	uint64_t header_addr, load_addr, load_end, bss_end, start, file_bytes;
	int ret;

	if (!image_has(image, offset, HEADER_KLUDGE_BYTES))
		return error_set(err, -ENOEXEC, "kernel '%s': truncated inside its header",
				 image->name);
	header_addr = load_le(p + 12, 4);
	load_addr = load_le(p + 16, 4);
	load_end = load_le(p + 20, 4);
	bss_end = load_le(p + 24, 4);
	*entry = (uint32_t)load_le(p + 28, 4);
	if (load_addr > header_addr || header_addr - load_addr > offset)
		return error_set(err, -ENOEXEC, "kernel '%s': bad load address in its header",
				 image->name);
	start = offset - (header_addr - load_addr);
	if (!load_end) /* all of the file */
		load_end = load_addr + (image->size_bytes - start);
	if (load_end < load_addr || (bss_end && bss_end < load_end))
		return error_set(err, -ENOEXEC, "kernel '%s': bad end addresses in its header",
				 image->name);
	file_bytes = load_end - load_addr;
	ret = image_claim(image, load_addr, MAX(load_end, bss_end), err);
	if (ret)
		return ret;
	return image_place(image, memory, start, file_bytes, load_addr,
			   image->kernel_end - load_addr, err);
}

static int load_kernel(struct boot_image *image, struct memory *memory, uint32_t *entry,
		       struct error *err)
{
	uint64_t offset = 0, flags, entry64;
	int ret;

	find_header(image, &offset);
	flags = load_le(image->bytes + offset + 4, 4);
	if (flags & FLAGS_REQUIRED & ~FLAGS_KNOWN)
		return error_set(err, -ENOEXEC,
				 "kernel '%s': asks for unknown multiboot features (flags %#llx)",
				 image->name, (unsigned long long)flags);
	if (flags & FLAG_KLUDGE)
		return load_kludge(image, memory, offset, entry, err);
	ret = elf_place(image, memory, &entry64, err);
	*entry = (uint32_t)entry64;
	return ret;
}

static unsigned fill_mmap(const struct memory *memory, uint8_t *p)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(memory, map);

	for (unsigned i = 0; i < n; i++, p += MMAP_ENTRY_BYTES) {
		store_le(p, MMAP_ENTRY_BYTES - 4, 4);
		store_le(p + 4, map[i].base, 8);
		store_le(p + 12, map[i].size_bytes, 8);
		store_le(p + 20, map[i].type, 4);
	}
	return n * MMAP_ENTRY_BYTES;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void fill_block(struct block *block, const struct boot_image *image,
		       const struct memory *memory, gpa_t gpa, gpa_t module)
{
	uint8_t *info = block->info;
	uint64_t flags = INFO_FLAG_MEMORY | INFO_FLAG_CMDLINE | INFO_FLAG_MODULES | INFO_FLAG_MMAP |
			 INFO_FLAG_LOADER_NAME;

	store_le(info + INFO_FLAGS, flags, 4);
	store_le(info + INFO_MEM_LOWER, LAYOUT_LOW_RAM_END / KIB, 4);
	store_le(info + INFO_MEM_UPPER, (memory_low_top(memory) - LAYOUT_FIRMWARE_END) / KIB, 4);
	store_le(info + INFO_CMDLINE, gpa + offsetof(struct block, cmdline), 4);
	store_le(info + INFO_MODS_COUNT, module ? 1 : 0, 4);
	store_le(info + INFO_MODS_ADDR, gpa + offsetof(struct block, module), 4);
	store_le(info + INFO_MMAP_LENGTH, fill_mmap(memory, block->mmap), 4);
	store_le(info + INFO_MMAP_ADDR, gpa + offsetof(struct block, mmap), 4);
	store_le(info + INFO_LOADER_NAME, gpa + offsetof(struct block, loader_name), 4);
	memcpy(block->loader_name, LOADER_NAME, sizeof(LOADER_NAME));
	if (module) {
		store_le(block->module, module, 4);
		store_le(block->module + 4, module + image->initrd->size_bytes, 4);
		store_le(block->module + 8, gpa + offsetof(struct block, module_name), 4);
		snprintf(block->module_name, sizeof(block->module_name), "%s",
			 base_name(image->initrd->name));
	}
}

/* "NAME arguments". */
static int fill_cmdline(struct block *block, const struct boot_image *image, struct error *err)
{
	int n = snprintf(block->cmdline, sizeof(block->cmdline), "%s%s%s", base_name(image->name),
			 *image->cmdline ? " " : "", image->cmdline);

	if ((size_t)n < sizeof(block->cmdline))
		return 0;
	return error_set(err, -E2BIG,
			 "--append: kernel '%s': the command line has %d characters, at most %llu "
			 "are passed on",
			 image->name, n, CMDLINE_MAX - 1);
}

int multiboot_load(struct boot_image *image, struct memory *memory, struct engine_registers *out,
		   struct error *err)
{
	struct block block = { 0 };
	gpa_t at, module, low_end = LAYOUT_LOW_RAM_END;
	uint32_t entry = 0;
	int ret;

	ret = load_kernel(image, memory, &entry, err);
	if (!ret)
		ret = fill_cmdline(&block, image, err);
	if (ret)
		return ret;
	at = image_find_place(image, LAYOUT_KERNEL_MIN, low_end, sizeof(block));
	if (!at)
		return error_set(err, -E2BIG, "kernel '%s': leaves no room below 640 KiB",
				 image->name);
	ret = image_place_initrd(image, memory, LAYOUT_KERNEL_MIN, at, &module, NULL);
	if (ret == -E2BIG)
		ret = image_place_initrd(image, memory, LAYOUT_FIRMWARE_END, memory_low_top(memory),
					 &module, err);
	if (ret)
		return ret;
	fill_block(&block, image, memory, at, module);
	memory_write(memory, at, &block, sizeof(block));
	state_protected_mode(out, memory, entry);
	out->gpr[GPR_RAX] = LOADER_MAGIC;
	out->gpr[GPR_RBX] = at;
	return 0;
}
