/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The banks of TLB entries: selection by PCID and stage_key, and every kind of flush.
 *
 * A bank belongs to a PCID (to 0 where CR4.PCIDE is clear) of a VPID and second stage, as the
 * architecture's entries do; the least recently selected one is emptied for a new one. Global
 * entries are cached by each bank for itself and dropped from all of their VPID. The cost of a
 * flush follows the number of slots in use.
 *
 * Rights are cached as the paging modes (CR0.WP, CR4.SMEP …) made them. VM entries and exits change
 * those without a flush, so a bank remembers the modes and is emptied when it is found to differ.
 *
 * Pages larger than 4 KiB are cached in 4 KiB pieces. INVLPG must drop every piece, so each bank
 * notes, coarsely, which linear addresses had large pages; only there it searches.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "cpu/mmu/bank.h"
#include "cpu/mmu/journal.h"
#include "cpu/soft.h"
#include "cpu/virt.h"
#include "lib/huge.h"

static const uint8_t size_bits[] = {
	[PAGE_4K] = 12, [PAGE_2M] = 21, [PAGE_4M] = 22, [PAGE_1G] = 30
};

#define PAGING_CR0  (CR0_PG | CR0_WP)
#define PAGING_CR4  (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define PAGING_EFER (EFER_LMA | EFER_NXE)

/* An address that selects another slot: it equals none that selects this one. */
static uint64_t poison(unsigned slot)
{
	return (uint64_t)(slot ^ 1) << PAGE_BITS;
}

static void poison_class(struct tlb *tlb, enum tlb_class who, unsigned slot)
{
	tlb->way[who][false][slot].tag = tlb->way[who][true][slot].tag = poison(slot);
}

static void poison_all(struct tlb *tlb)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		for (unsigned slot = 0; slot < TLB_ENTRIES; slot++)
			poison_class(tlb, who, slot);
}

static void poison_tags(struct bank *bank, unsigned slot)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (bank->tagged[slot] & BIT(who))
			poison_class(&bank->tlb, who, slot);
	bank->tagged[slot] = 0;
}

static bool has_bit(const uint64_t *map, unsigned n)
{
	return map[n / 64] & BIT(n % 64);
}

static void set_bit(uint64_t *map, unsigned n)
{
	map[n / 64] |= BIT(n % 64);
}

static void clear_bit(uint64_t *map, unsigned n)
{
	map[n / 64] &= ~BIT(n % 64);
}

/* The slots of a map, one after the other: for (n = 0; next_bit(map, size, &n); n++) */
static bool next_bit(const uint64_t *map, unsigned size, unsigned *n)
{
	while (*n < size) {
		uint64_t word = map[*n / 64] >> (*n % 64);

		if (word) {
			*n += (unsigned)__builtin_ctzll(word);
			return true;
		}
		*n = (*n | 63) + 1;
	}
	return false;
}

/* What anybody remembers of code look-ups in the bank is no longer valid. */
static void change_generation(struct mmu *mmu, struct bank *bank)
{
	bank->tlb.generation = ++mmu->generations;
	if (bank == mmu->current)
		mmu->aligned.generation = bank->tlb.generation;
}

/* The same of global pages, in all banks of the same guest. */
static void change_global_generation(struct mmu *mmu, uint64_t stage_key)
{
	uint64_t generation = ++mmu->generations;

	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (mmu->bank[i].stage_key == stage_key)
			mmu->bank[i].tlb.global_generation = generation;
	if (mmu->current->stage_key == stage_key)
		mmu->aligned.global_generation = generation;
}

/* lost[is_global]: exec entries, or ghosts of them, have gone from the bank. */
static void settle(struct mmu *mmu, struct bank *bank, const bool lost[2])
{
	if (lost[false])
		change_generation(mmu, bank);
	if (lost[true])
		change_global_generation(mmu, bank->stage_key);
}

/* ---- ghosts: those of past generations do not count ---- */

static uint64_t generation_of(const struct bank *bank, bool is_global)
{
	return is_global ? bank->tlb.global_generation : bank->tlb.generation;
}

