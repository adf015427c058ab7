/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event delivery through every kind of table and gate, the frames that it pushes, and what becomes
 * of faults on the way.
 */
#include "tests/unit/cpu_bench.h"

#define HANDLER   0x400000
#define GATE_INT  SYS_INT
#define GATE_TRAP SYS_TRAP

static void set_gate(struct bench *b, unsigned vector, unsigned type, unsigned dpl,
		     uint16_t selector, uint32_t offset)
{
	*bench_at(b, IDT + vector * 8) = (offset & 0xffff) | (uint64_t)selector << 16 | DESC_P |
					 DESC_TYPE(type) | DESC_DPL(dpl) |
					 (uint64_t)(offset >> 16) << 48;
}

static void set_gate_long(struct bench *b, unsigned vector, unsigned type, unsigned dpl,
			  unsigned ist, uint64_t offset)
{
	bench_u64 *gate = bench_at(b, IDT + vector * 16);

	gate[0] = (offset & 0xffff) | (uint64_t)KERNEL_CS << 16 | (uint64_t)ist << 32 | DESC_P |
		  DESC_TYPE(type) | DESC_DPL(dpl) | bits(offset, 31, 16) << 48;
	gate[1] = offset >> 32;
}

static enum event_result deliver(struct bench *b, unsigned vector, enum event_type type)
{
	struct event event = { .vector = (uint8_t)vector,
			       .type = (uint8_t)type,
			       .next_rip = 0x1236 };

	return event_deliver(b->cpu, &event);
}

static enum event_result deliver_fault(struct bench *b, unsigned vector, uint32_t error)
{
	struct event event = {
		.vector = (uint8_t)vector, .type = EVENT_FAULT, .has_error = true, .error = error
	};

	return event_deliver(b->cpu, &event);
}

static void be_user(struct bench *b)
{
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	b->cpu->gpr[RSP] = STACK3;
	b->cpu->rflags |= RFLAGS_IF;
}

/* ---- 64-bit ---- */

static void test_long_from_user(void **state)
{
	struct bench *b = *state;
	const bench_u64 *frame = bench_at(b, STACK0 - 40);

	bench_long(b);
	set_gate_long(b, 0x80, GATE_INT, 0, 0, 0xffff800000000000 + HANDLER);
	be_user(b);
	b->cpu->rflags |= RFLAGS_TF | RFLAGS_AC;
	assert_int_equal(deliver(b, 0x80, EVENT_EXTERNAL), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, 0xffff800000000000 + HANDLER);
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 40);
	assert_int_equal(b->cpu->seg[SS].selector, 0);
	assert_int_equal(b->cpu->seg[CS].selector, KERNEL_CS);
	assert_int_equal(frame[0], 0x1234);
	assert_int_equal(frame[1], USER_CS);
	assert_int_equal(frame[2], RFLAGS_ONE | RFLAGS_IF | RFLAGS_TF | RFLAGS_AC);
	assert_int_equal(frame[3], STACK3);
	assert_int_equal(frame[4], USER_SS);
	assert_int_equal(b->cpu->rflags, RFLAGS_ONE | RFLAGS_AC);
	assert_false(b->cpu->in_delivery);
	assert_no_fault(b, far_iret(b->cpu, 8, 0));
	assert_int_equal(b->cpu->rip, 0x1234);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
}

static void test_long_same_level(void **state)
{
	struct bench *b = *state;
	const bench_u64 *frame = bench_at(b, STACK0 - 16 - 48);

	bench_long(b);
	set_gate_long(b, EXC_PF, GATE_TRAP, 0, 0, HANDLER);
	b->cpu->gpr[RSP] = STACK0 - 3; /* gets aligned */
	b->cpu->rflags |= RFLAGS_IF;
	assert_int_equal(deliver_fault(b, EXC_PF, PF_W), EVENT_DELIVERED);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 16 - 48);
	assert_int_equal(frame[0], PF_W);
	assert_int_equal(frame[1], 0x1234);
	assert_int_equal(frame[3], RFLAGS_ONE | RFLAGS_IF | RFLAGS_RF); /* a fault */
	assert_int_equal(frame[4], STACK0 - 3);
	assert_int_equal(frame[5], KERNEL_SS);
	assert_int_equal(b->cpu->seg[SS].selector, KERNEL_SS);
	assert_true(b->cpu->rflags & RFLAGS_IF); /* a trap gate */
}

static void test_long_ist(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	set_gate_long(b, EXC_NMI, GATE_INT, 0, 1, HANDLER);
	assert_int_equal(deliver(b, EXC_NMI, EVENT_NMI), EVENT_DELIVERED);
	assert_int_equal(b->cpu->gpr[RSP], STACK_IST - 40);
	assert_int_equal(*bench_at(b, STACK_IST - 16), STACK0);
}

