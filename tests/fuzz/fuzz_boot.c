/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot loaders with any file for a kernel. The input's first byte chooses what the file is made
 * to look like, so that each loader is reached quickly; the rest is the file.
 */
#include "boot/image.h"

#include <elf.h>
#include <stdlib.h>

#define MEMORY_BYTES (8 * MIB)
#define FILE_MAX     (64 * KIB)

enum look { LOOK_LINUX, LOOK_MULTIBOOT, LOOK_ELF32, LOOK_ELF64, LOOK_AS_IT_IS, LOOKS };

static void put(uint8_t *bytes, size_t len, size_t at, uint64_t value, unsigned width)
{
	if (at + width <= len)
		store_le(bytes + at, value, width);
}

static void look_like(uint8_t *bytes, size_t len, enum look look)
{
	switch (look) {
	case LOOK_LINUX:
		put(bytes, len, 0x1fe, 0xaa55, 2);
		put(bytes, len, 0x202, 0x53726448, 4);
		put(bytes, len, 0x206, 0x20f, 2);
		put(bytes, len, 0x236, 1, 2);
		break;
	case LOOK_MULTIBOOT:
		put(bytes, len, 64, 0x1badb002, 4);
		if (len >= 76)
			put(bytes, len, 72, -(0x1badb002 + load_le(bytes + 68, 4)), 4);
		break;
	case LOOK_ELF32:
	case LOOK_ELF64:
		put(bytes, len, 0, 0x464c457f, 4);
		put(bytes, len, 4, look == LOOK_ELF64 ? ELFCLASS64 : ELFCLASS32, 1);
		if (look == LOOK_ELF64)
			put(bytes, len, offsetof(Elf64_Ehdr, e_phentsize), sizeof(Elf64_Phdr), 2);
		else
			put(bytes, len, offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf32_Phdr), 2);
		break;
	case LOOK_AS_IT_IS:
	case LOOKS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_image image = { .name = "fuzz", .cmdline = "a=b" };
	struct engine_registers regs;
	struct memory *memory;
	struct error err;
	uint8_t *file;

	if (size < 1 || size > FILE_MAX || memory_create(&memory, MEMORY_BYTES, &err))
		return 0;
	file = malloc(size > 1 ? size - 1
			       : 1); /* exactly as large, so that a read past the end is seen */
	if (file) {
		memcpy(file, data + 1, size - 1);
		look_like(file, size - 1, data[0] % LOOKS);
		image.bytes = file;
		image.size_bytes = size - 1;
		image_load(&image, memory, &regs, &err);
	}
	free(file);
	memory_destroy(memory);
	return 0;
}
