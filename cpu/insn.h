/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoded instruction, and what every handler in cpu/exec needs of it.
 *
 * Decode once, execute often: decode/ fills a struct insn, with `exec` already chosen for the
 * operand size and form; the interpreter calls exec(cpu, insn), the translator reads the same
 * fields.
 *
 * Register operands are byte offsets into cpu->regs, so AH is RAX's offset + 1. base and index
 * are byte offsets too; REG_NONE has the zero register, REG_RIP the RIP of the block's start, whose
 * distance decode has folded into disp. The encoding itself is kept by the block.
 *
 * A handler commits nothing before its last possible fault. It does not touch cpu->rip, except the
 * last instruction of a block (INSN_ENDS_BLOCK), which always sets it.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "cpu/cpu.h"

typedef void insn_fn(struct cpu *cpu, const struct insn *insn);

#define REG_OFFSET(n) ((n)*8)
#define REG_NONE      REG_OFFSET(16)
#define REG_RIP       REG_OFFSET(17)

#define INSN_MAX_BYTES 15

enum insn_flags {
	INSN_ENDS_BLOCK = BIT(0), /* may change RIP, mode or interruptibility: last of its block */
	INSN_LOCK = BIT(1),
	INSN_REP = BIT(2),   /* F3 that means REP/REPE */
	INSN_REPNE = BIT(3), /* F2 that means REPNE */
	INSN_FLAT = BIT(4),  /* 64-bit addressing without FS or GS: linear = base + index + disp */
	INSN_MEM = BIT(5),   /* has a memory operand in base, index, scale, disp, seg */
	INSN_VEX = BIT(6),
	INSN_DIRECT_BRANCH = BIT(7), /* to a displacement: JMP, Jcc, LOOP, CALL */
	INSN_HOSTED = BIT(8),        /* cpu/exec/hosted.c runs it: as it is, on the host */
	/* A short jump forward in the middle of its block: does nothing, its `next` is its target
	 */
	INSN_FOLDED = BIT(9),
};

struct insn {
	insn_fn *exec;
	/* As signed as the instruction has it; branch displacements are relative to the next
	 * instruction. A far pointer has its selector from bit 32 up, a second immediate (ENTER)
	 * lies from bit 16 up. */
	int64_t imm;
	int64_t disp; /* also moffs */
	uint8_t base, index, scale_log2;
	uint8_t seg; /* of the memory operand (string instructions: at rSI), after overrides */
	/* Register operands 0, 1 and 2 in the manual's syntax, where they are registers: as
	 * offsets; for control, debug, segment, vector and x87 registers the plain number. */
	uint8_t dst, src, src2;
	uint8_t mem_operand;  /* which operand (0, 1, 2) is the memory one; meaningful with INSN_MEM
			       */
	uint8_t size;         /* bytes of the first operand (operand size for those without one) */
	uint8_t src_size;     /* bytes of the second: MOVZX, IN, vector ops */
	uint8_t addr_size;    /* bytes: 2, 4, 8 */
	uint8_t length;       /* bytes of the encoding */
	uint16_t start, next; /* offsets of the first byte and of the next instruction from the
				 block's start */
	uint16_t page_offset; /* where the block starts in its page: cpu/block.c */
	uint16_t flags;       /* enum insn_flags */
	uint16_t mnemonic;    /* ZydisMnemonic, for dispatch among relatives and for messages */
	uint8_t status_read, status_written; /* status flags as RFLAGS bits 7:0, OF as bit 3 */
	uint16_t mem_bytes;                  /* size of the memory operand as accessed */
	void *host; /* cpu/exec/host.c: the code that runs it on host registers, or NULL */
};

/* RIP of the instruction being executed, and of the one after it; wrapped as the mode says. */
static inline uint64_t cpu_wrap_rip(const struct cpu *cpu, uint64_t rip)
{
	return cpu->mode == MODE_64 ? rip : (uint32_t)rip;
}

static inline uint64_t insn_rip(const struct cpu *cpu, const struct insn *insn)
{
	return cpu_wrap_rip(cpu, cpu->rip + insn->start);
}

static inline uint64_t insn_next_rip(const struct cpu *cpu, const struct insn *insn)
{
	return cpu_wrap_rip(cpu, cpu->rip + insn->next);
}

/* How an instruction with INSN_ENDS_BLOCK that does not branch ends. */
static inline void insn_advance(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = insn_next_rip(cpu, insn);
}

/* Leave the block after this instruction: what comes next may have changed under it. */
static inline void cpu_leave_block(struct cpu *cpu)
{
	cpu->block_end = NULL;
}

static inline void *reg_at(struct cpu *cpu, unsigned offset)
{
	return (uint8_t *)cpu->regs + offset;
}

/* A register operand of 1, 2, 4 or 8 bytes; writing 4 clears the upper half. */
static inline uint64_t reg_read(struct cpu *cpu, unsigned offset, unsigned size)
{
	switch (size) {
	case 1:
		return *(uint8_t *)reg_at(cpu, offset);
	case 2:
		return *(uint16_t *)reg_at(cpu, offset);
	case 4:
		return *(uint32_t *)reg_at(cpu, offset);
	default:
		return *(uint64_t *)reg_at(cpu, offset);
	}
}

static inline void reg_write(struct cpu *cpu, unsigned offset, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		*(uint8_t *)reg_at(cpu, offset) = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)reg_at(cpu, offset) = (uint16_t)value;
		break;
	case 4:
		*(uint64_t *)reg_at(cpu, offset) = (uint32_t)value;
		break;
	default:
		*(uint64_t *)reg_at(cpu, offset) = value;
	}
}

/* Effective address (offset in its segment), cut to the address size. */
static inline uint64_t insn_ea(struct cpu *cpu, const struct insn *insn)
{
	uint64_t ea = *(uint64_t *)reg_at(cpu, insn->base) +
		      (*(uint64_t *)reg_at(cpu, insn->index) << insn->scale_log2) +
		      (uint64_t)insn->disp;

	return ea & size_mask(insn->addr_size);
}

#endif
