/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Near branches. A target is checked (canonical in 64-bit mode, within CS's limit elsewhere) before
 * anything is committed. SDM2: "Jcc", "JMP", "CALL", "RET", "LOOP".
 */
#include "cpu/exec/stack.h"
#include "cpu/exec/template.h"

/* Makes `target` the RIP of 64-bit mode. */
ALWAYS_INLINE uint64_t check_target_64(struct cpu *cpu, uint64_t target)
{
	if (unlikely(!is_canonical(target)))
		cpu_raise_code(cpu, EXC_GP, 0);
	return target;
}

/* The target as cut to the operand size, which may be 16 bits in 64-bit mode on AMD. */
static inline uint64_t check_target(struct cpu *cpu, uint64_t target, unsigned size)
{
	target &= size_mask(size);
	if (cpu->mode == MODE_64)
		return check_target_64(cpu, target);
	if (unlikely(target > cpu->seg[CS].limit))
		cpu_raise_code(cpu, EXC_GP, 0);
	return target;
}

static uint64_t relative_target(struct cpu *cpu, const struct insn *insn)
{
	return check_target(cpu, insn_next_rip(cpu, insn) + (uint64_t)insn->imm, insn->size);
}

ALWAYS_INLINE uint64_t relative_target_64(struct cpu *cpu, const struct insn *insn)
{
	return check_target_64(cpu, cpu->rip + insn->next + (uint64_t)insn->imm);
}

static bool is_64(const ZydisDecodedInstruction *zydis, const struct insn *insn)
{
	return zydis->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && insn->size == 8;
}

/* Jcc */
#define JCC_HANDLERS(cc, ...)                                             \
	static void jcc_64_##cc(struct cpu *cpu, const struct insn *insn) \
	{                                                                 \
		if (status_meets(cpu->status, cc))                        \
			cpu->rip = relative_target_64(cpu, insn);         \
		else                                                      \
			cpu->rip += insn->next;                           \
	}                                                                 \
	static void jcc_##cc(struct cpu *cpu, const struct insn *insn)    \
	{                                                                 \
		if (status_meets(cpu->status, cc))                        \
			cpu->rip = relative_target(cpu, insn);            \
		else                                                      \
			insn_advance(cpu, insn);                          \
	}

#define JCC_ENTRY(cc, prefix) prefix##_##cc,

FOR_EACH_CONDITION(JCC_HANDLERS, )

insn_fn *branch_select_jcc(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	static insn_fn *const handlers[2][16] = {
		{ FOR_EACH_CONDITION(JCC_ENTRY, jcc) },
		{ FOR_EACH_CONDITION(JCC_ENTRY, jcc_64) },
	};

	(void)operands;
	return handlers[is_64(zydis, insn)][zydis->opcode & 15];
}

/* JMP */
static void jump_relative_64(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = relative_target_64(cpu, insn);
}

static void jump_relative(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = relative_target(cpu, insn);
}

static void jump_register_64(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = check_target_64(cpu, reg_read(cpu, insn->dst, 8));
}

static void jump_memory_64(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = check_target_64(cpu, load_operand(cpu, insn, 8));
}

static void jump_indirect(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = check_target(cpu, read_rm(cpu, insn, insn->dst, insn->size), insn->size);
}

insn_fn *branch_select_jmp(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	bool wide = is_64(zydis, insn);

	if (zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return far_select_jmp(zydis, operands, insn);
	if (is_imm(&operands[0]))
		return wide ? jump_relative_64 : jump_relative;
	if (!wide)
		return jump_indirect;
	return is_mem(&operands[0]) ? jump_memory_64 : jump_register_64;
}

/* CALL */
ALWAYS_INLINE void call_64(struct cpu *cpu, const struct insn *insn, uint64_t target)
{
	stack_push_64(cpu, 8, cpu->rip + insn->next);
	cpu->rip = target;
}

static void call_relative_64(struct cpu *cpu, const struct insn *insn)
{
	call_64(cpu, insn, relative_target_64(cpu, insn));
}

static void call_indirect_64(struct cpu *cpu, const struct insn *insn)
{
	call_64(cpu, insn, check_target_64(cpu, read_rm(cpu, insn, insn->dst, 8)));
}

static void call_to(struct cpu *cpu, const struct insn *insn, uint64_t target)
{
	stack_push(cpu, insn->size, insn_next_rip(cpu, insn));
	cpu->rip = target;
}

static void call_relative(struct cpu *cpu, const struct insn *insn)
{
	call_to(cpu, insn, relative_target(cpu, insn));
}

static void call_indirect(struct cpu *cpu, const struct insn *insn)
{
	uint64_t target = read_rm(cpu, insn, insn->dst, insn->size);

	call_to(cpu, insn, check_target(cpu, target, insn->size));
}

insn_fn *branch_select_call(const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *operands, struct insn *insn)
{
	bool wide = is_64(zydis, insn);

	if (zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return far_select_call(zydis, operands, insn);
	if (is_imm(&operands[0]))
		return wide ? call_relative_64 : call_relative;
	return wide ? call_indirect_64 : call_indirect;
}

/* RET, with the bytes of parameters that it drops (imm, 0 without). */
static void return_64(struct cpu *cpu, const struct insn *insn)
{
	uint64_t target = check_target_64(cpu, mmu_load(cpu, cpu->gpr[RSP], 8, SS));

	cpu->gpr[RSP] += 8 + (uint64_t)insn->imm;
	cpu->rip = target;
}

static void return_near(struct cpu *cpu, const struct insn *insn)
{
	uint64_t target = check_target(cpu, stack_peek(cpu, insn->size, 0), insn->size);

	stack_add(cpu, insn->size + insn->imm);
	cpu->rip = target;
}

insn_fn *branch_select_ret(const ZydisDecodedInstruction *zydis,
			   const ZydisDecodedOperand *operands, struct insn *insn)
{
	(void)operands;
	if (zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return far_ret;
	return is_64(zydis, insn) ? return_64 : return_near;
}

/* JCXZ, JECXZ, JRCXZ and LOOPcc count in rCX of the address size. */
static void branch_if(struct cpu *cpu, const struct insn *insn, bool is_taken)
{
	cpu->rip = is_taken ? relative_target(cpu, insn) : insn_next_rip(cpu, insn);
}

void branch_jcxz(struct cpu *cpu, const struct insn *insn)
{
	branch_if(cpu, insn, reg_read(cpu, REG_OFFSET(RCX), insn->addr_size) == 0);
}

static void loop(struct cpu *cpu, const struct insn *insn, bool condition)
{
	unsigned size = insn->addr_size;
	uint64_t count = (reg_read(cpu, REG_OFFSET(RCX), size) - 1) & size_mask(size);

	branch_if(cpu, insn, count != 0 && condition);
	reg_write(cpu, REG_OFFSET(RCX), size, count);
}

void branch_loop(struct cpu *cpu, const struct insn *insn)
{
	loop(cpu, insn, true);
}

void branch_loope(struct cpu *cpu, const struct insn *insn)
{
	loop(cpu, insn, cpu->status & STATUS_ZF);
}

void branch_loopne(struct cpu *cpu, const struct insn *insn)
{
	loop(cpu, insn, !(cpu->status & STATUS_ZF));
}
