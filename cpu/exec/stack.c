/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack: pushes and pops of everything, frames. RSP moves last, so that a fault leaves it.
 * SDM2: "PUSH", "POP", "PUSHA", "POPA", "PUSHF", "POPF", "ENTER", "LEAVE".
 */
#include "cpu/exec/stack.h"

#include "cpu/exec/template.h"

#define ENTER_BYTES(insn)  ((uint64_t)(insn)->imm & 0xffff)
#define ENTER_LEVELS(insn) ((unsigned)((insn)->imm >> 16) & 31)

enum { PUSHA_REGISTERS = 8 };

/* Bytes of the stack pointer that count. */
static unsigned stack_size(const struct cpu *cpu)
{
	if (cpu->mode == MODE_64)
		return 8;
	return cpu->seg[SS].ar & SEG_DB ? 4 : 2;
}

/* Linear address of `size` bytes at SS:offset, which is cut to the stack's size. */
static gva_t stack_linear(struct cpu *cpu, uint64_t offset, unsigned size, bool is_write)
{
	return segment_linear(cpu, SS, offset & size_mask(stack_size(cpu)), size, is_write);
}

static uint64_t load_at(struct cpu *cpu, uint64_t offset, unsigned size)
{
	return mmu_load(cpu, stack_linear(cpu, offset, size, false), size, SS);
}

static void store_at(struct cpu *cpu, uint64_t offset, unsigned size, uint64_t value)
{
	mmu_store(cpu, stack_linear(cpu, offset, size, true), size, value, SS);
}

static void set_stack_pointer(struct cpu *cpu, uint64_t value)
{
	reg_write(cpu, REG_OFFSET(RSP), stack_size(cpu), value);
}

/* PUSH */
static void push_register_64(struct cpu *cpu, const struct insn *insn)
{
	stack_push_64(cpu, 8, reg_read(cpu, insn->dst, 8));
}

static void push_immediate_64(struct cpu *cpu, const struct insn *insn)
{
	stack_push_64(cpu, 8, (uint64_t)insn->imm);
}

static void push_register(struct cpu *cpu, const struct insn *insn)
{
	stack_push(cpu, insn->size, reg_read(cpu, insn->dst, insn->size));
}

static void push_immediate(struct cpu *cpu, const struct insn *insn)
{
	stack_push(cpu, insn->size, (uint64_t)insn->imm);
}

static void push_memory(struct cpu *cpu, const struct insn *insn)
{
	stack_push(cpu, insn->size, load_operand(cpu, insn, insn->size));
}

static void push_segment(struct cpu *cpu, const struct insn *insn)
{
	stack_push(cpu, insn->size, cpu->seg[insn->dst].selector);
}

