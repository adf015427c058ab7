/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emitter: see cpu/jit/emit.h. Every instruction is a struct encoding that is filled here and
 * written by encoding_write; jumps and fixed byte sequences go to the buffer as they are.
 *
 * SDM2: "Instruction Set Reference", opcode columns.
 */
#include "cpu/jit/emit.h"

#define REL8_BYTES  1u
#define REL32_BYTES 4u
#define JCC_SHORT   0x70
#define JCC_NEAR    0x80 /* behind 0Fh */
#define JMP_SHORT   0xeb
#define JMP_NEAR    0xe9
#define CALL_NEAR   0xe8
#define JRCXZ       0xe3
#define NO_PREFIX   0x3e /* DS: 64-bit mode ignores it */
#define WORD_BYTES  8u   /* what one store changes */

static bool has_room(struct emitter *e, size_t len)
{
	if ((size_t)(e->end - e->at) < len)
		e->failed = true;
	return !e->failed;
}

void emit_bytes(struct emitter *e, const void *bytes, unsigned len)
{
	unsigned more =
		e->at == e->patchable && len < EMIT_PATCHED_BYTES ? EMIT_PATCHED_BYTES - len : 0;

	if (!has_room(e, more + len))
		return;
	memset(e->at, NO_PREFIX, more);
	memcpy(e->at + more, bytes, len);
	e->at += more + len;
}

static void emit_byte(struct emitter *e, unsigned byte)
{
	emit_bytes(e, &(uint8_t){ (uint8_t)byte }, 1);
}

bool emit_encoding(struct emitter *e, const struct encoding *encoding, struct host_mem mem)
{
	uint8_t code[ENCODING_MAX_BYTES];
	unsigned len;

	if ((encoding->flags & ENCODING_MEM) && mem.base == RSP)
		mem.disp += (int32_t)e->pushed_bytes;
	len = encoding_write(encoding, mem, code);
	emit_bytes(e, code, len);
	return len;
}

/* --- instructions with a ModRM byte --------------------------------------------------------------
 *
 * An opcode is its byte, with the map in bits 11:8. Of those that OP_SIZED marks the lowest bit is
 * clear for bytes and set for other sizes.
 */

enum opcode {
	OP_MAP_SHIFT = 8,
	OP_SIZED = BIT(12),
	OP_MAP_0F = 1 << OP_MAP_SHIFT,

	OP_ALU_MR = OP_SIZED | 0x00, /* | enum emit_alu << 3 */
	OP_ALU_RM = OP_SIZED | 0x02,
	OP_ALU_I32 = OP_SIZED | 0x80, /* / enum emit_alu */
	OP_ALU_I8 = 0x83,
	OP_TEST = OP_SIZED | 0x84,
	OP_XCHG = OP_SIZED | 0x86,
	OP_MOV_MR = OP_SIZED | 0x88,
	OP_MOV_RM = OP_SIZED | 0x8a,
	OP_LEA = 0x8d,
	OP_SHIFT_I8 = OP_SIZED | 0xc0, /* / enum emit_shift */
	OP_MOV_MI = OP_SIZED | 0xc6,
	OP_SHIFT_1 = OP_SIZED | 0xd0,
	OP_TEST_I = OP_SIZED | 0xf6,
	OP_BRANCH_M = 0xff, /* JMP /4 */

	OP_SET = OP_MAP_0F | 0x90,   /* | condition */
	OP_MOVZX = OP_MAP_0F | 0xb6, /* | 1 from words */
	OP_RORX = 3 << OP_MAP_SHIFT | 0xf0,
};

enum { JMP_DIGIT = 4 };

static struct encoding make(unsigned opcode, unsigned size, unsigned reg)
{
	struct encoding enc = {
		.flags = ENCODING_MODRM | (size == 8 ? ENCODING_W : 0),
		.prefixes = size == 2 ? PREFIX_66 : 0,
		.map = opcode >> OP_MAP_SHIFT & 15,
		.opcode = (uint8_t)(opcode | ((opcode & OP_SIZED) && size != 1)),
		.reg = (uint8_t)reg,
	};

