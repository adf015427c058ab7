/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers, limits, far transfers, IRET and task switches, with the faults and error codes
 * of each check.
 */
#include "tests/unit/cpu_bench.h"

#define TYPE_BITS(descriptor) bits(descriptor, 43, 40)

/* ---- limits ---- */

static void test_limits(void **state)
{
	struct bench *b = *state;
	struct segment *ds = &b->cpu->seg[DS];

	b->cpu->seg[DS].base = 0x12340;
	assert_int_equal(segment_linear(b->cpu, DS, 0x10, 4, true), 0x12350);
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, DS, 0xffff, 2, false));
	assert_fault(b, EXC_SS, 0, segment_linear(b->cpu, SS, 0xfffe, 4, false));
	bench_protected(b);
	segment_load(b->cpu, DS, KERNEL_SS);
	assert_int_equal(segment_linear(b->cpu, DS, 0xfffffff0, 4, true), 0xfffffff0);
	segment_load(b->cpu, DS, READ_ONLY);
	assert_no_fault(b, segment_linear(b->cpu, DS, 0, 4, false));
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, DS, 0, 4, true));
	segment_load(b->cpu, DS, 0);
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, DS, 0, 1, false));
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, CS, 0, 1, true));
	/* Expand-down, 16 bits: above the limit is what is in. */
	bench_set_descriptor(b, EXPAND_DOWN, DESC_P | DESC_S | DESC_TYPE(6) | 0x0fff);
	segment_load(b->cpu, DS, EXPAND_DOWN);
	assert_int_equal(ds->limit, 0xfff);
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, DS, 0xfff, 1, true));
	assert_no_fault(b, segment_linear(b->cpu, DS, 0x1000, 4, true));
	assert_fault(b, EXC_GP, 0, segment_linear(b->cpu, DS, 0xffff, 2, true));
}

static void test_64bit_bases(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	b->cpu->seg[DS].base = b->cpu->seg[FS].base = 0x1000;
	assert_int_equal(segment_linear(b->cpu, DS, 0x10, 8, true), 0x10);
	assert_int_equal(segment_linear(b->cpu, FS, 0x10, 8, true), 0x1010);
	segment_load(b->cpu, FS, 0);
	assert_int_equal(b->cpu->seg[FS].base, 0);
}

/* ---- loads ---- */

static void test_loads(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	assert_fault(b, EXC_GP, 0, segment_load(b->cpu, SS, 0));
	assert_fault(b, EXC_GP, 0xa8, segment_load(b->cpu, DS, 0xa8)); /* beyond the GDT */
	assert_fault(b, EXC_GP, 0x0c, segment_load(b->cpu, DS, 0x0c)); /* no LDT */
	assert_fault(b, EXC_NP, ABSENT, segment_load(b->cpu, DS, ABSENT));
	assert_fault(b, EXC_GP, USER_SS & ~3, segment_load(b->cpu, SS, USER_SS));
	assert_fault(b, EXC_GP, READ_ONLY, segment_load(b->cpu, SS, READ_ONLY));
	assert_fault(b, EXC_GP, TSS_SELECTOR, segment_load(b->cpu, DS, TSS_SELECTOR));
	bench_set_descriptor(b, ABSENT, bench_segment(TYPE_DATA, 0, DESC_D) & ~DESC_P);
	assert_fault(b, EXC_SS, ABSENT, segment_load(b->cpu, SS, ABSENT));

	assert_int_equal(TYPE_BITS(bench_descriptor(b, USER_SS)) & 1, 0);
	segment_load(b->cpu, DS, USER_SS);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, USER_SS)) & 1, 1); /* accessed */
	segment_load(b->cpu, DS, 3);                                      /* null, with any RPL */
	assert_true(b->cpu->seg[DS].ar & SEG_UNUSABLE);

	bench_set_cpl(b, 3, USER_CS, USER_SS);
	assert_fault(b, EXC_GP, KERNEL_SS, segment_load(b->cpu, DS, KERNEL_SS));
	assert_no_fault(b, segment_load(b->cpu, DS, CONFORMING_CS)); /* at any privilege */
	assert_no_fault(b, segment_load(b->cpu, ES, USER_SS & ~3));
}