/*
 * A hash of some bits. What lies in one half of the address space never looks like what lies in the
 * other: INVLPG of data of programs must not be taken for one of the kernel's code.
 */
static unsigned hash_by_half(uint64_t page, gva_t addr, unsigned hash_bits)
{
	uint64_t hash = page * 0x9e3779b97f4a7c15ull >> (64 - hash_bits + 1);

	return (unsigned)(hash | addr >> 63 << (hash_bits - 1));
}

static uint64_t ghost_bit(gva_t addr)
{
	return BIT(hash_by_half(addr >> PAGE_BITS, addr, 6));
}

static void add_ghost(struct bank *bank, const struct exec_entry *exec, bool is_global)
{
	uint64_t generation = generation_of(bank, is_global);
	struct ghost *ghost = &bank->ghost[is_global][(exec->addr >> PAGE_BITS) % EXEC_ENTRIES];

	if (ghost->generation != generation)
		*ghost = (struct ghost){ .generation = generation };
	ghost->pages |= ghost_bit(exec->addr);
	bank->last_ghost[is_global] = generation;
}

static bool has_ghost(const struct bank *bank, gva_t addr, bool is_global)
{
	const struct ghost *ghost = &bank->ghost[is_global][(addr >> PAGE_BITS) % EXEC_ENTRIES];

	return ghost->generation == generation_of(bank, is_global) &&
	       (ghost->pages & ghost_bit(addr));
}

static bool any_ghost(const struct bank *bank, bool is_global)
{
	return bank->last_ghost[is_global] == generation_of(bank, is_global);
}

static void drop_slot(struct bank *bank, unsigned slot)
{
	bank->addr[slot] = 0;
	bank->write_page[slot] = NO_WRITE_PAGE;
	poison_tags(bank, slot);
	clear_bit(bank->used, slot);
}

static bool is_global(const struct exec_entry *exec)
{
	return exec->gpa_flags & PAGE_GLOBAL;
}

static void drop_exec(struct bank *bank, unsigned slot, bool lost[2])
{
	lost[is_global(&bank->exec[slot])] = true;
	bank->exec[slot].addr = 0;
	clear_bit(bank->exec_used, slot);
}

/* Empties the bank, of all but global entries where they are to be kept. */
static void flush_bank(struct mmu *mmu, struct bank *bank, bool keep_global)
{
	uint64_t keep = keep_global ? PAGE_GLOBAL : 0;
	bool lost[2] = { any_ghost(bank, false), !keep_global && any_ghost(bank, true) };

	if (!bank->is_live)
		return;
	mmu->stats->count[STAT_TLB_FLUSHES]++;
	for (unsigned slot = 0; next_bit(bank->used, TLB_ENTRIES, &slot); slot++)
		if (!(bank->entry[slot].gpa_flags & keep))
			drop_slot(bank, slot);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++)
		if (!(bank->exec[slot].gpa_flags & keep))
			drop_exec(bank, slot, lost);
	settle(mmu, bank, lost);
	if (!keep_global) {
		memset(bank->large_4m, 0, sizeof(bank->large_4m));
		memset(bank->large_1g, 0, sizeof(bank->large_1g));
		memset(bank->write_notes, 0, sizeof(bank->write_notes));
	}
}

static uint16_t vpid_of(uint64_t stage_key)
{
	return stage_key & STAGE_VPID;
}

static bool is_of_vpid(const struct bank *bank, uint16_t vpid)
{
	return bank->is_live && vpid_of(bank->stage_key) == vpid;
}

/* Whether the bank holds mappings of the VPID that is in use now. */
static bool is_ours(const struct cpu *cpu, const struct bank *bank)
{
	return is_of_vpid(bank, vpid_of(cpu->stage_key));
}

/* What other banks of the guest have, or a new one. */
static uint64_t global_generation_for(struct mmu *mmu, uint64_t stage_key)
{
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (mmu->bank[i].is_live && mmu->bank[i].stage_key == stage_key)
			return mmu->bank[i].tlb.global_generation;
	return ++mmu->generations;
}

