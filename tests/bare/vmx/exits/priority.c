/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: whether an instruction that would fault and would exit faults or exits.
 */
#include "tests/bare/vmx/vmx.h"

#define NO_MSR        0x12345678
#define NOT_CANONICAL (1ull << 63)

GUEST_CODE(code_cpuid, "cpuid");
GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_rdtsc, "rdtsc");
GUEST_CODE(code_pause, "pause");
GUEST_CODE(code_vmxoff, "vmxoff");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_invd, "invd");
GUEST_CODE(code_xsetbv, "xsetbv");
GUEST_CODE(code_rdmsr, "rdmsr");
GUEST_CODE(code_wrmsr, "wrmsr");
GUEST_CODE(code_rdpmc, "rdpmc");
GUEST_CODE(code_in, "in $0x80, %al");
GUEST_CODE(code_outs, "outsb");
GUEST_CODE(code_invlpg, "invlpg (%rsi)");
GUEST_CODE(code_cr3_read, "mov %cr3, %rax");
GUEST_CODE(code_cr3_write, "mov %rsi, %cr3");
GUEST_CODE(code_cr8_write, "mov %rsi, %cr8");
GUEST_CODE(code_dr_read, "mov %dr6, %rax");
GUEST_CODE(code_dr4_write, "mov %rsi, %dr4");
GUEST_CODE(code_lgdt, "lgdt (%rsi)");
GUEST_CODE(code_sgdt, "sgdt (%rsi)");
GUEST_CODE(code_lmsw, "lmsw (%rsi)");
GUEST_CODE(code_vmptrld, "vmptrld (%rsi)");
GUEST_CODE(code_invept, "invept (%rsi), %rcx");

static const struct code_case {
	const char *name;
	const void *code;
	uint32_t reason;
} in_user_mode[] = {
	{ "CPUID", code_cpuid, EXIT_CPUID },
	{ "VMCALL", code_vmcall, EXIT_VMCALL },
	{ "RDTSC", code_rdtsc, EXIT_RDTSC },
	{ "PAUSE", code_pause, EXIT_PAUSE },
	{ "VMXOFF", code_vmxoff, EXIT_VMXOFF },
	{ "VMPTRLD", code_vmptrld, EXIT_VMPTRLD },
	{ "MOV from DR6", code_dr_read, EXIT_DR },
	{ "SGDT", code_sgdt, EXIT_GDTR_IDTR },
	{ "HLT", code_hlt, EXIT_EXCEPTION },
	{ "INVD", code_invd, EXIT_EXCEPTION },
	{ "XSETBV", code_xsetbv, EXIT_EXCEPTION },
	{ "RDMSR", code_rdmsr, EXIT_EXCEPTION },
	{ "WRMSR", code_wrmsr, EXIT_EXCEPTION },
	{ "RDPMC", code_rdpmc, EXIT_EXCEPTION },
	{ "IN", code_in, EXIT_EXCEPTION },
	{ "OUTS", code_outs, EXIT_EXCEPTION },
	{ "INVLPG", code_invlpg, EXIT_EXCEPTION },
	{ "MOV from CR3", code_cr3_read, EXIT_EXCEPTION },
	{ "MOV to CR8", code_cr8_write, EXIT_EXCEPTION },
	{ "LGDT", code_lgdt, EXIT_EXCEPTION },
	{ "LMSW", code_lmsw, EXIT_EXCEPTION },
};

/* With operands that are bad in any mode: RSI, and RCX for MSRs, counters and XSETBV. */
static const struct code_case with_bad_operands[] = {
	{ "RDMSR of no MSR", code_rdmsr, EXIT_RDMSR },
	{ "WRMSR of no MSR", code_wrmsr, EXIT_WRMSR },
	{ "RDPMC of no counter", code_rdpmc, EXIT_RDPMC },
	{ "XSETBV of no register", code_xsetbv, EXIT_XSETBV },
	{ "MOV to CR3 with reserved bits", code_cr3_write, EXIT_CR },
	{ "MOV to CR8 with reserved bits", code_cr8_write, EXIT_CR },
	{ "MOV to DR4 with CR4.DE", code_dr4_write, EXIT_DR },
	{ "LGDT from a bad address", code_lgdt, EXIT_GDTR_IDTR },
	{ "SGDT to a bad address", code_sgdt, EXIT_GDTR_IDTR },
	{ "VMPTRLD from a bad address", code_vmptrld, EXIT_VMPTRLD },
	{ "INVEPT from a bad address", code_invept, EXIT_INVEPT },
	{ "LMSW from a bad address", code_lmsw, EXIT_EXCEPTION },
};

static void fresh(void)
{
	vmx_fresh();
	vmx_set_proc(PROC_HLT | PROC_RDTSC | PROC_RDPMC | PROC_PAUSE | PROC_IO | PROC_CR3_LOAD |
			     PROC_CR3_STORE | PROC_CR8_LOAD | PROC_INVLPG | PROC_MOV_DR,
		     PROC2_TABLES);
	vmwrite(CR0_MASK, ~0ull);
	vmwrite(EXCEPTION_BITMAP, ~0u);
	vmwrite(GUEST_CR4, READ_CR(4) | 8); /* DE */
}

static void check_cases(const struct code_case *cases, unsigned count, const char *how)
{
	for (unsigned i = 0; i < count; i++) {
		const struct code_case *c = &cases[i];
		uint32_t reason;
		bool is_gp;

		guest.rcx = NO_MSR;
		guest.rsi = NOT_CANONICAL | 0x1000;
		reason = vmx_enter_at(c->code);
		is_gp = vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | GP);
		check(reason == c->reason && is_gp == (c->reason == EXIT_EXCEPTION), "%s%s %s (%x)",
		      c->name, how, c->reason == EXIT_EXCEPTION ? "raises #GP" : "exits", reason);
	}
}

#define CHECK_CASES(cases, how) check_cases(cases, sizeof(cases) / sizeof((cases)[0]), how)

static void test_user(void)
{
	fresh();
	vmx_set_segment(SEG_CS, SEL_USER_CODE64, 0, 0xffffffff, RIGHTS_CODE64 | 0x60);
	vmx_set_segment(SEG_SS, SEL_USER_DATA, 0, 0xffffffff, RIGHTS_DATA | 0x60);
	for (unsigned i = 0; i < sizeof(in_user_mode) / sizeof(in_user_mode[0]); i++)
		make_user(in_user_mode[i].code);
	CHECK_CASES(in_user_mode, " in user mode");
}

/* A debug-register access is an exit before DR7.GD's #DB, too. */
static void test_general_detect(void)
{
	fresh();
	vmx_set_entry(ENTRYC_IA32E | ENTRYC_LOAD_DEBUG);
	vmwrite(GUEST_DR7, 0x2400);
	check(vmx_enter_at(code_dr_read) == EXIT_DR, "MOV from DR6 with DR7.GD exits");
	vmx_set_proc(0, 0);
	check(vmx_enter_at(code_dr_read) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | TYPE_FAULT | DB) &&
		      vmread(EXIT_QUALIFICATION) == 0x2000,
	      "and raises #DB without the control");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_user();
	fresh();
	CHECK_CASES(with_bad_operands, "");
	test_general_detect();
}