static void test_ldt(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	assert_fault(b, EXC_GP, KERNEL_CS, segment_load_ldt(b->cpu, KERNEL_CS));
	segment_load_ldt(b->cpu, LDT_SELECTOR);
	*bench_at(b, LDT + 8) = bench_segment(TYPE_DATA, 0, DESC_D);
	assert_no_fault(b, segment_load(b->cpu, DS, 0x0c));
	assert_fault(b, EXC_GP, 0x104, segment_load(b->cpu, DS, 0x104)); /* beyond its limit */
	segment_load_ldt(b->cpu, 0);
	assert_fault(b, EXC_GP, 0x0c, segment_load(b->cpu, DS, 0x0c));
}

static void test_tr(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, TSS_SELECTOR)), SYS_TSS_BUSY);
	assert_fault(b, EXC_GP, TSS_SELECTOR, segment_load_tr(b->cpu, TSS_SELECTOR)); /* busy */
	assert_fault(b, EXC_GP, 0, segment_load_tr(b->cpu, 0));
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67) & ~DESC_P);
	assert_fault(b, EXC_NP, OTHER_TSS, segment_load_tr(b->cpu, OTHER_TSS));
}

static void test_tr_long(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67));
	bench_set_descriptor(b, OTHER_TSS + 8, 0xffff8000);
	segment_load_tr(b->cpu, OTHER_TSS);
	assert_int_equal(b->cpu->tr.base, 0xffff800000000000 + TSS_OTHER);
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67));
	bench_set_descriptor(b, OTHER_TSS + 8, 0x00800000); /* not canonical */
	assert_fault(b, EXC_GP, OTHER_TSS, segment_load_tr(b->cpu, OTHER_TSS));
}

/* ---- jumps and calls ---- */

static void test_far_jump(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	assert_fault(b, EXC_GP, 0, far_jump(b->cpu, 0, 0, 4, 0));
	assert_fault(b, EXC_GP, KERNEL_SS, far_jump(b->cpu, KERNEL_SS, 0, 4, 0));
	assert_fault(b, EXC_GP, USER_CS & ~3, far_jump(b->cpu, USER_CS, 0, 4, 0));
	assert_int_equal(b->cpu->rip, 0x1234);
	assert_no_fault(b, far_jump(b->cpu, KERNEL_CS_16, 0x5678, 4, 0));
	assert_int_equal(b->cpu->mode, MODE_16);
	assert_int_equal(b->cpu->rip, 0x5678);
	bench_set_descriptor(b, KERNEL_CS_16, (DESC_P | DESC_S | DESC_TYPE(TYPE_CODE)) | 0xff);
	assert_fault(b, EXC_GP, 0, far_jump(b->cpu, KERNEL_CS_16, 0x100, 4, 0));
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	assert_no_fault(b, far_jump(b->cpu, CONFORMING_CS, 0x10, 4, 0));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->seg[CS].selector, CONFORMING_CS | 3);
}

static void test_far_call_and_return(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	assert_no_fault(b, far_call(b->cpu, KERNEL_CS, 0x5000, 4, 0x1239));
	assert_int_equal(b->cpu->rip, 0x5000);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 8);
	assert_int_equal(*bench_at(b, STACK0 - 8), 0x1239 | (uint64_t)KERNEL_CS << 32);
	assert_no_fault(b, far_return(b->cpu, 4, 16));
	assert_int_equal(b->cpu->rip, 0x1239);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 + 16);
}

/* Through a call gate with two parameters to ring 0, and back with RETF 8. */
static void test_call_gate(void **state)
{
	struct bench *b = *state;
	uint32_t *frame = (uint32_t *)bench_at(b, STACK0 - 24);

	bench_protected(b);
	bench_set_descriptor(b, CALL_GATE,
			     DESC_P | DESC_TYPE(SYS_CALL) | DESC_DPL(3) | 2ull << 32 |
				     KERNEL_CS << 16 | 0x6000);
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	b->cpu->gpr[RSP] = STACK3 - 8;
	*bench_at(b, STACK3 - 8) = 0x2222222211111111;
	segment_load(b->cpu, DS, USER_SS);
	assert_no_fault(b, far_call(b->cpu, CALL_GATE | 3, 0xdead, 4, 0x1239));
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->rip, 0x6000);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 24);
	assert_int_equal(frame[0], 0x1239);
	assert_int_equal(frame[1], USER_CS);
	assert_int_equal(frame[2], 0x11111111);
	assert_int_equal(frame[3], 0x22222222);
	assert_int_equal(frame[4], STACK3 - 8);
	assert_int_equal(frame[5], USER_SS);
	segment_load(b->cpu, ES, KERNEL_SS);
	assert_no_fault(b, far_return(b->cpu, 4, 8));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
	assert_true(b->cpu->seg[ES].ar & SEG_UNUSABLE); /* not for ring 3 */
	assert_false(b->cpu->seg[DS].ar & SEG_UNUSABLE);
}

