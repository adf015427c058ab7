/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One bank of TLB entries: what is in it and how it leaves. The cost of a flush follows the number
 * of slots in use.
 *
 * Pages larger than 4 KiB are cached in 4 KiB pieces. INVLPG must drop every piece, so each bank
 * notes, coarsely, which linear addresses had large pages; only there it searches.
 */
#include "cpu/mmu/bank.h"

static const uint8_t size_bits[] = {
	[PAGE_4K] = 12, [PAGE_2M] = 21, [PAGE_4M] = 22, [PAGE_1G] = 30
};

static void poison_class(struct tlb *tlb, enum tlb_class who, unsigned slot)
{
	tlb->way[who][false][slot].tag = tlb->way[who][true][slot].tag = bank_poison(slot);
}

void tlb_poison(struct tlb *tlb)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		for (unsigned slot = 0; slot < TLB_ENTRIES; slot++)
			poison_class(tlb, who, slot);
}

static void poison_tags(struct bank *bank, unsigned slot)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (bank->slot[slot].tagged & BIT(who))
			poison_class(&bank->tlb, who, slot);
	bank->slot[slot].tagged = 0;
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

void bank_change_generation(struct mmu *mmu, struct bank *bank)
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
		bank_change_generation(mmu, bank);
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

void bank_add_ghost(struct bank *bank, const struct exec_entry *exec)
{
	bool is_global = exec_is_global(exec);
	uint64_t generation = generation_of(bank, is_global);
	struct ghost *ghost = &bank->ghost[is_global][bank_exec_set(exec->addr)];

	if (ghost->generation != generation)
		*ghost = (struct ghost){ .generation = generation };
	ghost->pages |= ghost_bit(exec->addr);
	bank->last_ghost[is_global] = generation;
}

static bool has_ghost(const struct bank *bank, gva_t addr, bool is_global)
{
	const struct ghost *ghost = &bank->ghost[is_global][bank_exec_set(addr)];

	return ghost->generation == generation_of(bank, is_global) &&
	       (ghost->pages & ghost_bit(addr));
}

bool bank_may_have_code(const struct bank *bank, gva_t addr)
{
	return bank_find_exec(bank, addr) != EXEC_NONE || has_ghost(bank, addr, false) ||
	       has_ghost(bank, addr, true);
}

static bool any_ghost(const struct bank *bank, bool is_global)
{
	return bank->last_ghost[is_global] == generation_of(bank, is_global);
}

/* ---- what can be written ---- */

static uint16_t *write_list(struct bank *bank, uint32_t page)
{
	return &bank->write_first[page % WRITE_LISTS];
}

void bank_note_write(struct bank *bank, unsigned n, uint32_t page)
{
	uint16_t *first = write_list(bank, page);
	struct slot *slot = &bank->slot[n];

	if (slot->write_page)
		return;
	slot->write_page = page + 1;
	slot->write_next = *first;
	slot->write_before = 0;
	if (*first)
		bank->slot[*first - 1].write_before = (uint16_t)(n + 1);
	*first = (uint16_t)(n + 1);
}

static void forget_write(struct bank *bank, struct slot *slot)
{
	if (!slot->write_page)
		return;
	if (slot->write_before)
		bank->slot[slot->write_before - 1].write_next = slot->write_next;
	else
		*write_list(bank, slot->write_page - 1) = slot->write_next;
	if (slot->write_next)
		bank->slot[slot->write_next - 1].write_before = slot->write_before;
	slot->write_page = 0;
}

void bank_drop_slot(struct bank *bank, unsigned slot)
{
	bank->slot[slot].addr = 0;
	forget_write(bank, &bank->slot[slot]);
	poison_tags(bank, slot);
	bitmap_clear(bank->used, slot);
}

static void drop_exec(struct bank *bank, unsigned slot, bool lost[2])
{
	lost[exec_is_global(&bank->exec[slot])] = true;
	bank->exec[slot].addr = 0;
	bitmap_clear(bank->exec_used, slot);
}

/* Everything but entries. */
static void begin_flush(struct mmu *mmu, struct bank *bank, uint64_t keep)
{
	mmu->stats->count[STAT_TLB_FLUSHES]++;
	bank->places++;
	if (!keep) {
		memset(bank->large_4m, 0, sizeof(bank->large_4m));
		memset(bank->large_1g, 0, sizeof(bank->large_1g));
	}
}

