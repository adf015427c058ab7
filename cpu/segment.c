/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers: addresses and limits, descriptors, loads with their checks, and stacks. Far
 * transfers are in cpu/far.c, event delivery in cpu/event.c, task switches in cpu/task.c.
 *
 * SDM3: "Protected-Mode Memory Management", "Protection"
 */
#include "cpu/segment.h"

#include "cpu/descriptor.h"

#define DESCRIPTOR_TYPE_BYTE  5
#define DESCRIPTOR_TYPE_SHIFT 40
#define V86_AR                (SEG_P | SEG_DPL | SEG_S | SEG_WRITABLE | SEG_ACCESSED)

#define TSS16_STACKS 2 /* offset of SP0, SS0 … */
#define TSS32_STACKS 4 /* of ESP0, SS0 … */
#define TSS64_STACKS 4 /* of RSP0 … */

/* ---- linear addresses ---- */

bool segment_contains(const struct segment *seg, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if ((seg->ar & (SEG_S | SEG_CODE | SEG_EXPAND)) == (SEG_S | SEG_EXPAND))
		return offset > seg->limit && last <= (seg->ar & SEG_DB ? UINT32_MAX : UINT16_MAX);
	return last <= seg->limit || seg->limit == UINT32_MAX;
}

static bool allows(const struct cpu *cpu, const struct segment *seg, bool is_write)
{
	if (!cpu_in_protected_mode(cpu))
		return true;
	if (seg->ar & SEG_UNUSABLE)
		return false;
	return is_write ? is_writable_data(seg->ar) : is_readable(seg->ar);
}

gva_t segment_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool is_write)
{
	const struct segment *s = &cpu->seg[seg];

	if (cpu_in_64bit_mode(cpu))
		return seg >= FS ? s->base + offset : offset;
	if (unlikely(!allows(cpu, s, is_write) || !segment_contains(s, offset, size)))
		cpu_raise_code(cpu, seg == SS ? EXC_SS : EXC_GP, 0);
	return (uint32_t)(s->base + offset);
}

/* ---- descriptors ---- */

void descriptor_raise(struct cpu *cpu, unsigned vector, uint16_t selector)
{
	cpu_raise_code(cpu, vector, selector & SELECTOR_NULL_MASK);
}

/* false: [offset, offset + size) is beyond the table. */
static bool locate(struct cpu *cpu, uint16_t selector, unsigned size, gva_t *addr)
{
	uint64_t base = cpu->gdtr.base, limit = cpu->gdtr.limit;
	unsigned offset = selector & SELECTOR_INDEX;

	if (selector & SELECTOR_TI) {
		if (cpu->ldtr.ar & SEG_UNUSABLE)
			return false;
		base = cpu->ldtr.base;
		limit = cpu->ldtr.limit;
	}
	*addr = base + offset;
	if (!cpu_in_long_mode(cpu))
		*addr = (uint32_t)*addr;
	return offset + size - 1 <= limit;
}

bool descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out)
{
	if (selector_is_null(selector) || !locate(cpu, selector, 8, &out->addr))
		return false;
	out->selector = selector;
	out->low = mmu_load_system(cpu, out->addr, 8);
	out->high = 0;
	return true;
}

bool descriptor_fetch_system(struct cpu *cpu, uint16_t selector, struct descriptor *out)
{
	if (!descriptor_fetch(cpu, selector, out))
		return false;
	if (!cpu_in_long_mode(cpu))
		return true;
	if (!locate(cpu, selector, 16, &out->addr))
		return false;
	out->high = mmu_load_system(cpu, out->addr + 8, 8);
	return true;
}

void descriptor_require(struct cpu *cpu, uint16_t selector, unsigned vector, struct descriptor *out)
{
	if (!descriptor_fetch(cpu, selector, out))
		descriptor_raise(cpu, vector, selector);
}

bool segment_fetch_descriptor(struct cpu *cpu, uint16_t selector, uint64_t *low, uint64_t *high)
{
	struct descriptor d;

	if (high ? !descriptor_fetch_system(cpu, selector, &d)
		 : !descriptor_fetch(cpu, selector, &d))
		return false;
	*low = d.low;
	if (high)
		*high = d.high;
	return true;
}