static void test_software_interrupt(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	set_gate_long(b, 0x80, GATE_TRAP, 3, 0, HANDLER);
	set_gate_long(b, 0x81, GATE_TRAP, 0, 0, HANDLER);
	set_gate_long(b, EXC_GP, GATE_INT, 0, 0, HANDLER + 0x100);
	be_user(b);
	assert_int_equal(deliver(b, 0x80, EVENT_SOFT_INT), EVENT_DELIVERED);
	assert_int_equal(*bench_at(b, STACK0 - 40), 0x1236); /* after the instruction */
	be_user(b);
	b->cpu->rip = 0x1234;
	assert_int_equal(deliver(b, 0x81, EVENT_SOFT_INT), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER + 0x100);
	assert_int_equal(*bench_at(b, STACK0 - 48), 0x81 * 8 + 2); /* no EXT */
	assert_int_equal(*bench_at(b, STACK0 - 40), 0x1234);       /* the instruction */
	be_user(b);
	assert_int_equal(deliver(b, 0x81, EVENT_ICEBP), EVENT_DELIVERED); /* asks no DPL */
	assert_int_equal(b->cpu->rip, HANDLER);
}

static void test_faults_of_gates(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	set_gate_long(b, EXC_GP, GATE_INT, 0, 0, HANDLER + 0x100);
	set_gate_long(b, EXC_NP, GATE_INT, 0, 0, HANDLER + 0x200);
	set_gate_long(b, 0x80, SYS_CALL, 0, 0, HANDLER);
	assert_int_equal(deliver(b, 0x80, EVENT_EXTERNAL), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER + 0x100);
	assert_int_equal(*bench_at(b, STACK0 - 48), 0x80 * 8 + 3); /* IDT and EXT */
	set_gate_long(b, 0x80, GATE_INT, 0, 0, HANDLER);
	*bench_at(b, IDT + 0x80 * 16) &= ~DESC_P;
	deliver(b, 0x80, EVENT_EXTERNAL);
	assert_int_equal(b->cpu->rip, HANDLER + 0x200);
	set_gate_long(b, 0x80, GATE_INT, 0, 0, 0x800000000000); /* not canonical */
	b->cpu->gpr[RSP] = STACK0;
	deliver(b, 0x80, EVENT_EXTERNAL);
	assert_int_equal(*bench_at(b, STACK0 - 48), 1);
	/* Another code segment: 32 bits will not do. */
	set_gate_long(b, 0x80, GATE_INT, 0, 0, HANDLER);
	*bench_at(b, IDT + 0x80 * 16) |= (uint64_t)(KERNEL_CS ^ (USER_CS_32 & ~3)) << 16;
	b->cpu->gpr[RSP] = STACK0;
	deliver(b, 0x80, EVENT_EXTERNAL);
	assert_int_equal(b->cpu->rip, HANDLER + 0x100);
}

static void test_double_fault(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	set_gate_long(b, EXC_DF, GATE_INT, 0, 1, HANDLER + 0x300);
	set_gate_long(b, EXC_PF, GATE_INT, 0, 0, HANDLER);
	b->cpu->gpr[RSP] = 0x7f0000000000; /* not mapped */
	assert_int_equal(deliver_fault(b, EXC_PF, 0), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER + 0x300);
	assert_int_equal(*bench_at(b, STACK_IST - 48), 0);
	assert_int_equal(*bench_at(b, STACK_IST - 40), 0x1234);
	assert_int_equal(b->cpu->cr2, 0x7effffffffd0 + 0x28);
}

static void test_serial_faults(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	set_gate_long(b, EXC_PF, GATE_INT, 0, 1, HANDLER);
	set_gate_long(b, EXC_GP, GATE_INT, 0, 0, HANDLER + 0x100);
	b->cpu->gpr[RSP] = 0x7f0000000000;
	assert_int_equal(deliver_fault(b, EXC_GP, 0), EVENT_DELIVERED); /* #GP, then #PF */
	assert_int_equal(b->cpu->rip, HANDLER);
	assert_int_equal(*bench_at(b, STACK_IST - 48), PF_W);
}

static void test_triple_fault(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	b->cpu->idtr.limit = 0;
	assert_int_equal(deliver(b, EXC_BP, EVENT_SOFT_FAULT), EVENT_TRIPLE_FAULT);
	assert_int_equal(b->cpu->rip, 0x1234);
}

/* ---- protected mode ---- */

