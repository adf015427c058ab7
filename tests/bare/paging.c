/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paging: permissions and error codes, accessed and dirty bits, INVLPG, PCID and INVPCID,
 * protection keys, SMEP and SMAP, large pages.
 */
#include "bare.h"

#define CR0_WP    (1ull << 16)
#define CR4_PGE   (1ull << 7)
#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP  (1ull << 20)
#define CR4_SMAP  (1ull << 21)
#define CR4_PKE   (1ull << 22)
#define NOFLUSH   (1ull << 63)

#define RET_CODE 0xc3

static uint8_t *page;

#define LOAD(p)  TRY("mov (%0), %%rax", "r"(p))
#define STORE(p) TRY("mov %%rax, (%0)", "r"(p))
#define FETCH(p) TRY("call *%0", "r"(p))

static bool faulted(int64_t vector, const void *address, uint64_t error)
{
	return vector == PF && trap.cr2 == (uintptr_t)address && trap.error == error;
}

static void test_permissions(void)
{
	page[0] = RET_CODE;
	set_pte(page, 0, PTE_P);
	check(faulted(LOAD(page), page, 0), "load from an absent page");
	check(faulted(STORE(page), page, 2), "store to an absent page");
	check(faulted(FETCH(page), page, 0x10), "fetch from an absent page");
	set_pte(page, PTE_P, PTE_W);
	check(faulted(STORE(page), page, 3), "store to a read-only page with CR0.WP");
	WRITE_CR(0, READ_CR(0) & ~CR0_WP);
	check(STORE(page) == -1, "store to a read-only page without CR0.WP");
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	set_pte(page, PTE_W, 0);
	page[0] = RET_CODE;
	check(FETCH(page) == -1, "fetch");
	set_pte(page, PTE_NX, 0);
	check(faulted(FETCH(page), page, 0x11), "fetch from a no-execute page");
	set_pte(page, 0, PTE_NX);
	set_pte(page, 1ull << 51, 0);
	check(faulted(LOAD(page), page, 9), "reserved bit in an entry");
	set_pte(page, 0, 1ull << 51);
}

static void test_user_permissions(void)
{
	/* mov (%rdi),%al; mov %al,(%rdi); ud2, entered with RDI = the code itself */
	static const uint8_t code[]
		__attribute__((aligned(4096))) = { 0x8a, 0x07, 0x88, 0x07, 0x0f, 0x0b };

	RUN_USER(code, SEL_USER_CODE64);
	check(trap.vector == UD, "user mode reads and writes a user page");
	set_pte(user_code, 0, PTE_W);
	WRITE_CR(0, READ_CR(0) & ~CR0_WP);
	RUN_USER(code, SEL_USER_CODE64);
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	check(trap.vector == PF && trap.error == 7 && trap.rip == (uintptr_t)user_code + 2,
	      "user store to a read-only page");
	set_pte(user_code, PTE_W, 0);
}

static void test_smep_smap(void)
{
	uint64_t cr4 = READ_CR(4);

	page[0] = RET_CODE;
	make_user(page);
	check(FETCH(page) == -1 && LOAD(page) == -1, "supervisor uses a user page");
	WRITE_CR(4, cr4 | CR4_SMEP);
	check(faulted(FETCH(page), page, 0x11), "SMEP: fetch from a user page");
	check(LOAD(page) == -1, "SMEP: loads go on");
	WRITE_CR(4, cr4 | CR4_SMAP);
	check(faulted(LOAD(page), page, 1), "SMAP: load from a user page");
	check(faulted(STORE(page), page, 3), "SMAP: store to a user page");
	check(TRY("stac; mov (%0), %%rax; clac", "r"(page)) == -1,
	      "SMAP: allowed between STAC and CLAC");
	check(faulted(LOAD(page), page, 1), "SMAP: not allowed after CLAC");
	check(TRY("stac; mov %%rax, (%0); clac", "r"(page)) == -1,
	      "SMAP: store between STAC and CLAC");
	WRITE_CR(4, cr4);
	check(LOAD(page) == -1, "without SMAP again");
	set_pte(page, 0, PTE_U);
}

