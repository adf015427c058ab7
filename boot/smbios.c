/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of types 0, 1, 16, 17, 4 and 127. A structure is a header, numbers, and then strings
 * that the numbers count from 1; a double NUL ends it.
 */
#include "boot/smbios.h"

#include "boot/blob.h"
#include "boot/layout.h"
#include "lib/version.h"

#define TABLES_AT      64 /* from LAYOUT_SMBIOS, behind both entry points */
#define TABLES_BYTES   1024
#define ENTRY21_BYTES  31
#define ENTRY21_SECOND 16 /* where its second half, with its own checksum, begins */
#define ENTRY30_AT     32
#define ENTRY30_BYTES  24

#define HANDLE_BIOS      0x0000
#define HANDLE_SYSTEM    0x0100
#define HANDLE_PROCESSOR 0x0400
#define HANDLE_ARRAY     0x1000
#define HANDLE_MEMORY    0x1100
#define HANDLE_END       0x7f00
#define HANDLE_NONE      0xfffe

#define MAKER               "Nidus"
#define UNKNOWN             2      /* of many enumerations */
#define BIOS_VIRTUAL        BIT(4) /* second extension byte: a virtual machine */
#define BIOS_NOT_SUPPORTED  BIT(3)
#define WAKE_POWER_SWITCH   6
#define PROCESSOR_CPU       3
#define PROCESSOR_ENABLED   0x41 /* socket populated, CPU enabled */
#define ARRAY_SYSTEM_BOARD  3
#define ARRAY_SYSTEM_MEMORY 3
#define ERROR_NONE          3
#define FORM_DIMM           9
#define MEMORY_RAM          7
#define SIZE_EXTENDED       0x7fff
#define SIZE_EXTENDED_KIB   0x80000000u

struct tables {
	struct blob blob;
	unsigned structures, largest;
	size_t start; /* of the structure that is being built */
};

static void begin(struct tables *t, uint8_t type, uint8_t formatted_bytes, uint16_t handle)
{
	t->start = t->blob.len;
	blob_number(&t->blob, type, 1);
	blob_number(&t->blob, formatted_bytes, 1);
	blob_number(&t->blob, handle, 2);
}

/* Strings end with their own NUL, the set with another; a set of none has two. */
static void end(struct tables *t, const char *first, const char *second)
{
	if (first)
		blob_append(&t->blob, first, strlen(first) + 1);
	if (second)
		blob_append(&t->blob, second, strlen(second) + 1);
	blob_number(&t->blob, 0, first ? 1 : 2);
	t->structures++;
	t->largest = MAX(t->largest, (unsigned)(t->blob.len - t->start));
}

static void add_bios(struct tables *t)
{
	struct blob *b = &t->blob;

	begin(t, 0, 0x18, HANDLE_BIOS);
	blob_number(b, 1, 1); /* vendor */
	blob_number(b, 2, 1); /* version */
	blob_number(b, LAYOUT_FIRMWARE >> 4, 2);
	blob_number(b, 0, 1); /* release date: none */
	blob_number(b, (LAYOUT_FIRMWARE_END - LAYOUT_FIRMWARE) / (64 * KIB) - 1, 1);
	blob_number(b, BIOS_NOT_SUPPORTED, 8);
	blob_number(b, 0, 1);
	blob_number(b, BIOS_VIRTUAL, 1);
	blob_number(b, 0xffffffff, 4); /* releases of BIOS and embedded controller: none */
	end(t, MAKER, VERSION);
}

static void add_system(struct tables *t)
{
	struct blob *b = &t->blob;

	begin(t, 1, 0x1b, HANDLE_SYSTEM);
	blob_number(b, 1, 1); /* manufacturer */
	blob_number(b, 2, 1); /* product */
	blob_number(b, 0, 2); /* version, serial number */
	blob_number(b, 0, 8); /* UUID: not present */
	blob_number(b, 0, 8);
	blob_number(b, WAKE_POWER_SWITCH, 1);
	blob_number(b, 0, 2); /* SKU, family */
	end(t, MAKER, "Virtual Machine");
}

/* One socket stands for all processors: CPUID says more than this table could. */
static void add_processor(struct tables *t)
{
	struct blob *b = &t->blob;

	begin(t, 4, 0x1a, HANDLE_PROCESSOR);
	blob_number(b, 1, 1); /* socket */
	blob_number(b, PROCESSOR_CPU, 1);
	blob_number(b, UNKNOWN, 1); /* family */
	blob_number(b, 2, 1);       /* manufacturer */
	blob_number(b, 0, 8);       /* ID */
	blob_number(b, 0, 1);       /* version */
	blob_number(b, 0, 1);       /* voltage */
	blob_number(b, 0, 2);       /* external clock, speeds: unknown */
	blob_number(b, 0, 4);
	blob_number(b, PROCESSOR_ENABLED, 1);
	blob_number(b, UNKNOWN, 1); /* upgrade */
	end(t, "CPU 0", MAKER);
}