/* All but the look-ups of code. */
static void flush_data(struct mmu *mmu, struct bank *bank, uint64_t keep)
{
	begin_flush(mmu, bank, keep);
	for (unsigned slot = 0; next_bit(bank->used, TLB_ENTRIES, &slot); slot++)
		if (!(bank->entry[slot].gpa_flags & keep))
			bank_drop_slot(bank, slot);
}

void bank_flush(struct mmu *mmu, struct bank *bank, bool keep_global)
{
	uint64_t keep = keep_global ? PAGE_GLOBAL : 0;
	bool lost[2] = { any_ghost(bank, false), !keep_global && any_ghost(bank, true) };

	if (!bank->is_live)
		return;
	flush_data(mmu, bank, keep);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++)
		if (!(bank->exec[slot].gpa_flags & keep))
			drop_exec(bank, slot, lost);
	settle(mmu, bank, lost);
}

/* ---- what is the same after a flush ---- */

/*
 * A processor may fetch translations at any time that nobody asked for, so also just behind a
 * flush, all those of code again. Where none has changed, whoever caches look-ups goes on: kernels
 * flush for every page of their own that they protect. The same goes for data that came back after
 * flushes before this.
 */
#define CONFIRMED_MAX 192
/*
 * After so many, all code is looked up anew once: nothing else tells what is not run any more, and
 * that would be confirmed for ever.
 */
#define CONFIRMED_SUM_MAX 4096

static bool is_same(struct cpu *cpu, const struct exec_entry *exec)
{
	uint64_t rights = exec->addr & RIGHTS_FETCH;
	struct walk walk;

	return mmu_walk_quietly(cpu, exec->addr & PAGE_MASK, rights, &walk) &&
	       (walk.rights & RIGHTS_FETCH) == rights &&
	       (walk.page | walk.flags) == exec->gpa_flags;
}

static bool is_same_data(struct cpu *cpu, const struct bank *bank, unsigned slot)
{
	uint64_t flags = bank->entry[slot].gpa_flags;
	struct walk walk;

	return (flags & PAGE_RAM) &&
	       mmu_walk_quietly(cpu, bank->slot[slot].addr & PAGE_MASK,
				RIGHT_DATA(TLB_KERNEL_AC, 0), &walk) &&
	       walk.rights == (bank->slot[slot].addr & RIGHTS_ALL) &&
	       (walk.page | walk.flags | PAGE_RAM) == flags;
}

/* What bank_flush_current leaves of a slot. */
static void renew_slot(struct cpu *cpu, struct bank *bank, unsigned slot)
{
	uint64_t past = bank->slot[slot].addr & (PAGE_MASK | SLOT_RETURNS);

	if (!bank->slot[slot].trust) {
		bank_drop_slot(bank, slot);
		bank->slot[slot].addr = past;
		return;
	}
	bank->slot[slot].trust--;
	if (!is_same_data(cpu, bank, slot)) {
		bank_drop_slot(bank, slot);
		return;
	}
	bank_note_large(bank, bank->slot[slot].addr, bank->entry[slot].gpa_flags);
}

static bool is_too_much(struct bank *bank, uint64_t keep)
{
	unsigned count = 0;

	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++)
		count += !(bank->exec[slot].gpa_flags & keep);
	bank->confirmed += count;
	if (count <= CONFIRMED_MAX && bank->confirmed <= CONFIRMED_SUM_MAX)
		return false;
	bank->confirmed = 0;
	return true;
}

void bank_flush_current(struct cpu *cpu, bool keep_global)
{
	struct bank *bank = cpu->mmu->current;
	uint64_t keep = keep_global ? PAGE_GLOBAL : 0;
	bool lost[2] = { any_ghost(bank, false), !keep_global && any_ghost(bank, true) };
	bool gives_up = is_too_much(bank, keep);

	begin_flush(cpu->mmu, bank, keep);
	for (unsigned slot = 0; next_bit(bank->used, TLB_ENTRIES, &slot); slot++)
		if (!(bank->entry[slot].gpa_flags & keep))
			renew_slot(cpu, bank, slot);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++) {
		struct exec_entry *exec = &bank->exec[slot];

		if (exec->gpa_flags & keep)
			continue;
		if (gives_up || lost[exec_is_global(exec)] || !is_same(cpu, exec))
			drop_exec(bank, slot, lost);
		else
			bank_note_large(bank, exec->addr, exec->gpa_flags);
	}
	settle(cpu->mmu, bank, lost);
}