static void make_live(struct mmu *mmu, struct bank *bank, unsigned pcid, uint64_t stage_key)
{
	if (bank->is_live) {
		flush_bank(mmu, bank, false);
		bank->is_live = false;
	} else {
		poison_all(&bank->tlb);
		memset(bank->write_page, 0xff, sizeof(bank->write_page));
		change_generation(mmu, bank);
	}
	bank->tlb.global_generation = global_generation_for(mmu, stage_key);
	bank->pcid = pcid;
	bank->stage_key = stage_key;
	bank->is_live = true;
}

static struct bank *bank_for(struct mmu *mmu, unsigned pcid, uint64_t stage_key)
{
	struct bank *oldest = &mmu->bank[0];

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct bank *bank = &mmu->bank[i];

		if (bank->is_live && bank->pcid == pcid && bank->stage_key == stage_key)
			return bank;
		if (bank->last_selected < oldest->last_selected)
			oldest = bank;
	}
	make_live(mmu, oldest, pcid, stage_key);
	return oldest;
}

static unsigned current_pcid(const struct cpu *cpu)
{
	return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & CR3_PCID : 0;
}

/* The modes that cached rights depend on. */
static uint64_t current_paging(const struct cpu *cpu)
{
	_Static_assert(!(PAGING_CR0 & PAGING_CR4) && !(PAGING_EFER & (PAGING_CR0 | PAGING_CR4)),
		       "they fit in one word");
	return (cpu->cr0 & PAGING_CR0) | (cpu->cr4 & PAGING_CR4) | (cpu->efer & PAGING_EFER);
}

static void use_tlb(struct cpu *cpu, struct tlb *tlb)
{
	_Static_assert(ARRAY_SIZE(cpu->tlb_ways) == TLB_CLASSES, "one for each class");

	cpu->tlb = tlb;
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		for (unsigned is_write = 0; is_write < 2; is_write++)
			cpu->tlb_ways[who][is_write] = tlb->way[who][is_write];
	mmu_select_tags(cpu);
}

static void select_bank(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	struct bank *bank = bank_for(mmu, current_pcid(cpu), cpu->stage_key);

	jit_forget_stack(cpu);
	mmu->current = bank;
	bank->last_selected = ++mmu->selections;
	if (unlikely(bank->paging != current_paging(cpu))) {
		flush_bank(mmu, bank, false);
		bank->paging = current_paging(cpu);
	}
	mmu->aligned.generation = bank->tlb.generation;
	mmu->aligned.global_generation = bank->tlb.global_generation;
	use_tlb(cpu, cpu->tlb->is_aligned_only ? cpu->tlb : &bank->tlb);
}

int mmu_create(struct cpu *cpu)
{
	struct mmu *mmu = huge_map(sizeof(*mmu));

	if (!mmu)
		return -ENOMEM;
	poison_all(&mmu->aligned);
	mmu->aligned.is_aligned_only = true;
	mmu->stats = &cpu->stats;
	cpu->mmu = mmu;
	mmu->current = &mmu->bank[0];
	cpu->tlb = &mmu->bank[0].tlb;
	select_bank(cpu);
	mmu_walk_mode_changed(cpu);
	return 0;
}

void mmu_destroy(struct cpu *cpu)
{
	huge_unmap(cpu->mmu, sizeof(*cpu->mmu));
	cpu->mmu = NULL;
	cpu->tlb = NULL;
}

void mmu_load_cr3(struct cpu *cpu, bool keep)
{
	select_bank(cpu);
	if (!keep || !(cpu->cr4 & CR4_PCIDE))
		flush_bank(cpu->mmu, cpu->mmu->current, true);
}

void mmu_mode_changed(struct cpu *cpu)
{
	mmu_walk_mode_changed(cpu);
	mmu_flush_all(cpu);
	select_bank(cpu);
	mmu_privilege_changed(cpu);
}

void mmu_select_alignment(struct cpu *cpu, bool is_checked)
{
	jit_forget_stack(cpu);
	use_tlb(cpu, is_checked ? &cpu->mmu->aligned : &cpu->mmu->current->tlb);
}

