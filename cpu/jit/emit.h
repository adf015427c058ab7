/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes host code: what a one-pass translator from x86-64 to x86-64 needs, and no more.
 *
 * An emitter appends to a buffer. What does not fit, or has no encoding, sets `failed` and is left
 * out; from then on everything is. So a translator emits a whole block and looks once.
 *
 * Registers are cpu/cpu.h's RAX to R15, here the host's, and HOST_HIGH(n) for byte operands; memory
 * operands are struct host_mem. `size` is that of the operands in bytes: 1, 2, 4 or 8. Writing 4
 * bytes of a register clears its upper half, writing 1 or 2 leaves the rest. Names say where the
 * operands are, destination first: r register, m memory, i immediate. Immediates are sign-extended
 * from 32 bits, but for mov_ri. What is said to spare the flags touches none of them.
 */
#ifndef CPU_JIT_EMIT_H
#define CPU_JIT_EMIT_H

#include "cpu/cpu.h"
#include "cpu/decode/encoding.h"

struct emitter {
	uint8_t *at; /* the next byte */
	uint8_t *start, *end;
	const uint8_t *patchable; /* the instruction there, if it is a short one, is made longer */
	/* What is written is called and has this on the stack above it (mem_cpu). */
	unsigned pushed_bytes;
	bool failed;
};

static inline void emit_init(struct emitter *e, uint8_t *start, uint8_t *end)
{
	*e = (struct emitter){ .at = start, .start = start, .end = end };
}

/* Goes on in [start, end), within 2 GiB of what was written before. */
static inline void emit_move(struct emitter *e, uint8_t *start, uint8_t *end)
{
	e->at = e->start = start;
	e->end = end;
}

/* --- memory operands ----------------------------------------------------------------------------
 */

static inline struct host_mem mem_at(unsigned base, int32_t disp)
{
	return (struct host_mem){ (uint8_t)base, HOST_NONE, 0, false, disp };
}

static inline struct host_mem mem_index(unsigned base, unsigned index, unsigned scale_log2,
					int32_t disp)
{
	return (struct host_mem){ (uint8_t)base, (uint8_t)index, (uint8_t)scale_log2, false, disp };
}

/* gs:[base + disp] */
static inline struct host_mem mem_gs(unsigned base, int32_t disp)
{
	return (struct host_mem){ (uint8_t)base, HOST_NONE, 0, true, disp };
}

/*
 * What is at an offset in struct cpu, by the host's RSP: nothing else has RSP as its base, and what
 * has been pushed is added as it is written.
 */
static inline struct host_mem mem_cpu(size_t offset)
{
	return mem_at(RSP, (int32_t)(offset - CPU_HOST_RSP));
}

/* --- moves; they spare the flags -----------------------------------------------------------------
 */

void emit_mov_rr(struct emitter *e, unsigned size, unsigned dst, unsigned src);
void emit_mov_rm(struct emitter *e, unsigned size, unsigned dst, struct host_mem src);
void emit_mov_mr(struct emitter *e, unsigned size, struct host_mem dst, unsigned src);
void emit_mov_mi(struct emitter *e, unsigned size, struct host_mem dst, int32_t imm);
/* The whole register, in the shortest form. */
void emit_mov_ri(struct emitter *e, unsigned dst, uint64_t imm);
/* To the whole register from `size` bytes (any size). */
void emit_movzx_rr(struct emitter *e, unsigned size, unsigned dst, unsigned src);
void emit_movzx_rm(struct emitter *e, unsigned size, unsigned dst, struct host_mem src);
/* The address: gs counts for nothing. 4 bytes wrap. */
void emit_lea(struct emitter *e, unsigned size, unsigned dst, struct host_mem src);
void emit_xchg_rr(struct emitter *e, unsigned size, unsigned a, unsigned b);
/* dst = src rotated right, by BMI2. */
void emit_rorx(struct emitter *e, unsigned size, unsigned dst, unsigned src, unsigned count);

/* --- arithmetic ---------------------------------------------------------------------------------
 */

enum emit_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

void emit_alu_rr(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst, unsigned src);
void emit_alu_rm(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst,
		 struct host_mem src);
void emit_alu_mr(struct emitter *e, enum emit_alu op, unsigned size, struct host_mem dst,
		 unsigned src);
void emit_alu_ri(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst, int32_t imm);
void emit_alu_mi(struct emitter *e, enum emit_alu op, unsigned size, struct host_mem dst,
		 int32_t imm);
