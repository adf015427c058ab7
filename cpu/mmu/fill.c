/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling the selected bank: a page's translation after a walk, the tags that its rights allow, and
 * look-ups of code.
 */
#include "cpu/mmu/bank.h"
#include "cpu/mmu/journal.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

static bool is_watched(const struct cpu *cpu, gpa_t page)
{
	return __atomic_load_n(&cpu->soft->config.memory->watched[page / PAGE_BYTES],
			       __ATOMIC_SEQ_CST);
}

/* The class of a right to data. */
static enum tlb_class class_of(uint64_t want)
{
	return (enum tlb_class)((unsigned)__builtin_ctzll(want) / 2);
}

/* The rights of the slot that may be used without looking. */
static uint64_t direct_rights(const struct cpu *cpu, const struct bank *bank, unsigned slot)
{
	gva_t page = bank->slot[slot].addr & PAGE_MASK;
	uint64_t flags = bank->entry[slot].gpa_flags;
	uint64_t rights = flags & PAGE_RAM ? bank->slot[slot].addr & RIGHTS_ALL : 0;

	if (unlikely(cpu->dr7 & DR7_ENABLES)) {
		if (mmu_breakpoint_hits(cpu, page, PAGE_BYTES, false))
			rights = 0;
		else if (mmu_breakpoint_hits(cpu, page, PAGE_BYTES, true))
			rights &= ~RIGHTS_WRITE;
	}
	if ((rights & RIGHTS_WRITE) &&
	    (is_watched(cpu, flags & PAGE_MASK) || journal_keeps_closed(cpu->journal)))
		rights &= ~RIGHTS_WRITE;
	return rights;
}

/* Sets the tags of a class that the rights of the slot allow. */
static void set_tags(struct cpu *cpu, struct bank *bank, unsigned slot, enum tlb_class who)
{
	uint64_t rights = direct_rights(cpu, bank, slot);
	const struct tlb_entry *entry = &bank->entry[slot];
	gva_t page = bank->slot[slot].addr & PAGE_MASK;

	for (unsigned is_write = 0; is_write < 2; is_write++)
		bank->tlb.way[who][is_write][slot] =
			(struct tlb_way){ rights & RIGHT_DATA(who, is_write) ? page
									     : bank_poison(slot),
					  entry->host - page };
	bank->slot[slot].tagged |= (uint8_t)BIT(who);
	if (rights & RIGHT_DATA(who, true))
		bank_note_write(bank, slot, (uint32_t)(entry->gpa_flags >> PAGE_BITS));
}

/* What else there is to know of the page: where it is. Host address in *host where it is RAM. */
static uint64_t locate(struct cpu *cpu, gpa_t page, void **host)
{
	if (unlikely(cpu->in_guest) && page == cpu->apic_access_page)
		return PAGE_VIRTUAL;
	if (page == cpu->apic_page)
		return PAGE_APIC;
	*host = memory_at(cpu->soft->config.memory, page, PAGE_BYTES);
	return *host ? PAGE_RAM : 0;
}

/* ---- the second level ---- */

static struct victim *victim_of(struct bank *bank, gva_t addr)
{
	uint64_t page = addr >> PAGE_BITS;

	return &bank->victim[(page ^ page / TLB_ENTRIES * 61) % VICTIMS];
}

/* What is in the slot makes room for another page. */
static void keep_victim(struct bank *bank, unsigned slot, gva_t addr)
{
	uint64_t slot_addr = bank->slot[slot].addr;

	if ((slot_addr & SLOT_VALID) && ((slot_addr ^ addr) & PAGE_MASK))
		*victim_of(bank, slot_addr) =
			(struct victim){ slot_addr, bank->places, bank->entry[slot] };
	bank_drop_slot(bank, slot);
}

static bool slot_allows(uint64_t slot_addr, gva_t addr, uint64_t want)
{
	return bank_is_page_of(slot_addr, addr) && (slot_addr & want);
}