	if (size == 1)
		enc.flags |= ENCODING_BYTE_REG | ENCODING_BYTE_RM;
	return enc;
}

static void set_imm(struct encoding *enc, unsigned bytes, int64_t imm)
{
	enc->imm_bytes = (uint8_t)bytes;
	store_le(enc->imm, (uint64_t)imm, 8);
}

/* An instruction that has no encoding is this project's bug, not the guest's doing. */
static void emit_r(struct emitter *e, struct encoding *enc, unsigned rm)
{
	enc->rm = (uint8_t)rm;
	if (!emit_encoding(e, enc, mem_at(HOST_NONE, 0)))
		e->failed = true;
}

static void emit_m(struct emitter *e, struct encoding *enc, struct host_mem mem)
{
	enc->flags = (uint16_t)((enc->flags | ENCODING_MEM) & ~ENCODING_BYTE_RM);
	if (!emit_encoding(e, enc, mem))
		e->failed = true;
}

static void op_r(struct emitter *e, unsigned opcode, unsigned size, unsigned reg, unsigned rm)
{
	struct encoding enc = make(opcode, size, reg);

	emit_r(e, &enc, rm);
}

static void op_m(struct emitter *e, unsigned opcode, unsigned size, unsigned reg,
		 struct host_mem mem)
{
	struct encoding enc = make(opcode, size, reg);

	emit_m(e, &enc, mem);
}

/* With an opcode's /digit, which is no byte register, for `reg`. */
static struct encoding make_digit(unsigned opcode, unsigned size, unsigned digit)
{
	struct encoding enc = make(opcode, size, digit);

	enc.flags &= (uint16_t)~ENCODING_BYTE_REG;
	return enc;
}

static void op_digit_r(struct emitter *e, unsigned opcode, unsigned size, unsigned digit,
		       unsigned rm)
{
	struct encoding enc = make_digit(opcode, size, digit);

	emit_r(e, &enc, rm);
}

static void op_digit_m(struct emitter *e, unsigned opcode, unsigned size, unsigned digit,
		       struct host_mem mem)
{
	struct encoding enc = make_digit(opcode, size, digit);

	emit_m(e, &enc, mem);
}

/* The immediate of an operand of this size: no instruction has one of 8 bytes but MOV. */
static unsigned imm_bytes(unsigned size)
{
	return MIN(size, 4u);
}

static bool is_imm8(int64_t imm)
{
	return imm == (int8_t)imm;
}

/* --- moves --------------------------------------------------------------------------------------
 */

void emit_mov_rr(struct emitter *e, unsigned size, unsigned dst, unsigned src)
{
	op_r(e, OP_MOV_MR, size, src, dst);
}

void emit_mov_rm(struct emitter *e, unsigned size, unsigned dst, struct host_mem src)
{
	op_m(e, OP_MOV_RM, size, dst, src);
}

void emit_mov_mr(struct emitter *e, unsigned size, struct host_mem dst, unsigned src)
{
	op_m(e, OP_MOV_MR, size, src, dst);
}

void emit_mov_mi(struct emitter *e, unsigned size, struct host_mem dst, int32_t imm)
{
	struct encoding enc = make_digit(OP_MOV_MI, size, 0);

	set_imm(&enc, imm_bytes(size), imm);
	emit_m(e, &enc, dst);
}

/* MOV to a register whose number is in the opcode. */
static void emit_mov_short(struct emitter *e, unsigned size, unsigned dst, unsigned bytes,
			   uint64_t imm)
{
	struct encoding enc = make_digit(size == 1 ? 0xb0 : 0xb8, size, 0);

	enc.flags = (uint16_t)((enc.flags | ENCODING_IN_OPCODE) & ~ENCODING_MODRM);
	set_imm(&enc, bytes, (int64_t)imm);
	emit_r(e, &enc, dst);
}