static void test_call_gate_faults(void **state)
{
	struct bench *b = *state;
	uint64_t gate = DESC_P | DESC_TYPE(SYS_CALL) | DESC_DPL(3) | KERNEL_CS << 16 | 0x6000;

	bench_protected(b);
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	b->cpu->gpr[RSP] = STACK3;
	bench_set_descriptor(b, CALL_GATE, gate & ~DESC_DPL(3));
	assert_fault(b, EXC_GP, CALL_GATE, far_call(b->cpu, CALL_GATE, 0, 4, 0));
	bench_set_descriptor(b, CALL_GATE, gate & ~DESC_P);
	assert_fault(b, EXC_NP, CALL_GATE, far_call(b->cpu, CALL_GATE, 0, 4, 0));
	bench_set_descriptor(b, CALL_GATE, gate);
	assert_fault(b, EXC_GP, KERNEL_CS, far_jump(b->cpu, CALL_GATE, 0, 4, 0));
	*(uint32_t *)bench_at(b, TSS + 8) = USER_SS; /* the inner stack's privilege is wrong */
	assert_fault(b, EXC_TS, USER_SS & ~3, far_call(b->cpu, CALL_GATE, 0, 4, 0));
	*(uint32_t *)bench_at(b, TSS + 8) = 0;
	assert_fault(b, EXC_TS, 0, far_call(b->cpu, CALL_GATE, 0, 4, 0));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
}

static void test_call_gate_long(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	bench_set_descriptor(b, CALL_GATE,
			     DESC_P | DESC_TYPE(SYS_CALL) | DESC_DPL(3) | KERNEL_CS << 16 | 0x6000);
	bench_set_descriptor(b, CALL_GATE + 8, 0xffff8000);
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	b->cpu->gpr[RSP] = STACK3;
	assert_no_fault(b, far_call(b->cpu, CALL_GATE, 0, 4, 0x1239));
	assert_int_equal(b->cpu->rip, 0xffff800000006000);
	assert_int_equal(b->cpu->gpr[RSP], STACK0 - 32);
	assert_int_equal(b->cpu->seg[SS].selector, 0);
	assert_int_equal(*bench_at(b, STACK0 - 32), 0x1239);
	assert_no_fault(b, far_return(b->cpu, 8, 0));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->rip, 0x1239);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
	bench_set_descriptor(b, CALL_GATE + 8, BIT(40)); /* the type of the second half */
	assert_fault(b, EXC_GP, CALL_GATE, far_call(b->cpu, CALL_GATE, 0, 4, 0));
}

/* ---- IRET ---- */

static void push_frame_64(struct bench *b, uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp,
			  uint64_t ss)
{
	const uint64_t frame[] = { rip, cs, flags, rsp, ss };

	b->cpu->gpr[RSP] = STACK0 - sizeof(frame);
	memcpy(bench_at(b, STACK0 - sizeof(frame)), frame, sizeof(frame));
}

static void test_iretq(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	b->cpu->nmi_blocked = true;
	push_frame_64(b, 0x400000, USER_CS, RFLAGS_ONE | RFLAGS_IF | RFLAGS_ZF, STACK3, USER_SS);
	assert_no_fault(b, far_iret(b->cpu, 8, 0));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->rip, 0x400000);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
	assert_int_equal(flags_get(b->cpu), RFLAGS_ONE | RFLAGS_IF | RFLAGS_ZF);
	assert_int_equal(b->cpu->seg[SS].selector, USER_SS);
	assert_false(b->cpu->nmi_blocked);
	assert_int_equal(b->cpu->tlb_class, TLB_USER);
}