static void test_accessed_dirty(void)
{
	volatile uint64_t *entry = pte(page);

	set_pte(page, 0, PTE_A | PTE_D);
	(void)LOAD(page);
	check((*entry & (PTE_A | PTE_D)) == PTE_A, "a load sets A only");
	(void)STORE(page);
	check((*entry & (PTE_A | PTE_D)) == (PTE_A | PTE_D), "a store after it sets D");
	set_pte(page, 0, PTE_D);
	(void)LOAD(page);
	check(!(*entry & PTE_D), "a load leaves D clear");
	set_pte(page, 0, PTE_A | PTE_D | PTE_W);
	(void)STORE(page);
	check(!(*entry & PTE_D), "a refused store leaves D clear");
	set_pte(page, PTE_W, 0);
}

/* Two frames with different contents; the page is remapped from one to the other. */
static void test_invlpg(void)
{
	uint8_t *a = page_alloc(), *b = page_alloc();
	volatile uint8_t *window = page_alloc();
	uint64_t *entry = pte((void *)window);

	a[0] = 1;
	b[0] = 2;
	*entry = (uintptr_t)a | PTE_P | PTE_W;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	check(*window == 1, "mapped to the first frame");
	*entry = (uintptr_t)b | PTE_P | PTE_W;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	check(*window == 2, "remapped with INVLPG");
	*entry = (uintptr_t)a | PTE_P | PTE_W;
	WRITE_CR(3, READ_CR(3));
	check(*window == 1, "remapped with MOV CR3");
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	*entry |= PTE_G;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	check(*window == 1, "a global page");
	*entry = (uintptr_t)b | PTE_P | PTE_W | PTE_G;
	asm volatile("invlpg (%0)" : : "r"(window) : "memory");
	check(*window == 2, "INVLPG drops a global page");
	*entry = (uintptr_t)a | PTE_P | PTE_W | PTE_G;
	WRITE_CR(4, READ_CR(4) & ~CR4_PGE);
	check(*window == 1, "clearing CR4.PGE drops a global page");
}

static uint64_t other_table[512] __attribute__((aligned(4096)));

