/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page walk: 32-bit paging with 4 MiB pages and PSE-36, PAE, and 4-level paging with 4 KiB,
 * 2 MiB and 1 GiB pages. One loop over levels, instantiated for each mode.
 *
 * Accessed and dirty bits are set when the walk has succeeded, by compare-exchange against the very
 * entry that was read; where another processor changed it meanwhile, the walk starts over.
 *
 * In 4-level paging, where the table that maps a region is - that of page directories, where it is
 * a large page - is remembered, after a walk that has marked the levels above as accessed (struct
 * place). A fault is never raised by what is remembered: the walk is done again from the root.
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
	unsigned top, leaf;
	uint64_t all;                  /* AND of the entries: RW and US */
	uint64_t any;                  /* OR of the entries: NX */
	uint64_t above_all, above_any; /* of those above the leaf */
	uint32_t error;
};

/* Whether anything may be changed or raised by a walk. */
enum manner { WALK_FOR_ACCESS, WALK_QUIETLY };

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

/* The same, quietly, for reading it. false: that cannot be said. */
static bool entry_final_quietly(struct cpu *cpu, gva_t addr, gpa_t *at)
{
	const struct virt_access access = {
		.linear = addr, .is_linear_valid = true, .is_walk = true, .is_read = true
	};
	struct virt_page page;

	if (!cpu->virt->peek(cpu, *at, &access, &page) || page.page == cpu->apic_access_page)
		return false;
	*at = page.page + *at % PAGE_BYTES;
	return true;
}

/*
 * Host pointer to the entry at `at`, or NULL outside RAM. Every access to a paging structure comes
 * through here, but to one that is remembered.
 */
