/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far jumps and calls, directly and through call gates, and far returns. cpu/iret.c has IRET.
 * Everything that can fault comes first; what is committed at the end cannot.
 *
 * SDM2: "JMP", "CALL", "RET"; SDM3: "Accessing a Code Segment Through a Call Gate".
 */
#include "cpu/descriptor.h"

#define GATE_PARAMETERS 31u

/* Where a gate leads. */
struct gate {
	uint16_t selector;
	uint64_t offset;
	unsigned size;       /* bytes of what it pushes: 2, 4, 8 */
	unsigned parameters; /* copied to an inner stack */
};

static uint64_t cut(uint64_t offset, unsigned size)
{
	return offset & size_mask(size);
}

/* Real and v8086 mode: nothing is checked but the limit. */
static void go_real(struct cpu *cpu, uint16_t selector, uint64_t offset)
{
	segment_load_real(cpu, CS, selector);
	cpu->rip = offset;
	cpu_update_derived(cpu);
}

static void check_limit_real(struct cpu *cpu, uint64_t offset)
{
	if (offset > cpu->seg[CS].limit)
		cpu_raise_code(cpu, EXC_GP, 0);
}

static void go(struct cpu *cpu, const struct descriptor *cs, unsigned cpl, uint64_t rip)
{
	segment_set_cs(cpu, cs, cpl);
	cpu->rip = rip;
	cpu_update_derived(cpu);
}

static void check_present(struct cpu *cpu, const struct descriptor *d)
{
	if (!(descriptor_ar(d) & SEG_P))
		descriptor_raise(cpu, EXC_NP, d->selector);
}

/* L and D together mean nothing in long mode. */
static void check_code_size(struct cpu *cpu, const struct descriptor *d)
{
	uint32_t ar = descriptor_ar(d);

	if (cpu_in_long_mode(cpu) && (ar & SEG_L) && (ar & SEG_DB))
		descriptor_raise(cpu, EXC_GP, d->selector);
}

static void check_rip(struct cpu *cpu, const struct descriptor *d, uint64_t rip)
{
	struct segment seg;

	descriptor_unpack(d, &seg);
	segment_check_rip(cpu, seg.ar, seg.limit, rip);
}

/* A code segment as the target of a direct jump or call. */
static void check_direct(struct cpu *cpu, const struct descriptor *d)
{
	uint32_t ar = descriptor_ar(d);
	unsigned rpl = d->selector & SELECTOR_RPL;

	check_code_size(cpu, d);
	if (is_conforming(ar) ? seg_dpl(ar) > cpu->cpl : rpl > cpu->cpl || seg_dpl(ar) != cpu->cpl)
		descriptor_raise(cpu, EXC_GP, d->selector);
	check_present(cpu, d);
}

/* ---- gates ---- */

/* The privilege that every gate and TSS asks of who uses it. */
static void check_gate_privilege(struct cpu *cpu, const struct descriptor *d)
{
	unsigned dpl = seg_dpl(descriptor_ar(d)), rpl = d->selector & SELECTOR_RPL;

	if (dpl < MAX(cpu->cpl, rpl))
		descriptor_raise(cpu, EXC_GP, d->selector);
}

static void unpack_gate(struct cpu *cpu, const struct descriptor *d, struct gate *gate)
{
	bool is_16bit = system_type(descriptor_ar(d)) == SYS_CALL16;

	gate->selector = (uint16_t)bits(d->low, 31, 16);
	gate->offset = bits(d->low, 15, 0);
	gate->parameters = bits(d->low, 39, 32) & GATE_PARAMETERS;
	gate->size = is_16bit ? 2 : 4;
	if (!is_16bit)
		gate->offset |= bits(d->low, 63, 48) << 16;
	if (cpu_in_long_mode(cpu)) {
		gate->offset |= d->high << 32;
		gate->size = 8;
		gate->parameters = 0;
	}
}

/* The code segment that a call gate leads to. */
static void check_gate_target(struct cpu *cpu, const struct gate *gate, bool is_jump,
			      struct descriptor *cs)
{
	uint32_t ar;

	descriptor_require(cpu, gate->selector, EXC_GP, cs);
	ar = descriptor_ar(cs);
	if (!is_code(ar) || seg_dpl(ar) > cpu->cpl)
		descriptor_raise(cpu, EXC_GP, gate->selector);
	if (is_jump && !is_conforming(ar) && seg_dpl(ar) != cpu->cpl)
		descriptor_raise(cpu, EXC_GP, gate->selector);
	if (cpu_in_long_mode(cpu) && (ar & (SEG_L | SEG_DB)) != SEG_L)
		descriptor_raise(cpu, EXC_GP, gate->selector);
	check_present(cpu, cs);
}

/* 16-byte gates have a second type field that must be zero. */
static void fetch_gate(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
	if (!descriptor_fetch_system(cpu, selector, d) || bits(d->high, 44, 40))
		descriptor_raise(cpu, EXC_GP, selector);
}

/* ---- calls ---- */

