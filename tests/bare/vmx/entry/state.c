/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: guest state that entry loads and exit saves, activity and modes of the guest among it.
 */
#include "tests/bare/vmx/ept.h"

#define CR4_PAE     0x20
#define CR0_PG      (1ull << 31)
#define EFER_LONG   0x500
#define EFER_SCE    1
#define RFLAGS_VM   (1ull << 17)
#define CODE32_BASE 0x1000
#define RIGHTS_REAL 0x93
#define RIGHTS_V86  0xf3

static uint64_t pat;

GUEST_CODE(code_segments, "mov %fs, %ax; mov %gs, %bx; str %cx; sldt %dx; pushf; pop %rsi");
GUEST_CODE(code_change, "mov $0x10, %eax; mov %eax, %gs; mov $0x12345678, %eax; mov %rax, %cr2;"
			"mov $0x401, %eax; mov %rax, %dr7; mov $0x174, %ecx; mov $8, %eax;"
			"xor %edx, %edx; wrmsr; mov $0x1d9, %ecx; mov $2, %eax; wrmsr; std; stc");
/* Of any size: B8 imm16/32, VMCALL. */
GUEST_CODE(code_small, ".byte 0xb8, 0x34, 0x12; vmcall");

static void fresh(void)
{
	static uint8_t no_exits[4096] __attribute__((aligned(4096)));

	vmx_set_up();
	vmwrite(MSR_BITMAP, ADDRESS(no_exits));
	vmx_set_proc(PROC_MSR_BITMAPS, 0);
}

static void test_registers(void)
{
	fresh();
	vmx_set_segment(SEG_FS, SEL_DATA, 0x123456789000, 0xffff, 0x4093);
	vmx_set_segment(SEG_GS, 0, 0, 0, UNUSABLE);
	vmx_set_segment(SEG_LDTR, SEL_FREE, 0xffff800000001000, 0x1f, 0x82);
	vmwrite(GUEST_RFLAGS, 2 | 0xcd5);
	check(vmx_enter_at(code_segments) == EXIT_VMCALL && (uint16_t)guest.rax == SEL_DATA &&
		      (uint16_t)guest.rbx == 0 && (uint16_t)guest.rcx == SEL_TSS &&
		      (uint16_t)guest.rdx == SEL_FREE,
	      "selectors are loaded");
	check(guest.rsi == (2 | 0xcd5), "so are the flags (%lx)", guest.rsi);
	check(vmread(GUEST_ES_BASE + 2 * SEG_FS) == 0x123456789000 &&
		      vmread(GUEST_ES_LIMIT + 2 * SEG_FS) == 0xffff &&
		      vmread(GUEST_ES_RIGHTS + 2 * SEG_FS) == 0x4093,
	      "a segment is saved as it was loaded");
	check(vmread(GUEST_ES_RIGHTS + 2 * SEG_GS) & UNUSABLE, "one that is not usable, too");
	check(vmread(GUEST_ES_BASE + 2 * SEG_LDTR) == 0xffff800000001000 &&
		      vmread(GUEST_ES_RIGHTS + 2 * SEG_LDTR) == 0x82,
	      "and LDTR");
}

static void test_saving(void)
{
	fresh();
	vmx_set_exit(EXITC_SAVE_DEBUG | EXITC_SAVE_PAT | EXITC_SAVE_EFER);
	vmx_set_entry(ENTRYC_IA32E | ENTRYC_LOAD_PAT | ENTRYC_LOAD_EFER | ENTRYC_LOAD_DEBUG);
	vmwrite(GUEST_PAT, 0x0007040600070401ull);
	vmwrite(GUEST_EFER, EFER_LONG | EFER_SCE);
	check(vmx_enter_at(code_change) == EXIT_VMCALL, "a guest that changes its registers");
	check(vmread(GUEST_DR7) == 0x401 && vmread(GUEST_DEBUGCTL) == 2, "DR7 and DEBUGCTL");
	check(vmread(GUEST_SYSENTER_CS) == 8, "SYSENTER_CS");
	check(vmread(GUEST_PAT) == 0x0007040600070401ull && rdmsr(MSR_PAT) == vmread(GUEST_PAT),
	      "the PAT, which the host keeps");
	check(vmread(GUEST_EFER) == (EFER_LONG | EFER_SCE), "EFER");
	check((vmread(GUEST_RFLAGS) & 0x401) == 0x401, "flags");
	check(vmread(GUEST_ES + 2 * SEG_GS) == SEL_DATA, "a selector");
	check(READ_CR(2) == 0x12345678, "CR2 is nobody's");
	wrmsr(MSR_PAT, pat);
}

