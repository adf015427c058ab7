/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, EPT: pages of each size, what makes an entry of each level wrong, and the accesses of the
 * first stage's walk, which the second stage translates as well.
 */
#include "tests/bare/vmx/ept.h"

#define ADDRESS_BITS 0x000ffffffffff000ull
#define LINEAR_VALID 0x80u

static uint8_t data[1][4096] __attribute__((aligned(4096)));
static struct ept ept;

GUEST_CODE(code_read, "mov (%rdi), %rax");
GUEST_CODE(code_write, "mov %rsi, (%rdi)");

static void fresh(uint64_t eptp_bits)
{
	vmx_fresh();
	vmx_set_proc(0, PROC2_EPT);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | eptp_bits);
	invept(2, 0, 0);
	guest.rdi = ADDRESS(data[0]) + 0x128;
}

/* The entry of a level, 0 to 3, that translates the address. */
static uint64_t *entry_of(unsigned level, const void *address)
{
	uint64_t *table = ept.root;

	for (unsigned n = 3; n > level; n--)
		table = (uint64_t *)(table[ADDRESS(address) >> (12 + 9 * n) & 511] & ADDRESS_BITS);
	return &table[ADDRESS(address) >> (12 + 9 * level) & 511];
}

/* ---- wrong entries ---- */

static const struct wrong {
	const char *name;
	unsigned level;
	uint64_t set, clear;
} wrong[] = {
	{ "4 KiB: writable, not readable", 0, 0, R },
	{ "4 KiB: writable only", 0, 0, R | X },
	{ "4 KiB: memory type 2", 0, 2 << 3, WB },
	{ "4 KiB: memory type 3", 0, 3 << 3, WB },
	{ "4 KiB: memory type 7", 0, 7 << 3, 0 },
	{ "4 KiB: beyond physical addresses", 0, 1ull << 51, 0 },
	{ "directory: writable, not readable", 1, 0, R },
	{ "directory: bit 3", 1, 1 << 3, 0 },
	{ "directory: bit 6", 1, 1 << 6, 0 },
	{ "directory: beyond physical addresses", 1, 1ull << 51, 0 },
	{ "2 MiB: an address between", 1, PS | WB | 1 << 12, 0 },
	{ "2 MiB: memory type 7", 1, PS | 7 << 3, 0 },
	{ "directory pointer: writable, not readable", 2, 0, R },
	{ "directory pointer: bit 4", 2, 1 << 4, 0 },
	{ "1 GiB: an address between", 2, PS | WB | 1 << 21, ADDRESS_BITS },
	{ "1 GiB: memory type 2", 2, PS | 2 << 3, ADDRESS_BITS },
	{ "root: writable, not readable", 3, 0, R },
	{ "root: bit 7", 3, PS, 0 },
	{ "root: bit 3", 3, 1 << 3, 0 },
	{ "root: beyond physical addresses", 3, 1ull << 51, 0 },
};

/* The upper levels translate the guest's code as well: there it is the first access that exits. */
static void test_wrong(void)
{
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct wrong *w = &wrong[i];
		uint64_t *entry = entry_of(w->level, data[0]), old = *entry;
		uint32_t reason;

		*entry = (old & ~w->clear) | w->set;
		fresh(0);
		reason = vmx_enter_at(code_read);
		check(reason == EXIT_MISCONFIGURATION &&
			      (w->level || vmread(GUEST_PHYSICAL) == guest.rdi),
		      "%s (%x)", w->name, reason);
		*entry = old;
	}
	fresh(0);
	check(vmx_enter_at(code_read) == EXIT_VMCALL, "after these: right again");
}

/* What no rule is about. */
static void test_ignored(void)
{
	uint64_t *leaf = entry_of(0, data[0]), old = *leaf;

	*leaf = old | 1ull << 52 | 1ull << 11 | 1ull << 6;
	fresh(0);
	check(vmx_enter_at(code_read) == EXIT_VMCALL, "ignored bits are ignored");
	*leaf = 1ull << 51 | 7 << 3;
	fresh(0);
	check(vmx_enter_at(code_read) == EXIT_VIOLATION, "where nothing is present, all are");
	*leaf = old;
}

/* ---- sizes ---- */