static void push_return(struct cpu *cpu, struct stack *stack, unsigned size, uint64_t next_rip)
{
	stack_put(cpu, stack, size, cpu->seg[CS].selector);
	stack_put(cpu, stack, size, next_rip);
}

static void call_same_level(struct cpu *cpu, struct descriptor *cs, uint64_t rip, unsigned size,
			    uint64_t next_rip)
{
	struct stack stack;

	stack_open(cpu, &stack);
	check_rip(cpu, cs, rip);
	descriptor_set_accessed(cpu, cs);
	push_return(cpu, &stack, size, next_rip);
	stack_commit(cpu, &stack);
	go(cpu, cs, cpu->cpl, rip);
}

/* The outer stack's parameters, outermost first. */
static void copy_parameters(struct cpu *cpu, struct stack *stack, const struct gate *gate)
{
	for (unsigned n = gate->parameters; n-- > 0;)
		stack_put(cpu, stack, gate->size, stack_peek(cpu, gate->size, n * gate->size));
}

static void call_inner_level(struct cpu *cpu, const struct gate *gate, struct descriptor *cs,
			     uint64_t next_rip)
{
	unsigned cpl = seg_dpl(descriptor_ar(cs));
	struct segment ss;
	struct stack stack;
	uint64_t sp;

	stack_from_tss(cpu, cpl, &ss, &sp);
	stack_open_as(&stack, &ss, sp, cpu_in_long_mode(cpu), true);
	stack.error = ss.selector & SELECTOR_NULL_MASK;
	check_rip(cpu, cs, gate->offset);
	descriptor_set_accessed(cpu, cs);
	stack_put(cpu, &stack, gate->size, cpu->seg[SS].selector);
	stack_put(cpu, &stack, gate->size, cpu->gpr[RSP]);
	copy_parameters(cpu, &stack, gate);
	push_return(cpu, &stack, gate->size, next_rip);
	cpu->seg[SS] = ss;
	stack_commit(cpu, &stack);
	go(cpu, cs, cpl, gate->offset);
}

static void call_through_gate(struct cpu *cpu, const struct descriptor *d, uint64_t next_rip)
{
	struct descriptor cs;
	struct gate gate;

	check_present(cpu, d);
	unpack_gate(cpu, d, &gate);
	check_gate_target(cpu, &gate, false, &cs);
	if (!is_conforming(descriptor_ar(&cs)) && seg_dpl(descriptor_ar(&cs)) < cpu->cpl)
		call_inner_level(cpu, &gate, &cs, next_rip);
	else
		call_same_level(cpu, &cs, gate.offset, gate.size, next_rip);
}

static void jump_through_gate(struct cpu *cpu, const struct descriptor *d)
{
	struct descriptor cs;
	struct gate gate;

	check_present(cpu, d);
	unpack_gate(cpu, d, &gate);
	check_gate_target(cpu, &gate, true, &cs);
	check_rip(cpu, &cs, gate.offset);
	descriptor_set_accessed(cpu, &cs);
	go(cpu, &cs, cpu->cpl, gate.offset);
}

/* A system descriptor as the target of a jump or call. */
static void transfer_system(struct cpu *cpu, uint16_t selector, bool is_jump, uint64_t next_rip)
{
	enum task_switch_cause cause = is_jump ? TASK_JUMP : TASK_CALL;
	struct descriptor d;
	unsigned type;

	fetch_gate(cpu, selector, &d);
	type = system_type(descriptor_ar(&d));
	if (cpu_in_long_mode(cpu) && type != SYS_CALL)
		descriptor_raise(cpu, EXC_GP, selector);
	switch (type) {
	case SYS_CALL16:
	case SYS_CALL:
		check_gate_privilege(cpu, &d);
		if (is_jump)
			jump_through_gate(cpu, &d);
		else
			call_through_gate(cpu, &d, next_rip);
		break;
	case SYS_TASK_GATE:
		check_gate_privilege(cpu, &d);
		check_present(cpu, &d);
		task_switch(cpu, (uint16_t)bits(d.low, 31, 16), cause, next_rip, NULL);
		break;
	case SYS_TSS16_AVAIL:
	case SYS_TSS_AVAIL:
		check_gate_privilege(cpu, &d);
		task_switch(cpu, selector, cause, next_rip, NULL);
		break;
	default:
		descriptor_raise(cpu, EXC_GP, selector);
	}
}

void far_jump(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_rip)
{
	struct descriptor d;

	offset = cut(offset, size);
	if (!cpu_in_protected_mode(cpu)) {
		check_limit_real(cpu, offset);
		go_real(cpu, selector, offset);
		return;
	}
	descriptor_require(cpu, selector, EXC_GP, &d);
	if (!is_code(descriptor_ar(&d))) {
		transfer_system(cpu, selector, true, next_rip);
		return;
	}
	check_direct(cpu, &d);
	check_rip(cpu, &d, offset);
	descriptor_set_accessed(cpu, &d);
	go(cpu, &d, cpu->cpl, offset);
}