static uint64_t *entry_at(struct cpu *cpu, gva_t addr, gpa_t at, unsigned width, enum manner manner)
{
	if (unlikely(cpu->has_second_stage)) {
		if (manner == WALK_FOR_ACCESS)
			at = entry_final(cpu, addr, at, false);
		else if (!entry_final_quietly(cpu, addr, &at))
			return NULL;
	}
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

/*
 * Follows the levels down, from the table at `from` of the level steps->top, to the entry that maps
 * the page. false: steps->error says why not.
 */
static inline __attribute__((always_inline)) bool walk_levels(struct cpu *cpu, gva_t addr,
							      const struct place *from,
							      struct shape shape,
							      enum manner manner,
							      struct steps *steps)
{
	gpa_t table = from->at;

	steps->all = from->all;
	steps->any = from->any;
	for (unsigned level = steps->top;; level--) {
		unsigned shift = PAGE_BITS + shape.bits * level;
		unsigned index = (addr >> shift) % (1u << shape.bits);
		gpa_t at = table + index * shape.width;
		uint64_t *entry = from->table && level == steps->top
					  ? from->table + index
					  : entry_at(cpu, addr, at, shape.width, manner);
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
		steps->above_all = steps->all;
		steps->above_any = steps->any;
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
	for (unsigned level = steps->top;; level--) {
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
	mmu_drop_faulting(cpu, addr);
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

/* ---- where tables are ---- */

static const uint8_t place_bits[] = { 21, 30 }; /* of page tables, and of page directories */

static struct place *place_of(struct bank *bank, gva_t addr, unsigned level)
{
	return level ? &bank->directory[(addr >> place_bits[1]) % PLACED_DIRECTORIES]
		     : &bank->table[(addr >> place_bits[0]) % PLACED_TABLES];
}

static bool is_of(const struct bank *bank, const struct place *place, gva_t addr, unsigned level)
{
	return place->version == bank->places && place->region == addr >> place_bits[level];
}

void mmu_forget_places(struct bank *bank, gva_t addr)
{
	for (unsigned level = 0; level < ARRAY_SIZE(place_bits); level++)
		place_of(bank, addr, level)->version = 0;
}

/* After a walk: where the table of its leaf is, and what the levels above it say. */
static void remember_place(struct cpu *cpu, gva_t addr, const struct steps *steps)
{
	struct bank *bank = cpu->mmu->current;
	unsigned leaf = steps->leaf;
	uintptr_t table = align_down((uintptr_t)steps->entry[leaf], PAGE_BYTES);
	struct place place = { .version = bank->places,
			       .table = (uint64_t *)table,
			       .at = align_down(steps->at[leaf], PAGE_BYTES),
			       .all = steps->above_all,
			       .any = steps->above_any };

	if (leaf > 1 || leaf == steps->top)
		return;
	place.region = addr >> place_bits[leaf];
	*place_of(bank, addr, leaf) = place;
}

/* From a table that is remembered. false: that does not do. */
static bool walk_on(struct cpu *cpu, gva_t addr, const struct place *from, unsigned level,
		    uint64_t want, struct walk *out)
{
	const struct shape shape = { 3, 9, 8 };
	struct steps steps = { .top = level };
	uint64_t rights;

	if (!walk_levels(cpu, addr, from, shape, WALK_FOR_ACCESS, &steps))
		return false;
	rights = rights_of(cpu, &steps, want);
	if (!(rights & want) || !mark_used(cpu, addr, &steps, want & RIGHTS_WRITE, shape))
		return false;
	remember_place(cpu, addr, &steps);
	finish(cpu, addr, &steps, shape, rights, out);
	cpu->stats.count[STAT_SHORT_WALKS]++;
	return true;
}

/* What does not do is forgotten: a fault invalidates it. */
static bool walk_from_place(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	struct bank *bank = cpu->mmu->current;

	for (unsigned level = 0; level < 2; level++) {
		struct place *place = place_of(bank, addr, level);

		if (!is_of(bank, place, addr, level))
			continue;
		if (walk_on(cpu, addr, place, level, want, out))
			return true;
		place->version = 0;
	}
	return false;
}

static inline __attribute__((always_inline)) void walk(struct cpu *cpu, gva_t addr, gpa_t table,
						       struct shape shape, uint64_t want,
						       struct walk *out)
{
	const struct place root = { .at = table, .all = PTE_RW | PTE_US };
	struct steps steps = { .top = shape.top };
	uint64_t rights;

	do {
		if (!walk_levels(cpu, addr, &root, shape, WALK_FOR_ACCESS, &steps))
			raise_fault(cpu, addr, want, steps.error);
		rights = rights_of(cpu, &steps, want);
		if (!(rights & want))
			raise_fault(cpu, addr, want, steps.error);
	} while (!mark_used(cpu, addr, &steps, want & RIGHTS_WRITE, shape));
	if (shape.top == MAX_LEVELS - 1)
		remember_place(cpu, addr, &steps);
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
		if (!walk_from_place(cpu, addr, want, out))
			walk(cpu, addr, cpu->cr3 & PTE_ADDRESS, (struct shape){ 3, 9, 8 }, want,
			     out);
	} else if (cpu->cr4 & CR4_PAE) {
		uint64_t pdpte = cpu->pdpte[bits(addr, 31, 30)];

		if (!(pdpte & PTE_P))
			raise_fault(cpu, addr, want, 0);
		walk(cpu, addr, pdpte & PTE_ADDRESS, (struct shape){ 1, 9, 8 }, want, out);
	} else {
		walk(cpu, addr, cpu->cr3 & 0xfffff000, (struct shape){ 1, 10, 4 }, want, out);
	}
}

/* The access to the page that the first stage has found. */
static struct virt_access final_access(gva_t addr, uint64_t want, const struct walk *first)
{
	return (struct virt_access){ .linear = addr,
				     .is_linear_valid = true,
				     .is_read = want & ~(RIGHTS_WRITE | RIGHTS_FETCH),
				     .is_write = want & RIGHTS_WRITE,
				     .is_fetch = want & RIGHTS_FETCH,
				     .is_user = want & RIGHTS_USER,
				     .page_is_user = first->is_user,
				     .page_is_writable = first->is_writable,
				     .page_is_no_execute = first->is_no_execute };
}

/* The page becomes the final one, and the rights those that both stages give. */
static void add_second(const struct virt_page *page, struct walk *out)
{
	out->page = page->page;
	if (!page->is_readable)
		out->rights &= RIGHTS_FETCH;
	if (!page->is_writable)
		out->rights &= ~RIGHTS_WRITE;
	if (!page->is_executable)
		out->rights &= ~RIGHTS_FETCH;
}

static void walk_second(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	struct virt_access access = final_access(addr, want, out);
	struct virt_page page;

	cpu->virt->translate(cpu, out->page + addr % PAGE_BYTES, &access, &page);
	add_second(&page, out);
}

void mmu_walk(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	walk_first(cpu, addr, want, out);
	if (unlikely(cpu->has_second_stage))
		walk_second(cpu, addr, want, out);
}

/* ---- quietly ---- */

static bool is_marked(const struct steps *steps)
{
	for (unsigned level = steps->leaf; level <= steps->top; level++)
		if (!(steps->value[level] & PTE_A))
			return false;
	return true;
}

static bool walk_first_quietly(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	const struct shape shape = { 3, 9, 8 };
	const struct place root = { .at = cpu->cr3 & PTE_ADDRESS, .all = PTE_RW | PTE_US };
	const struct place *from = &root;
	struct steps steps = { .top = shape.top };
	uint64_t rights;

	for (unsigned level = 0; level < 2 && from == &root; level++) {
		const struct place *place = place_of(cpu->mmu->current, addr, level);

		if (!is_of(cpu->mmu->current, place, addr, level))
			continue;
		from = place;
		steps.top = level;
	}
	if (!walk_levels(cpu, addr, from, shape, WALK_QUIETLY, &steps) || !is_marked(&steps))
		return false;
	rights = rights_of(cpu, &steps, want);
	remember_place(cpu, addr, &steps);
	finish(cpu, addr, &steps, shape, rights, out);
	return true;
}

bool mmu_walk_quietly(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out)
{
	struct virt_access access;
	struct virt_page page;

	if (!(cpu->cr0 & CR0_PG) || !cpu_in_long_mode(cpu) ||
	    !walk_first_quietly(cpu, addr, want, out))
		return false;
	if (likely(!cpu->has_second_stage))
		return !cpu->in_guest || out->page != cpu->apic_access_page;
	access = final_access(addr, want, out);
	if (!cpu->virt->peek(cpu, out->page + addr % PAGE_BYTES, &access, &page) ||
	    page.page == cpu->apic_access_page)
		return false;
	add_second(&page, out);
	return true;
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
