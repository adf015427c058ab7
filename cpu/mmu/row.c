/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages in a row: what the tags say of neighbors, and what one large page says of all its pieces.
 */
#include "cpu/mmu/bank.h"
#include "cpu/mmu/journal.h"
#include "cpu/soft.h"

/* How far to look for pages that hold code, at most. */
#define CLEAN_PAGES_MAX 512

static const struct tlb_way *way_of(const struct cpu *cpu, gva_t page, bool is_write)
{
	return &cpu->tlb->way[cpu->tlb_class][is_write][(page >> PAGE_BITS) % TLB_ENTRIES];
}

static bool is_tagged(const struct cpu *cpu, gva_t page, bool is_write, uint64_t addend)
{
	const struct tlb_way *way = way_of(cpu, page, is_write);

	return way->tag == page && way->addend == addend;
}

static bool is_in(gpa_t page, gpa_t start, uint64_t bytes)
{
	return page - start < bytes;
}

/* Whether all pieces of a large page are alike, and RAM where the row says. */
static bool is_uniform(const struct cpu *cpu, gpa_t gpa, uint64_t bytes, uint64_t host)
{
	return !(cpu->dr7 & DR7_ENABLED) && !is_in(cpu->apic_page, gpa, bytes) &&
	       !(cpu->in_guest && is_in(cpu->apic_access_page, gpa, bytes)) &&
	       (uint64_t)(uintptr_t)memory_at(cpu->soft->config.memory, gpa, bytes) == host;
}

/* How many pages behind (step 1) or before (-1) a page have no code; of `bytes`, at most. */
static uint64_t clean_pages(const struct cpu *cpu, gpa_t page, int step, uint64_t bytes)
{
	const uint8_t *watched = &cpu->soft->config.memory->watched[page / PAGE_BYTES];
	int64_t count = (int64_t)MIN(bytes / PAGE_BYTES, CLEAN_PAGES_MAX), n = 0;

	while (n < count && !__atomic_load_n(&watched[step * (n + 1)], __ATOMIC_SEQ_CST))
		n++;
	return (uint64_t)n;
}

/*
 * The rest of the large page that maps a page with a tag. What a second stage maps it to is not
 * known to be in a row.
 */
static bool widen(const struct cpu *cpu, gva_t page, bool is_write, struct mmu_row *row)
{
	const struct bank *bank = cpu->mmu->current;
	unsigned slot = (page >> PAGE_BITS) % TLB_ENTRIES;
	uint64_t bytes = page_bytes(bank->entry[slot].gpa_flags);
	gpa_t gpa = bank->entry[slot].gpa_flags & PAGE_MASK;
	gva_t start = align_down(page, bytes), end = start + bytes;

	if (cpu->has_second_stage || bytes == PAGE_BYTES ||
	    !is_uniform(cpu, gpa - (page - start), bytes, start + row->addend))
		return false;
	if (is_write) {
		if (journal_keeps_closed(cpu->journal))
			return false;
		end = page + PAGE_BYTES +
		      PAGE_BYTES * clean_pages(cpu, gpa, 1, end - page - PAGE_BYTES);
		start = page - PAGE_BYTES * clean_pages(cpu, gpa, -1, page - start);
	}
	row->start = start;
	row->end = end;
	return true;
}

bool mmu_find_row(const struct cpu *cpu, gva_t addr, bool is_write, struct mmu_row *row)
{
	gva_t page = addr & PAGE_MASK;
	uint64_t addend = way_of(cpu, page, is_write)->addend;
	unsigned pages = 1;

	if (!is_tagged(cpu, page, is_write, addend))
		return false;
	*row = (struct mmu_row){ page, page + PAGE_BYTES, addend };
	if (widen(cpu, page, is_write, row))
		return true;
	for (; pages < TLB_ENTRIES; pages++, row->start -= PAGE_BYTES)
		if (!is_tagged(cpu, row->start - PAGE_BYTES, is_write, addend))
			break;
	for (; pages < TLB_ENTRIES; pages++, row->end += PAGE_BYTES)
		if (!is_tagged(cpu, row->end, is_write, addend))
			break;
	return true;
}
