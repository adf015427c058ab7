/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM entry and VM exit as changes of state: what is loaded and saved, under which controls; MSR
 * lists, injection, entries that fail late, VMX aborts. No guest code runs.
 */
#include "tests/unit/vcpu.h"
#include "tests/unit/vmcs.h"

#include <Zydis/Zydis.h>

#include "cpu/flags.h"
#include "cpu/event.h"

#define CURRENT_PAGE 0x16000
#define LIST_PAGE    0x20000
#define PDPT         0x21000

#define MSR_STAR    0xc0000081u
#define MSR_LSTAR   0xc0000082u
#define MSR_FS_BASE 0xc0000100u
#define MSR_NONE    0x12345678u

#define GUEST_CODE  0x401000
#define GUEST_STACK 0x402000
#define HOST_CODE   0xffff800000001000
#define HOST_STACK  0xffff800000002000

#define EVENT(type, vector) (INTERRUPTION_VALID | (uint64_t)(type) << 8 | (vector))

struct list_entry {
	uint32_t index, reserved;
	uint64_t value;
};

static int setup(void **state)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	struct cpu *cpu;

	vcpu_setup_nested(v, CPU_INTEL);
	cpu = v->cpu;
	cpu->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	cpu->cr4 = CR4_PAE | CR4_VMXE;
	cpu->efer = EFER_LMA | EFER_LME | EFER_NXE;
	cpu->seg[CS].ar = AR_CODE64;
	vmx_of(cpu)->is_on = true;
	vmcs_set_good(cpu, CURRENT_PAGE);
	vmcs_set(cpu, GUEST_RIP, GUEST_CODE);
	vmcs_set(cpu, GUEST_RSP, GUEST_STACK);
	vmcs_set(cpu, HOST_RIP, HOST_CODE);
	vmcs_set(cpu, HOST_RSP, HOST_STACK);
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct vcpu *v = *state;

	vcpu_teardown(v);
	free(v);
	return 0;
}

static struct cpu *cpu_of(void **state)
{
	return ((struct vcpu *)*state)->cpu;
}

/* How the run loop is reached: 0 where VMLAUNCH has failed as an instruction. */
static int enter(struct cpu *cpu)
{
	static const struct insn vmlaunch = { .length = 3,
					      .next = 3,
					      .flags = INSN_ENDS_BLOCK,
					      .mnemonic = ZYDIS_MNEMONIC_VMLAUNCH };
	int how = setjmp(cpu->unwind);

	if (!how) {
		cpu->insn = &vmlaunch;
		vmx_enter(cpu, &vmlaunch, true);
	}
	return how;
}

static void leave(struct cpu *cpu, enum vmx_exit_reason reason)
{
	int how = setjmp(cpu->unwind);

	if (!how)
		vmx_exit(cpu, reason, 0x1234);
	assert_int_equal(how, UNWIND_EXIT);
}

static void set_bits(struct cpu *cpu, enum vmcs_field field, uint64_t set)
{
	vmcs_set(cpu, field, vmcs_get(cpu, field) | set);
}

/* The list is [at] of the page; its fields are set. */
static void set_list(struct vcpu *v, enum vmcs_field address, enum vmcs_field count,
		     const struct list_entry *list, unsigned n)
{
	assert_int_equal(memory_write(v->config.memory, LIST_PAGE, list, n * sizeof(*list)), 0);
	vmcs_set(v->cpu, address, LIST_PAGE);
	vmcs_set(v->cpu, count, n);
}