static void test_compatibility(void)
{
	fresh();
	vmx_set_segment(SEG_CS, SEL_CODE32, 0, 0xffffffff, 0xc09b);
	guest.rax = ~0ull;
	check(vmx_enter_at(code_segments) == EXIT_VMCALL, "compatibility mode");
	check(vmread(ENTRY_CONTROLS) & ENTRYC_IA32E, "is IA-32e mode");
	check(vmread(GUEST_ES_RIGHTS + 2 * SEG_CS) == 0xc09b, "with its code segment");
}

/* 16-bit code at a base of its own, below 1 MiB. */
static void set_real_segments(uint32_t rights)
{
	uint8_t *low = (uint8_t *)(uintptr_t)CODE32_BASE;

	for (unsigned i = 0; i < 16; i++)
		low[i] = (uint8_t)code_small[i];
	for (unsigned n = 0; n < SEG_LDTR; n++)
		vmx_set_segment(n, CODE32_BASE >> 4, CODE32_BASE, 0xffff, rights);
	vmx_set_entry(0);
	vmwrite(GUEST_RSP, 0x800);
	guest.rax = 0;
}

static void test_v86(void)
{
	uint64_t *pdpte = page_alloc();

	/* PAE paging with the same page directories */
	for (unsigned i = 0; i < 4; i++)
		pdpte[i] = (ADDRESS(page_directories) + i * 4096) | PTE_P;
	make_user((void *)CODE32_BASE);
	pml4[0] |= PTE_U;
	fresh();
	set_real_segments(RIGHTS_V86);
	vmwrite(GUEST_CR3, ADDRESS(pdpte));
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_VM);
	check(vmx_enter_at(NULL) == EXIT_VMCALL && (uint16_t)guest.rax == 0x1234,
	      "virtual-8086 mode (%lx)", vmread(EXIT_REASON));
	check(vmread(GUEST_RIP) == 3 && !(vmread(ENTRY_CONTROLS) & ENTRYC_IA32E),
	      "outside IA-32e mode");
	pdpte[3] = PTE_P | 2;
	check(vmx_enter_at(NULL) == (ENTRY_FAILED | EXIT_BAD_GUEST) &&
		      vmread(EXIT_QUALIFICATION) == 2,
	      "a bad page-directory-pointer entry fails entry");
}

static void test_real_mode(void)
{
	static struct ept ept;

	ept_make(&ept, guest_stack);
	fresh();
	set_real_segments(RIGHTS_REAL);
	vmx_set_proc(0, PROC2_EPT | PROC2_UNRESTRICTED);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	vmwrite(GUEST_CR0, READ_CR(0) & ~(CR0_PG | 1));
	vmwrite(GUEST_CR4, READ_CR(4) & ~(uint64_t)CR4_PAE);
	check(vmx_enter_at(NULL) == EXIT_VMCALL && (uint16_t)guest.rax == 0x1234,
	      "real mode, unrestricted (%lx)", vmread(EXIT_REASON));
	check(vmread(GUEST_RIP) == 3 && !(vmread(GUEST_CR0) & 1), "stays real mode");
	vmx_set_proc(0, PROC2_EPT);
	check(vmx_enter_at(NULL) == (ENTRY_FAILED | EXIT_BAD_GUEST), "but not without the control");
	vmx_set_proc(0, PROC2_EPT | PROC2_UNRESTRICTED);
	vmwrite(GUEST_CR0, (READ_CR(0) & ~1ull) | CR0_PG);
	check(vmx_enter_at(NULL) == (ENTRY_FAILED | EXIT_BAD_GUEST), "and paging needs protection");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	pat = rdmsr(MSR_PAT);
	test_registers();
	test_saving();
	test_compatibility();
	test_v86();
	test_real_mode();
}
