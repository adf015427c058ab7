/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The extended page tables: the second stage of an L2's addresses. Four levels, pages of 4 KiB,
 * 2 MiB and 1 GiB, mode-based execute control, accessed and dirty flags, page-modification logging,
 * virtualization exceptions.
 *
 * What is wrong with a translation is found in the manual's order: a misconfigured entry on the way
 * down comes before a right that an entry further up does not give. Flags are set when nothing is
 * wrong, by compare-exchange against the entries that were read; where another processor changed
 * one meanwhile, the walk starts over.
 *
 * Where the last table of a region of 2 MiB is - or that above, where the region is a page - is
 * remembered until INVEPT. What looks wrong from there is looked at again from the root on, since a
 * violation invalidates what it used.
 * SDM3: "The Extended Page Table Mechanism (EPT)", "Virtualization Exceptions".
 */
#include "cpu/mmu/mmu.h"
#include "cpu/soft.h"
#include "vmx/vmx.h"

#define EPT_READ         BIT(0)
#define EPT_WRITE        BIT(1)
#define EPT_EXECUTE      BIT(2)
#define EPT_RIGHTS       (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_PAGE         BIT(7) /* in levels above the last: maps a page */
#define EPT_A            BIT(8)
#define EPT_D            BIT(9)
#define EPT_USER_EXECUTE BIT(10) /* with mode-based execute control: bit 2 is supervisors' then */
#define EPT_ADDRESS      (BIT(PHYSICAL_BITS) - PAGE_BYTES)
#define EPT_SUPPRESS_VE  BIT(63)

#define EPT_RESERVED_ADDRESS (BIT(52) - BIT(PHYSICAL_BITS))
#define EPT_RESERVED_TABLE   (BIT(7) - BIT(3))
#define EPT_TYPE_SHIFT       3 /* bits 5:3 of an entry that maps a page: the memory type */
#define EPT_TYPES_RESERVED   (BIT(2) | BIT(3) | BIT(7))

#define LEVELS     4
#define INDEX_BITS 9

/* The EPT pointer. */
#define EPTP_TYPE     7ull
#define EPTP_TYPE_UC  0
#define EPTP_TYPE_WB  6
#define EPTP_LENGTH   (7ull << 3)
#define EPTP_LENGTH_4 (3ull << 3)
#define EPTP_AD       BIT(6)
#define EPTP_RESERVED (~(BIT(PHYSICAL_BITS) - 1) | (BIT(12) - BIT(7)))

/* Exit qualification. SDM3: "Exit Qualification for EPT Violations" */
#define QUAL_READ            BIT(0)
#define QUAL_WRITE           BIT(1)
#define QUAL_FETCH           BIT(2)
#define QUAL_RIGHTS_SHIFT    3
#define QUAL_USER_EXECUTE    BIT(6)
#define QUAL_LINEAR          BIT(7) /* the linear address is valid */
#define QUAL_FINAL           BIT(8) /* and this was the access to its translation: */
#define QUAL_PAGE_USER       BIT(9)
#define QUAL_PAGE_WRITABLE   BIT(10)
#define QUAL_PAGE_NO_EXECUTE BIT(11)

#define PML_ENTRIES 512

_Static_assert(QUAL_READ == EPT_READ && QUAL_WRITE == EPT_WRITE,
	       "an access is what it needs of the rights");

struct ept_walk {
	uint64_t *entry[LEVELS]; /* by level, in host memory */
	uint64_t value[LEVELS];
	unsigned top, leaf; /* the levels in between have entries here */
	uint64_t above;     /* AND of those above the leaf */
	uint64_t rights;    /* AND of all */
	uint64_t last;      /* the entry that ended the walk */
};

/* The virtualization-exception information area. */
struct ve_information {
	uint32_t reason, busy;
	uint64_t qualification, linear, physical;
	uint16_t eptp_index;
};

_Static_assert(offsetof(struct ve_information, busy) == 4 &&
		       offsetof(struct ve_information, eptp_index) == 32,
	       "as it lies in guest memory");
#define VE_BYTES 34
#define VE_BUSY  0xffffffffu

enum walk_result { WALK_DONE, WALK_NOT_PRESENT, WALK_MISCONFIGURED };

/* Lengths, types and flags as vmx_caps_ept_vpid offers them. */
bool vmx_eptp_valid(uint64_t eptp)
{
	uint64_t type = eptp & EPTP_TYPE;

	return (eptp & EPTP_LENGTH) == EPTP_LENGTH_4 &&
	       (type == EPTP_TYPE_UC || type == EPTP_TYPE_WB) && !(eptp & EPTP_RESERVED);
}