static void loads_and_saves_guest(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, GUEST_CR3, 0x5000);
	vmcs_set(cpu, GUEST_FS_BASE, 0x7000);
	vmcs_set(cpu, GUEST_SYSENTER_EIP, 0x8000);
	vmcs_set(cpu, GUEST_IDTR_LIMIT, 0xfff);
	vmcs_set(cpu, GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF | RFLAGS_ZF);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_true(cpu->in_guest);
	assert_true(vmx_of(cpu)->vmcs.is_launched);
	assert_null(cpu->insn);
	assert_int_equal(cpu->rip, GUEST_CODE);
	assert_int_equal(cpu->gpr[RSP], GUEST_STACK);
	assert_int_equal(cpu->cr3, 0x5000);
	assert_int_equal(cpu->seg[FS].base, 0x7000);
	assert_int_equal(cpu->msr.sysenter_eip, 0x8000);
	assert_int_equal(cpu->idtr.limit, 0xfff);
	assert_int_equal(flags_get(cpu), RFLAGS_ONE | RFLAGS_IF | RFLAGS_ZF);
	assert_int_equal(cpu->mode, MODE_64);
	assert_int_equal(cpu->efer, EFER_LMA | EFER_LME | EFER_NXE);

	cpu->rip = GUEST_CODE + 7;
	cpu->gpr[RSP] -= 8;
	cpu->cr3 = 0x6000;
	cpu->seg[GS].base = 0x9000;
	leave(cpu, EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, EXIT_REASON), EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, EXIT_QUALIFICATION), 0x1234);
	assert_int_equal(vmcs_get(cpu, GUEST_RIP), GUEST_CODE + 7);
	assert_int_equal(vmcs_get(cpu, GUEST_RSP), GUEST_STACK - 8);
	assert_int_equal(vmcs_get(cpu, GUEST_CR3), 0x6000);
	assert_int_equal(vmcs_get(cpu, GUEST_GS_BASE), 0x9000);
	assert_int_equal(vmcs_get(cpu, GUEST_CS_AR), AR_CODE64);
	assert_int_equal(vmcs_get(cpu, GUEST_LDTR_AR), SEG_UNUSABLE);
	assert_int_equal(vmcs_get(cpu, GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_IF | RFLAGS_ZF);
}

static void loads_host(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, HOST_CR3, 0x3000);
	vmcs_set(cpu, HOST_GS_BASE, 0xa000);
	vmcs_set(cpu, HOST_DS_SELECTOR, 0);
	vmcs_set(cpu, HOST_SYSENTER_CS, 0x10);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	cpu->cpl = 3;
	cpu->dr7 = DR7_INIT | 1;
	cpu->msr.debugctl = DEBUGCTL_BTF;
	leave(cpu, EXIT_HLT);
	assert_false(cpu->in_guest);
	assert_int_equal(cpu->stage_key, 0);
	assert_int_equal(cpu->rip, HOST_CODE);
	assert_int_equal(cpu->gpr[RSP], HOST_STACK);
	assert_int_equal(cpu->cr3, 0x3000);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->mode, MODE_64);
	assert_int_equal(flags_get(cpu), RFLAGS_ONE);
	assert_int_equal(cpu->dr7, DR7_INIT);
	assert_int_equal(cpu->msr.debugctl, 0);
	assert_int_equal(cpu->msr.sysenter_cs, 0x10);
	assert_int_equal(cpu->seg[GS].base, 0xa000);
	assert_true(cpu->seg[DS].ar & SEG_UNUSABLE);
	assert_int_equal(cpu->seg[SS].ar, AR_DATA);
	assert_int_equal(cpu->tr.limit, 0x67);
	assert_int_equal(cpu->idtr.limit, 0xffff);
	assert_int_equal(cpu->activity, CPU_ACTIVE);
}

/* What is loaded and saved where a control says so, and stays where it does not. */
static void optional_state(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, GUEST_PAT, 0x0606060606060606);
	vmcs_set(cpu, GUEST_DR7, DR7_INIT | 2);
	cpu->msr.pat = 0x0707070707070707;
	cpu->dr7 = DR7_INIT;
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_int_equal(cpu->msr.pat, 0x0707070707070707);
	assert_int_equal(cpu->dr7, DR7_INIT);
	leave(cpu, EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, GUEST_DR7), DR7_INIT | 2);

	set_bits(cpu, ENTRY_CONTROLS, ENTRYC_LOAD_PAT | ENTRYC_LOAD_DEBUG | ENTRYC_LOAD_EFER);
	set_bits(cpu, EXIT_CONTROLS,
		 EXITC_LOAD_PAT | EXITC_SAVE_PAT | EXITC_SAVE_DEBUG | EXITC_SAVE_EFER |
			 EXITC_LOAD_EFER);
	vmcs_set(cpu, GUEST_EFER, EFER_LMA | EFER_LME | EFER_SCE);
	vmcs_set(cpu, HOST_EFER, EFER_LMA | EFER_LME | EFER_NXE);
	vmcs_set(cpu, HOST_PAT, 0x0404040404040404);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_int_equal(cpu->msr.pat, 0x0606060606060606);
	assert_int_equal(cpu->dr7, DR7_INIT | 2);
	assert_int_equal(cpu->efer, EFER_LMA | EFER_LME | EFER_SCE);
	cpu->msr.pat = 0;
	cpu->dr7 = DR7_INIT;
	cpu->efer = EFER_LMA | EFER_LME;
	leave(cpu, EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, GUEST_PAT), 0);
	assert_int_equal(vmcs_get(cpu, GUEST_DR7), DR7_INIT);
	assert_int_equal(vmcs_get(cpu, GUEST_EFER), EFER_LMA | EFER_LME);
	assert_int_equal(cpu->msr.pat, 0x0404040404040404);
	assert_int_equal(cpu->efer, EFER_LMA | EFER_LME | EFER_NXE);
}

