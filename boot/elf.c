/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF images, and the PVH protocol: an ELF kernel whose note names a 32-bit entry point. It starts
 * in protected mode with EBX = hvm_start_info.
 *
 * Source: ELF: "Program Header", "Note Section"; Xen: "x86/HVM direct boot ABI", with the layout of
 * hvm_start_info version 1.
 */
#include "boot/elf.h"

#include "boot/e820.h"
#include "boot/layout.h"
#include "boot/state.h"

#include <elf.h>
#include <errno.h>

#define NOTE_XEN_NAME         "Xen"
#define NOTE_XEN_PHYS32_ENTRY 18
#define NOTE_ALIGN            4
#define PHDRS_MAX             128

#define START_MAGIC        0x336ec578u
#define START_VERSION      1
#define CMDLINE_MAX        4096ull
#define START_INFO_BYTES   56
#define START_MODULE_BYTES 32
#define START_MAP_BYTES    24
#define GPR_RBX            3

/* Offsets in hvm_start_info. */
enum {
	START_INFO_MAGIC = 0,
	START_INFO_VERSION = 4,
	START_INFO_MODULES = 12,
	START_INFO_MODLIST = 16,
	START_INFO_CMDLINE = 24,
	START_INFO_RSDP = 32,
	START_INFO_MEMMAP = 40,
	START_INFO_MEMMAP_ENTRIES = 48,
};

struct start_block {
	uint8_t info[START_INFO_BYTES];
	uint8_t module[START_MODULE_BYTES];
	uint8_t map[E820_MAX_ENTRIES * START_MAP_BYTES];
	char cmdline[CMDLINE_MAX];
};

/* What the loader needs of a header, 32- or 64-bit. */
struct elf_header {
	uint64_t entry, phoff;
	unsigned phentsize, phnum;
};

static int not_elf(const struct boot_image *image, const char *why, struct error *err)
{
	return error_set(err, -ENOEXEC, "kernel '%s': bad ELF image: %s", image->name, why);
}

static bool has_magic(const struct boot_image *image)
{
	return image_has(image, 0, EI_NIDENT) && !memcmp(image->bytes, ELFMAG, SELFMAG);
}

static void read_header64(const struct boot_image *image, struct elf_header *h)
{
	Elf64_Ehdr e;

	memcpy(&e, image->bytes, sizeof(e));
	*h = (struct elf_header){ e.e_entry, e.e_phoff, e.e_phentsize, e.e_phnum };
}

static void read_header32(const struct boot_image *image, struct elf_header *h)
{
	Elf32_Ehdr e;

	memcpy(&e, image->bytes, sizeof(e));
	*h = (struct elf_header){ e.e_entry, e.e_phoff, e.e_phentsize, e.e_phnum };
}

