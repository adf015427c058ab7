/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linear → guest-physical → host pointer.
 *
 * Each vCPU has banks of TLB entries, one bank an address space: PCID, and cpu->stage_key (VPID and
 * the root of the second stage). Selecting an address space selects a bank; nothing is flushed that
 * the architecture does not demand. With a second stage, entries hold the final host address.
 *
 * A page has a tag for each privilege class and kind of access: the page's linear address where the
 * access is allowed and goes straight to RAM, else poison, so that one compare covers presence,
 * permission, size and page crossing. The value of a poisoned tag selects a different slot than its
 * own, so no address that indexes the slot can equal it. Beside it is what to add to an address in
 * the page, and the tags of one class and kind lie together: four pages share a line of the host's
 * cache. Those of a class are set at its first access to the page.
 *
 * Pages that hold decoded code (memory->watched) and pages with a data breakpoint have poisoned
 * write tags; the slow path does what must be done. MMIO and the APIC page are poisoned always.
 */
#ifndef CPU_MMU_MMU_H
#define CPU_MMU_MMU_H

#include "cpu/cpu.h"

#define TLB_ENTRIES 4096
#define TLB_BANKS   16

enum tlb_class {
	TLB_USER,
	TLB_KERNEL,    /* supervisor; user pages are poisoned where CR4.SMAP is set */
	TLB_KERNEL_AC, /* supervisor with RFLAGS.AC: SMAP does not bite */
	TLB_CLASSES,
};

struct tlb_way {
	uint64_t tag;
	uint64_t addend; /* host address - linear address, where the tag is not poisoned */
};

#define TLB_WAY_BITS 4

_Static_assert(sizeof(struct tlb_way) == 1 << TLB_WAY_BITS, "mmu_fast and the translator scale");

struct tlb {
	struct tlb_way way[TLB_CLASSES][2][TLB_ENTRIES]; /* [class][is_write] */
	/* Change when what mmu_fetch said may no longer hold: for global pages global_generation,
	 * the same in all banks, for others generation. No two of a vCPU's are ever equal. */
	uint64_t generation, global_generation;
	bool is_aligned_only; /* all poison, for everything is to go the slow way: alignment
				 checking is on */
};

/*
 * Translated code has the current bank at the GS base, so that a check names tags by a scaled slot
 * and a constant. The base is where the tags lie that code names most, which takes no constant.
 */
#define TLB_GS_BASE offsetof(struct tlb, way[TLB_KERNEL][false])

static inline int32_t tlb_gs_way(enum tlb_class who, bool is_write)
{
	return (int32_t)(offsetof(struct tlb, way[who][is_write]) - TLB_GS_BASE);
}

/* The host address of the page, where the tag is not poisoned: it lies as the ways do. */
#define TLB_GS_HOST ((int32_t)(sizeof(struct tlb) - TLB_GS_BASE))

/* Before this thread runs translated code of the vCPU. */
void mmu_enter_thread(const struct cpu *cpu);

int mmu_create(struct cpu *cpu); /* sets cpu->mmu and cpu->tlb; -ENOMEM */
void mmu_destroy(struct cpu *cpu);

/* Address-space control. All on the vCPU's own thread; these concern the current VPID alone. */
void mmu_load_cr3(struct cpu *cpu, bool keep); /* after cr3 changed; keep: PCID's no-flush bit */
void mmu_mode_changed(struct cpu *cpu);        /* after a paging bit of CR0, CR4 or EFER changed */
void mmu_flush_all(struct cpu *cpu);           /* with globals, all PCIDs */
void mmu_flush_address(struct cpu *cpu, gva_t addr);                     /* INVLPG */
void mmu_flush_pcid_address(struct cpu *cpu, unsigned pcid, gva_t addr); /* INVPCID 0 */
void mmu_flush_pcid(struct cpu *cpu, unsigned pcid);                     /* INVPCID 1 */
void mmu_flush_nonglobal(struct cpu *cpu);                               /* INVPCID 3 */
/* DR7 or an enabled address register changed: pages with data breakpoints go the slow way. */
void mmu_breakpoints_changed(struct cpu *cpu);
/* Sets PKRU and drops what depends on the rights of keys that changed. */
void mmu_write_pkru(struct cpu *cpu, uint32_t pkru);
void mmu_select_alignment(struct cpu *cpu, bool is_checked); /* for mmu_privilege_changed */
/* What is cached of the page of an address that is about to raise #PF, or an EPT violation. */
void mmu_drop_faulting(struct cpu *cpu, gva_t addr);
/* Poison the write tags of a guest-physical page in every bank: it holds code now. */
void mmu_poison_writes(struct cpu *cpu, gpa_t page);

