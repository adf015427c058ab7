/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware task switches through 16- and 32-bit task state segments.
 *
 * Up to the point where the new task's state is loaded, a fault belongs to the old task; after it,
 * to the new one, at its first instruction.
 * SDM3: "Task Management".
 */
#include "cpu/control.h"
#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/virt.h"

#define LINK_OFFSET 0 /* of the previous task's selector, in both formats */

#define DR7_LOCAL 0x155ull /* L0 to L3 and LE: gone with the task */
#define NO_FIELD  0xff

enum task_segment { TASK_LDT = SEGMENTS, TASK_SEGMENTS };

/* Where a format keeps what. */
struct tss_format {
	uint8_t width;     /* bytes of a register */
	uint8_t min_limit; /* #TS below */
	uint8_t cr3, ip, flags, registers, trap;
	uint8_t segment[TASK_SEGMENTS]; /* ES CS SS DS FS GS LDT */
};

static const struct tss_format formats[] = {
	{ .width = 2,
	  .min_limit = 0x2b,
	  .cr3 = NO_FIELD,
	  .ip = 0x0e,
	  .flags = 0x10,
	  .registers = 0x12,
	  .trap = NO_FIELD,
	  .segment = { 0x22, 0x24, 0x26, 0x28, NO_FIELD, NO_FIELD, 0x2a } },
	{ .width = 4,
	  .min_limit = 0x67,
	  .cr3 = 0x1c,
	  .ip = 0x20,
	  .flags = 0x24,
	  .registers = 0x28,
	  .trap = 0x64,
	  .segment = { 0x48, 0x4c, 0x50, 0x54, 0x58, 0x5c, 0x60 } },
};

/* What a task state holds. */
struct task_state {
	uint32_t cr3, eip, eflags, gpr[8];
	uint16_t selector[TASK_SEGMENTS];
	bool has_trap;
};

/* Whether the type of a TSS is one of 32 bits. */
static const struct tss_format *format_of(uint32_t ar)
{
	return &formats[ar & SEG_CODE ? 1 : 0];
}

static bool is_busy(uint32_t ar)
{
	return ar & SEG_WRITABLE;
}

static bool is_tss(uint32_t ar)
{
	unsigned type = system_type(ar) & ~(unsigned)SEG_WRITABLE;

	return type == SYS_TSS16_AVAIL || type == SYS_TSS_AVAIL;
}

static gva_t field(const struct segment *tss, unsigned offset)
{
	return (uint32_t)(tss->base + offset);
}

/* ---- the old task ---- */

static void save_state(struct cpu *cpu, uint32_t eip, uint64_t eflags)
{
	const struct tss_format *format = format_of(cpu->tr.ar);
	const struct segment *tss = &cpu->tr;

	mmu_store_system(cpu, field(tss, format->ip), format->width, eip);
	mmu_store_system(cpu, field(tss, format->flags), format->width, eflags);
	for (unsigned i = 0; i < 8; i++)
		mmu_store_system(cpu, field(tss, format->registers + i * format->width),
				 format->width, cpu->gpr[i]);
	for (unsigned i = 0; i < SEGMENTS; i++)
		if (format->segment[i] != NO_FIELD)
			mmu_store_system(cpu, field(tss, format->segment[i]), 2,
					 cpu->seg[i].selector);
}

static void clear_busy(struct cpu *cpu, uint16_t selector)
{
	struct descriptor d;

	if (descriptor_fetch_system(cpu, selector, &d))
		descriptor_clear_type_bits(cpu, &d, SYS_TSS_BUSY & ~SYS_TSS_AVAIL);
}

/* ---- the new task ---- */

/* The TSS to switch to, as the cause wants it: available, or for IRET busy. */
static void fetch_task(struct cpu *cpu, uint16_t selector, enum task_switch_cause cause,
		       struct descriptor *d, struct segment *tss)
{
	unsigned vector = cause == TASK_IRET ? EXC_TS : EXC_GP;