void emit_mov_ri(struct emitter *e, unsigned dst, uint64_t imm)
{
	if (imm == (uint32_t)imm) {
		emit_mov_short(e, 4, dst, 4, imm);
	} else if ((int64_t)imm == (int32_t)imm) {
		struct encoding enc = make_digit(OP_MOV_MI, 8, 0);

		set_imm(&enc, 4, (int64_t)imm);
		emit_r(e, &enc, dst);
	} else {
		emit_mov_short(e, 8, dst, 8, imm);
	}
}

void emit_movzx_rr(struct emitter *e, unsigned size, unsigned dst, unsigned src)
{
	struct encoding enc = make(OP_MOVZX | (size != 1), 4, dst);

	if (size >= 4)
		emit_mov_rr(e, size, dst, src);
	else
		emit_r(e, &enc, src);
}

void emit_movzx_rm(struct emitter *e, unsigned size, unsigned dst, struct host_mem src)
{
	struct encoding enc = make(OP_MOVZX | (size != 1), 4, dst);

	if (size >= 4)
		emit_mov_rm(e, size, dst, src);
	else
		emit_m(e, &enc, src);
}

void emit_lea(struct emitter *e, unsigned size, unsigned dst, struct host_mem src)
{
	src.is_gs = false;
	op_m(e, OP_LEA, size, dst, src);
}

void emit_xchg_rr(struct emitter *e, unsigned size, unsigned a, unsigned b)
{
	op_r(e, OP_XCHG, size, b, a);
}

void emit_rorx(struct emitter *e, unsigned size, unsigned dst, unsigned src, unsigned count)
{
	struct encoding enc = make(OP_RORX, size, dst);

	enc.flags |= ENCODING_VEX;
	enc.prefixes = PREFIX_F2;
	set_imm(&enc, 1, count);
	emit_r(e, &enc, src);
}

/* --- arithmetic ---------------------------------------------------------------------------------
 */

void emit_alu_rr(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst, unsigned src)
{
	op_r(e, OP_ALU_MR | (unsigned)op << 3, size, src, dst);
}

void emit_alu_rm(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst,
		 struct host_mem src)
{
	op_m(e, OP_ALU_RM | (unsigned)op << 3, size, dst, src);
}

void emit_alu_mr(struct emitter *e, enum emit_alu op, unsigned size, struct host_mem dst,
		 unsigned src)
{
	op_m(e, OP_ALU_MR | (unsigned)op << 3, size, src, dst);
}

static struct encoding make_alu_i(enum emit_alu op, unsigned size, int32_t imm)
{
	bool is_short = size > 1 && is_imm8(imm);
	struct encoding enc = make_digit(is_short ? OP_ALU_I8 : OP_ALU_I32, size, op);

	set_imm(&enc, is_short ? 1 : imm_bytes(size), imm);
	return enc;
}

void emit_alu_ri(struct emitter *e, enum emit_alu op, unsigned size, unsigned dst, int32_t imm)
{
	struct encoding enc = make_alu_i(op, size, imm);

	emit_r(e, &enc, dst);
}

void emit_alu_mi(struct emitter *e, enum emit_alu op, unsigned size, struct host_mem dst,
		 int32_t imm)
{
	struct encoding enc = make_alu_i(op, size, imm);

	emit_m(e, &enc, dst);
}

void emit_test_rr(struct emitter *e, unsigned size, unsigned a, unsigned b)
{
	op_r(e, OP_TEST, size, b, a);
}

static struct encoding make_test_i(unsigned size, int32_t imm)
{
	struct encoding enc = make_digit(OP_TEST_I, size, 0);

	set_imm(&enc, imm_bytes(size), imm);
	return enc;
}

void emit_test_ri(struct emitter *e, unsigned size, unsigned a, int32_t imm)
{
	struct encoding enc = make_test_i(size, imm);

	emit_r(e, &enc, a);
}

void emit_test_mi(struct emitter *e, unsigned size, struct host_mem a, int32_t imm)
{
	struct encoding enc = make_test_i(size, imm);

	emit_m(e, &enc, a);
}

