/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What segment loads, far transfers, event delivery and task switches share: descriptors as they
 * lie in memory, and stacks that are written or read before anything is committed.
 *
 * SDM3: "Segment Descriptors", "Stack Switching".
 */
#ifndef CPU_DESCRIPTOR_H
#define CPU_DESCRIPTOR_H

#include "cpu/segment.h"

#define SELECTOR_INDEX     (~7u) /* of a selector: the descriptor's offset in its table */
#define SELECTOR_NULL_MASK 0xfffcu
#define ERROR_EXT          1u /* in a selector's error code: while an outside event was delivered */
#define ERROR_IDT          2u /* the index is one of the IDT */

struct descriptor {
	uint64_t low, high; /* high: of the 16-byte descriptors of long mode, else 0 */
	gva_t addr;
	uint16_t selector;
};

static inline bool selector_is_null(uint16_t selector)
{
	return !(selector & SELECTOR_NULL_MASK);
}

/* Access rights in the form of struct segment. */
static inline uint32_t descriptor_ar(const struct descriptor *d)
{
	return (uint32_t)(d->low >> 40) & 0xf0ff;
}

static inline bool is_code(uint32_t ar)
{
	return (ar & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}

static inline bool is_conforming(uint32_t ar)
{
	return (ar & (SEG_S | SEG_CODE | SEG_EXPAND)) == (SEG_S | SEG_CODE | SEG_EXPAND);
}

static inline bool is_readable(uint32_t ar)
{
	return (ar & SEG_S) && (!(ar & SEG_CODE) || (ar & SEG_WRITABLE));
}

static inline bool is_writable_data(uint32_t ar)
{
	return (ar & (SEG_S | SEG_CODE | SEG_WRITABLE)) == (SEG_S | SEG_WRITABLE);
}

/* The type of a system descriptor or gate, or 0 (which is none of them) for code and data. */
static inline unsigned system_type(uint32_t ar)
{
	return ar & SEG_S ? 0 : ar & SEG_TYPE;
}

/* Raises `vector` with the selector as its error code. */
_Noreturn void descriptor_raise(struct cpu *cpu, unsigned vector, uint16_t selector);

/* false: a null selector, or beyond the limit of its table. Reads 8 bytes. */
bool descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out);
/* The same for system descriptors: 16 bytes in long mode. */
bool descriptor_fetch_system(struct cpu *cpu, uint16_t selector, struct descriptor *out);
/* Reads 8 bytes or raises: `vector`(0) for a null selector, `vector`(selector) beyond the table. */
void descriptor_require(struct cpu *cpu, uint16_t selector, unsigned vector,
			struct descriptor *out);

/* Sets bits in the descriptor's type, in memory and in *d, by one atomic access. */
void descriptor_set_type_bits(struct cpu *cpu, struct descriptor *d, uint64_t type_bits);
void descriptor_clear_type_bits(struct cpu *cpu, struct descriptor *d, uint64_t type_bits);
static inline void descriptor_set_accessed(struct cpu *cpu, struct descriptor *d)
{
	if (unlikely(!(descriptor_ar(d) & SEG_ACCESSED)))
		descriptor_set_type_bits(cpu, d, SEG_ACCESSED);
}

/* The segment that a descriptor describes; base 63:32 of system ones from its high half. */
void descriptor_unpack(const struct descriptor *d, struct segment *out);

/*
 * The checks and consequences of a data or stack segment register load, for code at privilege
 * level `cpl`. `vector` is what a bad selector raises (#GP; #TS in a task switch). The descriptor
 * is marked accessed; the register is not changed.
 */
void segment_check_data(struct cpu *cpu, unsigned seg, uint16_t selector, unsigned cpl,
			unsigned vector, struct segment *out);
void segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, unsigned vector,
			 struct segment *out);
void segment_set_null(struct segment *seg, uint16_t selector);

/* Whether [offset, offset + size) is within the limit. */
bool segment_contains(const struct segment *seg, uint64_t offset, unsigned size);

/*
 * A stack in use. Nothing of the CPU changes until stack_commit. Accesses are those of the current
 * privilege, or of a supervisor where is_system is set: the stack of a more privileged level.
 */
struct stack {
	struct segment seg;
	uint64_t sp, mask; /* mask: the bits of the stack pointer that count */
	uint32_t error;    /* error code of the #SS for what is outside the limit */
	bool is_flat;      /* 64-bit mode: no limit and no base */
	bool is_system;
};

void stack_open(struct cpu *cpu, struct stack *stack); /* the current one */
/* Another one: is_flat says that it is for 64-bit mode. */
void stack_open_as(struct stack *stack, const struct segment *seg, uint64_t sp, bool is_flat,
		   bool is_system);
void stack_put(struct cpu *cpu, struct stack *stack, unsigned size, uint64_t value);
uint64_t stack_take(struct cpu *cpu, struct stack *stack, unsigned size);
void stack_skip(struct stack *stack, int64_t bytes);
void stack_commit(struct cpu *cpu, const struct stack *stack); /* RSP only */

/* `size` bytes of the current task state; #TS where its limit ends before them. */
uint64_t tss_load(struct cpu *cpu, unsigned offset, unsigned size);

/*
 * The stack of privilege level `cpl` < 3 from the TSS, with all checks (#TS, #SS). In long mode the
 * segment is null and sp is RSPn.
 */
void stack_from_tss(struct cpu *cpu, unsigned cpl, struct segment *seg, uint64_t *sp);

/* Raises #GP(0) where a jump to `rip` in the code segment with these rights and limit faults. */
void segment_check_rip(struct cpu *cpu, uint32_t ar, uint32_t limit, uint64_t rip);

/* Makes `d` the code segment at privilege `cpl`: the selector's RPL becomes it. */
void segment_set_cs(struct cpu *cpu, const struct descriptor *d, unsigned cpl);
/* After a return to an outer level: data segments that it must not have become null. */
void segment_drop_privileged(struct cpu *cpu);

/* v8086 mode: a segment register as a load or a switch into that mode leaves it. */
void segment_set_v86(struct segment *seg, uint16_t selector);

/* What far returns and IRET share. The code segment that `selector` returns to; its RPL is the
 * privilege to be. */
void far_check_return(struct cpu *cpu, uint16_t selector, struct descriptor *cs);
/* The stack segment that goes with it: null where 64-bit mode allows that. */
void far_check_return_stack(struct cpu *cpu, uint16_t selector, const struct descriptor *cs,
			    struct segment *ss);
void far_set_outer_stack(struct cpu *cpu, const struct segment *ss, uint64_t sp, bool is_to_64bit);

#endif