static bool has_exec(const struct bank *bank, const struct exec_entry *exec)
{
	unsigned n = bank_find_exec(bank, exec->addr);

	return n != EXEC_NONE && exec->addr == bank->exec[n].addr &&
	       exec->gpa_flags == bank->exec[n].gpa_flags;
}

void bank_flush_beside(struct mmu *mmu, struct bank *bank, bool keep_global)
{
	uint64_t keep = keep_global ? PAGE_GLOBAL : 0;
	bool lost[2] = { any_ghost(bank, false), !keep_global && any_ghost(bank, true) };
	bool unused[2];

	flush_data(mmu, bank, keep);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++) {
		const struct exec_entry *exec = &bank->exec[slot];
		bool is_kept = exec_is_global(exec) && has_exec(mmu->current, exec);

		if (exec->gpa_flags & keep)
			continue;
		drop_exec(bank, slot, is_kept ? unused : lost);
	}
	settle(mmu, bank, lost);
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
	return bitmap_has(bank->large_4m, note_of(addr, size_bits[PAGE_4M])) ||
	       bitmap_has(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
}

static void flush_large(struct mmu *mmu, struct bank *bank, gva_t addr)
{
	bool lost[2] = { any_ghost(bank, false), any_ghost(bank, true) };
	bool is_1g = bitmap_has(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
	unsigned pieces = is_1g ? TLB_ENTRIES : LARGE_PIECES;
	unsigned first = (unsigned)align_down(addr >> PAGE_BITS, pieces) % TLB_ENTRIES;

	for (unsigned slot = first; next_bit(bank->used, first + pieces, &slot); slot++)
		if (is_piece(bank->slot[slot].addr, bank->entry[slot].gpa_flags, addr))
			bank_drop_slot(bank, slot);
	for (unsigned slot = 0; next_bit(bank->exec_used, EXEC_ENTRIES, &slot); slot++)
		if (is_piece(bank->exec[slot].addr, bank->exec[slot].gpa_flags, addr))
			drop_exec(bank, slot, lost);
	settle(mmu, bank, lost);
}

void bank_flush_address(struct mmu *mmu, struct bank *bank, gva_t addr)
{
	unsigned slot = (addr >> PAGE_BITS) % TLB_ENTRIES;
	unsigned exec = bank_find_exec(bank, addr);
	bool lost[2] = { has_ghost(bank, addr, false), has_ghost(bank, addr, true) };

	if (!bank->is_live)
		return;
	mmu->stats->count[STAT_TLB_INVALIDATED]++;
	bank->places++;
	if (may_be_large(bank, addr)) {
		flush_large(mmu, bank, addr);
		return;
	}
	if (bank_is_page_of(bank->slot[slot].addr, addr))
		bank_drop_slot(bank, slot);
	if (exec != EXEC_NONE)
		drop_exec(bank, exec, lost);
	settle(mmu, bank, lost);
}

void bank_note_large(struct bank *bank, gva_t addr, uint64_t flags)
{
	unsigned size = bits(flags, PAGE_SIZE_SHIFT + 1, PAGE_SIZE_SHIFT);

	if (size == PAGE_1G)
		bitmap_set(bank->large_1g, note_of(addr, size_bits[PAGE_1G]));
	else if (size != PAGE_4K)
		bitmap_set(bank->large_4m, note_of(addr, size_bits[PAGE_4M]));
}

void bank_drop_keys(struct bank *bank, uint32_t pkru)
{
	bank->places++;
	for (unsigned slot = 0; next_bit(bank->used, TLB_ENTRIES, &slot); slot++) {
		uint64_t flags = bank->entry[slot].gpa_flags;
		unsigned key = bits(flags, PAGE_KEY_SHIFT + 3, PAGE_KEY_SHIFT);

		if ((flags & PAGE_KEYED) && (pkru >> (2 * key) & 3))
			bank_drop_slot(bank, slot);
	}
}

static void poison_writes(struct bank *bank, unsigned slot)
{
	for (unsigned who = 0; who < TLB_CLASSES; who++)
		if (bank->slot[slot].tagged & BIT(who))
			bank->tlb.way[who][true][slot].tag = bank_poison(slot);
	forget_write(bank, &bank->slot[slot]);
}

void bank_poison_writes(struct bank *bank, uint32_t page)
{
	unsigned next;

	for (unsigned n = *write_list(bank, page); n; n = next) {
		const struct slot *slot = &bank->slot[n - 1];

		next = slot->write_next;
		if (slot->write_page == page + 1)
			poison_writes(bank, n - 1);
	}
}
