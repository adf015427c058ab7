/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event delivery. A fault on the way unwinds to event_deliver, which makes it the next event: the
 * fault itself, a double fault, or the end. Delivery commits nothing before its last possible
 * fault, save where a task gate has switched tasks already.
 *
 * Delivery to 64-bit mode is hot: the gate and the frame are reached through one TLB probe each.
 * SDM3: "Interrupt and Exception Handling", "8086 Emulation"; SDM2: "INT n".
 */
#include "cpu/event.h"

#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/virt.h"

#define GATE_BYTES      8
#define GATE_BYTES_LONG 16
#define IVT_ENTRY_BYTES 4

#define TSS64_IST1        36
#define TSS_IO_MAP        102 /* where a 32-bit TSS says at which offset its I/O map starts */
#define REDIRECTION_BYTES 32  /* the interrupt redirection bitmap lies below it */

#define MAX_SERIAL_FAULTS 16

#define FRAME_WORDS      5 /* SS RSP RFLAGS CS RIP */
#define FRAME_WORDS_CODE 6 /* with an error code */

#define FLAGS_CLEARED (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM)

static bool is_software(const struct event *event)
{
	return event->type == EVENT_SOFT_INT || event->type == EVENT_SOFT_FAULT;
}

static uint64_t return_rip(const struct cpu *cpu, const struct event *event)
{
	return is_software(event) || event->type == EVENT_ICEBP ? event->next_rip : cpu->rip;
}

/* Faults push RF set, so that returning to the instruction does not meet its breakpoint again; what
 * VM entry injects pushes it as it is. */
static uint64_t pushed_flags(const struct cpu *cpu, const struct event *event)
{
	uint64_t flags = flags_get(cpu);

	if (event->type == EVENT_FAULT && !event->is_injected && event->vector != EXC_DB &&
	    event->vector != EXC_DF && event->vector != EXC_MC)
		flags |= RFLAGS_RF;
	return flags;
}

static _Noreturn void raise_idt(struct cpu *cpu, unsigned vector, const struct event *event)
{
	cpu_raise_code(cpu, vector, event->vector * 8u | ERROR_IDT);
}

static void enter(struct cpu *cpu, const struct descriptor *cs, unsigned cpl, uint64_t rip,
		  bool is_interrupt_gate)
{
	cpu->rflags &= ~(uint32_t)(FLAGS_CLEARED | (is_interrupt_gate ? RFLAGS_IF : 0));
	segment_set_cs(cpu, cs, cpl);
	cpu->rip = rip;
	cpu_update_derived(cpu);
}

/* ---- what gates of all widths have in common ---- */

/* The first 8 bytes are laid out alike. */
static void check_gate(struct cpu *cpu, uint64_t low, const struct event *event)
{
	if (is_software(event) && bits(low, 46, 45) < cpu->cpl)
		raise_idt(cpu, EXC_GP, event);
	if (!(low >> 47 & 1))
		raise_idt(cpu, EXC_NP, event);
}

static bool is_interrupt_gate(uint64_t low)
{
	return !(low >> 40 & 1);
}

