/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: instructions that exit always or by one control, with qualification, length and
 * information, and what they do without it.
 */
#include "tests/bare/vmx/vmx.h"

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_cpuid, "xor %eax, %eax; cpuid");
GUEST_CODE(code_invd, "invd");
GUEST_CODE(code_wbinvd, "wbinvd");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_invlpg, "mov $0x123456, %eax; invlpg (%rax)");
GUEST_CODE(code_rdpmc, "mov $0, %ecx; rdpmc");
GUEST_CODE(code_rdtsc, "rdtsc");
GUEST_CODE(code_rdtscp, "rdtscp");
GUEST_CODE(code_pause, "pause");
GUEST_CODE(code_xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; xsetbv");
GUEST_CODE(code_rdrand, "rdrand %r9");
GUEST_CODE(code_invpcid, "xor %ecx, %ecx; invpcid vmx_memory, %rcx");
GUEST_CODE(code_vmread, "mov $0x6800, %ebx; vmread %rbx, %r10");
GUEST_CODE(code_sgdt, "lea vmx_memory, %rbx; mov $2, %ecx; sgdt 0x10(%rbx, %rcx, 4)");
GUEST_CODE(code_lidt, "lidt idt_pointer");
GUEST_CODE(code_str, "str %r11");
GUEST_CODE(code_sldt, "sldt vmx_memory");
GUEST_CODE(code_dr_write, "mov %rsi, %dr3");
GUEST_CODE(code_dr_read, "mov %dr6, %r8");
GUEST_CODE(code_cr8_write, "mov %r12, %cr8");
GUEST_CODE(code_cr8_read, "mov %cr8, %rdx");

struct simple {
	const char *name;
	const void *code;
	uint32_t proc, proc2; /* none: always */
	uint32_t reason, length;
	uint64_t qualification;
	uint32_t information; /* 0: not looked at */
	bool faults;          /* without the control it raises an exception */
};

static const struct simple simple[] = {
	{ "CPUID", code_cpuid, 0, 0, EXIT_CPUID, 2, 0, 0, false },
	{ "INVD", code_invd, 0, 0, EXIT_INVD, 2, 0, 0, false },
	{ "XSETBV", code_xsetbv, 0, 0, EXIT_XSETBV, 3, 0, 0, false },
	{ "VMREAD", code_vmread, 0, 0, EXIT_VMREAD, 4, 0, 0x30000450, false },
	{ "WBINVD", code_wbinvd, 0, PROC2_WBINVD, EXIT_WBINVD, 2, 0, 0, false },
	{ "INVLPG", code_invlpg, PROC_INVLPG, 0, EXIT_INVLPG, 3, 0x123456, 0, false },
	{ "RDPMC", code_rdpmc, PROC_RDPMC, 0, EXIT_RDPMC, 2, 0, 0, true },
	{ "RDTSC", code_rdtsc, PROC_RDTSC, 0, EXIT_RDTSC, 2, 0, 0, false },
	{ "RDTSCP", code_rdtscp, PROC_RDTSC, PROC2_RDTSCP, EXIT_RDTSCP, 3, 0, 0, true },
	{ "PAUSE", code_pause, PROC_PAUSE, 0, EXIT_PAUSE, 2, 0, 0, false },
	{ "RDRAND", code_rdrand, 0, PROC2_RDRAND, EXIT_RDRAND, 4, 0, 0x1048, false },
	{ "INVPCID", code_invpcid, PROC_INVLPG, PROC2_INVPCID, EXIT_INVPCID, 10,
	  ADDRESS(vmx_memory), 0x18418100, true },
	{ "SGDT", code_sgdt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 5, 0x10, 0x1858902, false },
	{ "LIDT", code_lidt, 0, PROC2_TABLES, EXIT_GDTR_IDTR, 8, ADDRESS(idt_pointer), 0x38418900,
	  false },
	{ "STR", code_str, 0, PROC2_TABLES, EXIT_LDTR_TR, 4, 0, 0x10000458, false },
	{ "SLDT", code_sldt, 0, PROC2_TABLES, EXIT_LDTR_TR, 8, ADDRESS(vmx_memory), 0x8418100,
	  false },
	{ "MOV to DR3", code_dr_write, PROC_MOV_DR, 0, EXIT_DR, 3, 0x603, 0, false },
	{ "MOV from DR6", code_dr_read, PROC_MOV_DR, 0, EXIT_DR, 4, 0x816, 0, false },
	{ "MOV to CR8", code_cr8_write, PROC_CR8_LOAD, 0, EXIT_CR, 4, 0xc08, 0, false },
	{ "MOV from CR8", code_cr8_read, PROC_CR8_STORE, 0, EXIT_CR, 4, 0x218, 0, false },
};

static bool is_as_told(const struct simple *s)
{
	return vmread(EXIT_LENGTH) == s->length && vmread(EXIT_QUALIFICATION) == s->qualification &&
	       (!s->information || vmread(EXIT_INFORMATION) == s->information);
}

static void test_simple(const struct simple *s)
{
	uint32_t reason;

	vmx_fresh();
	vmx_set_proc(s->proc, s->proc2);
	reason = vmx_enter_at(s->code);
	check(reason == s->reason, "%s exits (%x)", s->name, reason);
	check(is_as_told(s), "%s: length %lu, qualification %lx, information %lx", s->name,
	      vmread(EXIT_LENGTH), vmread(EXIT_QUALIFICATION), vmread(EXIT_INFORMATION));
	check(vmx_skip() == EXIT_VMCALL, "%s: the guest goes on behind it", s->name);
	if (!s->proc && !s->proc2)
		return;
	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, 0xffffffff);
	reason = vmx_enter_at(s->code);
	check(reason == (s->faults ? EXIT_EXCEPTION : EXIT_VMCALL), "%s without its control (%x)",
	      s->name, reason);
}

static void test_instructions(void)
{
	vmx_fresh();
	check(vmx_enter_at(code_vmcall) == EXIT_VMCALL && vmread(EXIT_LENGTH) == 3, "VMCALL exits");
	check(vmread(GUEST_RIP) == ADDRESS(code_vmcall), "at the instruction");
	for (unsigned i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
		test_simple(&simple[i]);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_instructions();
}