static uint64_t page_bytes_at(unsigned level)
{
	return PAGE_BYTES << (INDEX_BITS * level);
}

static bool is_mode_based(const struct cpu *cpu)
{
	return vmx_of(cpu)->proc2 & PROC2_MODE_BASED_EXECUTE;
}

/* The bits of an entry that give rights. Where none is set, the entry is not present. */
static uint64_t rights_defined(const struct cpu *cpu)
{
	return is_mode_based(cpu) ? EPT_RIGHTS | EPT_USER_EXECUTE : EPT_RIGHTS;
}

static bool is_misconfigured(uint64_t value, unsigned level, bool is_leaf)
{
	if ((value & EPT_WRITE) && !(value & EPT_READ))
		return true;
	if (value & EPT_RESERVED_ADDRESS)
		return true;
	if (!is_leaf)
		return value & (EPT_RESERVED_TABLE | (level == LEVELS - 1 ? EPT_PAGE : 0));
	if (BIT(bits(value, EPT_TYPE_SHIFT + 2, EPT_TYPE_SHIFT)) & EPT_TYPES_RESERVED)
		return true;
	return value & (page_bytes_at(level) - 1) & PAGE_MASK;
}

/* ---- where tables are ---- */

/* What an entry there depends on: the root, whether flags are set, what gives rights. */
static uint64_t place_root(const struct cpu *cpu)
{
	_Static_assert(!((EPT_ADDRESS | EPTP_AD) & 1), "bit 0 is free for this");
	return (vmx_of(cpu)->eptp & (EPT_ADDRESS | EPTP_AD)) | is_mode_based(cpu);
}

static struct ept_place *place_of(struct cpu *cpu, l2pa_t addr)
{
	return &vmx_of(cpu)->ept_place[(addr >> EPT_REGION_BITS) % EPT_PLACES];
}

/* What is remembered for the address, or NULL. */
static struct ept_place *find_place(struct cpu *cpu, l2pa_t addr)
{
	struct ept_place *place = place_of(cpu, addr);

	return place->table && place->region == addr >> EPT_REGION_BITS &&
			       place->root == place_root(cpu)
		       ? place
		       : NULL;
}

/* After a walk whose flags are all set. */
static void remember_place(struct cpu *cpu, l2pa_t addr, const struct ept_walk *walk)
{
	uintptr_t entry = (uintptr_t)walk->entry[walk->leaf];

	if (walk->top == walk->leaf || walk->leaf > 1)
		return;
	*place_of(cpu, addr) =
		(struct ept_place){ .region = addr >> EPT_REGION_BITS,
				    .root = place_root(cpu),
				    .rights = walk->above,
				    .level = walk->leaf,
				    .table = (uint64_t *)align_down(entry, PAGE_BYTES) };
}

void vmx_forget_places(struct cpu *cpu)
{
	memset(vmx_of(cpu)->ept_place, 0, sizeof(vmx_of(cpu)->ept_place));
}

/* ---- the walk ---- */

static uint64_t *table_at(const struct cpu *cpu, gpa_t table)
{
	return memory_at(cpu->soft->config.memory, table, PAGE_BYTES);
}

/* Follows the levels down. What lies outside RAM maps nothing. */
static enum walk_result walk_levels(struct cpu *cpu, l2pa_t addr, const struct ept_place *from,
				    struct ept_walk *walk)
{
	uint64_t defined = rights_defined(cpu);
	uint64_t *table = from ? from->table : table_at(cpu, vmx_of(cpu)->eptp & EPT_ADDRESS);

	walk->top = from ? from->level : LEVELS - 1;
	walk->rights = from ? from->rights : defined;
	for (unsigned level = walk->top;; level--) {
		unsigned shift = PAGE_BITS + INDEX_BITS * level;
		uint64_t *entry = table ? table + bits(addr, shift + INDEX_BITS - 1, shift) : NULL;
		uint64_t value = entry ? __atomic_load_n(entry, __ATOMIC_RELAXED) : 0;
		bool is_leaf = !level || (level < LEVELS - 1 && (value & EPT_PAGE));

		walk->above = walk->rights;
		walk->rights &= value;
		walk->last = value;
		if (!(value & defined))
			return WALK_NOT_PRESENT;
		if (is_misconfigured(value, level, is_leaf))
			return WALK_MISCONFIGURED;
		walk->entry[level] = entry;
		walk->value[level] = value;
		if (is_leaf) {
			walk->leaf = level;
			return WALK_DONE;
		}
		table = table_at(cpu, value & EPT_ADDRESS);
	}
}