static void test_protected_from_user(void **state)
{
	struct bench *b = *state;
	const uint32_t *frame = (const uint32_t *)bench_at(b, STACK0 - 24);

	bench_protected(b);
	set_gate(b, EXC_GP, GATE_INT, 0, KERNEL_CS, HANDLER);
	be_user(b);
	assert_int_equal(deliver_fault(b, EXC_GP, 0x18), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 24);
	assert_int_equal(b->cpu->seg[SS].selector, KERNEL_SS);
	assert_int_equal(frame[0], 0x18);
	assert_int_equal(frame[1], 0x1234);
	assert_int_equal(frame[2], USER_CS);
	assert_int_equal(frame[3], RFLAGS_ONE | RFLAGS_IF | RFLAGS_RF);
	assert_int_equal(frame[4], STACK3);
	assert_int_equal(frame[5], USER_SS);
}

static void test_protected_16bit_gate(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	set_gate(b, 0x30, SYS_INT16, 0, KERNEL_CS, 0x5678);
	assert_int_equal(deliver(b, 0x30, EVENT_EXTERNAL), EVENT_DELIVERED);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 6);
	assert_int_equal(*bench_at(b, STACK0 - 6) & 0xffffffffffff,
			 0x1234 | (uint64_t)KERNEL_CS << 16 | RFLAGS_ONE << 32);
}

static void test_bad_inner_stack(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	set_gate(b, 0x30, GATE_INT, 0, KERNEL_CS, HANDLER);
	set_gate(b, EXC_TS, GATE_INT, 3, USER_CS & ~3, HANDLER + 0x100);
	set_gate(b, EXC_DF, GATE_INT, 3, USER_CS & ~3, HANDLER + 0x200);
	be_user(b);
	*(uint32_t *)bench_at(b, TSS + 8) = READ_ONLY;
	assert_int_equal(deliver(b, 0x30, EVENT_EXTERNAL), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER + 0x100);
	assert_int_equal(*bench_at(b, STACK3 - 16) & 0xffffffff, READ_ONLY | 1);
}

static void test_task_gate(void **state)
{
	struct bench *b = *state;
	uint32_t *tss = (uint32_t *)bench_at(b, TSS_OTHER);

	bench_protected(b);
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67));
	tss[8] = HANDLER;
	tss[9] = RFLAGS_ONE;
	tss[14] = STACK_IST;
	tss[18] = tss[20] = tss[21] = KERNEL_SS;
	tss[19] = KERNEL_CS;
	set_gate(b, EXC_DF, SYS_TASK_GATE, 0, OTHER_TSS, 0);
	assert_int_equal(deliver_fault(b, EXC_DF, 0), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER);
	assert_int_equal(b->cpu->tr.selector, OTHER_TSS);
	assert_int_equal(b->cpu->gpr[RSP], STACK_IST - 4); /* the error code */
	assert_true(b->cpu->rflags & RFLAGS_NT);
	assert_int_equal(*bench_at(b, TSS + 32) & 0xffffffff, 0x1234);
}

/* ---- real and v8086 mode ---- */

static void test_real(void **state)
{
	struct bench *b = *state;

	*(uint32_t *)bench_at(b, 0x21 * 4) = 0x2000 << 16 | 0x0345;
	b->cpu->gpr[RSP] = 0x100;
	b->cpu->rip = 0x1234;
	b->cpu->rflags |= RFLAGS_IF;
	assert_int_equal(deliver(b, 0x21, EVENT_SOFT_INT), EVENT_DELIVERED);
	assert_int_equal(b->cpu->seg[CS].base, 0x20000);
	assert_int_equal(b->cpu->rip, 0x345);
	assert_int_equal(b->cpu->gpr[RSP], 0xfa);
	assert_int_equal(*bench_at(b, 0xfa) & 0xffffffffffff, 0x1236 | (RFLAGS_ONE | RFLAGS_IF)
									       << 32);
	assert_false(b->cpu->rflags & RFLAGS_IF);
	/* No error codes. */
	*(uint32_t *)bench_at(b, EXC_GP * 4) = 0x3000;
	assert_int_equal(deliver_fault(b, EXC_GP, 0x18), EVENT_DELIVERED);
	assert_int_equal(b->cpu->gpr[RSP], 0xf4);
	b->cpu->idtr.limit = 3;
	assert_int_equal(deliver(b, 0x21, EVENT_SOFT_INT), EVENT_TRIPLE_FAULT);
}

