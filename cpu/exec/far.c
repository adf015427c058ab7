/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far transfers and what else deals in selectors: moves to and from segment registers, far
 * pointers, LDTR and TR, and the instructions that ask what a selector is good for.
 *
 * SDM2: "JMP", "CALL", "RET", "IRET", "MOV", "LDS", "LAR", "LSL", "VERR", "ARPL", "LLDT", "LTR".
 */
#include "cpu/descriptor.h"
#include "cpu/exec/template.h"
#include "cpu/virt.h"

#define POINTER_SELECTOR_SHIFT 32 /* where decode puts the selector of an immediate pointer */
#define SELECTOR_BYTES         2

#define LAR_BITS 0x00ffff00u

static bool is_segment(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

/* ---- far pointers ---- */

struct far_pointer {
	uint64_t offset;
	uint16_t selector;
};

static struct far_pointer immediate_pointer(const struct insn *insn)
{
	return (struct far_pointer){ (uint32_t)insn->disp,
				     (uint16_t)(insn->disp >> POINTER_SELECTOR_SHIFT) };
}

/* A pointer in memory, its offset of `size` bytes. */
static struct far_pointer memory_pointer(struct cpu *cpu, const struct insn *insn, unsigned size)
{
	gva_t addr = insn_linear(cpu, insn, size + SELECTOR_BYTES, false);
	gva_t second = cpu_in_64bit_mode(cpu) ? addr + size : (uint32_t)(addr + size);
	struct far_pointer p;

	p.offset = mmu_load(cpu, addr, size, insn->seg);
	p.selector = (uint16_t)mmu_load(cpu, second, SELECTOR_BYTES, insn->seg);
	return p;
}

/* ---- jumps, calls, returns ---- */

static void jump(struct cpu *cpu, const struct insn *insn, struct far_pointer to)
{
	far_jump(cpu, to.selector, to.offset, insn->size, insn_next_rip(cpu, insn));
}

static void jump_immediate(struct cpu *cpu, const struct insn *insn)
{
	jump(cpu, insn, immediate_pointer(insn));
}

static void jump_memory(struct cpu *cpu, const struct insn *insn)
{
	jump(cpu, insn, memory_pointer(cpu, insn, insn->size));
}

static void call(struct cpu *cpu, const struct insn *insn, struct far_pointer to)
{
	far_call(cpu, to.selector, to.offset, insn->size, insn_next_rip(cpu, insn));
}

static void call_immediate(struct cpu *cpu, const struct insn *insn)
{
	call(cpu, insn, immediate_pointer(insn));
}

static void call_memory(struct cpu *cpu, const struct insn *insn)
{
	call(cpu, insn, memory_pointer(cpu, insn, insn->size));
}

static insn_fn *select_transfer(const ZydisDecodedOperand *operands, struct insn *insn,
				insn_fn *immediate, insn_fn *memory)
{
	if (!is_mem(&operands[0]))
		return immediate;
	insn->size = (uint8_t)(operands[0].size / 8 - SELECTOR_BYTES);
	return memory;
}

insn_fn *far_select_jmp(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			struct insn *insn)
{
	(void)zydis;
	return select_transfer(operands, insn, jump_immediate, jump_memory);
}

insn_fn *far_select_call(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			 struct insn *insn)
{
	(void)zydis;
	return select_transfer(operands, insn, call_immediate, call_memory);
}

void far_ret(struct cpu *cpu, const struct insn *insn)
{
	far_return(cpu, insn->size, (uint16_t)insn->imm);
}

void far_iret_16(struct cpu *cpu, const struct insn *insn)
{
	far_iret(cpu, 2, insn_next_rip(cpu, insn));
}

void far_iret_32(struct cpu *cpu, const struct insn *insn)
{
	far_iret(cpu, 4, insn_next_rip(cpu, insn));
}

void far_iret_64(struct cpu *cpu, const struct insn *insn)
{
	far_iret(cpu, 8, insn_next_rip(cpu, insn));
}

/* ---- segment registers ---- */

static void store_segment(struct cpu *cpu, const struct insn *insn)
{
	write_rm(cpu, insn, insn->dst, insn->size, cpu->seg[insn->src].selector);
}

static void load_segment(struct cpu *cpu, const struct insn *insn)
{
	segment_load(cpu, insn->dst, (uint16_t)read_rm(cpu, insn, insn->src, SELECTOR_BYTES));
}

static void load_stack_segment(struct cpu *cpu, const struct insn *insn)
{
	load_segment(cpu, insn);
	cpu_set_shadow(cpu, SHADOW_MOV_SS);
	insn_advance(cpu, insn);
}

insn_fn *far_select_mov(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			struct insn *insn)
{
	(void)zydis;
	if (is_segment(&operands[1]))
		return store_segment;
	if (!is_segment(&operands[0]) || insn->dst == CS)
		return NULL;
	if (insn->dst != SS)
		return load_segment;
	insn->flags |= INSN_ENDS_BLOCK;
	return load_stack_segment;
}

static void load_pointer(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
	struct far_pointer p = memory_pointer(cpu, insn, insn->size);

	segment_load(cpu, seg, p.selector);
	reg_write(cpu, insn->dst, insn->size, p.offset);
}

void far_les(struct cpu *cpu, const struct insn *insn)
{
	load_pointer(cpu, insn, ES);
}

void far_lds(struct cpu *cpu, const struct insn *insn)
{
	load_pointer(cpu, insn, DS);
}

void far_lss(struct cpu *cpu, const struct insn *insn)
{
	load_pointer(cpu, insn, SS);
}

void far_lfs(struct cpu *cpu, const struct insn *insn)
{
	load_pointer(cpu, insn, FS);
}

void far_lgs(struct cpu *cpu, const struct insn *insn)
{
	load_pointer(cpu, insn, GS);
}

/* ---- LDTR and TR ---- */

static void require_protected(struct cpu *cpu)
{
	if (!cpu_in_protected_mode(cpu))
		cpu_raise(cpu, EXC_UD);
}

static uint16_t system_selector(struct cpu *cpu, const struct insn *insn)
{
	require_protected(cpu);
	if (cpu->cpl != 0)
		cpu_raise_code(cpu, EXC_GP, 0);
	virt_intercept(cpu, INTERCEPT_TABLE, 0);
	return (uint16_t)read_rm(cpu, insn, insn->dst, SELECTOR_BYTES);
}

void far_lldt(struct cpu *cpu, const struct insn *insn)
{
	segment_load_ldt(cpu, system_selector(cpu, insn));
}

void far_ltr(struct cpu *cpu, const struct insn *insn)
{
	segment_load_tr(cpu, system_selector(cpu, insn));
}

static void store_system(struct cpu *cpu, const struct insn *insn, uint16_t selector)
{
	require_protected(cpu);
	if (cpu->cpl != 0 && (cpu->cr4 & CR4_UMIP))
		cpu_raise_code(cpu, EXC_GP, 0);
	virt_intercept(cpu, INTERCEPT_TABLE, 0);
	write_rm(cpu, insn, insn->dst, insn->size, selector);
}

void far_sldt(struct cpu *cpu, const struct insn *insn)
{
	store_system(cpu, insn, cpu->ldtr.selector);
}

void far_str(struct cpu *cpu, const struct insn *insn)
{
	store_system(cpu, insn, cpu->tr.selector);
}

/* ---- what a selector is good for ---- */

static void set_zf(struct cpu *cpu, bool is_set)
{
	cpu->status = is_set ? cpu->status | STATUS_ZF : cpu->status & (uint16_t)~STATUS_ZF;
}

/* Whether this privilege may use the segment. */
static bool is_within_reach(const struct cpu *cpu, const struct descriptor *d)
{
	uint32_t ar = descriptor_ar(d);

	return is_conforming(ar) || seg_dpl(ar) >= MAX(cpu->cpl, d->selector & SELECTOR_RPL);
}

/* Fetches what the selector names, where it is code, data, or one of the system types given. */
static bool probe(struct cpu *cpu, uint16_t selector, unsigned system_types, struct descriptor *d)
{
	if (!descriptor_fetch(cpu, selector, d))
		return false;
	if (!(descriptor_ar(d) & SEG_S) && (!(system_types >> system_type(descriptor_ar(d)) & 1) ||
					    !descriptor_fetch_system(cpu, selector, d)))
		return false;
	return is_within_reach(cpu, d);
}

#define TYPES_LSL_LONG (BIT(SYS_LDT) | BIT(SYS_TSS_AVAIL) | BIT(SYS_TSS_BUSY))
#define TYPES_LSL      (TYPES_LSL_LONG | BIT(SYS_TSS16_AVAIL) | BIT(SYS_TSS16_BUSY))
#define TYPES_LAR_LONG (TYPES_LSL_LONG | BIT(SYS_CALL))
#define TYPES_LAR      (TYPES_LSL | BIT(SYS_CALL16) | BIT(SYS_TASK_GATE) | BIT(SYS_CALL))

void far_lar(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	bool is_valid;

	require_protected(cpu);
	is_valid = probe(cpu, (uint16_t)read_rm(cpu, insn, insn->src, SELECTOR_BYTES),
			 cpu_in_long_mode(cpu) ? TYPES_LAR_LONG : TYPES_LAR, &d);
	set_zf(cpu, is_valid);
	if (is_valid)
		reg_write(cpu, insn->dst, insn->size, (d.low >> 32) & LAR_BITS);
}

void far_lsl(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;
	struct segment seg;
	bool is_valid;

	require_protected(cpu);
	is_valid = probe(cpu, (uint16_t)read_rm(cpu, insn, insn->src, SELECTOR_BYTES),
			 cpu_in_long_mode(cpu) ? TYPES_LSL_LONG : TYPES_LSL, &d);
	set_zf(cpu, is_valid);
	if (!is_valid)
		return;
	descriptor_unpack(&d, &seg);
	reg_write(cpu, insn->dst, insn->size, seg.limit);
}

void far_verr(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;

	require_protected(cpu);
	set_zf(cpu, probe(cpu, (uint16_t)read_rm(cpu, insn, insn->dst, SELECTOR_BYTES), 0, &d) &&
			    is_readable(descriptor_ar(&d)));
}

void far_verw(struct cpu *cpu, const struct insn *insn)
{
	struct descriptor d;

	require_protected(cpu);
	set_zf(cpu, probe(cpu, (uint16_t)read_rm(cpu, insn, insn->dst, SELECTOR_BYTES), 0, &d) &&
			    is_writable_data(descriptor_ar(&d)));
}

void far_arpl(struct cpu *cpu, const struct insn *insn)
{
	unsigned rpl = (unsigned)reg_read(cpu, insn->src, SELECTOR_BYTES) & SELECTOR_RPL;
	unsigned selector;
	bool is_raised;

	require_protected(cpu);
	selector = (unsigned)read_rm(cpu, insn, insn->dst, SELECTOR_BYTES);
	is_raised = (selector & SELECTOR_RPL) < rpl;
	if (is_raised)
		write_rm(cpu, insn, insn->dst, SELECTOR_BYTES,
			 (selector & ~(unsigned)SELECTOR_RPL) | rpl);
	set_zf(cpu, is_raised);
}
