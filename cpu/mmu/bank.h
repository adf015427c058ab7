/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands behind the tags of mmu.h: private to cpu/mmu.
 *
 * A slot keeps the rights of its page whether or not its tags are poisoned, so that a store to a
 * page that holds code, or an access to a device, needs no walk. Rights to write are kept only
 * where the dirty bit is set already.
 *
 * Code look-ups have entries of their own (struct exec_entry): whoever caches their results
 * compares generations, which therefore change whenever an exec entry is dropped: that of the bank,
 * or for a global page the one that all banks share. Where an entry was merely replaced by another,
 * what was there is kept as a ghost: flushing its page changes the generation too.
 */
#ifndef CPU_MMU_BANK_H
#define CPU_MMU_BANK_H

#include "cpu/mmu/mmu.h"

/* Rights to a page: one bit for each class and kind of access. */
#define RIGHT_DATA(class, is_write) BIT((class) * 2 + (is_write))
#define RIGHT_FETCH_USER            BIT(6)
#define RIGHT_FETCH_KERNEL          BIT(7)
#define RIGHTS_ALL                  0xffull
#define RIGHTS_WRITE                0x2aull
#define RIGHTS_FETCH                (RIGHT_FETCH_USER | RIGHT_FETCH_KERNEL)
#define RIGHTS_USER                 (RIGHT_DATA(TLB_USER, 0) | RIGHT_DATA(TLB_USER, 1) | RIGHT_FETCH_USER)
#define SLOT_VALID                  BIT(11)  /* beside the rights, in the low bits of `addr` */
#define SLOT_RETURNS                0x700ull /* how often it came back after a flush, up to 7 */
#define SLOT_RETURNS_SHIFT          8
#define SLOT_RETURNS_MAX            5u

/* The low bits of gpa_flags. */
#define PAGE_GLOBAL     BIT(0)
#define PAGE_RAM        BIT(1) /* entry->host is it */
#define PAGE_APIC       BIT(2) /* the local APIC's page */
#define PAGE_KEYED      BIT(3) /* subject to the protection key in bits 11:8 */
#define PAGE_SIZE_SHIFT 4      /* bits 5:4: enum page_size */
#define PAGE_VIRTUAL    BIT(6) /* cpu->apic_access_page */
#define PAGE_KEY_SHIFT  8

enum page_size { PAGE_4K, PAGE_2M, PAGE_4M, PAGE_1G };

#define EXEC_SETS       1024 /* by page; of two entries, EXEC_SETS apart, the former filled last */
#define EXEC_ENTRIES    (2 * EXEC_SETS)
#define WRITE_LISTS     4096
#define LARGE_NOTE_BITS 13
#define LARGE_NOTES     (1 << LARGE_NOTE_BITS)

struct exec_entry {
	uint64_t addr;      /* linear page | SLOT_VALID | rights to fetch; 0: empty */
	uint64_t gpa_flags; /* as in struct tlb_entry */
};

/* What was replaced in a set of exec entries during one generation. */
struct ghost {
	uint64_t generation;
	uint64_t pages; /* a bit for each, by hash */
};

/* What there is to know of the page in a slot. */
struct tlb_entry {
	uint64_t host;      /* its host address, where it is RAM */
	uint64_t gpa_flags; /* guest-physical page | PAGE_* */
};

/*
 * The second level of the TLB: what had to make room in its slot. `host` and `gpa_flags` are as in
 * struct tlb_entry. Each flush of the bank forgets all, INVLPG too.
 */
struct victim {
	uint64_t addr;    /* linear page | SLOT_VALID | rights */
	uint64_t version; /* it holds while that is the bank's `places` */
	struct tlb_entry entry;
};

#define VICTIMS 1024

/*
 * Where the table is that maps a region of 4-level paging: SDM3: "Paging-Structure Caches". With a
 * second stage, `table` is behind it. Each flush of the bank forgets all, INVLPG too.
 */
struct place {
	uint64_t region;   /* linear address / what the table maps */
	uint64_t version;  /* it holds while that is the bank's `places` */
	uint64_t *table;   /* in the host */
	gpa_t at;          /* as the guest says */
	uint64_t all, any; /* AND and OR of the entries above it */
};