void mmu_stage_changed(struct cpu *cpu)
{
	mmu_walk_mode_changed(cpu);
	select_bank(cpu);
	if (unlikely(cpu->dr7 & DR7_ENABLED))
		mmu_breakpoints_changed(cpu);
}

void mmu_flush_vpid(struct cpu *cpu, uint16_t vpid, bool keep_global)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_of_vpid(&cpu->mmu->bank[i], vpid))
			flush_bank(cpu->mmu, &cpu->mmu->bank[i], keep_global);
}

void mmu_flush_all(struct cpu *cpu)
{
	mmu_flush_vpid(cpu, vpid_of(cpu->stage_key), false);
}

void mmu_flush_nonglobal(struct cpu *cpu)
{
	mmu_flush_vpid(cpu, vpid_of(cpu->stage_key), true);
}

void mmu_flush_everything(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		flush_bank(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_vpids(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (vpid_of(cpu->mmu->bank[i].stage_key))
			flush_bank(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_root(struct cpu *cpu, uint64_t root)
{
	uint64_t key = mmu_stage_key(0, root) & ~STAGE_VPID;

	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if ((cpu->mmu->bank[i].stage_key & ~STAGE_VPID) == key)
			flush_bank(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_roots(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (cpu->mmu->bank[i].stage_key & STAGE_SECOND)
			flush_bank(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_pcid(struct cpu *cpu, unsigned pcid)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_ours(cpu, &cpu->mmu->bank[i]) && cpu->mmu->bank[i].pcid == pcid)
			flush_bank(cpu->mmu, &cpu->mmu->bank[i], true);
}

/* Whether `entry` is a piece of the page that maps `addr`. */
static bool is_piece(uint64_t entry, uint64_t gpa_flags, gva_t addr)
{
	unsigned shift = size_bits[bits(gpa_flags, PAGE_SIZE_SHIFT + 1, PAGE_SIZE_SHIFT)];

	return (entry ^ addr) >> shift == 0;
}

static unsigned note_of(gva_t addr, unsigned shift)
{
	return hash_by_half(addr >> shift, addr, LARGE_NOTE_BITS);
}

/* Pieces of a page of 2 or 4 MiB lie side by side. */
#define LARGE_PIECES 1024

_Static_assert(TLB_ENTRIES % LARGE_PIECES == 0, "they do not go on at the first slot");

static bool may_be_large(const struct bank *bank, gva_t addr)
{
	return has_bit(bank->large_4m, note_of(addr, size_bits[PAGE_4M])) ||
	       has_bit(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
}

static void flush_large(struct mmu *mmu, struct bank *bank, gva_t addr)
{
	bool lost[2] = { any_ghost(bank, false), any_ghost(bank, true) };
	bool is_1g = has_bit(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
	unsigned pieces = is_1g ? TLB_ENTRIES : LARGE_PIECES;
	unsigned first = (unsigned)align_down(addr >> PAGE_BITS, pieces) % TLB_ENTRIES;

	for (unsigned slot = first; next_bit(bank->used, first + pieces, &slot); slot++)
		if (is_piece(bank->addr[slot], bank->entry[slot].gpa_flags, addr))
			drop_slot(bank, slot);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++)
		if (is_piece(bank->exec[slot].addr, bank->exec[slot].gpa_flags, addr))
			drop_exec(bank, slot, lost);
	settle(mmu, bank, lost);
}

static void flush_address(struct mmu *mmu, struct bank *bank, gva_t addr)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	unsigned exec_slot = (addr >> PAGE_BITS) % EXEC_ENTRIES;
	const struct exec_entry *exec = &bank->exec[exec_slot];
	bool lost[2] = { has_ghost(bank, addr, false), has_ghost(bank, addr, true) };

	if (!bank->is_live)
		return;
	mmu->stats->count[STAT_TLB_INVALIDATED]++;
	if (may_be_large(bank, addr)) {
		flush_large(mmu, bank, addr);
		return;
	}
	if ((bank->addr[slot] & SLOT_VALID) && !((bank->addr[slot] ^ addr) & PAGE_MASK))
		drop_slot(bank, slot);
	if ((exec->addr & SLOT_VALID) && !((exec->addr ^ addr) & PAGE_MASK))
		drop_exec(bank, exec_slot, lost);
	settle(mmu, bank, lost);
}

/* Global entries go from every bank, so all of them lose the address. */
void mmu_flush_vpid_address(struct cpu *cpu, uint16_t vpid, gva_t addr)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_of_vpid(&cpu->mmu->bank[i], vpid))
			flush_address(cpu->mmu, &cpu->mmu->bank[i], addr);
}

void mmu_flush_address(struct cpu *cpu, gva_t addr)
{
	mmu_flush_vpid_address(cpu, vpid_of(cpu->stage_key), addr);
}

void mmu_flush_pcid_address(struct cpu *cpu, unsigned pcid, gva_t addr)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_ours(cpu, &cpu->mmu->bank[i]) && cpu->mmu->bank[i].pcid == pcid)
			flush_address(cpu->mmu, &cpu->mmu->bank[i], addr);
}

void mmu_breakpoints_changed(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned n = 0; n < ARRAY_SIZE(cpu->dr); n++)
		for (unsigned i = 0; i < TLB_BANKS; i++) {
			struct bank *bank = &cpu->mmu->bank[i];
			unsigned slot = (cpu->dr[n] >> PAGE_BITS) % TLB_ENTRIES;

			if (bank->is_live)
				drop_slot(bank, slot);
		}
}

void mmu_write_pkru(struct cpu *cpu, uint32_t pkru)
{
	uint32_t changed = cpu->pkru ^ pkru;

	cpu->pkru = pkru;
	jit_forget_stack(cpu);
	if (!changed || !cpu->mmu->has_keyed_pages)
		return;
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct bank *bank = &cpu->mmu->bank[i];

		for (unsigned slot = 0; next_bit(bank->used, TLB_ENTRIES, &slot); slot++) {
			uint64_t flags = bank->entry[slot].gpa_flags;
			unsigned key = bits(flags, PAGE_KEY_SHIFT + 3, PAGE_KEY_SHIFT);

			if ((flags & PAGE_KEYED) && (changed >> (2 * key) & 3))
				drop_slot(bank, slot);
		}
	}
}