static struct encoding make_shift(enum emit_shift op, unsigned size, unsigned count)
{
	struct encoding enc = make_digit(count == 1 ? OP_SHIFT_1 : OP_SHIFT_I8, size, op);

	if (count != 1)
		set_imm(&enc, 1, count);
	return enc;
}

void emit_shift_ri(struct emitter *e, enum emit_shift op, unsigned size, unsigned reg,
		   unsigned count)
{
	struct encoding enc = make_shift(op, size, count);

	emit_r(e, &enc, reg);
}

/* --- conditions and flags ------------------------------------------------------------------------
 */

void emit_set_r(struct emitter *e, enum emit_condition cc, unsigned reg)
{
	op_digit_r(e, OP_SET | (unsigned)cc, 1, 0, reg);
}

void emit_lahf(struct emitter *e)
{
	emit_byte(e, 0x9f);
}

void emit_sahf(struct emitter *e)
{
	emit_byte(e, 0x9e);
}

/* --- jumps --------------------------------------------------------------------------------------
 */

/* Opcode bytes, then a displacement that is still to be written: returns where. */
static struct emit_jump emit_open(struct emitter *e, const uint8_t *opcode, unsigned len,
				  unsigned bytes)
{
	uint8_t code[2 + REL32_BYTES] = { 0 };

	memcpy(code, opcode, len);
	emit_bytes(e, code, len + bytes);
	return (struct emit_jump){ e->failed ? NULL : e->at - bytes, (uint8_t)bytes };
}

/* False: it does not reach. */
static bool close_jump(struct emit_jump jump, const uint8_t *target)
{
	int64_t distance = target - (jump.at + jump.bytes);

	store_le(jump.at, (uint64_t)distance, jump.bytes);
	return jump.bytes == REL8_BYTES ? is_imm8(distance) : distance == (int32_t)distance;
}

void emit_land_at(struct emitter *e, struct emit_jump jump, const uint8_t *target)
{
	if (jump.at && !close_jump(jump, target))
		e->failed = true;
}

void emit_land(struct emitter *e, struct emit_jump jump)
{
	emit_land_at(e, jump, e->at);
}

struct emit_jump emit_jmp(struct emitter *e, bool is_short)
{
	uint8_t opcode = is_short ? JMP_SHORT : JMP_NEAR;

	return emit_open(e, &opcode, 1, is_short ? REL8_BYTES : REL32_BYTES);
}

struct emit_jump emit_jcc(struct emitter *e, enum emit_condition cc, bool is_short)
{
	uint8_t opcode[] = { 0x0f, (uint8_t)(JCC_NEAR | cc) };
	uint8_t short_opcode = (uint8_t)(JCC_SHORT | cc);

	return is_short ? emit_open(e, &short_opcode, 1, REL8_BYTES)
			: emit_open(e, opcode, sizeof(opcode), REL32_BYTES);
}

struct emit_jump emit_jrcxz(struct emitter *e)
{
	return emit_open(e, &(uint8_t){ JRCXZ }, 1, REL8_BYTES);
}

/* Whether a short jump from here reaches. */
static bool is_near_by(const struct emitter *e, const uint8_t *target)
{
	return is_imm8(target - (e->at + 2));
}

void emit_jmp_to(struct emitter *e, const uint8_t *target)
{
	emit_land_at(e, emit_jmp(e, is_near_by(e, target)), target);
}

void emit_call_to(struct emitter *e, const uint8_t *target)
{
	emit_land_at(e, emit_open(e, &(uint8_t){ CALL_NEAR }, 1, REL32_BYTES), target);
}

/* NOPs, so that what lies `ahead` bytes from here is aligned. */
static void align_ahead(struct emitter *e, unsigned ahead)
{
	unsigned nops = -(unsigned)((uintptr_t)e->at + ahead) & (REL32_BYTES - 1);

	/* There a short one would become longer. */
	if (nops && e->at == e->patchable)
		nops += REL32_BYTES;
	emit_nops(e, nops);
}

struct emit_jump emit_jcc_patchable(struct emitter *e, enum emit_condition cc)
{
	align_ahead(e, 2);
	return emit_jcc(e, cc, false);
}

