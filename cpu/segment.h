/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation: from an offset in a segment to a linear address, loading segment registers,
 * descriptors, and the privilege rules of far transfers. SDM3: "Protection", "Protected-Mode Memory
 * Management".
 */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "cpu/insn.h"
#include "cpu/mmu/mmu.h"

/*
 * Linear address of [offset, offset + size) in segment `seg`, after the checks of the mode: limit,
 * type, unusable (#GP(0), or #SS(0) for SS). In 64-bit mode only FS and GS have a base and nothing
 * is checked here (a non-canonical address faults in mmu/).
 */
gva_t segment_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool is_write);

/* Linear address of the memory operand. */
static inline gva_t insn_linear(struct cpu *cpu, const struct insn *insn, unsigned size,
				bool is_write)
{
	if (likely(insn->flags & INSN_FLAT))
		return *(uint64_t *)reg_at(cpu, insn->base) +
		       (*(uint64_t *)reg_at(cpu, insn->index) << insn->scale_log2) +
		       (uint64_t)insn->disp;
	return segment_linear(cpu, insn->seg, insn_ea(cpu, insn), size, is_write);
}

/* MOV/POP/LxS to a data or stack segment register: all checks and faults of the current mode. */
void segment_load(struct cpu *cpu, unsigned seg, uint16_t selector);

void segment_load_ldt(struct cpu *cpu, uint16_t selector);
void segment_load_tr(struct cpu *cpu, uint16_t selector);

/* Real-mode and v8086 semantics: base = selector * 16. Does not touch limit and rights in real
 * mode. */
void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector);

/* The raw 8-byte descriptor (16 for system ones in long mode: high half in *high if not NULL).
 * false: beyond the table's limit or null. */
bool segment_fetch_descriptor(struct cpu *cpu, uint16_t selector, uint64_t *low, uint64_t *high);

/*
 * Far transfers; none moves RIP unless all checks pass. They set RIP, CS, SS, CPL and call
 * cpu_update_derived. `size` is the operand size in bytes.
 */
void far_jump(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned size,
	      uint64_t next_rip);
void far_call(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned size,
	      uint64_t next_rip);
void far_return(struct cpu *cpu, unsigned size, unsigned pop_bytes);
void far_iret(struct cpu *cpu, unsigned size, uint64_t next_rip);

enum task_switch_cause { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_GATE };

/* Hardware task switch to the TSS at `selector`. SDM3: "Task Switching". */
void task_switch(struct cpu *cpu, uint16_t selector, enum task_switch_cause cause,
		 uint64_t next_rip, const struct event *event);

/* Stack accesses at SS:RSP with the stack's own size; used by push, pop, call, ret and delivery. */
void stack_push(struct cpu *cpu, unsigned size, uint64_t value);
uint64_t stack_pop(struct cpu *cpu, unsigned size);
/* SS:RSP + offset without moving RSP; and moving it, cut to the stack's size. */
uint64_t stack_peek(struct cpu *cpu, unsigned size, uint64_t offset);
void stack_add(struct cpu *cpu, int64_t bytes);

#endif