static void be_v86(struct bench *b, unsigned iopl)
{
	b->cpu->rflags = (uint32_t)(RFLAGS_ONE | RFLAGS_VM | (uint64_t)iopl << RFLAGS_IOPL_SHIFT);
	b->cpu->cpl = 3;
	for (unsigned i = 0; i < SEGMENTS; i++)
		segment_set_v86(&b->cpu->seg[i], (uint16_t)(0x1000 + i));
	b->cpu->gpr[RSP] = 0x100;
	b->cpu->rip = 0x1234;
	cpu_update_derived(b->cpu);
}

static void test_v86_to_protected(void **state)
{
	struct bench *b = *state;
	const uint32_t *frame = (const uint32_t *)bench_at(b, STACK0 - 36);

	bench_protected(b);
	set_gate(b, 0x30, GATE_INT, 3, KERNEL_CS, HANDLER);
	set_gate(b, EXC_GP, GATE_INT, 0, KERNEL_CS, HANDLER + 0x100);
	be_v86(b, 0);
	assert_int_equal(deliver(b, 0x30, EVENT_EXTERNAL), EVENT_DELIVERED);
	assert_int_equal(b->cpu->cpl, 0);
	assert_false(cpu_in_v86_mode(b->cpu));
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 36);
	assert_int_equal(frame[1], 0x1000 + CS);
	assert_true(frame[2] & RFLAGS_VM);
	assert_int_equal(frame[3], 0x100);
	assert_int_equal(frame[5], 0x1000 + ES);
	assert_int_equal(frame[8], 0x1000 + GS);
	assert_true(b->cpu->seg[GS].ar & SEG_UNUSABLE);
	be_v86(b, 0);
	deliver(b, 0x30, EVENT_SOFT_INT); /* needs IOPL 3 */
	assert_int_equal(b->cpu->rip, HANDLER + 0x100);
	assert_int_equal(*bench_at(b, STACK0 - 40) & 0xffffffff, 0);
	be_v86(b, 3);
	deliver(b, 0x30, EVENT_SOFT_INT);
	assert_int_equal(b->cpu->rip, HANDLER);
}

/* VM entry asks neither for IOPL nor for RF. */
static void test_injected(void **state)
{
	struct bench *b = *state;
	struct event event = {
		.vector = 0x30, .type = EVENT_SOFT_INT, .is_injected = true, .next_rip = 0x1236
	};

	bench_protected(b);
	set_gate(b, 0x30, GATE_INT, 3, KERNEL_CS, HANDLER);
	set_gate(b, EXC_UD, GATE_INT, 3, KERNEL_CS, HANDLER);
	be_v86(b, 0);
	assert_int_equal(event_deliver(b->cpu, &event), EVENT_DELIVERED);
	assert_int_equal(b->cpu->rip, HANDLER);
	event = (struct event){ .vector = EXC_UD, .type = EVENT_FAULT, .is_injected = true };
	be_v86(b, 0);
	assert_int_equal(event_deliver(b->cpu, &event), EVENT_DELIVERED);
	assert_false(*bench_at(b, STACK0 - 28) & RFLAGS_RF);
	event.is_injected = false;
	be_v86(b, 0);
	assert_int_equal(event_deliver(b->cpu, &event), EVENT_DELIVERED);
	assert_true(*bench_at(b, STACK0 - 28) & RFLAGS_RF);
}

static void test_v86_redirection(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	b->cpu->tr.limit = 0x7ff;
	*(uint16_t *)bench_at(b, TSS + 102) = 0x88;
	memset(bench_at(b, TSS + 0x68), 0, 32);
	*(uint32_t *)bench_at(b, 0x21 * 4) = 0x2000 << 16 | 0x0345;
	b->cpu->cr4 |= CR4_VME;
	be_v86(b, 0);
	b->cpu->rflags |= RFLAGS_VIF;
	assert_int_equal(deliver(b, 0x21, EVENT_SOFT_INT), EVENT_DELIVERED);
	assert_true(cpu_in_v86_mode(b->cpu));
	assert_int_equal(b->cpu->rip, 0x345);
	assert_int_equal(b->cpu->seg[CS].base, 0x20000);
	assert_false(b->cpu->rflags & RFLAGS_VIF);
	/* IF is VIF's, IOPL looks like 3. */
	assert_int_equal(*(uint16_t *)bench_at(b, 0x10020 + 0xfe),
			 RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(long_from_user),
		TEST(long_same_level),
		TEST(long_ist),
		TEST(software_interrupt),
		TEST(faults_of_gates),
		TEST(double_fault),
		TEST(serial_faults),
		TEST(triple_fault),
		TEST(protected_from_user),
		TEST(protected_16bit_gate),
		TEST(bad_inner_stack),
		TEST(task_gate),
		TEST(real),
		TEST(v86_to_protected),
		TEST(injected),
		TEST(v86_redirection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