static int read_header(const struct boot_image *image, struct elf_header *h, struct error *err)
{
	bool is_64bit;

	if (!has_magic(image))
		return not_elf(image, "no ELF header", err);
	is_64bit = image->bytes[EI_CLASS] == ELFCLASS64;
	if (!image_has(image, 0, is_64bit ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return not_elf(image, "truncated header", err);
	if (is_64bit)
		read_header64(image, h);
	else
		read_header32(image, h);
	if (h->phentsize != (is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return not_elf(image, "program headers of an unknown size", err);
	if (h->phnum > PHDRS_MAX)
		return not_elf(image, "too many program headers", err);
	if (!image_has(image, h->phoff, (uint64_t)h->phnum * h->phentsize))
		return not_elf(image, "program headers outside the file", err);
	return 0;
}

/* A program header in the 64-bit shape. */
static Elf64_Phdr program_header(const struct boot_image *image, const struct elf_header *h,
				 unsigned index)
{
	const uint8_t *p = image->bytes + h->phoff + (uint64_t)index * h->phentsize;
	Elf64_Phdr out;
	Elf32_Phdr in;

	if (h->phentsize == sizeof(out)) {
		memcpy(&out, p, sizeof(out));
		return out;
	}
	memcpy(&in, p, sizeof(in));
	return (Elf64_Phdr){ .p_type = in.p_type,
			     .p_offset = in.p_offset,
			     .p_paddr = in.p_paddr,
			     .p_filesz = in.p_filesz,
			     .p_memsz = in.p_memsz };
}

static int place_segment(struct boot_image *image, struct memory *memory, const Elf64_Phdr *ph,
			 struct error *err)
{
	int ret = image_claim(image, ph->p_paddr, ph->p_paddr + ph->p_memsz, err);

	if (ret)
		return ret;
	return image_place(image, memory, ph->p_offset, ph->p_filesz, ph->p_paddr, ph->p_memsz,
			   err);
}

int elf_place(struct boot_image *image, struct memory *memory, uint64_t *entry, struct error *err)
{
	struct elf_header h;
	int ret = read_header(image, &h, err);

	for (unsigned i = 0; !ret && i < h.phnum; i++) {
		Elf64_Phdr ph = program_header(image, &h, i);

		if (ph.p_type == PT_LOAD && ph.p_memsz)
			ret = place_segment(image, memory, &ph, err);
	}
	if (!ret && !image->kernel_end)
		ret = not_elf(image, "nothing to load", err);
	if (!ret)
		*entry = h.entry;
	return ret;
}

/* Looks for the PVH entry among the notes in [offset, offset + size). */
static bool find_entry_in(const struct boot_image *image, uint64_t offset, uint64_t size,
			  uint32_t *entry)
{
	Elf64_Nhdr note; /* the 32-bit one is the same */

	if (!image_has(image, offset, size))
		return false;
	while (size >= sizeof(note)) {
		const uint8_t *p = image->bytes + offset;
		uint64_t name_bytes, desc_bytes, total;

		memcpy(&note, p, sizeof(note));
		name_bytes = align_up(note.n_namesz, NOTE_ALIGN);
		desc_bytes = align_up(note.n_descsz, NOTE_ALIGN);
		total = sizeof(note) + name_bytes + desc_bytes;
		if (total > size)
			return false;
		if (note.n_type == NOTE_XEN_PHYS32_ENTRY && note.n_descsz >= 4 &&
		    note.n_namesz == sizeof(NOTE_XEN_NAME) &&
		    !memcmp(p + sizeof(note), NOTE_XEN_NAME, sizeof(NOTE_XEN_NAME))) {
			*entry = (uint32_t)load_le(p + sizeof(note) + name_bytes, 4);
			return true;
		}
		offset += total;
		size -= total;
	}
	return false;
}

static bool find_entry(const struct boot_image *image, uint32_t *entry)
{
	struct elf_header h;

	if (read_header(image, &h, NULL))
		return false;
	for (unsigned i = 0; i < h.phnum; i++) {
		Elf64_Phdr ph = program_header(image, &h, i);

		if (ph.p_type == PT_NOTE && find_entry_in(image, ph.p_offset, ph.p_filesz, entry))
			return true;
	}
	return false;
}

bool elf_probe(const struct boot_image *image)
{
	return has_magic(image);
}

static unsigned fill_map(const struct memory *memory, uint8_t *p)
{
	struct e820_entry map[E820_MAX_ENTRIES];
	unsigned n = e820_build(memory, map);

	for (unsigned i = 0; i < n; i++, p += START_MAP_BYTES) {
		store_le(p, map[i].base, 8);
		store_le(p + 8, map[i].size_bytes, 8);
		store_le(p + 16, map[i].type, 4);
	}
	return n;
}

static void fill_block(struct start_block *block, const struct boot_image *image,
		       const struct memory *memory, gpa_t gpa, gpa_t initrd)
{
	uint8_t *info = block->info;

	store_le(info + START_INFO_MAGIC, START_MAGIC, 4);
	store_le(info + START_INFO_VERSION, START_VERSION, 4);
	store_le(info + START_INFO_MODULES, initrd ? 1 : 0, 4);
	store_le(info + START_INFO_MODLIST, gpa + offsetof(struct start_block, module), 8);
	store_le(info + START_INFO_CMDLINE, gpa + offsetof(struct start_block, cmdline), 8);
	store_le(info + START_INFO_RSDP, image->rsdp, 8);
	store_le(info + START_INFO_MEMMAP, gpa + offsetof(struct start_block, map), 8);
	store_le(info + START_INFO_MEMMAP_ENTRIES, fill_map(memory, block->map), 4);
	if (initrd) {
		store_le(block->module, initrd, 8);
		store_le(block->module + 8, image->initrd->size_bytes, 8);
	}
}

int elf_load(struct boot_image *image, struct memory *memory, struct engine_registers *out,
	     struct error *err)
{
	struct start_block block = { 0 };
	int ret, cmdline_bytes = image_check_cmdline(image, sizeof(block.cmdline), err);
	gpa_t at, initrd;
	uint64_t elf_entry;
	uint32_t entry;

	if (cmdline_bytes < 0)
		return cmdline_bytes;
	ret = elf_place(image, memory, &elf_entry, err);
	if (ret)
		return ret;
	if (!find_entry(image, &entry))
		return error_set(err, -ENOEXEC,
				 "kernel '%s': not a kernel: an ELF image without a PVH entry note",
				 image->name);
	at = image_find_place(image, LAYOUT_KERNEL_MIN, LAYOUT_LOW_RAM_END, sizeof(block));
	if (!at)
		return error_set(err, -E2BIG, "kernel '%s': leaves no room below 640 KiB",
				 image->name);
	ret = image_place_initrd(image, memory, LAYOUT_FIRMWARE_END, memory_low_top(memory),
				 &initrd, err);
	if (ret)
		return ret;
	memcpy(block.cmdline, image->cmdline, (size_t)cmdline_bytes);
	fill_block(&block, image, memory, at, initrd);
	memory_write(memory, at, &block, sizeof(block));
	state_protected_mode(out, memory, entry);
	out->gpr[GPR_RBX] = at;
	return 0;
}