/*
 * Nested guests. The mappings of a VPID are the banks whose stage_key has it, whatever their second
 * stage; VPID 0 is that of root operation and of guests that have no VPID of their own.
 * SDM3: "Caching Translation Information" of the chapter on address translation with VT-x.
 */
#define STAGE_VPID       0xffffull
#define STAGE_GUEST      BIT(16)
#define STAGE_SECOND     BIT(17) /* there is a second stage; its table, bits 45:12, is at 53:20 */
#define STAGE_ROOT_SHIFT 8

/*
 * cpu->stage_key of a guest. `root` is the EPT pointer or nCR3, of which only the table's address
 * counts; 0: there is no second stage.
 */
static inline uint64_t mmu_stage_key(uint16_t vpid, uint64_t root)
{
	return (root & (BIT(PHYSICAL_BITS) - PAGE_BYTES)) << STAGE_ROOT_SHIFT |
	       (root ? STAGE_SECOND : 0) | STAGE_GUEST | vpid;
}

/*
 * After an entry or exit has loaded stage_key, has_second_stage, CR0, CR3, CR4, EFER and DR7, and
 * before cpu_update_derived: selects the bank. Flushes only what was cached under other paging
 * modes than those that are on now.
 */
void mmu_stage_changed(struct cpu *cpu);
void mmu_flush_vpid(struct cpu *cpu, uint16_t vpid, bool keep_global);   /* INVVPID 1 and 3 */
void mmu_flush_vpid_address(struct cpu *cpu, uint16_t vpid, gva_t addr); /* INVVPID 0 */
void mmu_flush_vpids(struct cpu *cpu);               /* INVVPID 2: all but VPID 0 */
void mmu_flush_root(struct cpu *cpu, uint64_t root); /* INVEPT 1 */
void mmu_flush_roots(struct cpu *cpu);               /* INVEPT 2: whatever has a second stage */
void mmu_flush_everything(struct cpu *cpu);          /* every bank: what pages are has changed */

/*
 * Copies from what this processor calls physical memory, through the second stage where there is
 * one (which may exit). The range lies in one page. false: not RAM.
 */
bool mmu_read_physical(struct cpu *cpu, gpa_t addr, void *buf, unsigned len);

/*
 * The slow path, for any linear address: crosses pages, reaches devices, sets A and D. The whole
 * access is checked before any of it is done. Raises #PF, and #GP(0) or #SS(0) (by `seg`) for a
 * non-canonical address in long mode; #AC where alignment checking is on.
 */
uint64_t mmu_load_slow(struct cpu *cpu, gva_t addr, unsigned size, unsigned seg);
void mmu_store_slow(struct cpu *cpu, gva_t addr, unsigned size, uint64_t value, unsigned seg);

/* The same for any length up to 4096 bytes (vector operands, XSAVE areas, string chunks). */
void mmu_read_bytes(struct cpu *cpu, gva_t addr, void *buf, unsigned len, unsigned seg);
void mmu_write_bytes(struct cpu *cpu, gva_t addr, const void *buf, unsigned len, unsigned seg);
/* Raises what a write (or read) of these bytes would raise; does nothing else. */
void mmu_check(struct cpu *cpu, gva_t addr, unsigned len, bool is_write, unsigned seg);

/*
 * Host pointer to [addr, addr + len) where it lies in one page of plain RAM that may be accessed so
 * directly; NULL where it must go by the functions above (device, page crossing, watched page).
 * Raises the faults of the access.
 */
void *mmu_span(struct cpu *cpu, gva_t addr, unsigned len, bool is_write, unsigned seg);

/*
 * The same for writing, also where the page holds code: mmu_write_done comes when all of it has
 * been written, with no fault in between.
 */