/* Brings the page back to its slot. false: it is not here with that right. */
static bool take_victim(struct cpu *cpu, struct bank *bank, gva_t addr, uint64_t want)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	struct victim victim = *victim_of(bank, addr);

	if (victim.version != bank->places || !slot_allows(victim.addr, addr, want))
		return false;
	keep_victim(bank, slot, addr);
	bank->slot[slot].addr = victim.addr;
	bank->entry[slot] = victim.entry;
	bank->slot[slot].trust = 0;
	bitmap_set(bank->used, slot);
	set_tags(cpu, bank, slot, class_of(want));
	return true;
}

/*
 * SDM3: "Operations that Invalidate TLBs and Paging-Structure Caches": who maps another page where
 * an access has faulted need not invalidate.
 */
void mmu_drop_faulting(struct cpu *cpu, gva_t addr)
{
	struct bank *bank = cpu->mmu->current;
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;

	if (bank_is_page_of(victim_of(bank, addr)->addr, addr))
		victim_of(bank, addr)->version = 0;
	if (bank_is_page_of(bank->slot[slot].addr, addr))
		bank_drop_slot(bank, slot);
	if (bank_may_have_code(bank, addr))
		bank_flush_address(cpu->mmu, bank, addr);
	mmu_forget_places(bank, addr);
	jit_forget_page(cpu, addr & PAGE_MASK);
}

/*
 * What is flushed again and again, and comes back each time, is looked at by the flush itself:
 * twice as often with each time. Which of it is still in use, that must find out.
 */
static unsigned returns_of(uint64_t before, gva_t addr)
{
	unsigned returns = (before & SLOT_RETURNS) >> SLOT_RETURNS_SHIFT;

	if (!before || ((before ^ addr) & PAGE_MASK))
		return 0;
	return before & SLOT_VALID ? returns : MIN(returns + 1, SLOT_RETURNS_MAX);
}

static void fill(struct cpu *cpu, struct bank *bank, gva_t addr, uint64_t want,
		 const struct walk *walk)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	struct tlb_entry *entry = &bank->entry[slot];
	unsigned returns = returns_of(bank->slot[slot].addr, addr);
	void *host = NULL;

	keep_victim(bank, slot, addr);
	entry->gpa_flags = walk->page | walk->flags | locate(cpu, walk->page, &host);
	entry->host = (uint64_t)(uintptr_t)host;
	bank->slot[slot].addr = (addr & PAGE_MASK) | SLOT_VALID | walk->rights |
				(uint64_t)returns << SLOT_RETURNS_SHIFT;
	bank->slot[slot].trust = (uint8_t)((1u << returns) - 1);
	bitmap_set(bank->used, slot);
	cpu->mmu->has_keyed_pages |= walk->flags & PAGE_KEYED;
	bank_note_large(bank, addr, walk->flags);
	set_tags(cpu, bank, slot, class_of(want));
}

static bool has_tag(const struct bank *bank, unsigned slot, gva_t addr, uint64_t want)
{
	bool is_write = want & RIGHTS_WRITE;

	return bank->tlb.way[class_of(want)][is_write][slot].tag == (addr & PAGE_MASK);
}

const struct tlb_entry *mmu_translate(struct cpu *cpu, gva_t addr, uint64_t want)
{
	struct bank *bank = cpu->mmu->current;
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	struct walk walk;

	if (slot_allows(bank->slot[slot].addr, addr, want)) {
		/* Known, but its tag may not be set yet, or for a reason that has gone. */
		if (!has_tag(bank, slot, addr, want))
			set_tags(cpu, bank, slot, class_of(want));
		return &bank->entry[slot];
	}
	cpu->stats.count[STAT_TLB_MISSES]++;
	if (!take_victim(cpu, bank, addr, want)) {
		cpu->stats.count[STAT_TLB_WALKS]++;
		mmu_walk(cpu, addr, want, &walk);
		fill(cpu, bank, addr, want, &walk);
	}
	return &bank->entry[slot];
}

/* ---- the journal ---- */