static void test_iretq_faults(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	push_frame_64(b, 0x800000000000, USER_CS, RFLAGS_ONE, STACK3, USER_SS);
	assert_fault(b, EXC_GP, 0, far_iret(b->cpu, 8, 0));
	push_frame_64(b, 0, USER_CS, RFLAGS_ONE, STACK3, KERNEL_SS);
	assert_fault(b, EXC_GP, KERNEL_SS, far_iret(b->cpu, 8, 0));
	push_frame_64(b, 0, USER_CS, RFLAGS_ONE, STACK3, 3); /* null is not for ring 3 */
	assert_fault(b, EXC_GP, 0, far_iret(b->cpu, 8, 0));
	push_frame_64(b, 0, KERNEL_SS, RFLAGS_ONE, STACK3, USER_SS);
	assert_fault(b, EXC_GP, KERNEL_SS, far_iret(b->cpu, 8, 0));
	push_frame_64(b, 0, KERNEL_CS, RFLAGS_ONE, STACK3, 0);
	assert_no_fault(b, far_iret(b->cpu, 8, 0));
	assert_true(b->cpu->seg[SS].ar & SEG_UNUSABLE);
	b->cpu->rflags |= RFLAGS_NT;
	push_frame_64(b, 0, KERNEL_CS, RFLAGS_ONE, STACK3, 0);
	assert_fault(b, EXC_GP, 0, far_iret(b->cpu, 8, 0));
	assert_int_equal(b->cpu->cpl, 0);
}

static void test_iret_to_compatibility(void **state)
{
	struct bench *b = *state;

	bench_long(b);
	push_frame_64(b, 0x400000, USER_CS_32, RFLAGS_ONE, 0x1234500009000, USER_SS);
	assert_no_fault(b, far_iret(b->cpu, 8, 0));
	assert_int_equal(b->cpu->mode, MODE_32);
	assert_int_equal(b->cpu->gpr[RSP], 0x9000);
}

/* 32-bit code is flat while CS, DS, ES and SS are; what makes it otherwise ends its block. */
static void test_flat_mode(void **state)
{
	static const struct insn here;
	struct bench *b = *state;
	struct segment whole;

	bench_long(b);
	push_frame_64(b, 0x400000, USER_CS_32, RFLAGS_ONE, 0x9000, USER_SS);
	assert_no_fault(b, far_iret(b->cpu, 8, 0));
	b->cpu->block_end = &here;
	assert_no_fault(b, segment_load(b->cpu, DS, USER_SS));
	assert_int_equal(b->cpu->mode, MODE_32);
	assert_ptr_equal(b->cpu->block_end, &here);
	assert_no_fault(b, segment_load(b->cpu, ES, USER_SS));
	assert_int_equal(b->cpu->mode, MODE_FLAT);
	assert_null(b->cpu->block_end);
	assert_false(b->cpu->is_wide[0]);
	assert_no_fault(b, segment_load(b->cpu, FS, USER_SS));
	assert_true(b->cpu->is_wide[0]);
	assert_false(b->cpu->is_wide[1]);

	b->cpu->block_end = &here;
	assert_no_fault(b, segment_load(b->cpu, DS, 0));
	assert_int_equal(b->cpu->mode, MODE_32);
	assert_null(b->cpu->block_end);
	assert_no_fault(b, segment_load(b->cpu, DS, USER_SS));
	for (unsigned seg = ES; seg <= DS; seg++) {
		whole = b->cpu->seg[seg];
		b->cpu->seg[seg].limit--;
		cpu_update_derived(b->cpu);
		assert_int_equal(b->cpu->mode, MODE_32);
		b->cpu->seg[seg] = whole;
		b->cpu->seg[seg].base = 16;
		cpu_update_derived(b->cpu);
		assert_int_equal(b->cpu->mode, MODE_32);
		b->cpu->seg[seg] = whole;
		b->cpu->seg[seg].ar ^= seg == CS ? SEG_DB : SEG_WRITABLE;
		cpu_update_derived(b->cpu);
		assert_int_not_equal(b->cpu->mode, MODE_FLAT);
		b->cpu->seg[seg] = whole;
	}
	b->cpu->seg[SS].ar &= ~SEG_DB;
	cpu_update_derived(b->cpu);
	assert_int_equal(b->cpu->mode, MODE_32);
}