	if ((selector & SELECTOR_TI) || !descriptor_fetch_system(cpu, selector, d))
		descriptor_raise(cpu, vector, selector);
	if (!is_tss(descriptor_ar(d)) || is_busy(descriptor_ar(d)) != (cause == TASK_IRET))
		descriptor_raise(cpu, vector, selector);
	if (!(descriptor_ar(d) & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	descriptor_unpack(d, tss);
	if (tss->limit < format_of(tss->ar)->min_limit)
		descriptor_raise(cpu, EXC_TS, selector);
}

static uint32_t load_field(struct cpu *cpu, const struct segment *tss, unsigned offset,
			   unsigned size)
{
	return offset == NO_FIELD ? 0 : (uint32_t)mmu_load_system(cpu, field(tss, offset), size);
}

static void load_state(struct cpu *cpu, const struct segment *tss, struct task_state *state)
{
	const struct tss_format *format = format_of(tss->ar);
	uint32_t upper = format->width == 2 ? 0xffff0000 : 0;

	state->cr3 = load_field(cpu, tss, format->cr3, 4);
	state->eip = load_field(cpu, tss, format->ip, format->width);
	state->eflags = load_field(cpu, tss, format->flags, format->width);
	for (unsigned i = 0; i < 8; i++)
		state->gpr[i] = upper | load_field(cpu, tss, format->registers + i * format->width,
						   format->width);
	for (unsigned i = 0; i < TASK_SEGMENTS; i++)
		state->selector[i] = (uint16_t)load_field(cpu, tss, format->segment[i], 2);
	state->has_trap = load_field(cpu, tss, format->trap, 2) & 1;
}

static void load_cr3(struct cpu *cpu, const struct tss_format *format, uint32_t cr3)
{
	if (format->cr3 != NO_FIELD && (cpu->cr0 & CR0_PG) && cr3 != cpu->cr3)
		control_write_cr3(cpu, cr3);
}

/* Registers, and selectors whose segments are not loaded yet: from here on it is the new task. */
static void enter_state(struct cpu *cpu, const struct task_state *state)
{
	cpu->insn = NULL; /* faults are no longer of the instruction that switched */
	cpu->rip = state->eip;
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = state->gpr[i];
	flags_set(cpu, state->eflags);
	for (unsigned i = 0; i < SEGMENTS; i++)
		segment_set_null(&cpu->seg[i], state->selector[i]);
	segment_set_null(&cpu->ldtr, state->selector[TASK_LDT]);
	cpu->cr0 |= CR0_TS;
	cpu->dr7 &= ~DR7_LOCAL;
	cpu->cpl = cpu_in_v86_mode(cpu) ? 3 : state->selector[CS] & SELECTOR_RPL;
	cpu_update_derived(cpu);
}

static void load_ldt(struct cpu *cpu, uint16_t selector)
{
	struct descriptor d;

	if (selector_is_null(selector))
		return;
	if ((selector & SELECTOR_TI) || !descriptor_fetch(cpu, selector, &d) ||
	    system_type(descriptor_ar(&d)) != SYS_LDT || !(descriptor_ar(&d) & SEG_P))
		descriptor_raise(cpu, EXC_TS, selector);
	descriptor_unpack(&d, &cpu->ldtr);
}

static void load_code(struct cpu *cpu, uint16_t selector)
{
	unsigned rpl = selector & SELECTOR_RPL;
	struct descriptor d;
	uint32_t ar;

	descriptor_require(cpu, selector, EXC_TS, &d);
	ar = descriptor_ar(&d);
	if (!is_code(ar) || (is_conforming(ar) ? seg_dpl(ar) > rpl : seg_dpl(ar) != rpl))
		descriptor_raise(cpu, EXC_TS, selector);
	if (!(ar & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	descriptor_set_accessed(cpu, &d);
	segment_set_cs(cpu, &d, rpl);
}

static void load_segments(struct cpu *cpu, const struct task_state *state)
{
	static const uint8_t data_segments[] = { DS, ES, FS, GS };
	struct segment loaded;

	load_ldt(cpu, state->selector[TASK_LDT]);
	if (cpu_in_v86_mode(cpu)) {
		for (unsigned i = 0; i < SEGMENTS; i++)
			segment_set_v86(&cpu->seg[i], state->selector[i]);
		return;
	}
	load_code(cpu, state->selector[CS]);
	segment_check_stack(cpu, state->selector[SS], cpu->cpl, EXC_TS, &cpu->seg[SS]);
	for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++) {
		unsigned seg = data_segments[i];

		segment_check_data(cpu, seg, state->selector[seg], cpu->cpl, EXC_TS, &loaded);
		cpu->seg[seg] = loaded;
	}
}

static void note_trap(struct cpu *cpu)
{
	cpu->pending_db |= DR6_BT;
	cpu_attention_set(cpu, ATTENTION_TRAP);
}

void task_switch(struct cpu *cpu, uint16_t selector, enum task_switch_cause cause,
		 uint64_t next_rip, const struct event *event)
{
	bool is_nested = cause == TASK_CALL || cause == TASK_GATE;
	uint64_t old_flags = flags_get(cpu);
	uint16_t old = cpu->tr.selector;
	struct task_state state;
	struct descriptor d;
	struct segment tss;

	fetch_task(cpu, selector, cause, &d, &tss);
	virt_intercept(cpu, INTERCEPT_TASK, selector | (uint64_t)cause << 30);
	load_state(cpu, &tss, &state);
	if (cause == TASK_IRET)
		old_flags &= ~RFLAGS_NT;
	save_state(cpu, (uint32_t)next_rip, old_flags);
	if (!is_nested)
		clear_busy(cpu, old);
	if (is_nested) {
		mmu_store_system(cpu, field(&tss, LINK_OFFSET), 2, old);
		state.eflags |= RFLAGS_NT;
	}
	if (cause != TASK_IRET)
		descriptor_set_type_bits(cpu, &d, SYS_TSS_BUSY & ~SYS_TSS_AVAIL);
	load_cr3(cpu, format_of(tss.ar), state.cr3);
	descriptor_unpack(&d, &cpu->tr);
	enter_state(cpu, &state);
	load_segments(cpu, &state);
	cpu_update_derived(cpu);
	if (event && event->has_error)
		stack_push(cpu, format_of(cpu->tr.ar)->width, event->error);
	segment_check_rip(cpu, cpu->seg[CS].ar, cpu->seg[CS].limit, cpu->rip);
	if (state.has_trap)
		note_trap(cpu);
}