static void set_page(struct cpu *cpu, gva_t addr)
{
	struct bank *bank = cpu->mmu->current;
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;

	unsigned classes = bank->slot[slot].tagged | 1u << cpu->tlb_class;

	if (!bank_is_page_of(bank->slot[slot].addr, addr))
		return;
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (classes & 1u << who)
			set_tags(cpu, bank, slot, who);
}

static void set_pages(struct cpu *cpu)
{
	const struct journal *journal = cpu->journal;

	for (unsigned i = 0; i < journal->count; i++) {
		const struct journal_write *w = &journal->write[i];

		for (gva_t page = w->addr & PAGE_MASK; page < w->addr + w->len; page += PAGE_BYTES)
			set_page(cpu, page);
	}
	set_page(cpu, journal->stack);
}

void journal_open(struct cpu *cpu)
{
	cpu->journal->is_opening = true;
	cpu->journal->stack = cpu->gpr[RSP];
	set_pages(cpu);
	cpu->journal->is_opening = false;
	cpu->journal->phase = JOURNAL_VERIFY;
}

void journal_close(struct cpu *cpu)
{
	set_pages(cpu);
	jit_forget_stack(cpu);
	cpu->journal->phase = JOURNAL_OFF;
}

/* ---- code ---- */

/* Makes room for code of the page, which none of its set has: what was filled before goes. */
static struct exec_entry *make_room(struct bank *bank, gva_t addr)
{
	unsigned n = bank_exec_set(addr);
	struct exec_entry *exec = &bank->exec[n], *older = exec + EXEC_SETS;

	if (exec->addr & SLOT_VALID) {
		if (older->addr & SLOT_VALID)
			bank_add_ghost(bank, older);
		*older = *exec;
		bitmap_set(bank->exec_used, n + EXEC_SETS);
	}
	bitmap_set(bank->exec_used, n);
	return exec;
}

static const struct exec_entry *fill_exec(struct cpu *cpu, struct bank *bank, gva_t addr,
					  uint64_t want)
{
	struct exec_entry *exec;
	struct walk walk;
	unsigned n;

	cpu->stats.count[STAT_FETCH_WALKS]++;
	mmu_walk(cpu, addr, want, &walk);
	if (unlikely(cpu->in_guest) && walk.page == cpu->apic_access_page)
		cpu->virt->apic_access(cpu, APIC_ACCESS_FETCH, addr % PAGE_BYTES, 1);
	n = bank_find_exec(bank, addr);
	if (n == EXEC_NONE) {
		exec = make_room(bank, addr);
	} else {
		/* It did not allow this: the page is another one now, or for others. */
		exec = &bank->exec[n];
		bank_add_ghost(bank, exec);
	}
	exec->addr = (addr & PAGE_MASK) | SLOT_VALID | (walk.rights & RIGHTS_FETCH);
	exec->gpa_flags = walk.page | walk.flags;
	bank_note_large(bank, addr, walk.flags);
	return exec;
}

gpa_t mmu_fetch(struct cpu *cpu, gva_t addr)
{
	struct bank *bank = cpu->mmu->current;
	uint64_t want = cpu->cpl == 3 ? RIGHT_FETCH_USER : RIGHT_FETCH_KERNEL;
	unsigned n = bank_find_exec(bank, addr);
	const struct exec_entry *exec;

	if (likely(n != EXEC_NONE && (bank->exec[n].addr & want))) {
		exec = &bank->exec[n];
	} else {
		if (cpu_in_long_mode(cpu) && !is_canonical(addr))
			cpu_raise_code(cpu, EXC_GP, 0);
		exec = fill_exec(cpu, bank, addr, want);
	}
	return (exec->gpa_flags & PAGE_MASK) | (addr & ~PAGE_MASK);
}

uint64_t mmu_fetch_generation(const struct cpu *cpu, gva_t addr)
{
	const struct bank *bank = cpu->mmu->current;

	unsigned n = bank_find_exec(bank, addr);

	return n != EXEC_NONE && exec_is_global(&bank->exec[n]) ? bank->tlb.global_generation
								: bank->tlb.generation;
}