static void test_iret_privileged_flags(void **state)
{
	struct bench *b = *state;
	uint64_t all = RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VIP | RFLAGS_ID;
	uint32_t *frame;

	bench_protected(b);
	bench_set_cpl(b, 3, USER_CS, USER_SS);
	b->cpu->gpr[RSP] = STACK3 - 12;
	frame = (uint32_t *)bench_at(b, STACK3 - 12);
	frame[0] = 0x77;
	frame[1] = USER_CS;
	frame[2] = (uint32_t)all;
	assert_no_fault(b, far_iret(b->cpu, 4, 0));
	assert_int_equal(flags_get(b->cpu), RFLAGS_ONE | RFLAGS_ID);
	assert_int_equal(b->cpu->gpr[RSP], STACK3);
}

static void test_iret_to_v86(void **state)
{
	struct bench *b = *state;
	const uint32_t frame[] = { 0x123,  0x1000, RFLAGS_VM | RFLAGS_IF | 3u << 12,
				   0xfff0, 0x2000, 0x3000,
				   0x4000, 0x5000, 0x6000 };

	bench_protected(b);
	b->cpu->gpr[RSP] = STACK0 - sizeof(frame);
	memcpy(bench_at(b, STACK0 - sizeof(frame)), frame, sizeof(frame));
	assert_no_fault(b, far_iret(b->cpu, 4, 0));
	assert_true(cpu_in_v86_mode(b->cpu));
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->mode, MODE_16);
	assert_int_equal(b->cpu->seg[CS].base, 0x10000);
	assert_int_equal(b->cpu->seg[SS].base, 0x20000);
	assert_int_equal(b->cpu->seg[GS].base, 0x60000);
	assert_int_equal(b->cpu->gpr[RSP], 0xfff0);
	/* In there IRET depends on IOPL. */
	memcpy(bench_at(b, 0x2fff0), (const uint16_t[]){ 0x200, 0x1100, 0x0246 }, 6);
	assert_no_fault(b, far_iret(b->cpu, 2, 0));
	assert_int_equal(b->cpu->rip, 0x200);
	assert_int_equal(cpu_iopl(b->cpu), 3);
	b->cpu->rflags &= ~(uint32_t)RFLAGS_IOPL;
	assert_fault(b, EXC_GP, 0, far_iret(b->cpu, 2, 0));
}

static void test_iret_real(void **state)
{
	struct bench *b = *state;

	b->cpu->gpr[RSP] = 0xfffa;
	memcpy(bench_at(b, 0xfffa), (const uint16_t[]){ 0x200, 0x1100, 0x3246 }, 6);
	assert_no_fault(b, far_iret(b->cpu, 2, 0));
	assert_int_equal(b->cpu->seg[CS].base, 0x11000);
	assert_int_equal(flags_get(b->cpu), 0x3246);
	assert_int_equal(b->cpu->gpr[RSP] & 0xffff, 0);
}

/* ---- tasks ---- */

static void make_task(struct bench *b, uint32_t eflags)
{
	uint32_t *tss = (uint32_t *)bench_at(b, TSS_OTHER);

	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67));
	memset(tss, 0, 0x68);
	tss[8] = 0x7000; /* EIP */
	tss[9] = eflags;
	tss[10] = 0xaaaa;    /* EAX */
	tss[14] = STACK_IST; /* ESP */
	tss[18] = KERNEL_SS; /* ES CS SS DS */
	tss[19] = KERNEL_CS;
	tss[20] = KERNEL_SS;
	tss[21] = KERNEL_SS;
}

