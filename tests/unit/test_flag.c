/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may change which flag: PUSHF, POPF, CLI and STI at each privilege, in v8086 mode, with VME
 * and PVI; the shadows of STI and POP SS; instructions that raise.
 */
#include "tests/unit/step.h"

#define IOPL(n) ((uint32_t)(n) << RFLAGS_IOPL_SHIFT)

static int setup(void **state)
{
	return step_open(state, step_in_32_bit_mode);
}

static void put_on_stack(void **state, uint32_t value)
{
	struct cpu *cpu = step_cpu(state);

	store_le(step_memory(*state, cpu->gpr[RSP]), value, 4);
}

static uint32_t top_of_stack(void **state, unsigned size)
{
	struct cpu *cpu = step_cpu(state);

	return (uint32_t)load_le(step_memory(*state, cpu->gpr[RSP]), size);
}

static void popf_at_cpl_0_sets_nearly_all(void **state)
{
	struct cpu *cpu = step_cpu(state);

	flags_set(cpu, RFLAGS_VIF);
	put_on_stack(state, 0xffffffff);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE);
	assert_int_equal(flags_get(cpu), RFLAGS_STATUS | RFLAGS_ONE | RFLAGS_TF | RFLAGS_IF |
						 RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC |
						 RFLAGS_ID | RFLAGS_VIF);
	assert_int_equal(cpu->gpr[RSP], 0x8004);
}

static void popf_of_16_bits_keeps_the_upper_half(void **state)
{
	struct cpu *cpu = step_cpu(state);

	flags_set(cpu, RFLAGS_ID | RFLAGS_IF);
	put_on_stack(state, 0);
	assert_int_equal(STEP(cpu, 0x66, 0x9d), STEP_DONE);
	assert_int_equal(flags_get(cpu), RFLAGS_ID | RFLAGS_ONE);
	assert_int_equal(cpu->gpr[RSP], 0x8002);
}

static void popf_at_cpl_3_leaves_if_and_iopl(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_at_cpl3(cpu, RFLAGS_IF);
	put_on_stack(state, IOPL(3) | RFLAGS_CF);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE);
	assert_int_equal(flags_get(cpu), RFLAGS_IF | RFLAGS_ONE | RFLAGS_CF);
	step_at_cpl3(cpu, RFLAGS_IF | IOPL(3));
	put_on_stack(state, 0);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE);
	assert_int_equal(flags_get(cpu), RFLAGS_ONE | IOPL(3));
}

static void pushf_hides_vm_and_rf(void **state)
{
	struct cpu *cpu = step_cpu(state);

	flags_set(cpu, RFLAGS_RF | RFLAGS_ZF | RFLAGS_OF);
	assert_int_equal(STEP(cpu, 0x9c), STEP_DONE);
	assert_int_equal(top_of_stack(state, 4), RFLAGS_ZF | RFLAGS_OF | RFLAGS_ONE);
}

static void v86_below_iopl_3_faults(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_v86_mode(cpu, RFLAGS_IF);
	assert_int_equal(STEP(cpu, 0x9c), EXC_GP);
	assert_int_equal(STEP(cpu, 0x9d), EXC_GP);
	assert_int_equal(STEP(cpu, 0xfa), EXC_GP);
	assert_int_equal(STEP(cpu, 0xfb), EXC_GP);
	assert_int_equal(cpu->gpr[RSP], 0x8000);
	step_in_v86_mode(cpu, RFLAGS_IF | IOPL(3));
	assert_int_equal(STEP(cpu, 0x9c), STEP_DONE);
	assert_int_equal(STEP(cpu, 0xfa), STEP_DONE);
	assert_int_equal(cpu->rflags & RFLAGS_IF, 0);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE);
	assert_true(cpu->rflags & RFLAGS_IF);
	assert_true(cpu->rflags & RFLAGS_VM);
}

static void vme_gives_vif_for_if(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->cr4 |= CR4_VME;
	step_in_v86_mode(cpu, RFLAGS_IF);
	assert_int_equal(STEP(cpu, 0xfb), STEP_DONE); /* sti */
	assert_true(cpu->rflags & RFLAGS_VIF);
	assert_int_equal(STEP(cpu, 0x9c), STEP_DONE); /* pushf */
	assert_int_equal(top_of_stack(state, 2), RFLAGS_IF | IOPL(3) | RFLAGS_ONE);
	assert_int_equal(STEP(cpu, 0xfa), STEP_DONE); /* cli */
	assert_false(cpu->rflags & RFLAGS_VIF);
	assert_true(cpu->rflags & RFLAGS_IF);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE); /* popf */
	assert_true(cpu->rflags & RFLAGS_VIF);
	assert_int_equal(cpu_iopl(cpu), 0);
	assert_int_equal(STEP(cpu, 0x66, 0x9c), EXC_GP); /* 32 bits: never */
	assert_int_equal(STEP(cpu, 0x66, 0x9d), EXC_GP);
}