void emit_test_rr(struct emitter *e, unsigned size, unsigned a, unsigned b);
void emit_test_ri(struct emitter *e, unsigned size, unsigned a, int32_t imm);
void emit_test_mi(struct emitter *e, unsigned size, struct host_mem a, int32_t imm);

enum emit_shift { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAR = 7 };

/* By a constant. */
void emit_shift_ri(struct emitter *e, enum emit_shift op, unsigned size, unsigned reg,
		   unsigned count);

/* --- conditions and flags ------------------------------------------------------------------------
 */

/* The low four bits of Jcc and SETcc; the lowest negates. */
enum emit_condition {
	COND_O,
	COND_NO,
	COND_B,
	COND_AE,
	COND_E,
	COND_NE,
	COND_BE,
	COND_A,
	COND_S,
	COND_NS,
	COND_P,
	COND_NP,
	COND_L,
	COND_GE,
	COND_LE,
	COND_G,
};

void emit_set_r(struct emitter *e, enum emit_condition cc, unsigned reg); /* its low byte */
void emit_lahf(struct emitter *e);
void emit_sahf(struct emitter *e);

/* --- jumps --------------------------------------------------------------------------------------
 */

/* A jump whose target is not known yet: where its displacement is. NULL `at`: it was left out. */
struct emit_jump {
	uint8_t *at;
	uint8_t bytes; /* 1 or 4 */
};

/* Forward jumps. `is_short`: emit_land comes within 127 bytes, else the emitter has failed. */
struct emit_jump emit_jmp(struct emitter *e, bool is_short);
struct emit_jump emit_jcc(struct emitter *e, enum emit_condition cc, bool is_short);
/* The jump lands here, or there. */
void emit_land(struct emitter *e, struct emit_jump jump);
void emit_land_at(struct emitter *e, struct emit_jump jump, const uint8_t *target);

/* To a place in the same buffer, as far as the emitter's view of it goes, in the shortest form. */
void emit_jmp_to(struct emitter *e, const uint8_t *target);
void emit_call_to(struct emitter *e, const uint8_t *target);

/*
 * A jump that may be redirected while other threads run it: its displacement is 4 bytes and aligned
 * to 4.
 */
struct emit_jump emit_jcc_patchable(struct emitter *e, enum emit_condition cc);
/* Redirects one, given where its displacement is (atomically). */
void emit_patch(uint8_t *at, const uint8_t *target);
/* Where a displacement of 4 bytes leads. */
const uint8_t *emit_target(const uint8_t *at);

/* JRCXZ, which spares the flags; a forward jump within 127 bytes. */
struct emit_jump emit_jrcxz(struct emitter *e);

void emit_jmp_r(struct emitter *e, unsigned reg);
void emit_jmp_m(struct emitter *e, struct host_mem mem);
void emit_ret(struct emitter *e);

/* --- the rest -----------------------------------------------------------------------------------
 */

void emit_nops(struct emitter *e, unsigned bytes);
/* NOPs up to `offset` bytes behind a multiple of a power of two. */
void emit_align(struct emitter *e, unsigned power_of_two, unsigned offset);

/*
 * What comes next may become a CALL or a JMP while other threads run it: aligns, with NOPs, and
 * makes the next instruction so long, with prefixes of no meaning, that one store of 8 bytes does
 * it and nobody can be in the middle of those that change.
 */
#define EMIT_PATCHED_BYTES 5 /* what changes */
#define EMIT_NOP_BYTES     8
void emit_patchable(struct emitter *e);
/* To what comes next in memory, no more than EMIT_NOP_BYTES further, it is a NOP. */
void emit_patch_jmp(uint8_t *at, const uint8_t *target);
bool emit_goes_to(const uint8_t *at, const uint8_t *target); /* false for a CALL */
bool emit_is_nop(const uint8_t *at);
void emit_patch_call(uint8_t *at, const uint8_t *target);
void emit_bytes(struct emitter *e, const void *bytes, unsigned len);

/*
 * A guest's instruction, as encoding_take_apart (cpu/decode/encoding.h) gave it and with its
 * registers mapped by encoding_map_gprs; `mem` takes the place of its memory operand, if it has
 * one. false: a high-byte register meets one that needs REX, so there is no such instruction, and
 * nothing was done.
 */
bool emit_encoding(struct emitter *e, const struct encoding *encoding, struct host_mem mem);

#endif