static void call_real(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned size,
		      uint64_t next_rip)
{
	struct stack stack;

	check_limit_real(cpu, offset);
	stack_open(cpu, &stack);
	push_return(cpu, &stack, size, next_rip);
	stack_commit(cpu, &stack);
	go_real(cpu, selector, offset);
}

void far_call(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_rip)
{
	struct descriptor d;

	offset = cut(offset, size);
	if (!cpu_in_protected_mode(cpu)) {
		call_real(cpu, selector, offset, size, next_rip);
		return;
	}
	descriptor_require(cpu, selector, EXC_GP, &d);
	if (!is_code(descriptor_ar(&d))) {
		transfer_system(cpu, selector, false, next_rip);
		return;
	}
	check_direct(cpu, &d);
	call_same_level(cpu, &d, offset, size, next_rip);
}

/* ---- returns ---- */

static void return_real(struct cpu *cpu, unsigned size, unsigned pop_bytes)
{
	struct stack stack;
	uint64_t offset;
	uint16_t selector;

	stack_open(cpu, &stack);
	offset = stack_take(cpu, &stack, size);
	selector = (uint16_t)stack_take(cpu, &stack, size);
	check_limit_real(cpu, offset);
	stack_skip(&stack, pop_bytes);
	stack_commit(cpu, &stack);
	go_real(cpu, selector, offset);
}

void far_check_return(struct cpu *cpu, uint16_t selector, struct descriptor *cs)
{
	unsigned rpl = selector & SELECTOR_RPL;
	uint32_t ar;

	descriptor_require(cpu, selector, EXC_GP, cs);
	ar = descriptor_ar(cs);
	if (!is_code(ar) || rpl < cpu->cpl)
		descriptor_raise(cpu, EXC_GP, selector);
	check_code_size(cpu, cs);
	if (is_conforming(ar) ? seg_dpl(ar) > rpl : seg_dpl(ar) != rpl)
		descriptor_raise(cpu, EXC_GP, selector);
	check_present(cpu, cs);
}

void far_check_return_stack(struct cpu *cpu, uint16_t selector, const struct descriptor *cs,
			    struct segment *ss)
{
	unsigned cpl = cs->selector & SELECTOR_RPL;
	bool is_to_64bit = cpu_in_long_mode(cpu) && (descriptor_ar(cs) & SEG_L);

	if (selector_is_null(selector) && is_to_64bit && cpl != 3 &&
	    (selector & SELECTOR_RPL) == cpl) {
		segment_set_null(ss, selector);
		ss->ar |= cpl << SEG_DPL_SHIFT;
		return;
	}
	if (selector_is_null(selector))
		cpu_raise_code(cpu, EXC_GP, 0);
	segment_check_stack(cpu, selector, cpl, EXC_GP, ss);
}

void far_set_outer_stack(struct cpu *cpu, const struct segment *ss, uint64_t sp, bool is_to_64bit)
{
	cpu->seg[SS] = *ss;
	if (is_to_64bit)
		cpu->gpr[RSP] = sp;
	else if (ss->ar & SEG_DB)
		cpu->gpr[RSP] = (uint32_t)sp;
	else
		*(uint16_t *)&cpu->gpr[RSP] = (uint16_t)sp;
}

static void return_outer(struct cpu *cpu, struct stack *stack, struct descriptor *cs, uint64_t rip,
			 unsigned size, unsigned pop_bytes)
{
	bool is_to_64bit = cpu_in_long_mode(cpu) && (descriptor_ar(cs) & SEG_L);
	struct segment ss;
	uint16_t selector;
	uint64_t sp;

	stack_skip(stack, pop_bytes);
	sp = stack_take(cpu, stack, size);
	selector = (uint16_t)stack_take(cpu, stack, size);
	far_check_return_stack(cpu, selector, cs, &ss);
	check_rip(cpu, cs, rip);
	descriptor_set_accessed(cpu, cs);
	far_set_outer_stack(cpu, &ss, sp + pop_bytes, is_to_64bit);
	segment_set_cs(cpu, cs, cs->selector & SELECTOR_RPL);
	segment_drop_privileged(cpu);
	cpu->rip = rip;
	cpu_update_derived(cpu);
}

void far_return(struct cpu *cpu, unsigned size, unsigned pop_bytes)
{
	struct descriptor cs;
	struct stack stack;
	uint64_t rip;

	if (!cpu_in_protected_mode(cpu)) {
		return_real(cpu, size, pop_bytes);
		return;
	}
	stack_open(cpu, &stack);
	rip = stack_take(cpu, &stack, size);
	far_check_return(cpu, (uint16_t)stack_take(cpu, &stack, size), &cs);
	if ((cs.selector & SELECTOR_RPL) > cpu->cpl) {
		return_outer(cpu, &stack, &cs, rip, size, pop_bytes);
		return;
	}
	check_rip(cpu, &cs, rip);
	descriptor_set_accessed(cpu, &cs);
	stack_skip(&stack, pop_bytes);
	stack_commit(cpu, &stack);
	go(cpu, &cs, cpu->cpl, rip);
}