#define PLACED_TABLES      128
#define PLACED_DIRECTORIES 16

/* What is filled and emptied together. */
struct slot {
	/* Linear page | SLOT_VALID | rights | SLOT_RETURNS. Empty: without the former two. */
	uint64_t addr;
	uint32_t write_page; /* number of the RAM page that has a live write tag, + 1; or 0 */
	/* The other slots of its list that have one: their number + 1, or 0. */
	uint16_t write_next, write_before;
	uint8_t tagged; /* the set of classes whose tags the slot may have */
	uint8_t trust;  /* how many flushes it may still outlive, if it is the same */
};

struct bank {
	struct tlb tlb;
	struct tlb_entry entry[TLB_ENTRIES];
	struct slot slot[TLB_ENTRIES];
	uint16_t write_first[WRITE_LISTS]; /* by guest-physical page number: struct slot */
	struct exec_entry exec[EXEC_ENTRIES];
	uint64_t used[TLB_ENTRIES / 64];
	uint64_t exec_used[EXEC_ENTRIES / 64];
	struct ghost ghost[2][EXEC_SETS]; /* [was a global page] */
	unsigned confirmed;               /* exec entries, since all were dropped */
	uint64_t last_ghost[2];           /* the generation of the last one */
	/* Where large pages were seen: linear address / 4 MiB and / 1 GiB, hashed. */
	uint64_t large_4m[LARGE_NOTES / 64], large_1g[LARGE_NOTES / 64];
	uint64_t places; /* which of those below hold; never 0 in a bank that is live */
	struct place table[PLACED_TABLES], directory[PLACED_DIRECTORIES];
	struct victim victim[VICTIMS];
	bool is_live; /* its tags are set up: it belongs to `pcid` and `stage_key` */
	unsigned pcid;
	uint64_t stage_key;
	uint64_t paging; /* the paging modes under which all banks of the key were filled */
	uint64_t last_selected;
};

_Static_assert(offsetof(struct bank, entry) == offsetof(struct bank, tlb) + sizeof(struct tlb) &&
		       sizeof(struct tlb_entry) == sizeof(struct tlb_way) &&
		       !offsetof(struct tlb_entry, host),
	       "TLB_GS_HOST");

#define EXEC_NONE UINT32_MAX

/* The operand of a read-modify-write that the host cannot do in place: mmu_rmw_begin. */
struct bounce {
	uint8_t data[16] __attribute__((aligned(16)));
	const struct tlb_entry *entry[2]; /* the pages of its two parts */
	gva_t addr[2];
	unsigned size[2];
};

struct mmu {
	struct cpu_stats *stats;
	struct bank *current; /* what selects and fills; cpu->tlb may be `aligned` instead */
	struct bank bank[TLB_BANKS];
	struct tlb aligned; /* poison only: see is_aligned_only */
	uint64_t generations, selections;
	bool has_gsbase;      /* gsbase_has_instruction */
	bool has_keyed_pages; /* some bank may have pages that are subject to protection keys */
	struct bounce bounce;
	/* Derived from CR0, CR4 and EFER by mmu_mode_changed, for the walk. */
	uint8_t rights[4];       /* by the RW (bit 0) and US (bit 1) bits of all levels */
	uint64_t reserved[4][2]; /* bits that must be zero: [level][maps a page] */
	bool is_pku_on, is_fetch_reported;
};

/* The translation of one page. */
struct walk {
	gpa_t page;
	uint64_t rights;                          /* RIGHTS_WRITE only where the page is dirty */
	uint64_t flags;                           /* PAGE_GLOBAL, PAGE_KEYED, size and key */
	bool is_user, is_writable, is_no_execute; /* as the first stage's entries say */
};

/* --- maps of bits --- */

static inline bool bitmap_has(const uint64_t *map, unsigned n)
{
	return map[n / 64] & BIT(n % 64);
}

static inline void bitmap_set(uint64_t *map, unsigned n)
{
	map[n / 64] |= BIT(n % 64);
}