void emit_patch(uint8_t *at, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (at + REL32_BYTES));

	__atomic_store_n((int32_t *)(void *)at, distance, __ATOMIC_RELEASE);
}

const uint8_t *emit_target(const uint8_t *at)
{
	return at + REL32_BYTES + (int32_t)load_le(at, REL32_BYTES);
}

void emit_jmp_r(struct emitter *e, unsigned reg)
{
	op_digit_r(e, OP_BRANCH_M, 4, JMP_DIGIT, reg);
}

void emit_jmp_m(struct emitter *e, struct host_mem mem)
{
	op_digit_m(e, OP_BRANCH_M, 4, JMP_DIGIT, mem);
}

void emit_ret(struct emitter *e)
{
	emit_byte(e, 0xc3);
}

/* --- the rest -----------------------------------------------------------------------------------
 */

/* By length. SDM2: "NOP", recommended multi-byte sequences. */
static const uint8_t nops[EMIT_NOP_BYTES][EMIT_NOP_BYTES] = {
	{ 0x90 },
	{ 0x66, 0x90 },
	{ 0x0f, 0x1f, 0x00 },
	{ 0x0f, 0x1f, 0x40, 0x00 },
	{ 0x0f, 0x1f, 0x44, 0x00, 0x00 },
	{ 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
	{ 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
	{ 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
};

void emit_nops(struct emitter *e, unsigned bytes)
{
	while (bytes) {
		unsigned n = MIN(bytes, (unsigned)ARRAY_SIZE(nops));

		emit_bytes(e, nops[n - 1], n);
		bytes -= n;
	}
}

void emit_align(struct emitter *e, unsigned power_of_two, unsigned offset)
{
	emit_nops(e, (offset - (unsigned)(uintptr_t)e->at) & (power_of_two - 1));
}

void emit_patchable(struct emitter *e)
{
	if ((uintptr_t)e->at % WORD_BYTES > WORD_BYTES - EMIT_PATCHED_BYTES)
		emit_align(e, WORD_BYTES, 0);
	e->patchable = e->at;
}

static void patch(uint8_t *at, const uint8_t insn[EMIT_PATCHED_BYTES])
{
	uint8_t *word = at - (uintptr_t)at % WORD_BYTES, code[WORD_BYTES];

	memcpy(code, word, sizeof(code));
	memcpy(&code[at - word], insn, EMIT_PATCHED_BYTES);
	__atomic_store_n((uint64_t *)(void *)word, load_le(code, WORD_BYTES), __ATOMIC_SEQ_CST);
}

static void patch_branch(uint8_t *at, uint8_t opcode, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (at + EMIT_PATCHED_BYTES));
	uint8_t insn[EMIT_PATCHED_BYTES] = { opcode };

	store_le(&insn[1], (uint32_t)distance, REL32_BYTES);
	patch(at, insn);
}

/* Whether there is nothing but a NOP, if anything, between the jump and the target. */
static bool is_next(const uint8_t *at, const uint8_t *target)
{
	const uint8_t *end = at + EMIT_PATCHED_BYTES;

	return target == end || (target > end && target - end <= EMIT_NOP_BYTES &&
				 !memcmp(end, nops[target - end - 1], (size_t)(target - end)));
}

bool emit_is_nop(const uint8_t *at)
{
	return !memcmp(at, nops[EMIT_PATCHED_BYTES - 1], EMIT_PATCHED_BYTES);
}

bool emit_goes_to(const uint8_t *at, const uint8_t *target)
{
	return *at == JMP_NEAR ? emit_target(at + 1) == target
			       : emit_is_nop(at) && is_next(at, target);
}

void emit_patch_jmp(uint8_t *at, const uint8_t *target)
{
	if (is_next(at, target))
		patch(at, nops[EMIT_PATCHED_BYTES - 1]);
	else
		patch_branch(at, JMP_NEAR, target);
}

void emit_patch_call(uint8_t *at, const uint8_t *target)
{
	patch_branch(at, CALL_NEAR, target);
}