static void test_sizes(void)
{
	uint64_t *directory = entry_of(1, data[0]), *pointer = entry_of(2, data[0]);
	uint64_t old_directory = *directory, old_pointer = *pointer;
	uint64_t other = 64ull << 20; /* memory that nobody uses */

	*(uint64_t *)(uintptr_t)(other + (guest.rdi & 0x1fffff)) = 0x5555;
	*directory = (ADDRESS(data) & ~0x1fffffull) | R | W | X | WB | PS;
	fresh(0);
	*(uint64_t *)(void *)(data[0] + 0x128) = 0x1111;
	check(vmx_enter_at(code_read) == EXIT_VMCALL && guest.rax == 0x1111, "a page of 2 MiB");
	*directory = old_directory;
	*pointer = R | W | X | WB | PS;
	fresh(0);
	check(vmx_enter_at(code_read) == EXIT_VMCALL && guest.rax == 0x1111, "a page of 1 GiB");
	*pointer = old_pointer;
}

/* ---- the first stage's own accesses ---- */

#define WRITES     2u
#define READABLE   8u
#define FINAL_PAGE 0x100u

/* The page table maps the guest's code as well, which is what is read through it first. */
static void test_walk(uint64_t eptp_bits, uint64_t qualification)
{
	uint64_t *table = (uint64_t *)(ADDRESS(pte(data[0])) & ~0xfffull);
	static struct ept around; /* 4 KiB pages around the page table */

	if (!around.root)
		ept_make(&around, table);
	*ept_entry(&around, table) = 0;
	fresh(0);
	vmwrite(EPT_POINTER, ept_pointer(&around) | eptp_bits);
	check(vmx_enter_at(code_read) == EXIT_VIOLATION &&
		      vmread(EXIT_QUALIFICATION) == qualification,
	      "a missing page table");
	check(vmread(GUEST_PHYSICAL) == ADDRESS(pte(code_read)) &&
		      vmread(GUEST_LINEAR) == ADDRESS(code_read),
	      "the address is the entry's");
	*ept_entry(&around, table) = ADDRESS(table) | R | WB;
	set_pte(data[0], 0, PTE_A | PTE_D);
	invept(2, 0, 0);
	check(vmx_enter_at(code_write) == EXIT_VIOLATION &&
		      (vmread(EXIT_QUALIFICATION) & (FINAL_PAGE | READABLE | WRITES)) ==
			      (READABLE | WRITES),
	      "one that cannot take the accessed flag");
	*ept_entry(&around, table) = ADDRESS(table) | R | W | WB;
	invept(2, 0, 0);
	check(vmx_enter_at(code_write) == EXIT_VMCALL && (*pte(data[0]) & PTE_D),
	      "one that can be written");
}

/*
 * The page table moves when the accessed flag cannot be set in it: the guest's code has been
 * translated by it where it was.
 */
static void test_moved_table(void)
{
	uint64_t *table = (uint64_t *)(ADDRESS(pte(data[0])) & ~0xfffull), *moved = page_alloc();
	uint64_t *page = page_alloc(), n = ADDRESS(data[0]) >> 12 & 511;
	static struct ept around;

	ept_make(&around, table);
	fresh(0);
	vmx_set_proc(0, PROC2_EPT | PROC2_VPID);
	vmwrite(EPT_POINTER, ept_pointer(&around));
	*ept_entry(&around, table) = ADDRESS(table) | R | WB;
	set_pte(data[0], 0, PTE_A | PTE_D);
	invept(2, 0, 0);
	guest.rsi = 0x7777;
	check(vmx_enter_at(code_write) == EXIT_VIOLATION, "the flag cannot be set");
	for (unsigned i = 0; i < 512; i++)
		moved[i] = table[i];
	moved[n] = (moved[n] & 0xfff) | ADDRESS(page);
	*ept_entry(&around, table) = ADDRESS(moved) | R | W | WB;
	check(vmx_enter() == EXIT_VMCALL && (moved[n] & PTE_D) && !(table[n] & PTE_D),
	      "it is set in the table that has taken its place");
	check(page[0x128 / 8] == 0x7777, "and what that says is done");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, data);
	fresh(0);
	test_wrong();
	test_ignored();
	test_sizes();
	test_walk(0, LINEAR_VALID | 1);
	test_walk(EPTP_FLAGS, LINEAR_VALID | 1 | WRITES);
	test_moved_table();
}
