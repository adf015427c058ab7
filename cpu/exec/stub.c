/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a guest instruction to a stub: its encoding in normal form (cpu/decode/encoding.h), then the
 * code around it.
 *
 * Host registers in a stub: each general register of the guest is in the host register of the same
 * number, except RSP, which a free register stands in for. A register that the instruction does
 * not use holds struct cpu, another the address of the memory operand. Status flags are loaded
 * before and stored after everything else, since that takes RAX.
 *
 * SDM2: "Instruction Format".
 */
#include "cpu/exec/stub.h"

#include "cpu/decode/encoding.h"

#define PREFIX_OPERAND_SIZE 0x66
#define REX                 0x40
#define REX_W               BIT(3)
#define REX_R               BIT(2)
#define REX_B               BIT(0)
#define VEX2                0xc5
#define VEX3                0xc4

#define NO_GPR 16u

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, unsigned byte)
{
	*w->at++ = (uint8_t)byte;
}

static void put32(struct writer *w, uint32_t value)
{
	store_le(w->at, value, 4);
	w->at += 4;
}

/* Number of the general register that an operand is or is part of, or NO_GPR. */
static unsigned gpr_of(const ZydisDecodedOperand *operand)
{
	if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return NO_GPR;
	switch (ZydisRegisterGetClass(operand->reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (unsigned)ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(
			ZYDIS_MACHINE_MODE_LONG_64, operand->reg.value));
	default:
		return NO_GPR;
	}
}

/* Set of the general registers that are operands, explicit or not. */
static unsigned gprs_used(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	unsigned used = 0;

	for (unsigned i = 0; i < zydis->operand_count; i++)
		if (gpr_of(&operands[i]) != NO_GPR)
			used |= 1u << gpr_of(&operands[i]);
	return used;
}

static unsigned pick(const uint8_t *candidates, unsigned count, unsigned used)
{
	for (unsigned i = 0; i < count; i++)
		if (!(used & (1u << candidates[i])))
			return candidates[i];
	__builtin_unreachable(); /* no instruction has so many operands */
}

/* No RAX, which the flags go through; none whose ModRM form is special; none to be preserved. */
static unsigned pick_base(unsigned used)
{
	static const uint8_t candidates[] = { RSI, RDI, RCX, RDX };

	return pick(candidates, ARRAY_SIZE(candidates), used);
}

static unsigned pick_stand_in(unsigned used)
{
	static const uint8_t candidates[] = { RCX, RDX, RSI, RDI, RBX, RBP };

	return pick(candidates, ARRAY_SIZE(candidates), used);
}

static unsigned pick_state(unsigned used)
{
	static const uint8_t candidates[] = { RDI, R8, R9, R10, R11 };

	return pick(candidates, ARRAY_SIZE(candidates), used);
}

static bool uses_flags(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	for (unsigned i = 0; i < zydis->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_FLAGS)
			return true;
	return false;
}

static bool has_memory(const ZydisDecodedInstruction *zydis)
{
	return (zydis->attributes & ZYDIS_ATTRIB_HAS_MODRM) && zydis->raw.modrm.mod != 3;
}

bool stub_plan(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
	       const uint8_t *bytes, struct stub_plan *plan)
{
	uint8_t hosts[16] = { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI,
			      R8,  R9,  R10, R11, R12, R13, R14, R15 };
	uint8_t code[ENCODING_MAX_BYTES];
	unsigned used = gprs_used(zydis, operands);
	struct encoding encoding;

	memset(plan, 0, sizeof(*plan));
	if (!encoding_take_apart(zydis, operands, bytes, &encoding))
		return false;
	plan->base = (uint8_t)(has_memory(zydis) ? pick_base(used) : RSI);
	if (used & (1u << RSP))
		plan->stand_in = (uint8_t)pick_stand_in(used | 1u << plan->base);
	plan->saves_flags = uses_flags(zydis, operands);
	hosts[RSP] = plan->stand_in;
	encoding_map_gprs(&encoding, hosts);
	plan->length = (uint8_t)encoding_write(
		&encoding, (struct host_mem){ .base = plan->base, .index = HOST_NONE }, code);
	memcpy(plan->bytes, code, MIN(plan->length, sizeof(plan->bytes)));
	return plan->length;
}

/* --- code around the instruction ----------------------------------------------------------------
 */

struct stub {
	struct writer w;
	const struct stub_plan *plan;
	bool is_vex;
	unsigned state; /* host register that holds struct cpu */
	/* Sets of register numbers. */
	unsigned gpr_used, gpr_loaded, gpr_stored;
	unsigned vector_loaded, vector_wide, vector_stored;
};

#define PRESERVED (1u << RBX | 1u << RBP | 1u << R12 | 1u << R13 | 1u << R14 | 1u << R15)

/* An instruction with [state + offset] as its r/m operand. */
static void put_state_operand(struct stub *s, unsigned reg, size_t offset)
{
	put(&s->w, 0x80 | (reg & 7) << 3 | (s->state & 7));
	put32(&s->w, (uint32_t)offset);
}

static void put_rex(struct stub *s, unsigned w, unsigned reg, unsigned rm)
{
	put(&s->w, REX | (w ? REX_W : 0) | (reg & 8 ? REX_R : 0) | (rm & 8 ? REX_B : 0));
}

static void put_move(struct stub *s, unsigned to, unsigned from)
{
	put_rex(s, 1, from, to);
	put(&s->w, 0x89);
	put(&s->w, 0xc0 | (from & 7) << 3 | (to & 7));
}