static void test_task_call_and_return(void **state)
{
	struct bench *b = *state;
	const uint32_t *old = (const uint32_t *)bench_at(b, TSS);

	bench_protected(b);
	make_task(b, RFLAGS_ONE);
	b->cpu->gpr[RBX] = 0xbbbb;
	assert_no_fault(b, far_call(b->cpu, OTHER_TSS, 0, 4, 0x1239));
	assert_int_equal(b->cpu->tr.selector, OTHER_TSS);
	assert_int_equal(b->cpu->rip, 0x7000);
	assert_int_equal(b->cpu->gpr[RAX], 0xaaaa);
	assert_int_equal(b->cpu->gpr[RSP], STACK_IST);
	assert_true(b->cpu->rflags & RFLAGS_NT);
	assert_true(b->cpu->cr0 & CR0_TS);
	assert_int_equal(*bench_at(b, TSS_OTHER) & 0xffff, TSS_SELECTOR);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, TSS_SELECTOR)), SYS_TSS_BUSY);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, OTHER_TSS)), SYS_TSS_BUSY);
	assert_int_equal(old[8], 0x1239);
	assert_int_equal(old[13], 0xbbbb);
	assert_fault(b, EXC_GP, TSS_SELECTOR, far_jump(b->cpu, TSS_SELECTOR, 0, 4, 0)); /* busy */

	assert_no_fault(b, far_iret(b->cpu, 4, 0x7003));
	assert_int_equal(b->cpu->tr.selector, TSS_SELECTOR);
	assert_int_equal(b->cpu->rip, 0x1239);
	assert_int_equal(b->cpu->gpr[RBX], 0xbbbb);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, OTHER_TSS)), SYS_TSS_AVAIL);
	assert_int_equal(*bench_at(b, TSS_OTHER + 36) & RFLAGS_NT, 0);
}

static void test_task_jump(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	make_task(b, RFLAGS_ONE);
	*(uint32_t *)bench_at(b, TSS_OTHER + 0x64) = 1; /* T */
	assert_no_fault(b, far_jump(b->cpu, OTHER_TSS, 0, 4, 0x1239));
	assert_false(b->cpu->rflags & RFLAGS_NT);
	assert_int_equal(TYPE_BITS(bench_descriptor(b, TSS_SELECTOR)), SYS_TSS_AVAIL);
	assert_int_equal(b->cpu->pending_db, DR6_BT);
}

static void test_task_faults(void **state)
{
	struct bench *b = *state;

	bench_protected(b);
	make_task(b, RFLAGS_ONE);
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x66));
	assert_fault(b, EXC_TS, OTHER_TSS, far_jump(b->cpu, OTHER_TSS, 0, 4, 0));
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS_AVAIL, TSS_OTHER, 0x67) & ~DESC_P);
	assert_fault(b, EXC_NP, OTHER_TSS, far_jump(b->cpu, OTHER_TSS, 0, 4, 0));
	assert_int_equal(b->cpu->tr.selector, TSS_SELECTOR);
	/* A bad segment is found in the new task. */
	make_task(b, RFLAGS_ONE);
	*(uint32_t *)bench_at(b, TSS_OTHER + 0x54) = ABSENT;
	assert_fault(b, EXC_NP, ABSENT, far_jump(b->cpu, OTHER_TSS, 0, 4, 0));
	assert_int_equal(b->cpu->tr.selector, OTHER_TSS);
	assert_int_equal(b->cpu->rip, 0x7000);
}

static void test_task_16bit(void **state)
{
	struct bench *b = *state;
	uint16_t *tss = (uint16_t *)bench_at(b, TSS_OTHER);

	bench_protected(b);
	bench_set_descriptor(b, OTHER_TSS, bench_system(SYS_TSS16_AVAIL, TSS_OTHER, 0x2b));
	tss[7] = 0x7000;
	tss[8] = RFLAGS_ONE;
	tss[9] = 0x1111;
	tss[13] = 0x9000;
	tss[17] = tss[19] = tss[20] = KERNEL_SS;
	tss[18] = KERNEL_CS_16;
	assert_no_fault(b, far_jump(b->cpu, OTHER_TSS, 0, 4, 0));
	assert_int_equal(b->cpu->rip, 0x7000);
	assert_int_equal(b->cpu->gpr[RAX], 0xffff1111);
	assert_int_equal(b->cpu->mode, MODE_16);
	assert_true(b->cpu->seg[FS].ar & SEG_UNUSABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(limits),
		TEST(64bit_bases),
		TEST(loads),
		TEST(ldt),
		TEST(tr),
		TEST(tr_long),
		TEST(far_jump),
		TEST(far_call_and_return),
		TEST(call_gate),
		TEST(call_gate_faults),
		TEST(call_gate_long),
		TEST(iretq),
		TEST(iretq_faults),
		TEST(iret_to_compatibility),
		TEST(flat_mode),
		TEST(iret_privileged_flags),
		TEST(iret_to_v86),
		TEST(iret_real),
		TEST(task_call_and_return),
		TEST(task_jump),
		TEST(task_faults),
		TEST(task_16bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
