/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Near branches: where they go, how far RIP counts, and that a bad target leaves all as it was.
 * What conditions mean is tested natively with SETcc and CMOVcc.
 */
#include "tests/unit/step.h"

#define NON_CANONICAL 0x8000000000000000ull

static int setup(void **state)
{
	return step_open(state, step_in_64_bit_mode);
}

static void jcc_goes_both_ways(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->status = STATUS_ZF;
	assert_int_equal(STEP(cpu, 0x74, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1012);
	assert_int_equal(STEP(cpu, 0x75, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1014);
	assert_int_equal(STEP(cpu, 0x0f, 0x84, 0xfa, 0xff, 0xff, 0xff), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1014);
}

static void call_and_return_use_the_stack(void **state)
{
	struct cpu *cpu = step_cpu(state);

	assert_int_equal(STEP(cpu, 0xe8, 0, 1, 0, 0), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1105);
	assert_int_equal(cpu->gpr[RSP], 0x7ff8);
	assert_int_equal(STEP(cpu, 0xc2, 0x10, 0), STEP_DONE); /* ret 16 */
	assert_int_equal(cpu->rip, 0x1005);
	assert_int_equal(cpu->gpr[RSP], 0x8010);
	cpu->gpr[RAX] = 0x4000;
	assert_int_equal(STEP(cpu, 0xff, 0xd0), STEP_DONE); /* call rax */
	assert_int_equal(cpu->rip, 0x4000);
	assert_int_equal(STEP(cpu, 0xff, 0x24, 0x24), STEP_DONE); /* jmp [rsp] */
	assert_int_equal(cpu->rip, 0x1007);
}

static void targets_must_be_canonical(void **state)
{
	struct cpu *cpu = step_cpu(state);
	uint64_t *top = (void *)step_memory(*state, 0x8000);

	cpu->gpr[RAX] = NON_CANONICAL;
	*top = NON_CANONICAL;
	assert_int_equal(STEP(cpu, 0xff, 0xe0), EXC_GP);       /* jmp rax */
	assert_int_equal(STEP(cpu, 0xff, 0xd0), EXC_GP);       /* call rax */
	assert_int_equal(STEP(cpu, 0xff, 0x14, 0x24), EXC_GP); /* call [rsp] */
	assert_int_equal(STEP(cpu, 0xc3), EXC_GP);
	assert_int_equal(cpu->gpr[RSP], 0x8000);
	assert_int_equal(cpu->rip, 0x1000);
	cpu->rip = 0x7ffffffffff0;
	assert_int_equal(STEP(cpu, 0xeb, 0x7f), EXC_GP);
	assert_int_equal(cpu->rip, 0x7ffffffffff0);
}

static void stack_faults_leave_call_undone(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->gpr[RSP] = NON_CANONICAL;
	assert_int_equal(STEP(cpu, 0xe8, 0, 1, 0, 0), EXC_SS);
	assert_int_equal(STEP(cpu, 0xc3), EXC_SS);
	assert_int_equal(cpu->gpr[RSP], NON_CANONICAL);
	assert_int_equal(cpu->rip, 0x1000);
}

static void sixteen_bit_targets_wrap(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->rip = 0xfff0;
	assert_int_equal(STEP(cpu, 0xe9, 0x20, 0), STEP_DONE);
	assert_int_equal(cpu->rip, 0x13);
	assert_int_equal(STEP(cpu, 0xe8, 0xe0, 0xff), STEP_DONE); /* call to below 0 */
	assert_int_equal(cpu->rip, 0xfff6);
	assert_int_equal(cpu->gpr[RSP], 0x7ffe);
	assert_int_equal(STEP(cpu, 0xc3), STEP_DONE);
	assert_int_equal(cpu->rip, 0x16);
}

static void targets_must_be_within_the_limit(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->seg[CS].limit = 0x1fff;
	assert_int_equal(STEP(cpu, 0xe9, 0, 0x10), EXC_GP);
	assert_int_equal(STEP(cpu, 0xe8, 0, 0x10), EXC_GP);
	assert_int_equal(STEP(cpu, 0x66, 0xe9, 0, 0, 1, 0), EXC_GP); /* 32-bit, beyond 64 KiB */
	assert_int_equal(cpu->gpr[RSP], 0x8000);
	assert_int_equal(cpu->rip, 0x1000);
}

static void loops_count_in_the_address_size(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->gpr[RCX] = 0x100000001;
	assert_int_equal(STEP(cpu, 0x67, 0xe2, 0x10), STEP_DONE); /* ECX becomes 0 */
	assert_int_equal(cpu->rip, 0x1003);
	assert_int_equal(cpu->gpr[RCX], 0);
	assert_int_equal(STEP(cpu, 0xe2, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1015);
	assert_true(cpu->gpr[RCX] == ~0ull);
	cpu->status = 0;
	assert_int_equal(STEP(cpu, 0xe1, 0x10), STEP_DONE); /* loope, ZF clear */
	assert_int_equal(cpu->rip, 0x1017);
	assert_int_equal(STEP(cpu, 0xe0, 0x10), STEP_DONE); /* loopne */
	assert_int_equal(cpu->rip, 0x1029);
	cpu->gpr[RCX] = 0x100000000;
	assert_int_equal(STEP(cpu, 0xe3, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x102b);
	assert_int_equal(STEP(cpu, 0x67, 0xe3, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x103e);
	step_in_real_mode(cpu);
	cpu->gpr[RCX] = 0x20001;
	assert_int_equal(STEP(cpu, 0xe2, 0x10), STEP_DONE);
	assert_int_equal(cpu->rip, 0x1002);
	assert_int_equal(cpu->gpr[RCX], 0x20000);
}

/* A loop that cannot branch has not counted. */
static void a_loop_to_nowhere_does_not_count(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->seg[CS].limit = 0x1003;
	cpu->gpr[RCX] = 5;
	assert_int_equal(STEP(cpu, 0xe2, 0x10), EXC_GP);
	assert_int_equal(cpu->gpr[RCX], 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(jcc_goes_both_ways, setup, step_close),
		cmocka_unit_test_setup_teardown(call_and_return_use_the_stack, setup, step_close),
		cmocka_unit_test_setup_teardown(targets_must_be_canonical, setup, step_close),
		cmocka_unit_test_setup_teardown(stack_faults_leave_call_undone, setup, step_close),
		cmocka_unit_test_setup_teardown(sixteen_bit_targets_wrap, setup, step_close),
		cmocka_unit_test_setup_teardown(targets_must_be_within_the_limit, setup,
						step_close),
		cmocka_unit_test_setup_teardown(loops_count_in_the_address_size, setup, step_close),
		cmocka_unit_test_setup_teardown(a_loop_to_nowhere_does_not_count, setup,
						step_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
