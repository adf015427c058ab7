/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x, exits: task switches, which a 32-bit guest attempts in each of the four ways; triple
 * faults.
 */
#include "tests/bare/vmx/vmx.h"

#define RIGHTS_CODE32 0xc09bu
#define GATE          0x70u /* vector */
#define SEL_NEXT      (SEL_FREE)
#define SEL_TASK_GATE (SEL_FREE + 8)
#define RFLAGS_NT     0x4000

#define BY_CALL (0u << 30)
#define BY_IRET (1u << 30)
#define BY_JUMP (2u << 30)
#define BY_GATE (3u << 30)

static uint32_t tss32[2][32] __attribute__((aligned(128)));
static uint64_t idt32[256] __attribute__((aligned(16)));

/* 32-bit code: far CALL and JMP through a pointer, INT, INT3, IRET, UD2 */
static const uint8_t code_call[] = { 0x9a, 0, 0, 0, 0, SEL_NEXT, 0 };
static const uint8_t code_jump[] = { 0xea, 0, 0, 0, 0, SEL_TASK_GATE, 0 };
static const uint8_t code_int[] = { 0xcd, GATE };
static const uint8_t code_int3[] = { 0xcc };
static const uint8_t code_iret[] = { 0xcf };
static const uint8_t code_ud[] = { 0x0f, 0x0b };

static uint64_t system_descriptor(const void *base, uint32_t limit, uint64_t type)
{
	return limit | (ADDRESS(base) & 0xffffff) << 16 | (type | 0x80) << 40 |
	       ADDRESS(base) >> 24 << 56;
}

static uint64_t task_gate(unsigned selector)
{
	return (uint64_t)selector << 16 | 0x85ull << 40;
}

static void fresh(void)
{
	static uint64_t pdpte[4] __attribute__((aligned(32)));

	for (unsigned i = 0; i < 4; i++)
		pdpte[i] = (ADDRESS(page_directories) + i * 4096) | PTE_P;
	gdt[SEL_NEXT / 8] = system_descriptor(tss32[1], 0x67, 9);
	gdt[SEL_TASK_GATE / 8] = task_gate(SEL_NEXT);
	idt32[GATE] = idt32[BP] = idt32[UD] = task_gate(SEL_NEXT);
	tss32[0][0] = SEL_NEXT; /* the link back */
	vmx_fresh();
	vmx_set_entry(0);
	vmx_set_segment(SEG_CS, SEL_CODE32, 0, 0xffffffff, RIGHTS_CODE32);
	vmx_set_segment(SEG_TR, SEL_TSS, ADDRESS(tss32[0]), 0x67, RIGHTS_TSS);
	vmwrite(GUEST_CR3, ADDRESS(pdpte));
	vmwrite(GUEST_IDTR_BASE, ADDRESS(idt32));
	vmwrite(GUEST_IDTR_LIMIT, sizeof(idt32) - 1);
}

static bool switches(const void *code, uint64_t qualification, unsigned length, uint64_t vectoring)
{
	return vmx_enter_at(code) == EXIT_TASK_SWITCH &&
	       vmread(EXIT_QUALIFICATION) == qualification &&
	       (!length || vmread(EXIT_LENGTH) == length) &&
	       (vectoring ? vmread(IDT_VECTORING) == vectoring
			  : !(vmread(IDT_VECTORING) & VALID)) &&
	       vmread(GUEST_RIP) == ADDRESS(code);
}

static void test_task_switches(void)
{
	fresh();
	check(switches(code_call, BY_CALL | SEL_NEXT, 7, 0), "CALL of a task (%lx)",
	      vmread(EXIT_QUALIFICATION));
	check(switches(code_jump, BY_JUMP | SEL_NEXT, 7, 0), "JMP through a task gate (%lx)",
	      vmread(EXIT_QUALIFICATION));
	check(switches(code_int, BY_GATE | SEL_NEXT, 2, VALID | TYPE_SOFT_INT | GATE),
	      "INT through a task gate (%lx)", vmread(IDT_VECTORING));
	check(switches(code_int3, BY_GATE | SEL_NEXT, 1, VALID | TYPE_SOFT_TRAP | BP), "INT3 (%lx)",
	      vmread(IDT_VECTORING));
	check(switches(code_ud, BY_GATE | SEL_NEXT, 0, VALID | TYPE_FAULT | UD), "an exception");
	gdt[SEL_NEXT / 8] = system_descriptor(tss32[1], 0x67, 11);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_NT);
	check(switches(code_iret, BY_IRET | SEL_NEXT, 1, 0), "IRET to the task before (%lx, %lx)",
	      vmread(EXIT_REASON), vmread(EXIT_QUALIFICATION));
}

/* What the switch checks before it begins still faults. */
static void test_faults(void)
{
	fresh();
	vmwrite(EXCEPTION_BITMAP, 1u << GP | 1u << NP);
	gdt[SEL_NEXT / 8] = system_descriptor(tss32[1], 0x67, 11);
	check(vmx_enter_at(code_call) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | GP) &&
		      vmread(EXIT_INTERRUPTION_ERROR) == SEL_NEXT,
	      "a busy task: #GP, no switch");
	gdt[SEL_NEXT / 8] = system_descriptor(tss32[1], 0x67, 9) & ~(1ull << 47);
	check(vmx_enter_at(code_call) == EXIT_EXCEPTION &&
		      vmread(EXIT_INTERRUPTION) == (VALID | HAS_ERROR | TYPE_FAULT | NP),
	      "a task that is not present: #NP");
}

static void test_triple_fault(void)
{
	fresh();
	vmwrite(GUEST_IDTR_LIMIT, 0);
	check(vmx_enter_at(code_ud) == EXIT_TRIPLE_FAULT && vmread(EXIT_QUALIFICATION) == 0,
	      "a triple fault");
	check(vmread(GUEST_RIP) == ADDRESS(code_ud) && vmread(GUEST_ACTIVITY) == ACTIVE,
	      "leaves the guest at the instruction, active");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	test_task_switches();
	test_faults();
	test_triple_fault();
}
