/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the images of a hostile hypervisor share: a sandbox, which is all that L2 can reach whatever
 * its state, with a page for everything that a VMCS points to; a VMCS that can be entered; random
 * numbers.
 */
#ifndef BARE_HOSTILE_H
#define BARE_HOSTILE_H

#include "tests/bare/vmx/vmx.h"

#define SANDBOX 0x4000000ull
#define OUTSIDE (1ull << 45) /* within the physical-address width */
#define DEVICE  0xfed00000ull

#define LIST_MAX   512
#define LONG_TICKS 10000000 /* of the preemption timer: a tenth of a second and more */

#define EPTP_BITS  (6 | 3 << 3)
#define EPT_RIGHTS 7ull
#define EPT_WB     (6ull << 3)

/* Pages of the sandbox. */
enum {
	L2_CODE,
	L2_STACK,
	L2_PML4,
	L2_PDPT,
	L2_PD,
	EPT_PML4,
	EPT_PDPT,
	EPT_PD,
	EPT_PT,
	BITMAPS,            /* two */
	LIST = BITMAPS + 2, /* two */
	APIC = LIST + 2,
	LOG,
	POSTED,
	SHADOW,
	POINTERS, /* a list of EPT pointers */
	INFORMATION,
	TABLES,            /* L2's GDT and IDT */
	JUNK = TABLES + 2, /* and up to the end */
	PAGES = JUNK + 16,
};

extern uint32_t boot_info; /* of start.S: the multiboot information */
static uint64_t seed;

static inline uint64_t random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static inline uint64_t *page(unsigned n)
{
	return (uint64_t *)(SANDBOX + 4096 * n);
}

/* ---- the sandbox ---- */

/* An address that L2 may have, or that is not memory. */
static inline uint64_t place(void)
{
	static const uint64_t places[] = {
		0x8000000, 0xa0000,    0xc0000000, 0xe0000000, 0xfec00000, DEVICE,     0xffe00000,
		OUTSIDE,   1ull << 46, 1ull << 51, 1ull << 52, 0xfffff000, 1ull << 32, ~0xfffull,
	};
	uint64_t r = random();

	if (r & 3)
		return ADDRESS(page((r >> 8) % PAGES));
	return places[(r >> 8) % (sizeof(places) / sizeof(places[0]))];
}

/* A table entry of any kind. */
static inline uint64_t table_entry(void)
{
	uint64_t r = random();

	return place() | (r & 8 ? (r >> 8 & 0x7ff) : 7) | (r & 0x70 ? 0 : 1ull << 63);
}

static inline void make_junk(unsigned first, unsigned end)
{
	for (unsigned n = first; n < end; n++)
		for (unsigned i = 0; i < 512; i++)
			page(n)[i] = table_entry();
}

static inline void clear(unsigned first, unsigned end)
{
	for (unsigned n = first; n < end; n++)
		for (unsigned i = 0; i < 512; i++)
			page(n)[i] = 0;
}

/* Linear addresses of the sandbox alone, and of devices; the second stage the same. */
static inline void make_tables(void)
{
	unsigned slot = SANDBOX >> 21;

	page(L2_PML4)[0] = ADDRESS(page(L2_PDPT)) | 7;
	page(L2_PDPT)[0] = ADDRESS(page(L2_PD)) | 7;
	page(L2_PDPT)[3] = 3ull << 30 | 7 | PTE_PS;
	page(L2_PD)[slot] = SANDBOX | 7 | PTE_PS;
	page(EPT_PML4)[0] = ADDRESS(page(EPT_PDPT)) | EPT_RIGHTS;
	page(EPT_PDPT)[0] = ADDRESS(page(EPT_PD)) | EPT_RIGHTS;
	page(EPT_PDPT)[3] = 3ull << 30 | EPT_RIGHTS | PTE_PS;
	page(EPT_PD)[slot] = ADDRESS(page(EPT_PT)) | EPT_RIGHTS;
	for (unsigned i = 0; i < 512; i++)
		page(EPT_PT)[i] = (SANDBOX + 4096 * i) | EPT_RIGHTS | EPT_WB;
}

/* Every gate leads to L2's code. */
static inline void make_descriptors(void)
{
	uint64_t code = ADDRESS(page(L2_CODE));

	for (unsigned i = 1; i < 8; i++)
		page(TABLES)[i] = gdt[i];
	for (unsigned i = 0; i < 256; i++) {
		page(TABLES + 1)[2 * i] =
			(code & 0xffff) | SEL_CODE64 << 16 | 0x8e00ull << 32 | code >> 16 << 48;
		page(TABLES + 1)[2 * i + 1] = 0;
	}
}

static inline void make_sandbox(void)
{
	clear(0, JUNK);
	make_junk(JUNK, PAGES);
	make_tables();
	make_descriptors();
	for (unsigned i = 0; i < 512; i += 2)
		page(POINTERS)[i] = ADDRESS(page(EPT_PML4)) | EPTP_BITS;
	*(uint32_t *)page(SHADOW) = (uint32_t)rdmsr(MSR_VMX_BASIC) | VALID;
}

/* ---- a VMCS that can be entered, with L2 in the sandbox ---- */

static inline void set_code(const void *code, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)page(L2_CODE))[i] = ((const uint8_t *)code)[i];
}

static inline void set_pointers(void)
{
	static const struct {
		uint16_t field, page;
	} pointers[] = {
		{ IO_BITMAP_A, BITMAPS },        { IO_BITMAP_B, BITMAPS + 1 },
		{ MSR_BITMAP, BITMAPS },         { PML_ADDRESS, LOG },
		{ VIRTUAL_APIC, APIC },          { POSTED_DESCRIPTOR, POSTED },
		{ EPTP_LIST, POINTERS },         { VMREAD_BITMAP, BITMAPS },
		{ VMWRITE_BITMAP, BITMAPS },     { VE_AREA, INFORMATION },
		{ ENTRY_MSR_LOAD, LIST },        { APIC_ACCESS_PAGE, JUNK },
		{ GUEST_CR3, L2_PML4 },          { GUEST_GDTR_BASE, TABLES },
		{ GUEST_IDTR_BASE, TABLES + 1 },
	};

	for (unsigned i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		vmwrite(pointers[i].field, ADDRESS(page(pointers[i].page)));
	vmwrite(EPT_POINTER, ADDRESS(page(EPT_PML4)) | EPTP_BITS);
	vmwrite(VPID, 1);
	vmwrite(TSC_MULTIPLIER, 1ull << 48);
	vmwrite(FUNCTION_CONTROLS, 1); /* EPTP switching */
	vmwrite(GUEST_GDTR_LIMIT, 0xff);
	vmwrite(GUEST_IDTR_LIMIT, 0xfff);
}

/* No control but the timer; the host's state as it should be. */
static inline void set_vmcs(void)
{
	vmx_fresh();
	vmx_set_host();
	set_pointers();
	vmx_set_pin(PIN_TIMER);
	vmx_set_exit(EXITC_LOAD_EFER);
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(PREEMPTION_TIMER, LONG_TICKS);
	vmwrite(GUEST_RIP, ADDRESS(page(L2_CODE)));
	vmwrite(GUEST_RSP, ADDRESS(page(L2_STACK)) + 0x800);
}

static inline void fresh(void)
{
	static const uint8_t code[] = { 0x0f, 0x01, 0xc1, 0xeb, 0xfb }; /* 1: vmcall; jmp 1b */

	make_sandbox();
	set_code(code, sizeof(code));
	vmx_clear(vmcs_region);
	vmx_load(vmcs_region);
	vmx_is_launched = false;
	set_vmcs();
}

#endif