void descriptor_set_type_bits(struct cpu *cpu, struct descriptor *d, uint64_t type_bits)
{
	gva_t addr = d->addr + DESCRIPTOR_TYPE_BYTE;
	uint8_t *type = mmu_rmw_system_begin(cpu, addr, 1);

	__atomic_or_fetch(type, (uint8_t)type_bits, __ATOMIC_SEQ_CST);
	mmu_rmw_done(cpu, addr, 1, type);
	d->low |= type_bits << DESCRIPTOR_TYPE_SHIFT;
}

void descriptor_clear_type_bits(struct cpu *cpu, struct descriptor *d, uint64_t type_bits)
{
	gva_t addr = d->addr + DESCRIPTOR_TYPE_BYTE;
	uint8_t *type = mmu_rmw_system_begin(cpu, addr, 1);

	__atomic_and_fetch(type, (uint8_t)~type_bits, __ATOMIC_SEQ_CST);
	mmu_rmw_done(cpu, addr, 1, type);
	d->low &= ~(type_bits << DESCRIPTOR_TYPE_SHIFT);
}

void descriptor_unpack(const struct descriptor *d, struct segment *out)
{
	uint32_t limit = (uint32_t)(bits(d->low, 15, 0) | bits(d->low, 51, 48) << 16);

	out->ar = descriptor_ar(d);
	out->limit = out->ar & SEG_G ? limit << 12 | 0xfff : limit;
	out->base = bits(d->low, 39, 16) | bits(d->low, 63, 56) << 24;
	if (!(out->ar & SEG_S))
		out->base |= d->high << 32;
	out->selector = d->selector;
}

/* ---- loads ---- */

void segment_set_null(struct segment *seg, uint16_t selector)
{
	*seg = (struct segment){ .selector = selector, .ar = SEG_UNUSABLE };
}

void segment_set_v86(struct segment *seg, uint16_t selector)
{
	*seg = (struct segment){
		.selector = selector, .base = (uint64_t)selector << 4, .limit = 0xffff, .ar = V86_AR
	};
}

void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	if (cpu_in_v86_mode(cpu)) {
		segment_set_v86(&cpu->seg[seg], selector);
		return;
	}
	cpu->seg[seg].selector = selector;
	cpu->seg[seg].base = (uint64_t)selector << 4;
	/* Protected mode may have left it unusable, with no limit. */
	if (cpu->seg[seg].ar & SEG_UNUSABLE) {
		cpu->seg[seg].ar = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
		cpu->seg[seg].limit = 0xffff;
	}
}

void segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, unsigned vector,
			 struct segment *out)
{
	struct descriptor d;
	uint32_t ar;

	if (selector_is_null(selector)) {
		if (!cpu_in_64bit_mode(cpu) || vector != EXC_GP || cpl == 3 ||
		    (selector & SELECTOR_RPL) != cpl)
			cpu_raise_code(cpu, vector, 0);
		segment_set_null(out, selector);
		out->ar |= cpl << SEG_DPL_SHIFT;
		return;
	}
	descriptor_require(cpu, selector, vector, &d);
	ar = descriptor_ar(&d);
	if ((selector & SELECTOR_RPL) != cpl || !is_writable_data(ar) || seg_dpl(ar) != cpl)
		descriptor_raise(cpu, vector, selector);
	if (!(ar & SEG_P))
		descriptor_raise(cpu, EXC_SS, selector);
	descriptor_set_accessed(cpu, &d);
	descriptor_unpack(&d, out);
}