static void poison_writes(struct bank *bank, unsigned slot)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (bank->tagged[slot] & BIT(who))
			bank->tlb.way[who][true][slot].tag = poison(slot);
}

void mmu_poison_writes(struct cpu *cpu, gpa_t page)
{
	uint32_t number = (uint32_t)(page >> PAGE_BITS);

	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct bank *bank = &cpu->mmu->bank[i];

		if (!bank->is_live || !has_bit(bank->write_notes, number % WRITE_NOTES))
			continue;
		for (unsigned slot = 0; slot < TLB_ENTRIES; slot++) {
			if (unlikely(bank->write_page[slot] == number)) {
				poison_writes(bank, slot);
				bank->write_page[slot] = NO_WRITE_PAGE;
			}
		}
	}
}

/* ---- filling ---- */

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
	gva_t page = bank->addr[slot] & PAGE_MASK;
	uint64_t flags = bank->entry[slot].gpa_flags;
	uint64_t rights = flags & PAGE_RAM ? bank->addr[slot] & RIGHTS_ALL : 0;

	if (unlikely(cpu->dr7 & DR7_ENABLED)) {
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

	for (unsigned is_write = 0; is_write < 2; is_write++)
		bank->tlb.way[who][is_write][slot] =
			(struct tlb_way){ rights & RIGHT_DATA(who, is_write)
						  ? bank->addr[slot] & PAGE_MASK
						  : poison(slot),
					  entry->host };
	bank->tagged[slot] |= (uint8_t)BIT(who);
	if (rights & RIGHT_DATA(who, true)) {
		bank->write_page[slot] = (uint32_t)(entry->gpa_flags >> PAGE_BITS);
		set_bit(bank->write_notes, bank->write_page[slot] % WRITE_NOTES);
	}
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

static void note_large(struct bank *bank, gva_t addr, uint64_t flags)
{
	unsigned size = bits(flags, PAGE_SIZE_SHIFT + 1, PAGE_SIZE_SHIFT);

	if (size == PAGE_1G)
		set_bit(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
	else if (size != PAGE_4K)
		set_bit(bank->large_4m, note_of(addr, size_bits[PAGE_4M]));
}

static void fill(struct cpu *cpu, struct bank *bank, gva_t addr, uint64_t want,
		 const struct walk *walk)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	struct tlb_entry *entry = &bank->entry[slot];
	void *host = NULL;

	drop_slot(bank, slot);
	entry->gpa_flags = walk->page | walk->flags | locate(cpu, walk->page, &host);
	entry->host = (uint64_t)(uintptr_t)host;
	bank->addr[slot] = (addr & PAGE_MASK) | SLOT_VALID | walk->rights;
	set_bit(bank->used, slot);
	cpu->mmu->has_keyed_pages |= walk->flags & PAGE_KEYED;
	note_large(bank, addr, walk->flags);
	set_tags(cpu, bank, slot, class_of(want));
}

static bool slot_allows(uint64_t slot_addr, gva_t addr, uint64_t want)
{
	return !((slot_addr ^ addr) & PAGE_MASK) && (slot_addr & SLOT_VALID) && (slot_addr & want);
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

	if (slot_allows(bank->addr[slot], addr, want)) {
		/* Known, but its tag may not be set yet, or for a reason that has gone. */
		if (!has_tag(bank, slot, addr, want))
			set_tags(cpu, bank, slot, class_of(want));
	} else {
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

	unsigned classes = bank->tagged[slot] | 1u << cpu->tlb_class;

	if (!(bank->addr[slot] & SLOT_VALID) || ((bank->addr[slot] ^ addr) & PAGE_MASK))
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

static void fill_exec(struct cpu *cpu, struct bank *bank, gva_t addr, uint64_t want)
{
	unsigned slot = (addr >> PAGE_BITS) % EXEC_ENTRIES;
	struct exec_entry *exec = &bank->exec[slot];
	struct walk walk;
	bool was_global;

	cpu->stats.count[STAT_FETCH_WALKS]++;
	mmu_walk(cpu, addr, want, &walk);
	if (unlikely(cpu->in_guest) && walk.page == cpu->apic_access_page)
		cpu->virt->apic_access(cpu, APIC_ACCESS_FETCH, addr % PAGE_BYTES, 1);
	was_global = is_global(exec);
	if ((exec->addr & SLOT_VALID) &&
	    (((exec->addr ^ addr) & PAGE_MASK) || was_global != !!(walk.flags & PAGE_GLOBAL)))
		add_ghost(bank, exec, was_global);
	exec->addr = (addr & PAGE_MASK) | SLOT_VALID | (walk.rights & RIGHTS_FETCH);
	exec->gpa_flags = walk.page | walk.flags;
	set_bit(bank->exec_used, slot);
	note_large(bank, addr, walk.flags);
}

gpa_t mmu_fetch(struct cpu *cpu, gva_t addr)
{
	struct bank *bank = cpu->mmu->current;
	const struct exec_entry *exec = &bank->exec[(addr >> PAGE_BITS) % EXEC_ENTRIES];
	uint64_t want = cpu->cpl == 3 ? RIGHT_FETCH_USER : RIGHT_FETCH_KERNEL;

	if (unlikely(!slot_allows(exec->addr, addr, want))) {
		if (cpu_in_long_mode(cpu) && !is_canonical(addr))
			cpu_raise_code(cpu, EXC_GP, 0);
		fill_exec(cpu, bank, addr, want);
	}
	return (exec->gpa_flags & PAGE_MASK) | (addr & ~PAGE_MASK);
}

uint64_t mmu_fetch_generation(const struct cpu *cpu, gva_t addr)
{
	const struct bank *bank = cpu->mmu->current;

	return is_global(&bank->exec[(addr >> PAGE_BITS) % EXEC_ENTRIES])
		       ? bank->tlb.global_generation
		       : bank->tlb.generation;
}