static bool is_segment(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool is_long_64(const ZydisDecodedInstruction *zydis)
{
	return zydis->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && zydis->operand_width == 64;
}

insn_fn *stack_select_push(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	if (is_segment(&operands[0])) {
		insn->size = zydis->operand_width / 8;
		return push_segment;
	}
	if (is_mem(&operands[0]))
		return push_memory;
	if (is_imm(&operands[0]))
		return is_long_64(zydis) ? push_immediate_64 : push_immediate;
	return is_long_64(zydis) ? push_register_64 : push_register;
}

/* POP */
static void pop_register_64(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = stack_pop_64(cpu, 8);

	reg_write(cpu, insn->dst, 8, value);
}

static void pop_register(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = stack_pop(cpu, insn->size);

	reg_write(cpu, insn->dst, insn->size, value);
}

/* An address that RSP is the base of is computed with RSP as it will be. */
static void pop_memory(struct cpu *cpu, const struct insn *insn)
{
	struct insn after = *insn;
	uint64_t value = stack_peek(cpu, insn->size, 0);

	if (insn->base == REG_OFFSET(RSP))
		after.disp += insn->size;
	store_operand(cpu, &after, insn->size, value);
	stack_add(cpu, insn->size);
}

/* Loading SS may change the stack's size: the pointer moves by that of before. */
static void pop_segment(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = stack_size(cpu);
	uint64_t rsp = cpu->gpr[RSP] + insn->size;

	segment_load(cpu, insn->dst, (uint16_t)stack_peek(cpu, 2, 0));
	reg_write(cpu, REG_OFFSET(RSP), size, rsp);
}

static void pop_ss(struct cpu *cpu, const struct insn *insn)
{
	pop_segment(cpu, insn);
	cpu_set_shadow(cpu, SHADOW_MOV_SS);
	insn_advance(cpu, insn);
}

insn_fn *stack_select_pop(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			  struct insn *insn)
{
	if (is_segment(&operands[0])) {
		insn->size = zydis->operand_width / 8;
		if (insn->dst != SS)
			return pop_segment;
		insn->flags |= INSN_ENDS_BLOCK;
		return pop_ss;
	}
	if (is_mem(&operands[0]))
		return pop_memory;
	return is_long_64(zydis) ? pop_register_64 : pop_register;
}

/* PUSHA, POPA */
void stack_pusha(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	uint64_t rsp = cpu->gpr[RSP];

	for (unsigned n = 0; n < PUSHA_REGISTERS; n++) {
		rsp -= size;
		store_at(cpu, rsp, size, cpu->gpr[n]);
	}
	set_stack_pointer(cpu, rsp);
}

void stack_popa(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size;
	uint64_t value[PUSHA_REGISTERS];

	for (unsigned n = 0; n < PUSHA_REGISTERS; n++)
		value[PUSHA_REGISTERS - 1 - n] = stack_peek(cpu, size, n * size);
	for (unsigned n = 0; n < PUSHA_REGISTERS; n++)
		if (n != RSP)
			reg_write(cpu, REG_OFFSET(n), size, value[n]);
	stack_add(cpu, PUSHA_REGISTERS * size);
}

/*
 * PUSHF, POPF. In v8086 mode below IOPL 3 only the 16-bit forms exist, with VME, and IF stands for
 * VIF.
 */
static bool is_v86_restricted(const struct cpu *cpu)
{
	return cpu_in_v86_mode(cpu) && cpu_iopl(cpu) < 3;
}

static void check_vme(struct cpu *cpu, const struct insn *insn)
{
	if (insn->size != 2 || !(cpu->cr4 & CR4_VME))
		cpu_raise_code(cpu, EXC_GP, 0);
}

void stack_pushf(struct cpu *cpu, const struct insn *insn)
{
	uint64_t value = flags_get(cpu) & ~(RFLAGS_VM | RFLAGS_RF);

	if (is_v86_restricted(cpu)) {
		check_vme(cpu, insn);
		value |= RFLAGS_IOPL;
		value &= ~RFLAGS_IF;
		value |= cpu->rflags & RFLAGS_VIF ? RFLAGS_IF : 0;
	}
	stack_push(cpu, insn->size, value);
}

static uint64_t popf_writable(const struct cpu *cpu, unsigned size)
{
	uint64_t writable =
		RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;

	if (cpu->cpl == 0)
		writable |= RFLAGS_IOPL;
	if (cpu->cpl <= cpu_iopl(cpu))
		writable |= RFLAGS_IF;
	return writable & size_mask(size);
}

static void popf_v86(struct cpu *cpu, const struct insn *insn)
{
	const uint64_t writable = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_VIF;
	uint64_t value;

	check_vme(cpu, insn);
	value = stack_peek(cpu, 2, 0);
	if ((value & RFLAGS_TF) || ((value & RFLAGS_IF) && (cpu->rflags & RFLAGS_VIP)))
		cpu_raise_code(cpu, EXC_GP, 0);
	stack_add(cpu, 2);
	value |= value & RFLAGS_IF ? RFLAGS_VIF : 0;
	flags_set(cpu, (flags_get(cpu) & ~writable) | (value & writable));
}

static void popf_plain(struct cpu *cpu, const struct insn *insn)
{
	uint64_t writable = popf_writable(cpu, insn->size);
	uint64_t value = stack_pop(cpu, insn->size);

	flags_set(cpu, (flags_get(cpu) & ~writable & ~RFLAGS_RF) | (value & writable));
}

void stack_popf(struct cpu *cpu, const struct insn *insn)
{
	const uint32_t derived = RFLAGS_TF | RFLAGS_AC | RFLAGS_RF;
	uint32_t before = cpu->rflags;

	if (is_v86_restricted(cpu))
		popf_v86(cpu, insn);
	else
		popf_plain(cpu, insn);
	if ((before ^ cpu->rflags) & derived)
		cpu_update_derived(cpu);
	insn_advance(cpu, insn);
}

/* ENTER: a new frame below the frame pointers of `levels` - 1 outer ones. */
void stack_enter(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = insn->size, levels = ENTER_LEVELS(insn);
	uint64_t rsp = cpu->gpr[RSP] - size, rbp = cpu->gpr[RBP];
	uint64_t frame = rsp;

	store_at(cpu, rsp, size, rbp);
	for (unsigned level = 1; level < levels; level++) {
		rbp -= size;
		rsp -= size;
		store_at(cpu, rsp, size, load_at(cpu, rbp, size));
	}
	if (levels) {
		rsp -= size;
		store_at(cpu, rsp, size, frame);
	}
	rsp -= ENTER_BYTES(insn);
	mmu_check(cpu, stack_linear(cpu, rsp, size, true), size, true, SS);
	reg_write(cpu, REG_OFFSET(RBP), stack_size(cpu), frame);
	set_stack_pointer(cpu, rsp);
}

static void leave_64(struct cpu *cpu, const struct insn *insn)
{
	uint64_t frame = cpu->gpr[RBP];

	(void)insn;
	cpu->gpr[RBP] = mmu_load(cpu, frame, 8, SS);
	cpu->gpr[RSP] = frame + 8;
}

static void leave(struct cpu *cpu, const struct insn *insn)
{
	uint64_t frame = cpu->gpr[RBP];
	uint64_t value = load_at(cpu, frame, insn->size);

	set_stack_pointer(cpu, frame + insn->size);
	reg_write(cpu, REG_OFFSET(RBP), insn->size, value);
}

insn_fn *stack_select_leave(const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *operands, struct insn *insn)
{
	(void)operands;
	(void)insn;
	return is_long_64(zydis) ? leave_64 : leave;
}
