/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IRET in every mode: real, v8086 (with VME), protected to the same level, an outer level, v8086
 * mode or another task, and 64-bit.
 *
 * SDM2: "IRET/IRETD/IRETQ"
 */
#include "cpu/descriptor.h"
#include "cpu/flags.h"

/* What any IRET restores, and what only a privileged one does. */
#define FLAGS_ANY  (RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT)
#define FLAGS_WIDE (RFLAGS_RF | RFLAGS_AC | RFLAGS_ID) /* operand size above 16 bits */
#define FLAGS_CPL0 (RFLAGS_VIF | RFLAGS_VIP)           /* and wide */

static void set_flags(struct cpu *cpu, uint64_t popped, uint64_t changed)
{
	flags_set(cpu, (flags_get(cpu) & ~changed) | (popped & changed));
}

/* The flags that code at this privilege may change. */
static uint64_t changeable(const struct cpu *cpu, unsigned size)
{
	uint64_t flags = FLAGS_ANY;

	if (size > 2)
		flags |= FLAGS_WIDE;
	if (cpu->cpl <= cpu_iopl(cpu))
		flags |= RFLAGS_IF;
	if (cpu->cpl == 0)
		flags |= RFLAGS_IOPL | (size > 2 ? FLAGS_CPL0 : 0);
	return flags;
}

/* IRET lets NMIs in again as it begins, even if a fault or an exit ends it. */
static void unblock_nmi(struct cpu *cpu)
{
	if (likely(!cpu->nmi_blocked) || cpu->iret_keeps_nmi)
		return;
	cpu->nmi_blocked = false;
	cpu->iret_unblocks_nmi = true;
	cpu_attention_set(cpu, ATTENTION_NMI | ATTENTION_VIRT);
}

static void finish(struct cpu *cpu, uint64_t rip)
{
	cpu->rip = rip;
	cpu->iret_unblocks_nmi = false;
	cpu_update_derived(cpu);
}

/* ---- real and v8086 mode ---- */

struct frame {
	uint64_t rip, flags;
	uint16_t cs;
	/* Where the return is to an outer level, or from 64-bit mode. */
	uint16_t ss;
	uint64_t sp;
};

static void pop_frame(struct cpu *cpu, struct stack *stack, unsigned size, struct frame *frame)
{
	frame->rip = stack_take(cpu, stack, size);
	frame->cs = (uint16_t)stack_take(cpu, stack, size);
	frame->flags = stack_take(cpu, stack, size);
}

/* IOPL below 3 with VME: IF is VIF, and what would need the monitor faults. */
static void check_vme(struct cpu *cpu, unsigned size, const struct frame *frame)
{
	bool is_pending = (cpu->rflags & RFLAGS_VIP) && (frame->flags & RFLAGS_IF);

	if (!(cpu->cr4 & CR4_VME) || size != 2 || is_pending || (frame->flags & RFLAGS_TF))
		cpu_raise_code(cpu, EXC_GP, 0);
}

static void iret_real(struct cpu *cpu, unsigned size)
{
	bool is_v86 = cpu_in_v86_mode(cpu), uses_vif = is_v86 && cpu_iopl(cpu) < 3;
	uint64_t changed = FLAGS_ANY | RFLAGS_IF | (size > 2 ? FLAGS_WIDE : 0);
	struct frame frame;
	struct stack stack;

	if (uses_vif && (size != 2 || !(cpu->cr4 & CR4_VME)))
		cpu_raise_code(cpu, EXC_GP, 0);
	stack_open(cpu, &stack);
	pop_frame(cpu, &stack, size, &frame);
	if (frame.rip > cpu->seg[CS].limit)
		cpu_raise_code(cpu, EXC_GP, 0);
	if (uses_vif)
		check_vme(cpu, size, &frame);
	stack_commit(cpu, &stack);
	segment_load_real(cpu, CS, frame.cs);
	if (!is_v86)
		changed |= RFLAGS_IOPL;
	if (uses_vif) {
		changed = (changed & ~RFLAGS_IF) | RFLAGS_VIF;
		if (frame.flags & RFLAGS_IF)
			frame.flags |= RFLAGS_VIF;
		else
			frame.flags &= ~RFLAGS_VIF;
	}
	set_flags(cpu, frame.flags, changed);
	finish(cpu, frame.rip);
}

/* ---- protected mode ---- */