static inline void bitmap_clear(uint64_t *map, unsigned n)
{
	map[n / 64] &= ~BIT(n % 64);
}

/* --- bank.c --- */

/* An address that selects another slot: it equals none that selects this one. */
static inline uint64_t bank_poison(unsigned slot)
{
	return (uint64_t)(slot ^ 1) << PAGE_BITS;
}

static inline bool bank_is_page_of(uint64_t slot_addr, gva_t addr)
{
	return (slot_addr & SLOT_VALID) && !((slot_addr ^ addr) & PAGE_MASK);
}

static inline unsigned bank_exec_set(gva_t addr)
{
	return (addr >> PAGE_BITS) % EXEC_SETS;
}

/* The number of the entry for code in the page of the address, or EXEC_NONE. */
static inline unsigned bank_find_exec(const struct bank *bank, gva_t addr)
{
	unsigned n = bank_exec_set(addr);

	if (likely(bank_is_page_of(bank->exec[n].addr, addr)))
		return n;
	n += EXEC_SETS;
	return bank_is_page_of(bank->exec[n].addr, addr) ? n : EXEC_NONE;
}

static inline bool exec_is_global(const struct exec_entry *exec)
{
	return exec->gpa_flags & PAGE_GLOBAL;
}

/* Whatever was in it. */
void tlb_poison(struct tlb *tlb);
/* What anybody remembers of code look-ups in the bank is no longer valid. */
void bank_change_generation(struct mmu *mmu, struct bank *bank);
void bank_drop_slot(struct bank *bank, unsigned slot);
/* Empties the bank, of all but global entries where they are to be kept. */
void bank_flush(struct mmu *mmu, struct bank *bank, bool keep_global);
/*
 * The same of the current bank, for an address space that is loaded: code that maps as it did stays
 * known, and its generation holds.
 */
void bank_flush_current(struct cpu *cpu, bool keep_global);
/* The same of another bank of the current guest, after that. */
void bank_flush_beside(struct mmu *mmu, struct bank *bank, bool keep_global);
/* Drops what maps the address, all pieces of a large page. */
void bank_flush_address(struct mmu *mmu, struct bank *bank, gva_t addr);
/* Drops the pages whose protection key has a bit in `pkru`. */
void bank_drop_keys(struct bank *bank, uint32_t pkru);
/* For who sets a write tag of a RAM page, given by its number. */
void bank_note_write(struct bank *bank, unsigned n, uint32_t page);
/* Poisons the write tags of such a page. */
void bank_poison_writes(struct bank *bank, uint32_t page);
/* For who fills: the page of `addr` has these flags; what is in `exec` is about to be replaced. */
void bank_note_large(struct bank *bank, gva_t addr, uint64_t flags);
void bank_add_ghost(struct bank *bank, const struct exec_entry *exec);
/* Whether somebody may remember a look-up of code in the page. */
bool bank_may_have_code(const struct bank *bank, gva_t addr);

/* --- walk.c --- */

/*
 * Walks the paging structures for one access (`want` is a single right), sets accessed and dirty
 * bits. Raises #PF.
 */
void mmu_walk(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out);
/*
 * The same in 4-level paging, for an access that is not made: it sets and raises nothing. false
 * where mmu_walk would, or it cannot be said, as of the virtual APIC's page. `rights` may lack what
 * is wanted.
 */
bool mmu_walk_quietly(struct cpu *cpu, gva_t addr, uint64_t want, struct walk *out);
/* Where the tables are that map the address. */
void mmu_forget_places(struct bank *bank, gva_t addr);
void mmu_walk_mode_changed(struct cpu *cpu);

/* --- fill.c, access.c --- */

/* The entry that holds the page of `addr` with the wanted right; walks and fills, raises #PF. */
const struct tlb_entry *mmu_translate(struct cpu *cpu, gva_t addr, uint64_t want);

/* DR7's data breakpoints that [addr, addr + len) meets, as DR6 bits. */
uint64_t mmu_breakpoint_hits(const struct cpu *cpu, gva_t addr, uint64_t len, bool is_write);

#endif