void segment_check_data(struct cpu *cpu, unsigned seg, uint16_t selector, unsigned cpl,
			unsigned vector, struct segment *out)
{
	unsigned rpl = selector & SELECTOR_RPL;
	struct descriptor d;
	uint32_t ar;

	if (seg == SS) {
		segment_check_stack(cpu, selector, cpl, vector, out);
		return;
	}
	if (selector_is_null(selector)) {
		segment_set_null(out, selector);
		return;
	}
	descriptor_require(cpu, selector, vector, &d);
	ar = descriptor_ar(&d);
	if (!is_readable(ar) || (!is_conforming(ar) && MAX(rpl, cpl) > seg_dpl(ar)))
		descriptor_raise(cpu, vector, selector);
	if (!(ar & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	descriptor_set_accessed(cpu, &d);
	descriptor_unpack(&d, out);
}

/* What comes next in the block was decoded for the mode of before. */
static void follow_mode(struct cpu *cpu)
{
	unsigned before = cpu->mode;

	cpu_update_mode(cpu);
	if (cpu->mode != before)
		cpu_leave_block(cpu);
}

void segment_load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
	struct segment loaded;

	if (!cpu_in_protected_mode(cpu)) {
		segment_load_real(cpu, seg, selector);
		return;
	}
	segment_check_data(cpu, seg, selector, cpu->cpl, EXC_GP, &loaded);
	cpu->seg[seg] = loaded;
	if (!cpu_in_64bit_mode(cpu))
		follow_mode(cpu);
}

/* LLDT and LTR: a system descriptor of the GDT. */
static void require_system(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
	if ((selector & SELECTOR_TI) || !descriptor_fetch_system(cpu, selector, d))
		descriptor_raise(cpu, EXC_GP, selector);
}

static void check_system_base(struct cpu *cpu, const struct segment *seg)
{
	if (cpu_in_long_mode(cpu) && !is_canonical(seg->base))
		descriptor_raise(cpu, EXC_GP, seg->selector);
}

void segment_load_ldt(struct cpu *cpu, uint16_t selector)
{
	struct segment loaded;
	struct descriptor d;

	if (selector_is_null(selector)) {
		segment_set_null(&cpu->ldtr, selector);
		return;
	}
	require_system(cpu, selector, &d);
	if (system_type(descriptor_ar(&d)) != SYS_LDT)
		descriptor_raise(cpu, EXC_GP, selector);
	if (!(descriptor_ar(&d) & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	descriptor_unpack(&d, &loaded);
	check_system_base(cpu, &loaded);
	cpu->ldtr = loaded;
}

void segment_load_tr(struct cpu *cpu, uint16_t selector)
{
	struct segment loaded;
	struct descriptor d;
	unsigned type;

	require_system(cpu, selector, &d);
	type = system_type(descriptor_ar(&d));
	if (type != SYS_TSS_AVAIL && (type != SYS_TSS16_AVAIL || cpu_in_long_mode(cpu)))
		descriptor_raise(cpu, EXC_GP, selector);
	if (!(descriptor_ar(&d) & SEG_P))
		descriptor_raise(cpu, EXC_NP, selector);
	descriptor_unpack(&d, &loaded);
	check_system_base(cpu, &loaded);
	descriptor_set_type_bits(cpu, &d, SYS_TSS_BUSY & ~SYS_TSS_AVAIL);
	loaded.ar = descriptor_ar(&d);
	cpu->tr = loaded;
}

/* ---- code segments ---- */

void segment_check_rip(struct cpu *cpu, uint32_t ar, uint32_t limit, uint64_t rip)
{
	bool is_64bit = cpu_in_long_mode(cpu) && (ar & SEG_L);

	if (is_64bit ? !is_canonical(rip) : rip > limit)
		cpu_raise_code(cpu, EXC_GP, 0);
}

void segment_set_cs(struct cpu *cpu, const struct descriptor *d, unsigned cpl)
{
	descriptor_unpack(d, &cpu->seg[CS]);
	cpu->seg[CS].selector = (uint16_t)((d->selector & ~SELECTOR_RPL) | cpl);
	cpu->cpl = (uint8_t)cpl;
}

void segment_drop_privileged(struct cpu *cpu)
{
	static const uint8_t data_segments[] = { ES, DS, FS, GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++) {
		struct segment *seg = &cpu->seg[data_segments[i]];

		if (!(seg->ar & SEG_UNUSABLE) && !is_conforming(seg->ar) &&
		    seg_dpl(seg->ar) < cpu->cpl) {
			/* The base stays: it may be FS's or GS's of 64-bit mode. */
			seg->selector = 0;
			seg->ar = SEG_UNUSABLE;
		}
	}
}

/* ---- stacks ---- */

void stack_open_as(struct stack *stack, const struct segment *seg, uint64_t sp, bool is_flat,
		   bool is_system)
{
	*stack = (struct stack){ .seg = *seg,
				 .sp = sp,
				 .mask = seg->ar & SEG_DB ? UINT32_MAX : UINT16_MAX,
				 .is_flat = is_flat,
				 .is_system = is_system };
	if (is_flat)
		stack->mask = UINT64_MAX;
}

void stack_open(struct cpu *cpu, struct stack *stack)
{
	stack_open_as(stack, &cpu->seg[SS], cpu->gpr[RSP], cpu_in_64bit_mode(cpu), false);
}

static gva_t stack_linear(struct cpu *cpu, const struct stack *stack, uint64_t sp, unsigned size)
{
	if (likely(stack->is_flat)) {
		if (unlikely(!is_canonical(sp)))
			cpu_raise_code(cpu, EXC_SS, stack->error);
		return sp;
	}
	if (!segment_contains(&stack->seg, sp, size))
		cpu_raise_code(cpu, EXC_SS, stack->error);
	return (uint32_t)(stack->seg.base + sp);
}

static void set_sp(struct stack *stack, uint64_t sp)
{
	stack->sp = (stack->sp & ~stack->mask) | (sp & stack->mask);
}

void stack_put(struct cpu *cpu, struct stack *stack, unsigned size, uint64_t value)
{
	uint64_t sp = (stack->sp - size) & stack->mask;
	gva_t addr = stack_linear(cpu, stack, sp, size);

	if (stack->is_system)
		mmu_store_system(cpu, addr, size, value);
	else
		mmu_store(cpu, addr, size, value, SS);
	set_sp(stack, sp);
}

uint64_t stack_take(struct cpu *cpu, struct stack *stack, unsigned size)
{
	uint64_t sp = stack->sp & stack->mask;
	gva_t addr = stack_linear(cpu, stack, sp, size);
	uint64_t value =
		stack->is_system ? mmu_load_system(cpu, addr, size) : mmu_load(cpu, addr, size, SS);

	set_sp(stack, sp + size);
	return value;
}

void stack_skip(struct stack *stack, int64_t bytes)
{
	set_sp(stack, stack->sp + (uint64_t)bytes);
}

void stack_commit(struct cpu *cpu, const struct stack *stack)
{
	if (stack->mask == UINT16_MAX)
		*(uint16_t *)&cpu->gpr[RSP] = (uint16_t)stack->sp;
	else
		cpu->gpr[RSP] = stack->sp & stack->mask;
}

void stack_push(struct cpu *cpu, unsigned size, uint64_t value)
{
	struct stack stack;

	stack_open(cpu, &stack);
	stack_put(cpu, &stack, size, value);
	stack_commit(cpu, &stack);
}

uint64_t stack_pop(struct cpu *cpu, unsigned size)
{
	struct stack stack;
	uint64_t value;

	stack_open(cpu, &stack);
	value = stack_take(cpu, &stack, size);
	stack_commit(cpu, &stack);
	return value;
}

uint64_t stack_peek(struct cpu *cpu, unsigned size, uint64_t offset)
{
	struct stack stack;

	stack_open(cpu, &stack);
	stack_skip(&stack, (int64_t)offset);
	return stack_take(cpu, &stack, size);
}

void stack_add(struct cpu *cpu, int64_t bytes)
{
	struct stack stack;

	stack_open(cpu, &stack);
	stack_skip(&stack, bytes);
	stack_commit(cpu, &stack);
}

uint64_t tss_load(struct cpu *cpu, unsigned offset, unsigned size)
{
	if (offset + size - 1 > cpu->tr.limit)
		descriptor_raise(cpu, EXC_TS, cpu->tr.selector);
	return mmu_load_system(cpu, cpu->tr.base + offset, size);
}

void stack_from_tss(struct cpu *cpu, unsigned cpl, struct segment *seg, uint64_t *sp)
{
	uint16_t selector;

	if (cpu_in_long_mode(cpu)) {
		*sp = tss_load(cpu, TSS64_STACKS + 8 * cpl, 8);
		segment_set_null(seg, (uint16_t)cpl);
		seg->ar |= cpl << SEG_DPL_SHIFT;
		return;
	}
	if (cpu->tr.ar & SEG_CODE) { /* of a TSS's type: 32 bits */
		*sp = tss_load(cpu, TSS32_STACKS + 8 * cpl, 4);
		selector = (uint16_t)tss_load(cpu, TSS32_STACKS + 8 * cpl + 4, 2);
	} else {
		*sp = tss_load(cpu, TSS16_STACKS + 4 * cpl, 2);
		selector = (uint16_t)tss_load(cpu, TSS16_STACKS + 4 * cpl + 2, 2);
	}
	segment_check_stack(cpu, selector, cpl, EXC_TS, seg);
}