static void invlpg(const volatile void *address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/*
 * Entries above the last are cached, too. INVLPG of any address drops them, and so does a page
 * fault at an address that they were used for: SDM3: "Operations that Invalidate TLBs and
 * Paging-Structure Caches".
 */
static void test_structures(void)
{
	uint8_t *a = page_alloc(), *b = page_alloc();
	const uintptr_t region = 0x7fa00000; /* nothing is there */
	volatile uint8_t *window = (uint8_t *)region;
	uint64_t *entry = &page_directories[region >> 21], saved = *entry;
	static uint64_t table[512] __attribute__((aligned(4096)));

	a[0] = 1;
	b[0] = 2;
	for (unsigned i = 0; i < 8; i++) {
		table[i] = (uintptr_t)a | PTE_P | PTE_W;
		other_table[i] = (uintptr_t)b | PTE_P | PTE_W;
	}
	table[6] = 0;
	*entry = (uintptr_t)table | PTE_P | PTE_W;
	WRITE_CR(3, READ_CR(3));
	check(window[0] == 1 && window[0x1000] == 1, "pages of a table");
	check(*entry & PTE_A, "its entry is accessed");
	*entry = (uintptr_t)other_table | PTE_P | PTE_W;
	invlpg(a);
	check(window[0x2000] == 2, "another table after INVLPG of a page elsewhere");
	check(*entry & PTE_A, "its entry is accessed, too");
	*entry = (uintptr_t)table | PTE_P;
	WRITE_CR(3, READ_CR(3));
	check(window[0x3000] == 1, "a table after MOV CR3");
	check(faulted(STORE(window + 0x4000), (void *)(region + 0x4000), 3),
	      "its entry forbids writing");
	*entry |= PTE_W;
	check(STORE(window + 0x4000) == -1, "more rights need no invalidation");
	*entry = 0;
	check(faulted(LOAD(window + 0x6000), (void *)(region + 0x6000), 0), "an absent page");
	check(faulted(LOAD(window + 0x5000), (void *)(region + 0x5000), 0),
	      "its fault has dropped the absent table");
	*entry = saved;
	WRITE_CR(3, READ_CR(3));
}

static void invpcid(uint64_t type, uint64_t pcid, const volatile void *address)
{
	struct {
		uint64_t pcid;
		const volatile void *address;
	} descriptor = { pcid, address };

	asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

static void test_pcid(void)
{
	uint8_t *a = page_alloc(), *b = page_alloc();
	volatile uint8_t *window = page_alloc();
	uint64_t *entry = pte((void *)window), cr3 = READ_CR(3), cr4 = READ_CR(4);

	if (!(cpuid(1, 0).c & 1 << 17)) {
		check(true, "PCID # SKIP the processor has none");
		return;
	}
	a[0] = 1;
	b[0] = 2;
	check(TRY_WRITE_CR(3, cr3 | 1) == -1, "CR3 bit 0 is ignored without PCIDE");
	check(TRY_WRITE_CR(4, cr4 | CR4_PCIDE) == GP, "PCIDE with a non-zero PCID in CR3: #GP");
	WRITE_CR(3, cr3);
	WRITE_CR(4, cr4 | CR4_PCIDE);
	*entry = (uintptr_t)a | PTE_P | PTE_W;
	WRITE_CR(3, cr3 | 1);
	check(*window == 1, "PCID 1: the first frame");
	*entry = (uintptr_t)b | PTE_P | PTE_W;
	WRITE_CR(3, cr3 | 2);
	check(*window == 2, "PCID 2 sees the new one");
	WRITE_CR(3, cr3 | 1);
	check(*window == 2, "a load of PCID 1 that flushes sees the new one");
	*entry = (uintptr_t)a | PTE_P | PTE_W;
	invpcid(0, 1, window);
	check(*window == 1, "INVPCID of one address");
	*entry = (uintptr_t)b | PTE_P | PTE_W;
	invpcid(1, 1, NULL);
	check(*window == 2, "INVPCID of one context");
	*entry = (uintptr_t)a | PTE_P | PTE_W;
	invpcid(3, 0, NULL);
	check(*window == 1, "INVPCID of all but globals");
	*entry = (uintptr_t)b | PTE_P | PTE_W;
	invpcid(2, 0, NULL);
	check(*window == 2, "INVPCID of everything");
	check(TRY("invpcid (%0), %1", "r"(a), "r"(4ull)) == GP, "INVPCID of type 4: #GP");
	WRITE_CR(3, cr3 | 2 | NOFLUSH);
	check(READ_CR(3) == (cr3 | 2), "the no-flush bit is not kept");
	WRITE_CR(3, cr3);
	WRITE_CR(4, cr4);
}

static void test_protection_keys(void)
{
	uint64_t cr4 = READ_CR(4);

	if (!(cpuid(7, 0).c & 8)) {
		check(true, "protection keys # SKIP the processor has none");
		return;
	}
	WRITE_CR(4, cr4 | CR4_PKE);
	make_user(page);
	set_pte(page, 5ull << 59, 0);
	asm volatile("wrpkru" : : "a"(1u << 10), "c"(0), "d"(0));
	check(faulted(LOAD(page), page, 0x21), "protection key 5: access disabled");
	asm volatile("wrpkru" : : "a"(2u << 10), "c"(0), "d"(0));
	check(LOAD(page) == -1, "write-disabled: loads go on");
	check(faulted(STORE(page), page, 0x23),
	      "write-disabled: store by the supervisor with CR0.WP");
	WRITE_CR(0, READ_CR(0) & ~CR0_WP);
	check(STORE(page) == -1, "and without it");
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	asm volatile("wrpkru" : : "a"(0), "c"(0), "d"(0));
	check(STORE(page) == -1, "the key opened again");
	set_pte(page, 0, 15ull << 59 | PTE_U);
	WRITE_CR(4, cr4);
}

static void test_large_pages(void)
{
	uint64_t saved = pdpt[4];
	volatile uint64_t *window = (uint64_t *)0x100400000, *code = (uint64_t *)0x400000;

	pdpt[4] = PTE_P | PTE_W | PTE_PS;
	WRITE_CR(3, READ_CR(3));
	check(window[0] == code[0] && window[511] == code[511], "a 1 GiB page");
	pdpt[4] = 0x2000 | PTE_P | PTE_W | PTE_PS;
	WRITE_CR(3, READ_CR(3));
	check(faulted(LOAD(window), (void *)window, 9), "a 1 GiB page with a reserved bit");
	pdpt[4] = saved;
	WRITE_CR(3, READ_CR(3));
	check(faulted(LOAD(window), (void *)window, 0), "and without an entry");
}

void test_main(void)
{
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	page = page_alloc();
	test_permissions();
	test_user_permissions();
	test_smep_smap();
	test_accessed_dirty();
	test_invlpg();
	test_structures();
	test_pcid();
	test_protection_keys();
	test_large_pages();
}