static void vme_faults_where_an_interrupt_is_pending(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->cr4 |= CR4_VME;
	step_in_v86_mode(cpu, RFLAGS_IF | RFLAGS_VIP);
	assert_int_equal(STEP(cpu, 0xfb), EXC_GP);
	put_on_stack(state, RFLAGS_IF);
	assert_int_equal(STEP(cpu, 0x9d), EXC_GP);
	put_on_stack(state, RFLAGS_TF);
	assert_int_equal(STEP(cpu, 0x9d), EXC_GP);
	put_on_stack(state, RFLAGS_ZF);
	assert_int_equal(STEP(cpu, 0x9d), STEP_DONE);
	assert_true(cpu->status & STATUS_ZF);
}

static void cli_and_sti_ask_for_iopl_or_pvi(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_at_cpl3(cpu, RFLAGS_IF | IOPL(2));
	assert_int_equal(STEP(cpu, 0xfa), EXC_GP);
	assert_int_equal(STEP(cpu, 0xfb), EXC_GP);
	cpu->cr4 |= CR4_PVI;
	assert_int_equal(STEP(cpu, 0xfb), STEP_DONE);
	assert_true(cpu->rflags & RFLAGS_VIF);
	assert_int_equal(STEP(cpu, 0xfa), STEP_DONE);
	assert_false(cpu->rflags & RFLAGS_VIF);
	assert_true(cpu->rflags & RFLAGS_IF);
}

static void sti_opens_a_shadow_when_it_sets_if(void **state)
{
	struct cpu *cpu = step_cpu(state);

	flags_set(cpu, 0);
	assert_int_equal(STEP(cpu, 0xfb), STEP_DONE);
	assert_int_equal(cpu->shadow, SHADOW_STI);
	assert_true(cpu->attention & ATTENTION_SHADOW);
	cpu->shadow = SHADOW_NONE;
	assert_int_equal(STEP(cpu, 0xfb), STEP_DONE);
	assert_int_equal(cpu->shadow, SHADOW_NONE);
}

static void pop_ss_opens_a_shadow(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->cr0 &= ~CR0_PE;
	step_in_real_mode(cpu);
	put_on_stack(state, 0x1234);
	assert_int_equal(STEP(cpu, 0x17), STEP_DONE);
	assert_int_equal(cpu->seg[SS].selector, 0x1234);
	assert_int_equal(cpu->gpr[RSP], 0x8002);
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
	assert_int_equal(cpu->rip, 0x1001);
}

static void software_interrupts_name_their_kind(void **state)
{
	struct cpu *cpu = step_cpu(state);

	assert_int_equal(STEP(cpu, 0xcd, 0x80), 0x80);
	assert_int_equal(cpu->fault.type, EVENT_SOFT_INT);
	assert_int_equal(cpu->fault.next_rip, 0x1002);
	assert_int_equal(STEP(cpu, 0xcc), EXC_BP);
	assert_int_equal(cpu->fault.type, EVENT_SOFT_FAULT);
	assert_int_equal(STEP(cpu, 0xcd, 3), EXC_BP);
	assert_int_equal(cpu->fault.type, EVENT_SOFT_INT);
	assert_int_equal(STEP(cpu, 0xf1), EXC_DB);
	assert_int_equal(cpu->fault.type, EVENT_ICEBP);
	cpu->status = STATUS_OF;
	assert_int_equal(STEP(cpu, 0xce), EXC_OF);
	cpu->status = 0;
	assert_int_equal(STEP(cpu, 0xce), STEP_DONE);
}

static void bound_compares_signed(void **state)
{
	struct cpu *cpu = step_cpu(state);

	store_le(step_memory(*state, 0x3000), (uint32_t)-5, 4);
	store_le(step_memory(*state, 0x3004), 5, 4);
	cpu->gpr[RBX] = 0x3000;
	cpu->gpr[RAX] = (uint32_t)-5;
	assert_int_equal(STEP(cpu, 0x62, 0x03), STEP_DONE);
	cpu->gpr[RAX] = (uint32_t)-6;
	assert_int_equal(STEP(cpu, 0x62, 0x03), EXC_BR);
	cpu->gpr[RAX] = 6;
	assert_int_equal(STEP(cpu, 0x62, 0x03), EXC_BR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(popf_at_cpl_0_sets_nearly_all, setup, step_close),
		cmocka_unit_test_setup_teardown(popf_of_16_bits_keeps_the_upper_half, setup,
						step_close),
		cmocka_unit_test_setup_teardown(popf_at_cpl_3_leaves_if_and_iopl, setup,
						step_close),
		cmocka_unit_test_setup_teardown(pushf_hides_vm_and_rf, setup, step_close),
		cmocka_unit_test_setup_teardown(v86_below_iopl_3_faults, setup, step_close),
		cmocka_unit_test_setup_teardown(vme_gives_vif_for_if, setup, step_close),
		cmocka_unit_test_setup_teardown(vme_faults_where_an_interrupt_is_pending, setup,
						step_close),
		cmocka_unit_test_setup_teardown(cli_and_sti_ask_for_iopl_or_pvi, setup, step_close),
		cmocka_unit_test_setup_teardown(sti_opens_a_shadow_when_it_sets_if, setup,
						step_close),
		cmocka_unit_test_setup_teardown(pop_ss_opens_a_shadow, setup, step_close),
		cmocka_unit_test_setup_teardown(software_interrupts_name_their_kind, setup,
						step_close),
		cmocka_unit_test_setup_teardown(bound_compares_signed, setup, step_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