static void add_memory(struct tables *t, uint64_t size_bytes)
{
	struct blob *b = &t->blob;
	uint64_t kib = size_bytes / KIB, mib = size_bytes / MIB;

	begin(t, 16, 0x17, HANDLE_ARRAY);
	blob_number(b, ARRAY_SYSTEM_BOARD, 1);
	blob_number(b, ARRAY_SYSTEM_MEMORY, 1);
	blob_number(b, ERROR_NONE, 1);
	blob_number(b, kib < SIZE_EXTENDED_KIB ? kib : SIZE_EXTENDED_KIB, 4);
	blob_number(b, HANDLE_NONE, 2);
	blob_number(b, 1, 2); /* devices */
	blob_number(b, kib < SIZE_EXTENDED_KIB ? 0 : size_bytes, 8);
	end(t, NULL, NULL);

	begin(t, 17, 0x22, HANDLE_MEMORY);
	blob_number(b, HANDLE_ARRAY, 2);
	blob_number(b, HANDLE_NONE, 2);
	blob_number(b, 0xffff, 2); /* total and data width: unknown */
	blob_number(b, 0xffff, 2);
	blob_number(b, mib < SIZE_EXTENDED ? mib : SIZE_EXTENDED, 2);
	blob_number(b, FORM_DIMM, 1);
	blob_number(b, 0, 1); /* set */
	blob_number(b, 1, 1); /* locator */
	blob_number(b, 0, 1); /* bank */
	blob_number(b, MEMORY_RAM, 1);
	blob_number(b, BIT(2), 2); /* detail: unknown */
	blob_number(b, 0, 2);      /* speed */
	blob_number(b, 2, 1);      /* manufacturer */
	blob_number(b, 0, 4);      /* serial number, tag, part, attributes */
	blob_number(b, mib < SIZE_EXTENDED ? 0 : mib, 4);
	blob_number(b, 0, 2); /* configured speed */
	end(t, "DIMM 0", MAKER);
}

static void write_entry21(const struct tables *t, uint8_t *entry)
{
	struct blob b = { .bytes = entry, .size = ENTRY21_BYTES };

	blob_text(&b, "_SM_");
	blob_number(&b, 0, 1);
	blob_number(&b, ENTRY21_BYTES, 1);
	blob_number(&b, 2, 1); /* version 2.8 */
	blob_number(&b, 8, 1);
	blob_number(&b, t->largest, 2);
	blob_number(&b, 0, 4); /* revision, formatted area */
	blob_number(&b, 0, 2);
	blob_text(&b, "_DMI_");
	blob_number(&b, 0, 1);
	blob_number(&b, t->blob.len, 2);
	blob_number(&b, LAYOUT_SMBIOS + TABLES_AT, 4);
	blob_number(&b, t->structures, 2);
	blob_number(&b, 0x28, 1);
	blob_patch(&b, ENTRY21_SECOND + 5,
		   blob_checksum(&b, ENTRY21_SECOND, ENTRY21_BYTES - ENTRY21_SECOND), 1);
	blob_patch(&b, 4, blob_checksum(&b, 0, ENTRY21_BYTES), 1);
}

static void write_entry30(const struct tables *t, uint8_t *entry)
{
	struct blob b = { .bytes = entry, .size = ENTRY30_BYTES };

	blob_text(&b, "_SM3_");
	blob_number(&b, 0, 1);
	blob_number(&b, ENTRY30_BYTES, 1);
	blob_number(&b, 3, 1); /* version 3.0 */
	blob_number(&b, 0, 2);
	blob_number(&b, 1, 2); /* entry point revision, reserved */
	blob_number(&b, t->blob.len, 4);
	blob_number(&b, LAYOUT_SMBIOS + TABLES_AT, 8);
	blob_patch(&b, 5, blob_checksum(&b, 0, ENTRY30_BYTES), 1);
}

_Static_assert(ENTRY21_BYTES <= ENTRY30_AT && ENTRY30_AT + ENTRY30_BYTES <= TABLES_AT,
	       "the entry points and the tables would overlap");

void smbios_write_tables(struct memory *memory)
{
	uint8_t bytes[TABLES_BYTES], entries[TABLES_AT] = { 0 };
	struct tables t = { .blob = { .bytes = bytes, .size = sizeof(bytes) } };

	add_bios(&t);
	add_system(&t);
	add_processor(&t);
	add_memory(&t, memory->size_bytes);
	begin(&t, 127, 4, HANDLE_END);
	end(&t, NULL, NULL);
	write_entry21(&t, entries);
	write_entry30(&t, entries + ENTRY30_AT);
	memory_write(memory, LAYOUT_SMBIOS, entries, sizeof(entries));
	memory_write(memory, LAYOUT_SMBIOS + TABLES_AT, bytes, t.blob.len);
}