static void non_register_state(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	vmcs_set(cpu, GUEST_PENDING_DEBUG, BIT(12) | 2);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
	assert_int_equal(cpu->pending_db, 2);
	assert_true(cpu->attention & ATTENTION_TRAP);
	assert_true(cpu->attention & ATTENTION_SHADOW);
	leave(cpu, EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_MOV_SS);
	assert_int_equal(vmcs_get(cpu, GUEST_PENDING_DEBUG), BIT(12) | 2);
	assert_int_equal(cpu->shadow, SHADOW_NONE);
	assert_int_equal(cpu->pending_db, 0);
	assert_false(cpu->attention & (ATTENTION_TRAP | ATTENTION_SHADOW));

	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	vmcs_set(cpu, GUEST_PENDING_DEBUG, 0);
	vmcs_set(cpu, GUEST_ACTIVITY, CPU_HALTED);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_int_equal(cpu->activity, CPU_HALTED);
	assert_true(cpu->attention & ATTENTION_HALT);
	assert_true(cpu->nmi_blocked);
	leave(cpu, EXIT_EXTERNAL_INTERRUPT);
	assert_int_equal(vmcs_get(cpu, GUEST_ACTIVITY), CPU_HALTED);
	assert_int_equal(vmcs_get(cpu, GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_int_equal(cpu->activity, CPU_ACTIVE);
	assert_true(cpu->nmi_blocked); /* without virtual NMIs it is the processor's own */
}

static void virtual_nmi_blocking(void **state)
{
	struct cpu *cpu = cpu_of(state);

	set_bits(cpu, PIN_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMIS);
	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	leave(cpu, EXIT_CPUID);
	assert_int_equal(vmcs_get(cpu, GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_false(cpu->nmi_blocked);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	vmcs_set(cpu, EXIT_INTERRUPTION, EVENT(EVENT_NMI, EXC_NMI));
	leave(cpu, EXIT_EXCEPTION_NMI);
	assert_true(cpu->nmi_blocked);
}

static void injects(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, ENTRY_INTERRUPTION, EVENT(EVENT_FAULT, EXC_GP) | INTERRUPTION_ERROR);
	vmcs_set(cpu, ENTRY_ERROR_CODE, 0x18);
	vmcs_set(cpu, GUEST_PENDING_DEBUG, DR6_BS);
	assert_int_equal(enter(cpu), UNWIND_INJECT);
	assert_int_equal(cpu->fault.vector, EXC_GP);
	assert_int_equal(cpu->fault.type, EVENT_FAULT);
	assert_true(cpu->fault.has_error);
	assert_int_equal(cpu->fault.error, 0x18);
	assert_int_equal(cpu->pending_db, 0);
	leave(cpu, EXIT_CPUID);
	assert_false(vmcs_get(cpu, ENTRY_INTERRUPTION) & INTERRUPTION_VALID);

	vmcs_set(cpu, ENTRY_INTERRUPTION, EVENT(EVENT_SOFT_INT, 0x80));
	vmcs_set(cpu, ENTRY_INSTRUCTION_LENGTH, 2);
	assert_int_equal(enter(cpu), UNWIND_INJECT);
	assert_int_equal(cpu->fault.next_rip, GUEST_CODE + 2);
	leave(cpu, EXIT_CPUID);

	vmcs_set(cpu, ENTRY_INTERRUPTION, EVENT(EVENT_NMI, EXC_NMI));
	assert_int_equal(enter(cpu), UNWIND_INJECT);
	assert_true(cpu->nmi_blocked);
	leave(cpu, EXIT_CPUID);

	vmcs_set(cpu, ENTRY_INTERRUPTION, EVENT(7, 0));
	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_true(vmx_of(cpu)->is_monitor_trap_pending);
}

static void refused_as_an_instruction(void **state)
{
	struct cpu *cpu = cpu_of(state);
	uint64_t rip = cpu->rip;

	vmcs_set(cpu, CR3_TARGET_COUNT, 5);
	assert_int_equal(enter(cpu), 0);
	assert_int_equal(vmcs_get(cpu, INSTRUCTION_ERROR), VMXERR_ENTRY_CONTROLS);
	assert_int_equal(cpu->rip, (uint32_t)rip + 3);
	assert_int_equal(flags_get(cpu) & RFLAGS_STATUS, RFLAGS_ZF);
	vmcs_set(cpu, CR3_TARGET_COUNT, 0);
	vmcs_set(cpu, HOST_CR3, ~0ull);
	assert_int_equal(enter(cpu), 0);
	assert_int_equal(vmcs_get(cpu, INSTRUCTION_ERROR), VMXERR_ENTRY_HOST_STATE);
	assert_false(vmx_of(cpu)->vmcs.is_launched);
}

static void fails_late(void **state)
{
	struct cpu *cpu = cpu_of(state);

	vmcs_set(cpu, GUEST_RFLAGS, 0);
	vmcs_set(cpu, EXIT_INTERRUPTION, 0x55);
	vmcs_set(cpu, ENTRY_INTERRUPTION, EVENT(EVENT_FAULT, EXC_UD));
	vmcs_set(cpu, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	assert_int_equal(enter(cpu), UNWIND_EXIT);
	assert_false(cpu->in_guest);
	assert_int_equal(cpu->rip, HOST_CODE);
	assert_int_equal(vmcs_get(cpu, EXIT_REASON), EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE);
	assert_int_equal(vmcs_get(cpu, EXIT_QUALIFICATION), 0);
	assert_int_equal(vmcs_get(cpu, EXIT_INTERRUPTION), 0x55);
	assert_true(vmcs_get(cpu, ENTRY_INTERRUPTION) & INTERRUPTION_VALID);
	assert_int_equal(vmcs_get(cpu, GUEST_RIP), GUEST_CODE);
	assert_false(vmx_of(cpu)->vmcs.is_launched);
	assert_false(cpu->nmi_blocked);
}

static void set_pae_guest(struct cpu *cpu)
{
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) & ~ENTRYC_IA32E);
	vmcs_set(cpu, GUEST_CS_AR, AR_CODE32);
	vmcs_set(cpu, GUEST_CR3, PDPT);
}

static void pdptes_from_memory(void **state)
{
	struct vcpu *v = *state;
	uint64_t pdpte[4] = { 0x30001, 0, 0, 0x31001 };

	set_pae_guest(v->cpu);
	memory_write(v->config.memory, PDPT, pdpte, sizeof(pdpte));
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	assert_true(v->cpu->in_guest);
	assert_int_equal(v->cpu->pdpte[3], 0x31001);
	assert_int_equal(v->cpu->efer, EFER_NXE);
	leave(v->cpu, EXIT_CPUID);
	assert_int_equal(v->cpu->efer, EFER_LMA | EFER_LME | EFER_NXE);
	assert_false(vmcs_get(v->cpu, ENTRY_CONTROLS) & ENTRYC_IA32E);

	pdpte[0] = 3;
	memory_write(v->config.memory, PDPT, pdpte, sizeof(pdpte));
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	assert_false(v->cpu->in_guest);
	assert_int_equal(vmcs_get(v->cpu, EXIT_REASON),
			 EXIT_INVALID_GUEST_STATE | EXIT_ENTRY_FAILURE);
	assert_int_equal(vmcs_get(v->cpu, EXIT_QUALIFICATION), 2);
}

static void msr_lists(void **state)
{
	static const struct list_entry load[] = { { MSR_STAR, 0, 0x11 }, { MSR_LSTAR, 0, 0x22 } };
	static const struct list_entry host[] = { { MSR_LSTAR, 0, 0x33 } };
	struct vcpu *v = *state;
	struct list_entry stored;

	set_list(v, ENTRY_MSR_LOAD, ENTRY_MSR_LOAD_COUNT, load, 2);
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	assert_int_equal(v->cpu->msr.star, 0x11);
	assert_int_equal(v->cpu->msr.lstar, 0x22);
	v->cpu->msr.lstar = 0x44;
	set_list(v, EXIT_MSR_STORE, EXIT_MSR_STORE_COUNT, host, 1);
	leave(v->cpu, EXIT_CPUID);
	assert_int_equal(memory_read(v->config.memory, LIST_PAGE, &stored, sizeof(stored)), 0);
	assert_int_equal(stored.value, 0x44);

	vmcs_set(v->cpu, EXIT_MSR_STORE_COUNT, 0);
	vmcs_set(v->cpu, ENTRY_MSR_LOAD_COUNT, 0);
	set_list(v, EXIT_MSR_LOAD, EXIT_MSR_LOAD_COUNT, host, 1);
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	leave(v->cpu, EXIT_CPUID);
	assert_int_equal(v->cpu->msr.lstar, 0x33);
}

static void bad_msr_on_entry(void **state)
{
	static const struct list_entry bad[] = {
		{ MSR_FS_BASE, 0, 0 },
		{ MSR_NONE, 0, 0 },
		{ MSR_STAR, 1, 0 },
		{ MSR_LSTAR, 0, BIT(50) },
	};
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct list_entry list[] = { { MSR_STAR, 0, i }, bad[i] };

		set_list(v, ENTRY_MSR_LOAD, ENTRY_MSR_LOAD_COUNT, list, 2);
		assert_int_equal(enter(v->cpu), UNWIND_EXIT);
		assert_false(v->cpu->in_guest);
		assert_int_equal(vmcs_get(v->cpu, EXIT_REASON),
				 EXIT_MSR_LOADING | EXIT_ENTRY_FAILURE);
		assert_int_equal(vmcs_get(v->cpu, EXIT_QUALIFICATION), 2);
		assert_int_equal(v->cpu->rip, HOST_CODE);
	}
	/* A list in no RAM, and one that is longer than IA32_VMX_MISC says. */
	vmcs_set(v->cpu, ENTRY_MSR_LOAD, VCPU_MEMORY_BYTES);
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	assert_int_equal(vmcs_get(v->cpu, EXIT_QUALIFICATION), 1);
	for (unsigned i = 0; i < 513; i++) {
		struct list_entry one = { MSR_STAR, 0, i };

		memory_write(v->config.memory, LIST_PAGE + i * sizeof(one), &one, sizeof(one));
	}
	vmcs_set(v->cpu, ENTRY_MSR_LOAD, LIST_PAGE);
	vmcs_set(v->cpu, ENTRY_MSR_LOAD_COUNT, 513);
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	assert_int_equal(vmcs_get(v->cpu, EXIT_QUALIFICATION), 513);
}

static uint32_t abort_indicator(struct vcpu *v)
{
	uint32_t indicator = 0;

	memory_read(v->config.memory, CURRENT_PAGE + 4, &indicator, sizeof(indicator));
	return indicator;
}

static void aborts(void **state)
{
	static const struct list_entry bad[] = { { MSR_NONE, 0, 0 } };
	struct vcpu *v = *state;

	set_list(v, EXIT_MSR_LOAD, EXIT_MSR_LOAD_COUNT, bad, 1);
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	leave(v->cpu, EXIT_CPUID);
	assert_int_equal(v->cpu->activity, CPU_SHUTDOWN);
	assert_false(v->cpu->in_guest);
	assert_int_equal(abort_indicator(v), 4);

	vmcs_set(v->cpu, EXIT_MSR_LOAD_COUNT, 0);
	set_list(v, EXIT_MSR_STORE, EXIT_MSR_STORE_COUNT, bad, 1);
	v->cpu->activity = CPU_ACTIVE;
	assert_int_equal(enter(v->cpu), UNWIND_EXIT);
	leave(v->cpu, EXIT_CPUID);
	assert_int_equal(v->cpu->activity, CPU_SHUTDOWN);
	assert_int_equal(abort_indicator(v), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_and_saves_guest),
		TEST(loads_host),
		TEST(optional_state),
		TEST(non_register_state),
		TEST(virtual_nmi_blocking),
		TEST(injects),
		TEST(refused_as_an_instruction),
		TEST(fails_late),
		TEST(pdptes_from_memory),
		TEST(msr_lists),
		TEST(bad_msr_on_entry),
		TEST(aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