/* The code segment of the handler. Returns its privilege level. */
static unsigned check_handler(struct cpu *cpu, uint16_t selector, struct descriptor *cs)
{
	bool is_long = cpu_in_long_mode(cpu);
	uint32_t ar;

	descriptor_require(cpu, selector, EXC_GP, cs);
	ar = descriptor_ar(cs);
	if (!is_code(ar) || seg_dpl(ar) > cpu->cpl || (is_long && (ar & (SEG_L | SEG_DB)) != SEG_L))
		descriptor_raise(cpu, EXC_GP, selector);
	if (!(ar & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	return is_conforming(ar) ? cpu->cpl : seg_dpl(ar);
}

/* ---- 64-bit ---- */

static void load_gate_long(struct cpu *cpu, const struct event *event, uint64_t gate[2])
{
	gva_t addr = cpu->idtr.base + event->vector * GATE_BYTES_LONG;
	const void *host = mmu_system_span(cpu, addr, GATE_BYTES_LONG, false);
	unsigned type;

	if (event->vector * GATE_BYTES_LONG + GATE_BYTES_LONG - 1 > cpu->idtr.limit)
		raise_idt(cpu, EXC_GP, event);
	if (likely(host != NULL)) {
		memcpy(gate, host, GATE_BYTES_LONG);
	} else {
		gate[0] = mmu_load_system(cpu, addr, 8);
		gate[1] = mmu_load_system(cpu, addr + 8, 8);
	}
	type = bits(gate[0], 44, 40);
	if (type != SYS_INT && type != SYS_TRAP)
		raise_idt(cpu, EXC_GP, event);
	check_gate(cpu, gate[0], event);
}

static uint64_t stack_pointer_long(struct cpu *cpu, unsigned ist, unsigned cpl)
{
	struct segment ss;
	uint64_t sp;

	if (ist)
		return tss_load(cpu, TSS64_IST1 + 8 * (ist - 1), 8);
	if (cpl == cpu->cpl)
		return cpu->gpr[RSP];
	stack_from_tss(cpu, cpl, &ss, &sp);
	return sp;
}

/* Writes the frame, its last word first in memory, below sp. */
static void push_frame_long(struct cpu *cpu, uint64_t sp, unsigned cpl, const uint64_t *frame,
			    unsigned words)
{
	struct segment none = { 0 };
	struct stack stack;
	void *host = cpl == 3 ? NULL : mmu_system_span(cpu, sp - 8 * words, 8 * words, true);

	if (likely(host != NULL)) {
		memcpy(host, frame + FRAME_WORDS_CODE - words, 8 * words);
		return;
	}
	stack_open_as(&stack, &none, sp, true, cpl < 3);
	for (unsigned i = FRAME_WORDS_CODE; i > FRAME_WORDS_CODE - words; i--)
		stack_put(cpu, &stack, 8, frame[i - 1]);
}

static void deliver_long(struct cpu *cpu, const struct event *event)
{
	unsigned words = event->has_error ? FRAME_WORDS_CODE : FRAME_WORDS, cpl;
	struct descriptor cs;
	uint64_t gate[2], sp, rip;

	load_gate_long(cpu, event, gate);
	cpl = check_handler(cpu, (uint16_t)bits(gate[0], 31, 16), &cs);
	sp = stack_pointer_long(cpu, bits(gate[0], 34, 32), cpl) & ~15ull;
	rip = bits(gate[0], 15, 0) | bits(gate[0], 63, 48) << 16 | gate[1] << 32;
	if (unlikely(!is_canonical(rip)))
		cpu_raise_code(cpu, EXC_GP, 0);
	descriptor_set_accessed(cpu, &cs);
	push_frame_long(cpu, sp, cpl,
			(const uint64_t[FRAME_WORDS_CODE]){
				event->error,
				return_rip(cpu, event),
				cpu->seg[CS].selector,
				pushed_flags(cpu, event),
				cpu->gpr[RSP],
				cpu->seg[SS].selector,
			},
			words);
	cpu->gpr[RSP] = sp - 8 * words;
	if (cpl != cpu->cpl) {
		segment_set_null(&cpu->seg[SS], (uint16_t)cpl);
		cpu->seg[SS].ar |= cpl << SEG_DPL_SHIFT;
	}
	enter(cpu, &cs, cpl, rip, is_interrupt_gate(gate[0]));
}

/* ---- protected mode ---- */

static uint64_t load_gate(struct cpu *cpu, const struct event *event)
{
	uint64_t gate;

	if (event->vector * GATE_BYTES + GATE_BYTES - 1 > cpu->idtr.limit)
		raise_idt(cpu, EXC_GP, event);
	gate = mmu_load_system(cpu, (uint32_t)(cpu->idtr.base + event->vector * GATE_BYTES),
			       GATE_BYTES);
	switch (bits(gate, 44, 40)) {
	case SYS_TASK_GATE:
	case SYS_INT16:
	case SYS_TRAP16:
	case SYS_INT:
	case SYS_TRAP:
		break;
	default:
		raise_idt(cpu, EXC_GP, event);
	}
	check_gate(cpu, gate, event);
	return gate;
}

static void push_v86_segments(struct cpu *cpu, struct stack *stack, unsigned size)
{
	static const uint8_t order[] = { GS, FS, DS, ES };

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		stack_put(cpu, stack, size, cpu->seg[order[i]].selector);
}

static void drop_v86_segments(struct cpu *cpu)
{
	segment_set_null(&cpu->seg[ES], 0);
	segment_set_null(&cpu->seg[DS], 0);
	segment_set_null(&cpu->seg[FS], 0);
	segment_set_null(&cpu->seg[GS], 0);
}

/* FLAGS, CS, IP and the error code. */
static void push_frame(struct cpu *cpu, struct stack *stack, unsigned size,
		       const struct event *event)
{
	stack_put(cpu, stack, size, pushed_flags(cpu, event));
	stack_put(cpu, stack, size, cpu->seg[CS].selector);
	stack_put(cpu, stack, size, return_rip(cpu, event));
	if (event->has_error)
		stack_put(cpu, stack, size, event->error);
}

static void deliver_to_inner(struct cpu *cpu, const struct event *event, struct descriptor *cs,
			     unsigned cpl, uint64_t rip, unsigned size, bool masks)
{
	bool is_v86 = cpu_in_v86_mode(cpu);
	struct stack stack;
	struct segment ss;
	uint64_t sp;

	stack_from_tss(cpu, cpl, &ss, &sp);
	stack_open_as(&stack, &ss, sp, false, true);
	stack.error = ss.selector & SELECTOR_NULL_MASK;
	if (is_v86)
		push_v86_segments(cpu, &stack, size);
	stack_put(cpu, &stack, size, cpu->seg[SS].selector);
	stack_put(cpu, &stack, size, cpu->gpr[RSP]);
	push_frame(cpu, &stack, size, event);
	descriptor_set_accessed(cpu, cs);
	cpu->seg[SS] = ss;
	cpu->gpr[RSP] = stack.sp & stack.mask;
	if (is_v86)
		drop_v86_segments(cpu);
	enter(cpu, cs, cpl, rip, masks);
}

static void deliver_to_same(struct cpu *cpu, const struct event *event, struct descriptor *cs,
			    uint64_t rip, unsigned size, bool masks)
{
	struct stack stack;

	stack_open(cpu, &stack);
	push_frame(cpu, &stack, size, event);
	descriptor_set_accessed(cpu, cs);
	stack_commit(cpu, &stack);
	enter(cpu, cs, cpu->cpl, rip, masks);
}

static void deliver_to_handler(struct cpu *cpu, const struct event *event, uint64_t gate)
{
	bool is_16bit = bits(gate, 43, 40) < SYS_INT, masks = is_interrupt_gate(gate);
	unsigned size = is_16bit ? 2 : 4, cpl;
	struct descriptor cs;
	struct segment code;
	uint64_t rip = bits(gate, 15, 0);

	if (!is_16bit)
		rip |= bits(gate, 63, 48) << 16;
	cpl = check_handler(cpu, (uint16_t)bits(gate, 31, 16), &cs);
	if (cpu_in_v86_mode(cpu) && cpl != 0)
		descriptor_raise(cpu, EXC_GP, cs.selector);
	descriptor_unpack(&cs, &code);
	segment_check_rip(cpu, code.ar, code.limit, rip);
	if (cpl != cpu->cpl)
		deliver_to_inner(cpu, event, &cs, cpl, rip, size, masks);
	else
		deliver_to_same(cpu, event, &cs, rip, size, masks);
}

static void deliver_protected(struct cpu *cpu, const struct event *event)
{
	uint64_t gate = load_gate(cpu, event);

	if (bits(gate, 43, 40) == SYS_TASK_GATE)
		task_switch(cpu, (uint16_t)bits(gate, 31, 16), TASK_GATE, return_rip(cpu, event),
			    event);
	else
		deliver_to_handler(cpu, event, gate);
}

/* ---- real mode, and v8086 mode's own interrupt table ---- */

/* Pushes `flags` and goes to the entry of the table; the caller changes the flags. */
static void deliver_by_table(struct cpu *cpu, const struct event *event, uint32_t entry,
			     uint64_t flags)
{
	struct stack stack;

	stack_open(cpu, &stack);
	stack_put(cpu, &stack, 2, flags);
	stack_put(cpu, &stack, 2, cpu->seg[CS].selector);
	stack_put(cpu, &stack, 2, return_rip(cpu, event));
	stack_commit(cpu, &stack);
	segment_load_real(cpu, CS, (uint16_t)(entry >> 16));
	cpu->rip = (uint16_t)entry;
}

static void deliver_real(struct cpu *cpu, const struct event *event)
{
	unsigned offset = event->vector * IVT_ENTRY_BYTES;

	if (offset + IVT_ENTRY_BYTES - 1 > cpu->idtr.limit)
		raise_idt(cpu, EXC_GP, event);
	deliver_by_table(cpu, event,
			 (uint32_t)mmu_load_system(cpu, (uint32_t)(cpu->idtr.base + offset),
						   IVT_ENTRY_BYTES),
			 flags_get(cpu));
	cpu->rflags &= ~(uint32_t)(RFLAGS_IF | RFLAGS_TF | RFLAGS_RF | RFLAGS_AC);
	cpu_update_derived(cpu);
}

/* Whether VME leaves INT n to the program's own table. */
static bool is_redirected(struct cpu *cpu, unsigned vector)
{
	unsigned offset;

	if (!(cpu->cr4 & CR4_VME) || TSS_IO_MAP + 1 > cpu->tr.limit)
		return false;
	offset = (unsigned)tss_load(cpu, TSS_IO_MAP, 2) - REDIRECTION_BYTES + vector / 8;
	if (offset > cpu->tr.limit)
		return false;
	return !(tss_load(cpu, offset, 1) >> (vector % 8) & 1);
}

static void deliver_redirected(struct cpu *cpu, const struct event *event)
{
	uint64_t entry = mmu_load(cpu, event->vector * IVT_ENTRY_BYTES, IVT_ENTRY_BYTES, DS);
	bool uses_vif = cpu_iopl(cpu) < 3;
	uint64_t flags = flags_get(cpu);

	if (uses_vif) {
		flags = (flags & ~RFLAGS_IF) | RFLAGS_IOPL;
		if (cpu->rflags & RFLAGS_VIF)
			flags |= RFLAGS_IF;
	}
	deliver_by_table(cpu, event, (uint32_t)entry, flags);
	cpu->rflags &= ~(uint32_t)(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF |
				   (uses_vif ? RFLAGS_VIF : RFLAGS_IF));
	cpu_update_derived(cpu);
}

static void deliver_v86(struct cpu *cpu, const struct event *event)
{
	if (event->type == EVENT_SOFT_INT) {
		if (is_redirected(cpu, event->vector)) {
			deliver_redirected(cpu, event);
			return;
		}
		if (cpu_iopl(cpu) < 3 && !event->is_injected)
			cpu_raise_code(cpu, EXC_GP, 0);
	}
	deliver_protected(cpu, event);
}

/* ---- one event after the other ---- */

static void deliver(struct cpu *cpu, const struct event *event)
{
	if (likely(cpu_in_long_mode(cpu)))
		deliver_long(cpu, event);
	else if (cpu_in_real_mode(cpu))
		deliver_real(cpu, event);
	else if (cpu_in_v86_mode(cpu))
		deliver_v86(cpu, event);
	else
		deliver_protected(cpu, event);
}

enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum severity severity_of(const struct event *event)
{
	if (event->type != EVENT_FAULT)
		return BENIGN;
	switch (event->vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
	case EXC_CP:
		return CONTRIBUTORY;
	case EXC_PF:
	case EXC_VE:
		return PAGE_FAULT;
	case EXC_DF:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

/* The error codes of selectors say whether the program itself asked for what was delivered. */
static void mark_external(const struct event *first, struct event *second)
{
	bool has_selector = second->vector == EXC_TS || second->vector == EXC_NP ||
			    second->vector == EXC_SS || second->vector == EXC_GP;

	if (has_selector && second->has_error && !is_software(first))
		second->error |= ERROR_EXT;
}

/*
 * What comes of a fault while `event` was delivered: *event becomes the next one. false: nothing,
 * the processor shuts down.
 */
static bool combine(struct event *event, const struct event *fault)
{
	enum severity first = severity_of(event), second = severity_of(fault);
	struct event next = *fault;

	if (first == DOUBLE_FAULT && second != BENIGN)
		return false;
	if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	    (first == PAGE_FAULT && second != BENIGN))
		next = (struct event){ .vector = EXC_DF, .type = EVENT_FAULT, .has_error = true };
	*event = next;
	return true;
}

/*
 * What cpu->fault makes of the event being delivered; false: a triple fault. In non-root operation
 * the fault itself may cause an exit, and so may the double fault that comes of it: an exit that
 * counts as caused by it directly, not as one during delivery.
 */
static bool next_event(struct cpu *cpu)
{
	mark_external(&cpu->delivering, &cpu->fault);
	if (cpu->in_guest)
		cpu->virt->event(cpu, &cpu->fault);
	event_commit_payload(cpu, &cpu->fault);
	if (!combine(&cpu->delivering, &cpu->fault))
		return false;
	if (cpu->in_guest && cpu->delivering.vector != cpu->fault.vector) {
		cpu->in_delivery = false;
		cpu->virt->event(cpu, &cpu->delivering);
		cpu->in_delivery = true;
	}
	return true;
}

void event_commit_payload(struct cpu *cpu, const struct event *event)
{
	if (event->type == EVENT_ICEBP) {
		cpu->dr6 |= event->payload;
	} else if (event->type != EVENT_FAULT) {
		return;
	} else if (event->vector == EXC_PF) {
		cpu->cr2 = event->payload;
	} else if (event->vector == EXC_DB) {
		cpu->dr6 = (cpu->dr6 & ~0xfull) | event->payload;
		cpu->dr7 &= ~DR7_GD;
		cpu->msr.debugctl &= ~DEBUGCTL_OFFERED;
	}
}

/*
 * Faults of which none is the other's double fault can follow each other forever (#AC while #AC is
 * delivered, say). Hardware hangs then; here the processor shuts down.
 */
enum event_result event_deliver(struct cpu *cpu, const struct event *event)
{
	volatile unsigned faults = 0;
	enum unwind how;

	cpu->delivering = *event;
	cpu->in_delivery = true;
	how = setjmp(cpu->unwind);
	if (unlikely(how) &&
	    (how == UNWIND_EXIT || !next_event(cpu) || ++faults > MAX_SERIAL_FAULTS)) {
		cpu->in_delivery = false;
		return how == UNWIND_EXIT ? EVENT_EXITED : EVENT_TRIPLE_FAULT;
	}
	deliver(cpu, &cpu->delivering);
	cpu->in_delivery = false;
	return EVENT_DELIVERED;
}
