/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoded instruction, and what every handler in cpu/exec needs of it.
 *
 * Decode once, execute often: decode/ fills a struct insn, with `exec` already chosen for the
 * operand size and form; the interpreter calls that, the translator reads the same
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

#define INSN_MAX_BYTES 15u

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
	INSN_WIDE = BIT(10), /* its immediate does not fit into imm: it is in disp */
	INSN_STUB = BIT(11), /* it may have a stub, and its immediate is in that */
};

/* Blocks are made of these, so each byte counts: what is rare has no room of its own. */
struct insn {
	/* As signed as the instruction has it. Also moffs; with INSN_WIDE the immediate; a far
	 * pointer, which has its selector from bit 32 up. */
	int64_t disp;
	union {
		/* As signed as the instruction has it; branch displacements are relative to the
		 * next instruction. A second immediate (ENTER) lies from bit 16 up. */
		int32_t imm;
		struct { /* with INSN_STUB */
			/* cpu/exec/host.h: the code that runs it on host registers, or 0 */
			uint32_t host : 21;
			uint32_t fop : 11; /* of x87 instructions: the opcode as FOP has it */
		};
	};
	uint32_t exec; /* insn_handler */
	uint8_t base, index, scale_log2;
	uint8_t seg; /* of the memory operand (string instructions: at rSI), after overrides */
	/* Register operands 0, 1 and 2 in the manual's syntax, where they are registers: as
	 * offsets; for control, debug, segment, vector and x87 registers the plain number. */
	uint8_t dst, src, src2;
	uint8_t size;            /* bytes of the first operand (operand size where it has none) */
	uint8_t src_size : 6;    /* bytes of the second: MOVZX, IN, vector ops */
	uint8_t mem_operand : 2; /* which (0, 1, 2) is the memory one; meaningful with INSN_MEM */
	uint8_t addr_size : 4;   /* bytes: 2, 4, 8 */
	uint8_t length : 4;      /* bytes of the encoding */
	uint16_t start, next;    /* offsets of the first byte and of the next instruction from the
				    block's start */
	uint16_t page_offset;    /* where the block starts in its page: cpu/block.c */
	uint16_t flags;          /* enum insn_flags */
	uint16_t mnemonic;       /* ZydisMnemonic, for dispatch among relatives and for messages */
	uint16_t mem_bytes;      /* size of the memory operand as accessed */
	uint8_t status_read, status_written; /* status flags as RFLAGS bits 7:0, OF as bit 3 */
};

_Static_assert(sizeof(struct insn) == 40, "no more than it needs");

extern const uint8_t __executable_start[]; /* of the program: the linker's */

/* Handlers are named by how far they are from the program's start. */
static inline uint32_t insn_exec_of(insn_fn *handler)
{
	return (uint32_t)((uintptr_t)handler - (uintptr_t)__executable_start);
}

static inline insn_fn *insn_handler(const struct insn *insn)
{
	return (insn_fn *)((uintptr_t)__executable_start + insn->exec);
}

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