/* From what is remembered; where that does not give all that is needed, it is forgotten. */
static enum walk_result walk(struct cpu *cpu, l2pa_t addr, uint64_t need, struct ept_walk *walk)
{
	struct ept_place *place = find_place(cpu, addr);

	cpu->stats.count[STAT_STAGE_WALKS]++;
	if (place && walk_levels(cpu, addr, place, walk) == WALK_DONE && !(need & ~walk->rights)) {
		cpu->stats.count[STAT_STAGE_SHORT_WALKS]++;
		return WALK_DONE;
	}
	if (place)
		place->table = NULL;
	return walk_levels(cpu, addr, NULL, walk);
}

/* ---- accessed and dirty flags ---- */

/* Writes the address to the log. */
static void log_page(struct cpu *cpu, l2pa_t addr)
{
	uint16_t index = (uint16_t)vmcs_get(cpu, PML_INDEX);
	uint64_t page = addr & PAGE_MASK;

	memory_write(cpu->soft->config.memory, vmcs_get(cpu, PML_ADDRESS) + 8ull * index, &page,
		     sizeof(page));
	vmcs_set(cpu, PML_INDEX, (uint16_t)(index - 1));
}

static void require_room_in_log(struct cpu *cpu)
{
	if ((vmx_of(cpu)->proc2 & PROC2_PML) && vmcs_get(cpu, PML_INDEX) >= PML_ENTRIES)
		vmx_exit(cpu, EXIT_PML_FULL, vmx_nmi_unblocking(cpu));
}

static uint64_t flags_needed(const struct ept_walk *walk, unsigned level, bool is_write)
{
	uint64_t need = level == walk->leaf && is_write ? EPT_A | EPT_D : EPT_A;

	return need & ~walk->value[level];
}