void *mmu_write_begin(struct cpu *cpu, gva_t addr, unsigned len, unsigned seg);
void mmu_write_done(struct cpu *cpu, const void *host, unsigned len);

/*
 * Begins an atomic read-modify-write of `size` bytes (up to 16): all its faults are raised here.
 * Returns a writable host pointer to use the host's LOCK instructions on, never NULL: RAM itself,
 * or, where the operand is a device or crosses a page, a copy of the operand under the VM-wide bus
 * lock, which mmu_rmw_done writes back. Call mmu_rmw_done in any case, with no fault in between.
 */
void *mmu_rmw_begin(struct cpu *cpu, gva_t addr, unsigned size, unsigned seg);
void mmu_rmw_done(struct cpu *cpu, gva_t addr, unsigned size, void *host);

/* Implicit supervisor accesses to descriptor tables and task states, at any CPL. */
uint64_t mmu_load_system(struct cpu *cpu, gva_t addr, unsigned size);
void mmu_store_system(struct cpu *cpu, gva_t addr, unsigned size, uint64_t value);
void *mmu_rmw_system_begin(struct cpu *cpu, gva_t addr, unsigned size); /* then mmu_rmw_done */
/* Host pointer to supervisor RAM that may be written (read) at once, or NULL: no walk, no fault. */
void *mmu_system_span(struct cpu *cpu, gva_t addr, unsigned len, bool is_write);

/* Guest-physical address of code at linear `addr`; raises #PF with the I bit as the architecture
 * says. */
gpa_t mmu_fetch(struct cpu *cpu, gva_t addr);
/* The generation that what mmu_fetch has just said of `addr` depends on. */
uint64_t mmu_fetch_generation(const struct cpu *cpu, gva_t addr);

static inline void mmu_select_tags(struct cpu *cpu)
{
	cpu->tlb_tags = (const uint8_t *)cpu->tlb->way[cpu->tlb_class];
}

/* CPL, RFLAGS.AC or CR0.AM changed: which tags count now. Part of cpu_update_derived. */
static inline void mmu_privilege_changed(struct cpu *cpu)
{
	bool is_ac = cpu->rflags & RFLAGS_AC;
	bool is_aligned_only = cpu->cpl == 3 && is_ac && (cpu->cr0 & CR0_AM);

	cpu->tlb_class = cpu->cpl == 3 ? TLB_USER : is_ac ? TLB_KERNEL_AC : TLB_KERNEL;
	if (unlikely(is_aligned_only != cpu->tlb->is_aligned_only))
		mmu_select_alignment(cpu, is_aligned_only);
	mmu_select_tags(cpu);
}

/* How many bytes behind a class's first way the page's is. */
static inline uint64_t mmu_way_offset(gva_t addr)
{
	return (addr >> (PAGE_BITS - TLB_WAY_BITS)) & ((TLB_ENTRIES - 1) << TLB_WAY_BITS);
}

/* The one compare. NULL: take the slow path. */
static inline void *mmu_fast(struct cpu *cpu, gva_t addr, unsigned size, bool is_write)
{
	const struct tlb_way *way = (const void *)(cpu->tlb_tags + mmu_way_offset(addr) +
						   sizeof(struct tlb_way[TLB_ENTRIES]) * is_write);
	void *host;

	if (unlikely((addr ^ way->tag) > PAGE_BYTES - size))
		return NULL;
	host = (void *)(uintptr_t)(way->addend + addr);
	if (!host)
		__builtin_unreachable(); /* spares the caller a test */
	return host;
}

static inline uint64_t mmu_load(struct cpu *cpu, gva_t addr, unsigned size, unsigned seg)
{
	const void *p = mmu_fast(cpu, addr, size, false);

	return likely(p != NULL) ? load_le(p, size) : mmu_load_slow(cpu, addr, size, seg);
}

static inline void mmu_store(struct cpu *cpu, gva_t addr, unsigned size, uint64_t value,
			     unsigned seg)
{
	void *p = mmu_fast(cpu, addr, size, true);

	if (likely(p != NULL))
		store_le(p, value, size);
	else
		mmu_store_slow(cpu, addr, size, value, seg);
}

#endif
