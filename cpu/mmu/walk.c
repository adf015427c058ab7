/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page walk: 32-bit paging with 4 MiB pages and PSE-36, PAE, and 4-level paging with 4 KiB,
 * 2 MiB and 1 GiB pages. One loop over levels, instantiated for each mode.
 *
 * Accessed and dirty bits are set when the walk has succeeded, by compare-exchange against the very
 * entry that was read; where another processor changed it meanwhile, the walk starts over.
 *
 * In a nested guest with a second stage, each address that the first stage names is translated in
 * turn (cpu/virt.h), and what is cached is the final page. It leaves by a VM exit where it must.
 * SDM3: "Paging".
 */
#include "cpu/mmu/bank.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define PTE_P       BIT(0)
#define PTE_RW      BIT(1)
#define PTE_US      BIT(2)
#define PTE_A       BIT(5)
#define PTE_D       BIT(6)
#define PTE_PS      BIT(7) /* in levels above the last: maps a page */
#define PTE_G       BIT(8)
#define PTE_NX      BIT(63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define PTE_KEY_SHIFT 59
#define PSE36_SHIFT   13 /* bits 20:13 of a 4 MiB entry are address bits 39:32 */
#define PSE36_BITS    0xffull

#define MAX_LEVELS 4

/* The shape of one paging mode; constant in each instance of walk_levels. */
struct shape {
	unsigned top;   /* the first level that is read; level 0 has the page tables */
	unsigned bits;  /* index bits a level */
	unsigned width; /* bytes an entry */
};

struct steps {
	uint64_t *entry[MAX_LEVELS]; /* by level; the first 4 bytes count where width is 4 */
	uint64_t value[MAX_LEVELS];
	gpa_t at[MAX_LEVELS]; /* where the entries are, as the guest says */
	unsigned leaf;
	uint64_t all; /* AND of the entries: RW and US */
	uint64_t any; /* OR of the entries: NX */
	uint32_t error;
};

/* The final address of the entry at `at`, for an access on the way to the page of `addr`. */
static gpa_t entry_final(struct cpu *cpu, gva_t addr, l2pa_t at, bool is_write)
{
	struct virt_access access = { .linear = addr,
				      .is_linear_valid = true,
				      .is_walk = true,
				      .is_read = true,
				      .is_write = is_write };
	struct virt_page page;

	cpu->virt->translate(cpu, at, &access, &page);
	if (unlikely(page.page == cpu->apic_access_page))
		cpu->virt->apic_access(cpu, APIC_ACCESS_WALK, at % PAGE_BYTES, sizeof(uint64_t));
	return page.page + at % PAGE_BYTES;
}

/*
 * Host pointer to the entry at `at`, or NULL outside RAM. Every access to a paging structure comes
 * through here.
 */
static uint64_t *entry_at(struct cpu *cpu, gva_t addr, gpa_t at, unsigned width)
{
	if (unlikely(cpu->has_second_stage))
		at = entry_final(cpu, addr, at, false);
	return memory_at(cpu->soft->config.memory, at, width);
}

static inline uint64_t entry_load(const uint64_t *entry, unsigned width)
{
	if (!entry)
		return 0;
	return width == 8 ? __atomic_load_n(entry, __ATOMIC_RELAXED)
			  : __atomic_load_n((const uint32_t *)entry, __ATOMIC_RELAXED);
}

