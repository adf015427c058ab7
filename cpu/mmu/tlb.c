/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The banks of TLB entries: selection by PCID and stage_key, and every kind of flush.
 *
 * A bank belongs to a PCID (to 0 where CR4.PCIDE is clear) of a VPID and second stage, as the
 * architecture's entries do; the least recently selected one is emptied for a new one. Global
 * entries are cached by each bank for itself and dropped from all of their VPID.
 *
 * Rights are cached as the paging modes (CR0.WP, CR4.SMEP …) made them. VM entries and exits change
 * those without a flush, so banks remember the modes, one set of them for all of a guest, whose
 * look-ups of global code they share. They are emptied when the modes are found to differ.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "cpu/mmu/bank.h"
#include "lib/gsbase.h"
#include "lib/huge.h"

#define PAGING_CR0  (CR0_PG | CR0_WP)
#define PAGING_CR4  (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define PAGING_EFER (EFER_LMA | EFER_NXE)

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

/* What all banks of a guest have in common: from another one, or anew. */
static void share(struct mmu *mmu, struct bank *bank, uint64_t stage_key)
{
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (mmu->bank[i].is_live && mmu->bank[i].stage_key == stage_key) {
			bank->tlb.global_generation = mmu->bank[i].tlb.global_generation;
			bank->paging = mmu->bank[i].paging;
			return;
		}
	bank->tlb.global_generation = ++mmu->generations;
}

static void make_live(struct mmu *mmu, struct bank *bank, unsigned pcid, uint64_t stage_key)
{
	if (bank->is_live) {
		bank_flush(mmu, bank, false);
		bank->is_live = false;
	} else {
		tlb_poison(&bank->tlb);
		bank_change_generation(mmu, bank);
		bank->places++;
	}
	share(mmu, bank, stage_key);
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

static void change_paging(struct mmu *mmu, uint64_t stage_key, uint64_t paging)
{
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (mmu->bank[i].is_live && mmu->bank[i].stage_key == stage_key) {
			bank_flush(mmu, &mmu->bank[i], false);
			mmu->bank[i].paging = paging;
		}
}

void mmu_enter_thread(const struct cpu *cpu)
{
	gsbase_set((const uint8_t *)cpu->tlb + TLB_GS_BASE, cpu->mmu->has_gsbase);
}

static void use_tlb(struct cpu *cpu, struct tlb *tlb)
{
	cpu->tlb = tlb;
	mmu_enter_thread(cpu);
	mmu_select_tags(cpu);
}

static void select_bank(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	struct bank *bank = bank_for(mmu, current_pcid(cpu), cpu->stage_key);

	jit_forget_stack(cpu);
	mmu->current = bank;
	bank->last_selected = ++mmu->selections;
	if (unlikely(bank->paging != current_paging(cpu)))
		change_paging(mmu, cpu->stage_key, current_paging(cpu));
	mmu->aligned.generation = bank->tlb.generation;
	mmu->aligned.global_generation = bank->tlb.global_generation;
	use_tlb(cpu, cpu->tlb->is_aligned_only ? cpu->tlb : &bank->tlb);
}

int mmu_create(struct cpu *cpu)
{
	struct mmu *mmu = huge_map(sizeof(*mmu));

	if (!mmu)
		return -ENOMEM;
	tlb_poison(&mmu->aligned);
	mmu->aligned.is_aligned_only = true;
	mmu->has_gsbase = gsbase_has_instruction();
	mmu->stats = &cpu->stats;
	cpu->mmu = mmu;
	mmu->current = &mmu->bank[0];
	use_tlb(cpu, &mmu->bank[0].tlb);
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
		bank_flush_current(cpu, true);
}

void mmu_mode_changed(struct cpu *cpu)
{
	mmu_walk_mode_changed(cpu);
	mmu_flush_vpid(cpu, vpid_of(cpu->stage_key), false);
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
	if (unlikely(cpu->dr7 & DR7_ENABLES))
		mmu_breakpoints_changed(cpu);
}

void mmu_flush_vpid(struct cpu *cpu, uint16_t vpid, bool keep_global)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_of_vpid(&cpu->mmu->bank[i], vpid))
			bank_flush(cpu->mmu, &cpu->mmu->bank[i], keep_global);
}

/* Of the guest that runs, in the address space that is loaded. */
static void flush_ours(struct cpu *cpu, bool keep_global)
{
	struct mmu *mmu = cpu->mmu;

	jit_forget_stack(cpu);
	bank_flush_current(cpu, keep_global);
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct bank *bank = &mmu->bank[i];

		if (bank == mmu->current || !is_ours(cpu, bank))
			continue;
		if (bank->stage_key == cpu->stage_key)
			bank_flush_beside(mmu, bank, keep_global);
		else
			bank_flush(mmu, bank, keep_global);
	}
}

void mmu_flush_all(struct cpu *cpu)
{
	flush_ours(cpu, false);
}

void mmu_flush_nonglobal(struct cpu *cpu)
{
	flush_ours(cpu, true);
}

void mmu_flush_everything(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		bank_flush(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_vpids(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (vpid_of(cpu->mmu->bank[i].stage_key))
			bank_flush(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_root(struct cpu *cpu, uint64_t root)
{
	uint64_t key = mmu_stage_key(0, root) & ~STAGE_VPID;

	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if ((cpu->mmu->bank[i].stage_key & ~STAGE_VPID) == key)
			bank_flush(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_roots(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (cpu->mmu->bank[i].stage_key & STAGE_SECOND)
			bank_flush(cpu->mmu, &cpu->mmu->bank[i], false);
}

void mmu_flush_pcid(struct cpu *cpu, unsigned pcid)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_ours(cpu, &cpu->mmu->bank[i]) && cpu->mmu->bank[i].pcid == pcid)
			bank_flush(cpu->mmu, &cpu->mmu->bank[i], true);
}

/* Global entries go from every bank, so all of them lose the address. */
void mmu_flush_vpid_address(struct cpu *cpu, uint16_t vpid, gva_t addr)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (is_of_vpid(&cpu->mmu->bank[i], vpid))
			bank_flush_address(cpu->mmu, &cpu->mmu->bank[i], addr);
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
			bank_flush_address(cpu->mmu, &cpu->mmu->bank[i], addr);
}

void mmu_breakpoints_changed(struct cpu *cpu)
{
	jit_forget_stack(cpu);
	for (unsigned n = 0; n < ARRAY_SIZE(cpu->dr); n++)
		for (unsigned i = 0; i < TLB_BANKS; i++) {
			struct bank *bank = &cpu->mmu->bank[i];
			unsigned slot = (cpu->dr[n] >> PAGE_BITS) % TLB_ENTRIES;

			if (bank->is_live)
				bank_drop_slot(bank, slot);
		}
}

void mmu_write_pkru(struct cpu *cpu, uint32_t pkru)
{
	uint32_t changed = cpu->pkru ^ pkru;

	cpu->pkru = pkru;
	jit_forget_stack(cpu);
	if (!changed || !cpu->mmu->has_keyed_pages)
		return;
	for (unsigned i = 0; i < TLB_BANKS; i++)
		bank_drop_keys(&cpu->mmu->bank[i], changed);
}

void mmu_poison_writes(struct cpu *cpu, gpa_t page)
{
	jit_forget_stack(cpu);
	for (unsigned i = 0; i < TLB_BANKS; i++)
		bank_poison_writes(&cpu->mmu->bank[i], (uint32_t)(page >> PAGE_BITS));
}
