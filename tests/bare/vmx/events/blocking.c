/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, events: what blocks them, as exits save it: the shadows of STI and MOV SS, and an IRET that
 * ends blocking by NMI though it does not get to its end itself.
 */
#include "tests/bare/vmx/ept.h"

#define WARM 200

static uint8_t stack[4096] __attribute__((aligned(4096)));
static struct ept ept;

GUEST_CODE(code_bad_iret, "push $0; push $0; push $0; push $0; push $0; iretq");
GUEST_CODE(code_iret, "iretq");
GUEST_CODE(code_ud2, "ud2");
GUEST_CODE(code_sti_ud2, "sti; ud2");
GUEST_CODE(code_mov_ss_ud2, "mov %ss, %eax; mov %eax, %ss; ud2");
GUEST_CODE(code_sti_nop_ud2, "sti; nop; ud2");
/* To what is at RDI, in hot code. */
GUEST_CODE(code_sti_ret, "mov %rsp, %rdx; cli; mov %rdi, %rsp; sti; ret");
GUEST_CODE(code_sti_jmp, "mov %rsp, %rdx; cli; mov %rdi, %rsp; sti; jmp 1f; .skip 160; 1: ret");
GUEST_CODE(code_landed, "mov %rdx, %rsp; pushf; pop %rax");

static void fresh(uint32_t pin, uint32_t blocking)
{
	vmx_fresh();
	vmx_set_pin(pin);
	vmwrite(GUEST_INTERRUPTIBILITY, blocking);
	vmwrite(EXCEPTION_BITMAP, 1u << GP | 1u << UD);
}

static uint32_t fault(unsigned vector)
{
	return VALID | TYPE_FAULT | vector | (vector == UD ? 0 : HAS_ERROR);
}

static void test_iret_faults(void)
{
	fresh(PIN_NMI | PIN_VNMI, BLOCKED_NMI);
	check(vmx_enter_at(code_bad_iret) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (fault(GP) | NMI_UNBLOCKED) &&
		      !vmread(GUEST_INTERRUPTIBILITY),
	      "an IRET that faults ends virtual-NMI blocking, and the exit says so");
	fresh(0, BLOCKED_NMI);
	check(vmx_enter_at(code_bad_iret) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (fault(GP) | NMI_UNBLOCKED) &&
		      !vmread(GUEST_INTERRUPTIBILITY),
	      "or blocking by NMI");
	fresh(PIN_NMI, BLOCKED_NMI);
	check(vmx_enter_at(code_bad_iret) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == fault(GP) &&
		      vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_NMI,
	      "neither where NMIs exit and are not virtual");
	fresh(PIN_NMI | PIN_VNMI, 0);
	check(vmx_enter_at(code_bad_iret) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == fault(GP),
	      "nor without blocking");
	fresh(PIN_NMI | PIN_VNMI, BLOCKED_NMI);
	check(vmx_enter_at(code_ud2) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == fault(UD) &&
		      vmread(GUEST_INTERRUPTIBILITY) == BLOCKED_NMI,
	      "other instructions end none");
}

static void test_iret_violations(void)
{
	fresh(PIN_NMI | PIN_VNMI, BLOCKED_NMI);
	vmx_set_proc(0, PROC2_EPT);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	vmwrite(GUEST_RSP, ADDRESS(stack) + 0x800);
	*ept_entry(&ept, stack) = 0;
	invept(2, 0, 0);
	check(vmx_enter_at(code_iret) == EXIT_VIOLATION &&
		      vmread(EXIT_QUALIFICATION) == (0x581 | NMI_UNBLOCKED) &&
		      !vmread(GUEST_INTERRUPTIBILITY),
	      "an EPT violation of IRET says so, too: %lx", vmread(EXIT_QUALIFICATION));
	check(vmx_enter() == EXIT_VIOLATION && vmread(EXIT_QUALIFICATION) == 0x581, "once");
	fresh(PIN_NMI | PIN_VNMI, BLOCKED_NMI);
	vmx_set_proc(0, PROC2_EPT | PROC2_PML);
	vmwrite(EPT_POINTER, ept_pointer(&ept) | EPTP_FLAGS);
	vmwrite(PML_INDEX, 0xffff);
	vmwrite(GUEST_RSP, ADDRESS(stack) + 0x800);
	*ept_entry(&ept, stack) = ADDRESS(stack) | R | W | X | WB;
	invept(2, 0, 0);
	check(vmx_enter_at(code_ud2) == EXIT_PML_FULL && !vmread(EXIT_QUALIFICATION),
	      "a full log says nothing of other instructions");
}

static bool exits_under(const void *code, uint64_t blocking)
{
	return vmx_enter_at(code) == EXIT_EXCEPTION && vmread(EXIT_INTERRUPTION) == fault(UD) &&
	       vmread(GUEST_INTERRUPTIBILITY) == blocking;
}

static void test_shadows(void)
{
	fresh(0, 0);
	check(exits_under(code_sti_ud2, BLOCKED_STI), "the shadow of STI over a fault");
	check(exits_under(code_ud2, BLOCKED_STI), "which another entry brings back");
	fresh(0, 0);
	check(exits_under(code_mov_ss_ud2, BLOCKED_MOV_SS), "that of MOV SS");
	fresh(0, 0);
	check(exits_under(code_sti_nop_ud2, 0), "none behind the next instruction");
	fresh(0, BLOCKED_STI);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(EXCEPTION_BITMAP, 0);
	set_handler(UD, vmx_count);
	vmwrite(ENTRY_INTERRUPTION, VALID | TYPE_FAULT | UD);
	check(vmx_enter_at(code_ud2 + 2) == EXIT_VMCALL && !vmread(GUEST_INTERRUPTIBILITY),
	      "none behind an event");
	set_handler(UD, NULL);
}

/* At times the stack that is returned by is not mapped. */
static void test_hot_return(const char *code, uint32_t blocking, const char *name)
{
	unsigned good = 0;

	vmx_fresh();
	vmx_set_proc(0, PROC2_EPT);
	vmwrite(EPT_POINTER, ept_pointer(&ept));
	*(uint64_t *)stack = ADDRESS(code_landed);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_mapped = i % 8 != 7;

		*ept_entry(&ept, stack) = is_mapped ? ADDRESS(stack) | R | W | X | WB : 0;
		invept(2, 0, 0);
		vmwrite(GUEST_INTERRUPTIBILITY, 0);
		guest.rdi = ADDRESS(stack);
		good += is_mapped ? vmx_enter_at(code) == EXIT_VMCALL && (guest.rax & RFLAGS_IF) &&
					    !vmread(GUEST_INTERRUPTIBILITY)
				  : vmx_enter_at(code) == EXIT_VIOLATION &&
					    vmread(GUEST_LINEAR) == ADDRESS(stack) &&
					    vmread(GUEST_INTERRUPTIBILITY) == blocking;
		vmwrite(GUEST_RSP, ADDRESS(guest_stack) + sizeof(guest_stack) - 64);
	}
	check(good == WARM, "hot %s: %u", name, good);
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	ept_make(&ept, stack);
	test_iret_faults();
	test_iret_violations();
	test_shadows();
	test_hot_return(code_sti_ret, BLOCKED_STI, "STI, and RET whose stack is not mapped");
	test_hot_return(code_sti_jmp, 0, "STI, JMP, and such a RET");
}