/* false: the entry has changed since. */
static bool entry_set(struct cpu *cpu, uint64_t *entry, uint64_t old, uint64_t more, unsigned width)
{
	struct memory *mem = cpu->soft->config.memory;
	uint32_t old32 = (uint32_t)old;
	bool done;

	if (width == 8)
		done = __atomic_compare_exchange_n(entry, &old, old | more, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	else
		done = __atomic_compare_exchange_n((uint32_t *)entry, &old32,
						   old32 | (uint32_t)more, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	if (done)
		memory_written(mem, (gpa_t)((uint8_t *)entry - mem->base), width);
	return done;
}

static inline bool maps_page(const struct cpu *cpu, unsigned level, uint64_t value, unsigned width)
{
	if (!level)
		return true;
	if (!(value & PTE_PS))
		return false;
	return width == 8 || (cpu->cr4 & CR4_PSE);
}

/* Follows the levels down to the entry that maps the page. false: steps->error says why not. */
static inline __attribute__((always_inline)) bool walk_levels(struct cpu *cpu, gva_t addr,
							      gpa_t table, struct shape shape,
							      struct steps *steps)
{
	steps->all = PTE_RW | PTE_US;
	steps->any = 0;
	for (unsigned level = shape.top;; level--) {
		unsigned shift = PAGE_BITS + shape.bits * level;
		gpa_t at = table + ((addr >> shift) % (1u << shape.bits)) * shape.width;
		uint64_t *entry = entry_at(cpu, addr, at, shape.width);
		uint64_t value = entry_load(entry, shape.width);
		bool is_leaf = maps_page(cpu, level, value, shape.width);

		if (!(value & PTE_P)) {
			steps->error = 0;
			return false;
		}
		if (value & cpu->mmu->reserved[level][is_leaf]) {
			steps->error = PF_P | PF_R;
			return false;
		}
		steps->entry[level] = entry;
		steps->at[level] = at;
		steps->value[level] = value;
		steps->all &= value;
		steps->any |= value;
		if (is_leaf) {
			steps->leaf = level;
			return true;
		}
		table = value & PTE_ADDRESS;
	}
}

/* Sets accessed and dirty bits. false: start over. */
static inline __attribute__((always_inline)) bool mark_used(struct cpu *cpu, gva_t addr,
							    struct steps *steps, bool is_write,
							    struct shape shape)
{
	for (unsigned level = shape.top;; level--) {
		bool is_leaf = level == steps->leaf;
		uint64_t need = PTE_A | (is_leaf && is_write ? PTE_D : 0);
		uint64_t value = steps->value[level];

		if ((value & need) != need) {
			if (unlikely(cpu->has_second_stage))
				entry_final(cpu, addr, steps->at[level], true);
			if (!entry_set(cpu, steps->entry[level], value, need, shape.width))
				return false;
			steps->value[level] = value | need;
		}
		if (is_leaf)
			return true;
	}
}

/* The rights that the protection key takes away from a user page. */
static uint64_t key_denies(const struct cpu *cpu, uint64_t leaf)
{
	unsigned rights = cpu->pkru >> (2 * bits(leaf, PTE_KEY_SHIFT + 3, PTE_KEY_SHIFT)) & 3;
	uint64_t denied = 0;

	if (rights & 1) /* access disable */
		denied = RIGHTS_ALL & ~RIGHTS_FETCH;
	if (rights & 2) /* write disable */
		denied |= cpu->cr0 & CR0_WP ? RIGHTS_WRITE : RIGHT_DATA(TLB_USER, 1);
	return denied;
}

static bool is_keyed(const struct cpu *cpu, const struct steps *steps)
{
	return cpu->mmu->is_pku_on && (steps->all & PTE_US);
}

/* What the structures allow, dirty or not. */
static uint64_t rights_of(const struct cpu *cpu, struct steps *steps, uint64_t want)
{
	uint64_t rights = cpu->mmu->rights[(steps->all / PTE_RW) % 4];

	if (steps->any & PTE_NX)
		rights &= ~RIGHTS_FETCH;
	steps->error = PF_P;
	if (unlikely(is_keyed(cpu, steps))) {
		uint64_t denied = key_denies(cpu, steps->value[steps->leaf]);

		rights &= ~denied;
		if (denied & want)
			steps->error |= PF_PK;
	}
	return rights;
}

static _Noreturn void raise_fault(struct cpu *cpu, gva_t addr, uint64_t want, uint32_t error)
{
	if (want & RIGHTS_WRITE)
		error |= PF_W;
	if (want & RIGHTS_USER)
		error |= PF_U;
	if ((want & RIGHTS_FETCH) && cpu->mmu->is_fetch_reported)
		error |= PF_I;
	cpu_raise_page_fault(cpu, addr, error);
}

static inline unsigned size_of_leaf(unsigned level, unsigned width)
{
	if (!level)
		return PAGE_4K;
	if (width == 4)
		return PAGE_4M;
	return level == 1 ? PAGE_2M : PAGE_1G;
}

/* The 4 KiB page within the page that the leaf maps, and what is kept of it. */
static inline void finish(struct cpu *cpu, gva_t addr, const struct steps *steps,
			  struct shape shape, uint64_t rights, struct walk *out)
{
	uint64_t leaf = steps->value[steps->leaf];
	uint64_t page_bytes = PAGE_BYTES << (shape.bits * steps->leaf);
	gpa_t page = leaf & PTE_ADDRESS;

	if (shape.width == 4 && steps->leaf)
		page = (leaf & 0xffc00000) | ((leaf >> PSE36_SHIFT) & PSE36_BITS) << 32;
	out->page = (page & ~(page_bytes - 1)) | (addr & (page_bytes - 1) & PAGE_MASK);
	out->rights = leaf & PTE_D ? rights : rights & ~RIGHTS_WRITE;
	out->flags = (uint64_t)size_of_leaf(steps->leaf, shape.width) << PAGE_SIZE_SHIFT;
	if ((leaf & PTE_G) && (cpu->cr4 & CR4_PGE))
		out->flags |= PAGE_GLOBAL;
	if (is_keyed(cpu, steps))
		out->flags |= PAGE_KEYED | bits(leaf, PTE_KEY_SHIFT + 3, PTE_KEY_SHIFT)
						   << PAGE_KEY_SHIFT;
	out->is_user = steps->all & PTE_US;
	out->is_writable = steps->all & PTE_RW;
	out->is_no_execute = steps->any & PTE_NX;
}

static inline __attribute__((always_inline)) void walk(struct cpu *cpu, gva_t addr, gpa_t table,
						       struct shape shape, uint64_t want,
						       struct walk *out)
{
	struct steps steps;
	uint64_t rights;

	do {
		if (!walk_levels(cpu, addr, table, shape, &steps))
			raise_fault(cpu, addr, want, steps.error);
		rights = rights_of(cpu, &steps, want);
		if (!(rights & want))
			raise_fault(cpu, addr, want, steps.error);
	} while (!mark_used(cpu, addr, &steps, want & RIGHTS_WRITE, shape));
	finish(cpu, addr, &steps, shape, rights, out);
}

/* The first stage: what the guest's own paging structures say. */
static void walk_first(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	if (!(cpu->cr0 & CR0_PG)) {
		*out = (struct walk){ .page = addr & PAGE_MASK,
				      .rights = RIGHTS_ALL,
				      .is_user = true,
				      .is_writable = true };
	} else if (cpu_in_long_mode(cpu)) {
		walk(cpu, addr, cpu->cr3 & PTE_ADDRESS, (struct shape){ 3, 9, 8 }, want, out);
	} else if (cpu->cr4 & CR4_PAE) {
		uint64_t pdpte = cpu->pdpte[bits(addr, 31, 30)];

		if (!(pdpte & PTE_P))
			raise_fault(cpu, addr, want, 0);
		walk(cpu, addr, pdpte & PTE_ADDRESS, (struct shape){ 1, 9, 8 }, want, out);
	} else {
		walk(cpu, addr, cpu->cr3 & 0xfffff000, (struct shape){ 1, 10, 4 }, want, out);
	}
}

/* The page becomes the final one, and the rights those that both stages give. */
static void walk_second(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	struct virt_access access = { .linear = addr,
				      .is_linear_valid = true,
				      .is_read = want & ~(RIGHTS_WRITE | RIGHTS_FETCH),
				      .is_write = want & RIGHTS_WRITE,
				      .is_fetch = want & RIGHTS_FETCH,
				      .is_user = want & RIGHTS_USER,
				      .page_is_user = out->is_user,
				      .page_is_writable = out->is_writable,
				      .page_is_no_execute = out->is_no_execute };
	struct virt_page page;

	cpu->virt->translate(cpu, out->page + addr % PAGE_BYTES, &access, &page);
	out->page = page.page;
	if (!page.is_readable)
		out->rights &= RIGHTS_FETCH;
	if (!page.is_writable)
		out->rights &= ~RIGHTS_WRITE;
	if (!page.is_executable)
		out->rights &= ~RIGHTS_FETCH;
}

void mmu_walk(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	walk_first(cpu, addr, want, out);
	if (unlikely(cpu->has_second_stage))
		walk_second(cpu, addr, want, out);
}

bool mmu_read_physical(struct cpu *cpu, gpa_t addr, void *buf, unsigned len)
{
	if (unlikely(cpu->has_second_stage)) {
		struct virt_access access = { .is_read = true };
		struct virt_page page;

		cpu->virt->translate(cpu, addr, &access, &page);
		addr = page.page + addr % PAGE_BYTES;
	}
	return memory_read(cpu->soft->config.memory, addr, buf, len) == 0;
}

static uint8_t rights_by_bits(const struct cpu *cpu, bool is_writable, bool is_user)
{
	bool kernel_writes = is_writable || !(cpu->cr0 & CR0_WP);
	bool smap_bites = is_user && (cpu->cr4 & CR4_SMAP);
	uint64_t rights = RIGHT_DATA(TLB_KERNEL_AC, 0);

	if (kernel_writes)
		rights |= RIGHT_DATA(TLB_KERNEL_AC, 1);
	if (!smap_bites)
		rights |= RIGHT_DATA(TLB_KERNEL, 0);
	if (!smap_bites && kernel_writes)
		rights |= RIGHT_DATA(TLB_KERNEL, 1);
	if (!(is_user && (cpu->cr4 & CR4_SMEP)))
		rights |= RIGHT_FETCH_KERNEL;
	if (is_user)
		rights |= RIGHT_DATA(TLB_USER, 0) | RIGHT_FETCH_USER;
	if (is_user && is_writable)
		rights |= RIGHT_DATA(TLB_USER, 1);
	return (uint8_t)rights;
}

/* Bits hi..lo, as a mask. */
static uint64_t mask(unsigned hi, unsigned lo)
{
	return bits(~0ull, hi - lo, 0) << lo;
}

static void set_reserved(struct mmu *mmu, bool is_long, bool is_nx_on)
{
	uint64_t all = mask(is_long ? 51 : 62, PHYSICAL_BITS);

	if (!is_nx_on)
		all |= PTE_NX;
	for (unsigned level = 0; level < MAX_LEVELS; level++)
		mmu->reserved[level][0] = mmu->reserved[level][1] = all;
	mmu->reserved[1][1] |= mask(20, 13);
	mmu->reserved[2][1] |= mask(29, 13);
	mmu->reserved[3][1] |= PTE_PS;
}

void mmu_walk_mode_changed(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	bool is_wide = cpu->cr4 & CR4_PAE;
	bool is_nx_on = is_wide && (cpu->efer & EFER_NXE);

	for (unsigned i = 0; i < ARRAY_SIZE(mmu->rights); i++)
		mmu->rights[i] = rights_by_bits(cpu, i & 1, i & 2);
	if (is_wide) {
		set_reserved(mmu, cpu_in_long_mode(cpu), is_nx_on);
	} else {
		memset(mmu->reserved, 0, sizeof(mmu->reserved));
		mmu->reserved[1][1] = BIT(21);
	}
	mmu->is_pku_on = cpu_in_long_mode(cpu) && (cpu->cr4 & CR4_PKE);
	mmu->is_fetch_reported = is_nx_on || (cpu->cr4 & CR4_SMEP);
}