static void iret_to_v86(struct cpu *cpu, struct stack *stack, const struct frame *frame)
{
	static const uint8_t order[] = { ES, DS, FS, GS };
	uint16_t selectors[ARRAY_SIZE(order)], ss;
	uint64_t sp = stack_take(cpu, stack, 4);

	ss = (uint16_t)stack_take(cpu, stack, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		selectors[i] = (uint16_t)stack_take(cpu, stack, 4);
	if (frame->rip > UINT16_MAX)
		cpu_raise_code(cpu, EXC_GP, 0);
	flags_set(cpu, frame->flags);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		segment_set_v86(&cpu->seg[order[i]], selectors[i]);
	segment_set_v86(&cpu->seg[SS], ss);
	segment_set_v86(&cpu->seg[CS], frame->cs);
	cpu->gpr[RSP] = (uint32_t)sp;
	cpu->cpl = 3;
	finish(cpu, frame->rip);
}

static void pop_outer_stack(struct cpu *cpu, struct stack *stack, unsigned size,
			    struct frame *frame)
{
	frame->sp = stack_take(cpu, stack, size);
	frame->ss = (uint16_t)stack_take(cpu, stack, size);
}

/* `stack` is behind what is in the frame; NULL: all of it is. */
static void iret_to_segment(struct cpu *cpu, struct stack *stack, struct frame *frame,
			    unsigned size)
{
	uint64_t changed = changeable(cpu, size);
	bool is_from_64bit = cpu_in_64bit_mode(cpu), is_outer, is_to_64bit;
	struct segment code, ss;
	struct descriptor cs;

	far_check_return(cpu, frame->cs, &cs);
	is_outer = (cs.selector & SELECTOR_RPL) > cpu->cpl;
	is_to_64bit = cpu_in_long_mode(cpu) && (descriptor_ar(&cs) & SEG_L);
	if (is_outer || is_from_64bit) {
		if (stack)
			pop_outer_stack(cpu, stack, size, frame);
		far_check_return_stack(cpu, frame->ss, &cs, &ss);
	}
	descriptor_unpack(&cs, &code);
	segment_check_rip(cpu, code.ar, code.limit, frame->rip);
	descriptor_set_accessed(cpu, &cs);
	if (is_outer || is_from_64bit)
		far_set_outer_stack(cpu, &ss, frame->sp, is_to_64bit);
	else
		stack_commit(cpu, stack);
	set_flags(cpu, frame->flags, changed);
	segment_set_cs(cpu, &cs, cs.selector & SELECTOR_RPL);
	if (is_outer)
		segment_drop_privileged(cpu);
	finish(cpu, frame->rip);
}

/* The frame of 64-bit mode as it lies on the stack. */
struct frame_long {
	uint64_t rip, cs, flags, sp, ss;
};

/* Where the whole frame is at hand: the hot case. false: it is not, and nothing was done. */
static bool iret_long(struct cpu *cpu)
{
	const void *host = mmu_fast(cpu, cpu->gpr[RSP], sizeof(struct frame_long), false);
	struct frame_long words;
	struct frame frame;

	if (unlikely(!host))
		return false;
	memcpy(&words, host, sizeof(words));
	frame = (struct frame){ .rip = words.rip,
				.flags = words.flags,
				.cs = (uint16_t)words.cs,
				.ss = (uint16_t)words.ss,
				.sp = words.sp };
	iret_to_segment(cpu, NULL, &frame, sizeof(uint64_t));
	return true;
}

void far_iret(struct cpu *cpu, unsigned size, uint64_t next_rip)
{
	struct frame frame;
	struct stack stack;

	unblock_nmi(cpu);
	if (likely(size == sizeof(uint64_t) && !(cpu->rflags & RFLAGS_NT)) && iret_long(cpu))
		return;
	if (!cpu_in_protected_mode(cpu)) {
		iret_real(cpu, size);
		return;
	}
	if (cpu->rflags & RFLAGS_NT) {
		if (cpu_in_long_mode(cpu))
			cpu_raise_code(cpu, EXC_GP, 0);
		task_switch(cpu, (uint16_t)mmu_load_system(cpu, cpu->tr.base, 2), TASK_IRET,
			    next_rip, NULL);
		cpu->iret_unblocks_nmi = false;
		return;
	}
	stack_open(cpu, &stack);
	pop_frame(cpu, &stack, size, &frame);
	if ((frame.flags & RFLAGS_VM) && cpu->cpl == 0 && size == 4 && !cpu_in_long_mode(cpu))
		iret_to_v86(cpu, &stack, &frame);
	else
		iret_to_segment(cpu, &stack, &frame, size);
}
