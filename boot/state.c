/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptor tables, identity page tables and registers for the boot protocols. All of it lies in
 * the first 640 KiB, which is always RAM.
 */
#include "boot/state.h"

#include "boot/layout.h"

#define RFLAGS_FIXED 0x2ull
#define CR0_PE       BIT(0)
#define CR0_ET       BIT(4)
#define CR0_PG       BIT(31)
#define CR4_PAE      BIT(5)
#define EFER_LME     BIT(8)
#define EFER_LMA     BIT(10)

#define PTE_PRESENT_WRITABLE 0x3ull
#define PTE_LARGE            BIT(7)
#define PTES_PER_TABLE       512
#define LARGE_PAGE_BYTES     (2 * MIB)

/* Attributes as struct engine_segment has them: type, S, P, then L, D, G in the second byte. */
#define SEGMENT_CODE32   0xc09bu
#define SEGMENT_CODE64   0xa09bu
#define SEGMENT_DATA     0xc093u
#define SEGMENT_TSS_BUSY 0x008bu
#define SEGMENT_UNUSABLE 0x10000u
#define FLAT_LIMIT       0xffffffffu
#define TSS_LIMIT        0x67u

static uint64_t descriptor(const struct engine_segment *s)
{
	uint64_t limit = s->attributes & BIT(15) ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | bits(s->base, 23, 0) << 16 |
	       (uint64_t)(s->attributes & 0xff) << 40 | bits(limit, 19, 16) << 48 |
	       bits(s->attributes, 15, 12) << 52 | bits(s->base, 31, 24) << 56;
}

static void set_segments(struct engine_registers *regs, struct memory *memory,
			 uint32_t code_attributes)
{
	const struct engine_segment data = { STATE_DATA_SELECTOR, 0, FLAT_LIMIT, SEGMENT_DATA };
	uint64_t gdt[6] = { 0 }; /* the TSS descriptor takes two entries in 64-bit mode */

	regs->cs = (struct engine_segment){ STATE_CODE_SELECTOR, 0, FLAT_LIMIT, code_attributes };
	regs->ds = regs->es = regs->ss = regs->fs = regs->gs = data;
	regs->tr = (struct engine_segment){ STATE_TASK_SELECTOR, 0, TSS_LIMIT, SEGMENT_TSS_BUSY };
	regs->ldtr = (struct engine_segment){ .attributes = SEGMENT_UNUSABLE };
	gdt[STATE_CODE_SELECTOR / 8] = descriptor(&regs->cs);
	gdt[STATE_DATA_SELECTOR / 8] = descriptor(&regs->ds);
	gdt[STATE_TASK_SELECTOR / 8] = descriptor(&regs->tr);
	memory_write(memory, LAYOUT_GDT, gdt, sizeof(gdt));
	regs->gdtr = (struct engine_table){ LAYOUT_GDT, sizeof(gdt) - 1 };
}

void state_protected_mode(struct engine_registers *regs, struct memory *memory, uint32_t entry)
{
	*regs = (struct engine_registers){ .rip = entry,
					   .rflags = RFLAGS_FIXED,
					   .cr0 = CR0_PE | CR0_ET };
	set_segments(regs, memory, SEGMENT_CODE32);
}

/* One top entry, four page directories of 2 MiB pages. */
static void write_identity_map(struct memory *memory)
{
	const gpa_t pdpt = LAYOUT_PAGE_TABLES + PAGE_BYTES, pd = pdpt + PAGE_BYTES;
	uint64_t table[PTES_PER_TABLE] = { pdpt | PTE_PRESENT_WRITABLE };

	memory_write(memory, LAYOUT_PAGE_TABLES, table, sizeof(table));
	memset(table, 0, sizeof(table));
	for (unsigned i = 0; i < 4; i++)
		table[i] = (pd + i * PAGE_BYTES) | PTE_PRESENT_WRITABLE;
	memory_write(memory, pdpt, table, sizeof(table));
	for (uint64_t i = 0; i < 4; i++) {
		for (uint64_t k = 0; k < PTES_PER_TABLE; k++)
			table[k] =
				(i * GIB + k * LARGE_PAGE_BYTES) | PTE_PRESENT_WRITABLE | PTE_LARGE;
		memory_write(memory, pd + i * PAGE_BYTES, table, sizeof(table));
	}
}

void state_long_mode(struct engine_registers *regs, struct memory *memory, gpa_t entry)
{
	*regs = (struct engine_registers){ .rip = entry,
					   .rflags = RFLAGS_FIXED,
					   .cr0 = CR0_PE | CR0_ET | CR0_PG,
					   .cr3 = LAYOUT_PAGE_TABLES,
					   .cr4 = CR4_PAE,
					   .efer = EFER_LME | EFER_LMA };
	set_segments(regs, memory, SEGMENT_CODE64);
	write_identity_map(memory);
}