static void put_gpr(struct stub *s, unsigned opcode, unsigned host)
{
	unsigned guest = s->plan->stand_in && host == s->plan->stand_in ? RSP : host;

	put_rex(s, 1, host, s->state);
	put(&s->w, opcode);
	put_state_operand(s, host, offsetof(struct cpu, gpr) + guest * sizeof(uint64_t));
}

/* MOVUPS or, for VEX encodings, VMOVUPS of the whole register; opcode 10h loads, 11h stores. */
static void put_vector(struct stub *s, unsigned opcode, unsigned n, bool wide)
{
	if (s->is_vex) {
		put(&s->w, VEX3);
		put(&s->w, (n & 8 ? 0 : 0x80) | 0x40 | (s->state & 8 ? 0 : 0x20) | 1);
		put(&s->w, 0x78 | (wide ? 4 : 0));
	} else {
		put_rex(s, 0, n, s->state);
		put(&s->w, 0x0f);
	}
	put(&s->w, opcode);
	put_state_operand(s, n, offsetof(struct cpu, vector.ymm) + n * 32);
}

static void put_flags_load(struct stub *s)
{
	put_rex(s, 0, RAX, s->state); /* movzx eax, word [state + status] */
	put(&s->w, 0x0f);
	put(&s->w, 0xb7);
	put_state_operand(s, RAX, offsetof(struct cpu, status));
	put(&s->w, 0x04); /* add al, 7fh: OF */
	put(&s->w, 0x7f);
	put(&s->w, 0x9e); /* sahf */
}

static void put_flags_store(struct stub *s)
{
	put(&s->w, 0x9f); /* lahf */
	put(&s->w, 0x0f); /* seto al */
	put(&s->w, 0x90);
	put(&s->w, 0xc0);
	put(&s->w, PREFIX_OPERAND_SIZE); /* mov [state + status], ax */
	put_rex(s, 0, RAX, s->state);
	put(&s->w, 0x89);
	put_state_operand(s, RAX, offsetof(struct cpu, status));
}

static void put_push_or_pop(struct stub *s, unsigned opcode, unsigned reg)
{
	if (reg & 8)
		put(&s->w, REX | REX_B);
	put(&s->w, opcode | (reg & 7));
}

/* What to load and store of one register operand. */
static void note_operand(struct stub *s, const ZydisDecodedOperand *operand)
{
	bool reads = operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	bool writes = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	bool keeps = operand->actions & ZYDIS_OPERAND_ACTION_CONDWRITE;
	unsigned gpr = gpr_of(operand);
	ZydisRegisterClass class;

	if (gpr != NO_GPR) {
		s->gpr_used |= 1u << gpr;
		if (reads || keeps || operand->size < 32)
			s->gpr_loaded |= 1u << gpr;
		if (writes)
			s->gpr_stored |= 1u << gpr;
		return;
	}
	if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	class = ZydisRegisterGetClass(operand->reg.value);
	if (class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM) {
		unsigned n = (unsigned)ZydisRegisterGetId(operand->reg.value);

		if (reads || keeps || !s->is_vex) /* legacy encodings may merge */
			s->vector_loaded |= 1u << n;
		if (writes)
			s->vector_stored |= 1u << n;
		if (class == ZYDIS_REGCLASS_YMM)
			s->vector_wide |= 1u << n;
	}
}

static void emit_entry(struct stub *s)
{
	for (unsigned i = 0; i < 16; i++)
		if (s->gpr_used & PRESERVED & (1u << i))
			put_push_or_pop(s, 0x50, i);
	if (s->state != RDI)
		put_move(s, s->state, RDI);
	if (s->plan->base != RSI)
		put_move(s, s->plan->base, RSI);
	if (s->plan->saves_flags)
		put_flags_load(s);
	for (unsigned i = 0; i < 16; i++)
		if (s->vector_loaded & (1u << i))
			put_vector(s, 0x10, i, s->vector_wide & (1u << i));
	for (unsigned i = 0; i < 16; i++)
		if (s->gpr_loaded & (1u << i))
			put_gpr(s, 0x8b, i);
}

static void emit_exit(struct stub *s)
{
	/* VEX encodings clear the upper half, legacy ones leave it alone. */
	for (unsigned i = 0; i < 16; i++)
		if (s->vector_stored & (1u << i))
			put_vector(s, 0x11, i, s->is_vex);
	for (unsigned i = 0; i < 16; i++)
		if (s->gpr_stored & (1u << i))
			put_gpr(s, 0x89, i);
	if (s->plan->saves_flags)
		put_flags_store(s);
	for (unsigned i = 16; i-- > 0;)
		if (s->gpr_used & PRESERVED & (1u << i))
			put_push_or_pop(s, 0x58, i);
	if (s->vector_wide) { /* vzeroupper: mixing with legacy SSE is slow otherwise */
		put(&s->w, VEX2);
		put(&s->w, 0xf8);
		put(&s->w, 0x77);
	}
	put(&s->w, 0xc3);
}

unsigned stub_emit(const ZydisDecoder *decoder64, const struct stub_plan *plan, uint8_t *out)
{
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct stub s = { .w = { out }, .plan = plan };

	if (!ZYAN_SUCCESS(
		    ZydisDecoderDecodeFull(decoder64, plan->bytes, plan->length, &zydis, operands)))
		return 0;
	s.is_vex = zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	for (unsigned i = 0; i < zydis.operand_count; i++)
		note_operand(&s, &operands[i]);
	s.state = pick_state(s.gpr_used | 1u << plan->base);
	emit_entry(&s);
	memcpy(s.w.at, plan->bytes, plan->length);
	s.w.at += plan->length;
	emit_exit(&s);
	return (unsigned)(s.w.at - out);
}