/* false: the entry has changed since. */
static bool set_flags(struct cpu *cpu, struct ept_walk *walk, unsigned level, uint64_t flags)
{
	struct memory *mem = cpu->soft->config.memory;
	uint64_t *entry = walk->entry[level], old = walk->value[level];

	if (!__atomic_compare_exchange_n(entry, &old, old | flags, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	memory_written(mem, (gpa_t)((uint8_t *)entry - mem->base), sizeof(*entry));
	walk->value[level] |= flags;
	return true;
}

/* Sets what the access must set, and logs a page that becomes dirty. false: start over. */
static bool mark_used(struct cpu *cpu, l2pa_t addr, struct ept_walk *walk, bool is_write)
{
	for (unsigned level = walk->top;; level--) {
		uint64_t flags = flags_needed(walk, level, is_write);

		if (flags) {
			require_room_in_log(cpu);
			if (!set_flags(cpu, walk, level, flags))
				return false;
			if ((flags & EPT_D) && (vmx_of(cpu)->proc2 & PROC2_PML))
				log_page(cpu, addr);
		}
		if (level == walk->leaf)
			return true;
	}
}

/* ---- exits ---- */

static _Noreturn void exit_misconfiguration(struct cpu *cpu, l2pa_t addr)
{
	vmcs_set(cpu, GUEST_PHYSICAL_ADDRESS, addr);
	vmx_exit(cpu, EXIT_EPT_MISCONFIGURATION, 0);
}

/* SDM3: "Convertible EPT Violations". Delivery would write the area: it must be free. */
static bool is_convertible(const struct cpu *cpu, const struct ept_walk *walk)
{
	gpa_t area = vmcs_get(cpu, VE_INFORMATION);
	uint32_t busy = VE_BUSY; /* as what is not RAM reads */

	if (!(vmx_of(cpu)->proc2 & PROC2_EPT_VE) || (walk->last & EPT_SUPPRESS_VE) ||
	    !(cpu->cr0 & CR0_PE) || cpu->in_delivery)
		return false;
	memory_read(cpu->soft->config.memory, area + offsetof(struct ve_information, busy), &busy,
		    sizeof(busy));
	return !busy;
}

static _Noreturn void raise_ve(struct cpu *cpu, const struct ve_information *info)
{
	memory_write(cpu->soft->config.memory, vmcs_get(cpu, VE_INFORMATION), info, VE_BYTES);
	cpu_raise(cpu, EXC_VE);
}

static uint64_t qualification_of(const struct ept_walk *walk, uint64_t need,
				 const struct virt_access *access)
{
	uint64_t qualification = (need & (EPT_READ | EPT_WRITE)) | (walk->rights & EPT_RIGHTS)
									   << QUAL_RIGHTS_SHIFT;

	if (access->is_fetch)
		qualification |= QUAL_FETCH;
	if (walk->rights & EPT_USER_EXECUTE)
		qualification |= QUAL_USER_EXECUTE;
	if (!access->is_linear_valid)
		return qualification;
	if (access->is_walk)
		return qualification | QUAL_LINEAR;
	return qualification | QUAL_LINEAR | QUAL_FINAL |
	       (access->page_is_user ? QUAL_PAGE_USER : 0) |
	       (access->page_is_writable ? QUAL_PAGE_WRITABLE : 0) |
	       (access->page_is_no_execute ? QUAL_PAGE_NO_EXECUTE : 0);
}

static _Noreturn void exit_violation(struct cpu *cpu, l2pa_t addr, uint64_t need,
				     const struct ept_walk *walk, const struct virt_access *access)
{
	const struct ve_information info = {
		.reason = EXIT_EPT_VIOLATION,
		.busy = VE_BUSY,
		.qualification = qualification_of(walk, need, access) | vmx_nmi_unblocking(cpu),
		.linear = access->is_linear_valid ? access->linear : 0,
		.physical = addr,
		.eptp_index = (uint16_t)vmcs_get(cpu, EPTP_INDEX),
	};

	if (access->is_linear_valid)
		mmu_drop_faulting(cpu, access->linear);
	if (is_convertible(cpu, walk))
		raise_ve(cpu, &info);
	vmcs_set(cpu, GUEST_PHYSICAL_ADDRESS, addr);
	vmcs_set(cpu, GUEST_LINEAR_ADDRESS, info.linear);
	vmx_exit(cpu, EXIT_EPT_VIOLATION, info.qualification);
}

/* What lets code be fetched from the page. */
static uint64_t execute_right(const struct cpu *cpu, const struct virt_access *access)
{
	return is_mode_based(cpu) && access->page_is_user ? EPT_USER_EXECUTE : EPT_EXECUTE;
}

/* The rights that the access needs. With the flags on, every access to L2's paging structures
 * counts as a write too. */
static uint64_t rights_needed(const struct cpu *cpu, const struct virt_access *access,
			      bool has_flags)
{
	uint64_t need = 0;

	if (access->is_read)
		need |= EPT_READ;
	if (access->is_write || (access->is_walk && has_flags))
		need |= EPT_WRITE;
	if (access->is_fetch)
		need |= execute_right(cpu, access);
	return need;
}

static void describe_page(const struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
			  bool has_flags, const struct ept_walk *walk, struct virt_page *out)
{
	uint64_t leaf = walk->value[walk->leaf];

	out->size_bytes = page_bytes_at(walk->leaf);
	out->page = (leaf & EPT_ADDRESS) | (addr & (out->size_bytes - 1) & PAGE_MASK);
	out->is_readable = walk->rights & EPT_READ;
	out->is_writable = (walk->rights & EPT_WRITE) && (!has_flags || (leaf & EPT_D));
	out->is_executable = walk->rights & execute_right(cpu, access);
}

void vmx_translate(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
		   struct virt_page *out)
{
	bool has_flags = vmx_of(cpu)->eptp & EPTP_AD;
	uint64_t need = rights_needed(cpu, access, has_flags);
	struct ept_walk steps;

	do {
		enum walk_result result = walk(cpu, addr, need, &steps);

		if (result == WALK_MISCONFIGURED)
			exit_misconfiguration(cpu, addr);
		if (result == WALK_NOT_PRESENT || (need & ~steps.rights))
			exit_violation(cpu, addr, need, &steps, access);
	} while (has_flags && !mark_used(cpu, addr, &steps, need & EPT_WRITE));
	remember_place(cpu, addr, &steps);
	describe_page(cpu, addr, access, has_flags, &steps, out);
}

static bool is_marked(const struct ept_walk *walk, bool is_write)
{
	for (unsigned level = walk->leaf; level <= walk->top; level++)
		if (flags_needed(walk, level, is_write))
			return false;
	return true;
}

bool vmx_peek(struct cpu *cpu, l2pa_t addr, const struct virt_access *access, struct virt_page *out)
{
	bool has_flags = vmx_of(cpu)->eptp & EPTP_AD;
	uint64_t need = rights_needed(cpu, access, has_flags);
	struct ept_walk steps;

	if (walk(cpu, addr, need, &steps) != WALK_DONE || (need & ~steps.rights) ||
	    (has_flags && !is_marked(&steps, need & EPT_WRITE)))
		return false;
	remember_place(cpu, addr, &steps);
	describe_page(cpu, addr, access, has_flags, &steps, out);
	return true;
}
