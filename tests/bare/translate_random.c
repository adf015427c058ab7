/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random straight code, cold against hot: each piece runs a few times just written, then so often
 * that it is translated, from the same states; registers, flags, memory, vectors and faults must
 * be the same. Some operands lie in a missing page or across its border. It is user code, and the
 * only pages that the user may touch are its data, its stack and, to read, itself.
 *
 * Words on the command line: `seed N` (default 1), `pieces N` (default 150), `exact 1`: after a
 * fault status flags count, too, even where nothing could read them any more.
 */
#include "bare.h"

#define STATES       4
#define WARM         40
#define DATA_BYTES   8192 /* present; a missing page follows */
#define PIECE_INSNS  14
#define REPORTS_MAX  5
#define STATUS       0x8d5u
#define DF           0x400u
#define RF           0x10000u
#define CR0_WP       (1ull << 16)
#define BMI1_BMI2    (1u << 3 | 1u << 8) /* CPUID 7, EBX */
#define CR4_OSFXSR   (1ull << 9)
#define CR4_OSXSAVE  (1ull << 18)
#define CPUID1_AVX   (1u << 28) /* ECX */
#define FX_USED      416
#define XSAVE_HEADER 512
#define XSAVE_AVX    576
#define XSAVE_BYTES  832

static uint64_t random_state;
static uint8_t *code, *data, *stack;
static uint32_t *counter; /* of the loop around a piece */
static uint8_t model[DATA_BYTES] __attribute__((aligned(64)));
static uint8_t fx_start[XSAVE_BYTES] __attribute__((aligned(64)));
static bool is_exact, has_bmi, has_avx;
static unsigned avx_share; /* one instruction in so many is of AVX */
static unsigned runs, runs_to_end;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned below(unsigned n)
{
	return (unsigned)(next_random() >> 20) % n;
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* ---- the generator ---- */

enum form {
	MODRM,   /* register and register or memory */
	GROUP,   /* `extra` in ModRM.reg */
	MEMORY,  /* register and memory */
	REG_REG, /* no memory */
	IN_BYTE, /* register in the opcode's low bits */
	PLAIN,
};

enum flag {
	BYTE_OK = 1, /* opcode - 1 is the same with bytes */
	IMM8 = 2,
	IMM = 4, /* of the operand's size, 32 bits at most */
	LOCKABLE = 8,
	VECTOR = 16, /* ModRM.reg is a vector register */
	COND = 32,   /* a condition goes into the low bits */
	NO_66 = 64,
	LONG = 128,      /* 64-bit mode only */
	UNDEFINED = 256, /* leaves flags undefined that might be those of before */
	SHORT = 512,     /* 32-bit mode only */
	MOFFS = 1024,    /* an absolute address follows */
};

struct pattern {
	uint8_t prefix, escape, opcode;
	enum form form;
	uint8_t extra;
	uint16_t flags;
};

#define ALU(n)                                                                         \
	{ 0, 0, (n)*8 + 1, MODRM, 0, BYTE_OK | ((n) == 7 ? 0 : LOCKABLE) },            \
		{ 0, 0, (n)*8 + 3, MODRM, 0, BYTE_OK }, { 0, 0, 0x81, GROUP, n, IMM }, \
		{ 0, 0, 0x83, GROUP, n, IMM8 },                                        \
	{                                                                              \
		0, 0, (n)*8 + 5, PLAIN, 0, BYTE_OK | IMM                               \
	}
#define SHIFT(n)                                                                     \
	{ 0, 0, 0xc1, GROUP, n, BYTE_OK | IMM8 }, { 0, 0, 0xd1, GROUP, n, BYTE_OK }, \
	{                                                                            \
		0, 0, 0xd3, GROUP, n, BYTE_OK                                        \
	}

static const struct pattern patterns[] = {
	ALU(0),
	ALU(1),
	ALU(2),
	ALU(3),
	ALU(4),
	ALU(5),
	ALU(6),
	ALU(7),
	SHIFT(0),
	SHIFT(1),
	SHIFT(2),
	SHIFT(3),
	SHIFT(4),
	SHIFT(5),
	SHIFT(7),
	{ 0, 0, 0x89, MODRM, 0, BYTE_OK },
	{ 0, 0, 0x8b, MODRM, 0, BYTE_OK },
	{ 0, 0, 0x89, MEMORY, 0, BYTE_OK },
	{ 0, 0, 0x8b, MEMORY, 0, BYTE_OK },
	{ 0, 0, 0xc7, GROUP, 0, BYTE_OK | IMM },
	{ 0, 0, 0xb8, IN_BYTE, 0, IMM | NO_66 },
	{ 0, 0, 0x85, MODRM, 0, BYTE_OK },
	{ 0, 0, 0xf7, GROUP, 0, BYTE_OK | IMM },
	{ 0, 0, 0xf7, GROUP, 2, BYTE_OK | LOCKABLE },
	{ 0, 0, 0xf7, GROUP, 3, BYTE_OK | LOCKABLE },
	{ 0, 0, 0xf7, GROUP, 4, BYTE_OK | UNDEFINED },
	{ 0, 0, 0xf7, GROUP, 5, BYTE_OK | UNDEFINED },
	{ 0, 0, 0xf7, GROUP, 6, BYTE_OK | UNDEFINED },
	{ 0, 0, 0xff, GROUP, 0, BYTE_OK | LOCKABLE },
	{ 0, 0, 0xff, GROUP, 1, BYTE_OK | LOCKABLE },
	{ 0, 0, 0xff, GROUP, 6, NO_66 }, /* PUSH */
	{ 0, 0, 0x87, MODRM, 0, BYTE_OK },
	{ 0, 0, 0x8d, MEMORY, 0, 0 },
	{ 0, 0, 0x63, MODRM, 0, LONG | NO_66 },
	{ 0, 0, 0x6b, MODRM, 0, IMM8 | UNDEFINED },
	{ 0, 0, 0x69, MODRM, 0, IMM | UNDEFINED },
	{ 0, 0, 0x98, PLAIN, 0, 0 },
	{ 0, 0, 0x99, PLAIN, 0, 0 },
	{ 0, 0, 0x9f, PLAIN, 0, 0 },
	{ 0, 0, 0x9e, PLAIN, 0, 0 },
	{ 0, 0, 0xf5, PLAIN, 0, 0 },
	{ 0, 0, 0xf8, PLAIN, 0, 0 },
	{ 0, 0, 0xf9, PLAIN, 0, 0 },
	{ 0, 0, 0xa5, PLAIN, 0, BYTE_OK },
	{ 0, 0, 0xab, PLAIN, 0, BYTE_OK },
	{ 0, 0, 0xad, PLAIN, 0, BYTE_OK },
	{ 0, 0, 0xaf, PLAIN, 0, BYTE_OK },
	{ 0, 0, 0xa7, PLAIN, 0, BYTE_OK },
	{ 0xf3, 0, 0xa5, PLAIN, 0, BYTE_OK },
	{ 0xf3, 0, 0xab, PLAIN, 0, BYTE_OK },
	{ 0xf2, 0, 0xaf, PLAIN, 0, BYTE_OK },
	{ 0, 0, 0x50, IN_BYTE, 0, NO_66 },
	{ 0, 0, 0x58, IN_BYTE, 0, NO_66 },
	{ 0, 0, 0x6a, PLAIN, 0, IMM8 | NO_66 },
	{ 0, 0x0f, 0x40, MODRM, 0, COND },
	{ 0, 0x0f, 0x90, MODRM, 0, COND | NO_66 },
	{ 0, 0x0f, 0xaf, MODRM, 0, UNDEFINED },
	{ 0, 0x0f, 0xb6, MODRM, 0, 0 },
	{ 0, 0x0f, 0xb7, MODRM, 0, 0 },
	{ 0, 0x0f, 0xbe, MODRM, 0, 0 },
	{ 0, 0x0f, 0xbf, MODRM, 0, 0 },
	{ 0, 0x0f, 0xba, GROUP, 4, IMM8 | UNDEFINED },
	{ 0, 0x0f, 0xba, GROUP, 5, IMM8 | UNDEFINED | LOCKABLE },
	{ 0, 0x0f, 0xba, GROUP, 6, IMM8 | UNDEFINED | LOCKABLE },
	{ 0, 0x0f, 0xba, GROUP, 7, IMM8 | UNDEFINED | LOCKABLE },
	{ 0, 0x0f, 0xa3, REG_REG, 0, UNDEFINED },
	{ 0, 0x0f, 0xab, REG_REG, 0, UNDEFINED },
	{ 0, 0x0f, 0xa4, MODRM, 0, IMM8 },
	{ 0, 0x0f, 0xa5, MODRM, 0, 0 },
	{ 0, 0x0f, 0xac, MODRM, 0, IMM8 },
	{ 0, 0x0f, 0xad, MODRM, 0, 0 },
	{ 0, 0x0f, 0xbc, MODRM, 0, 0 },
	{ 0, 0x0f, 0xbd, MODRM, 0, 0 },
	{ 0xf3, 0x0f, 0xb8, MODRM, 0, 0 },
	{ 0, 0x0f, 0xc8, IN_BYTE, 0, NO_66 },
	{ 0, 0x0f, 0xc1, MODRM, 0, BYTE_OK | LOCKABLE },
	{ 0, 0x0f, 0xb1, MODRM, 0, BYTE_OK | LOCKABLE },
	{ 0, 0x0f, 0xc7, GROUP, 1, LOCKABLE | NO_66 },
	{ 0, 0x0f, 0x10, MODRM, 0, VECTOR | NO_66 },
	{ 0, 0x0f, 0x11, MODRM, 0, VECTOR | NO_66 },
	{ 0, 0x0f, 0x28, MODRM, 0, VECTOR | NO_66 },
	{ 0, 0x0f, 0x58, MODRM, 0, VECTOR | NO_66 },
	{ 0, 0x0f, 0x5e, MODRM, 0, VECTOR | NO_66 },
	{ 0xf2, 0x0f, 0x59, MODRM, 0, VECTOR | NO_66 },
	{ 0xf3, 0x0f, 0x2a, MODRM, 0, VECTOR | NO_66 },
	{ 0xf3, 0x0f, 0x10, MODRM, 0, VECTOR | NO_66 },
	{ 0xf3, 0x0f, 0x6f, MODRM, 0, VECTOR | NO_66 },
	{ 0xf3, 0x0f, 0x7f, MODRM, 0, VECTOR | NO_66 },
	{ 0x66, 0x0f, 0xfe, MODRM, 0, VECTOR | NO_66 },
	{ 0x66, 0x0f, 0xef, MODRM, 0, VECTOR | NO_66 },
	{ 0x66, 0x0f, 0x6e, MODRM, 0, VECTOR | NO_66 },
	{ 0x66, 0x0f, 0x7e, MODRM, 0, VECTOR | NO_66 },
	{ 0x66, 0x0f, 0x2f, MODRM, 0, VECTOR | NO_66 }, /* COMISD */
	{ 0x66, 0x0f, 0x70, MODRM, 0, VECTOR | NO_66 | IMM8 },
	{ 0, 0, 0xd9, REG_REG, 0, VECTOR | NO_66 }, /* x87: FLD to FSTENV, by chance */
	{ 0, 0, 0xdd, GROUP, 0, NO_66 },            /* FLD m64 */
	{ 0, 0, 0xdc, GROUP, 0, NO_66 },            /* FADD m64 */
	{ 0, 0, 0xdf, GROUP, 7, NO_66 },            /* FISTP m64; FCOMIP */
	{ 0, 0, 0x40, IN_BYTE, 0, SHORT },          /* INC */
	{ 0, 0, 0x48, IN_BYTE, 0, SHORT },          /* DEC */
	{ 0, 0, 0xa1, PLAIN, 0, BYTE_OK | SHORT | MOFFS },
	{ 0, 0, 0xa3, PLAIN, 0, BYTE_OK | SHORT | MOFFS },
	{ 0, 0, 0x06, PLAIN, 0, NO_66 | SHORT }, /* PUSH ES */
	{ 0, 0, 0x60, PLAIN, 0, NO_66 | SHORT }, /* PUSHA */
	{ 0, 0, 0x61, PLAIN, 0, NO_66 | SHORT },
	{ 0, 0, 0x9c, PLAIN, 0, NO_66 | SHORT }, /* PUSHF */
	{ 0, 0, 0xc9, PLAIN, 0, NO_66 | SHORT }, /* LEAVE */
	{ 0, 0, 0x27, PLAIN, 0, UNDEFINED | SHORT | NO_66 },
};

static uint8_t *at; /* where the generator is */

static void emit(uint64_t bytes, unsigned count)
{
	for (; count; count--, bytes >>= 8)
		*at++ = (uint8_t)bytes;
}

/* RDI, RSI, RBP and R13 point to data and RSP to the stack: not often are they overwritten. */
static unsigned pick_register(unsigned registers)
{
	for (;;) {
		unsigned reg = below(registers);

		if (reg == 4 || ((reg == 5 || reg == 6 || reg == 7 || reg == 13) && !one_in(40)))
			continue;
		return reg;
	}
}

/* ModRM with SIB and displacement for a memory operand; `rex` gets what it needs of R8 to R15. */
struct operand {
	uint8_t bytes[6], count, rex;
};

static struct operand memory_operand(unsigned reg, bool is_64)
{
	static const uint8_t bases[] = { 7, 6, 5, 4, 4, 13 };
	unsigned base = bases[below(is_64 ? 6 : 5)], mod = 1 + below(2);
	int32_t disp = mod == 1 ? (int8_t)next_random() : (int32_t)below(600) - 300;
	struct operand o = { .rex = (uint8_t)((reg >> 3 & 1) << 2 | base >> 3) };

	o.bytes[0] = (uint8_t)(mod << 6 | (reg & 7) << 3 | (base & 7));
	o.count = 1;
	if (base == 4 || one_in(4)) { /* an index: RDX, which is small more often than not */
		unsigned index = base == 4 && !one_in(8) ? 4 : 2;

		o.bytes[0] = (uint8_t)((o.bytes[0] & ~7) | 4);
		o.bytes[o.count++] = (uint8_t)(below(4) << 6 | index << 3 | (base & 7));
	}
	for (unsigned i = 0; i < (mod == 1 ? 1u : 4u); i++)
		o.bytes[o.count++] = (uint8_t)(disp >> 8 * i);
	return o;
}

static struct operand register_operand(unsigned reg, unsigned rm)
{
	return (struct operand){ .bytes = { (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)) },
				 .count = 1,
				 .rex = (uint8_t)((reg >> 3 & 1) << 2 | rm >> 3) };
}

static struct operand pick_operand(const struct pattern *p, bool is_64, bool *is_memory)
{
	unsigned registers = is_64 ? 16 : 8;
	unsigned reg = p->form == GROUP    ? p->extra
		       : p->flags & VECTOR ? below(8)
					   : pick_register(registers);

	*is_memory = p->form == MEMORY || (p->form != REG_REG && one_in(2));
	if (*is_memory)
		return memory_operand(reg, is_64);
	return register_operand(reg, p->flags & VECTOR && one_in(2) ? below(8)
								    : pick_register(registers));
}

/* Of 32-bit code's memory operands, some have a segment of their own: CS is not to be written. */
static void emit_segment(void)
{
	static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	emit(prefixes[below(sizeof(prefixes))], 1);
}

static void emit_moffs(void)
{
	emit((uintptr_t)data + (one_in(8) ? DATA_BYTES - below(8) : below(DATA_BYTES - 8)), 4);
}

/* Wide, narrow or byte operands as the pattern allows. */
static void emit_insn(const struct pattern *p, bool is_64)
{
	bool is_byte = p->flags & BYTE_OK && one_in(3), is_word = false, is_memory = false;
	struct operand o = { 0 };
	uint8_t rex = is_64 && one_in(2) ? 0x48 : 0, opcode = p->opcode;
	unsigned imm = p->flags & IMM8 ? 1 : 0;

	if (p->form == IN_BYTE) {
		unsigned reg = pick_register(is_64 ? 16 : 8);

		opcode += reg & 7;
		o.rex = (uint8_t)(reg >> 3);
	} else if (p->form != PLAIN) {
		o = pick_operand(p, is_64, &is_memory);
	}
	if (o.rex)
		rex |= 0x40 | o.rex;
	if (is_64 && !rex && one_in(8))
		rex = 0x40; /* SPL and the like instead of AH */
	if (p->flags & COND)
		opcode |= (uint8_t)below(16);
	is_word = !is_byte && !(p->flags & NO_66) && !(rex & 8) && one_in(4);
	if (p->flags & IMM)
		imm = is_byte ? 1 : is_word ? 2 : p->opcode == 0xb8 && rex & 8 ? 8 : 4;
	if (is_memory && p->flags & LOCKABLE && (p->form != MODRM || p->opcode != 3) && one_in(4))
		emit(0xf0, 1);
	if (!is_64 && (is_memory || p->flags & MOFFS) && one_in(8))
		emit_segment();
	if (is_word)
		emit(0x66, 1);
	if (p->prefix)
		emit(p->prefix, 1);
	if (rex)
		emit(rex, 1);
	if (p->escape)
		emit(p->escape, 1);
	emit(is_byte ? opcode - 1u : opcode, 1);
	for (unsigned i = 0; i < o.count; i++)
		emit(o.bytes[i], 1);
	emit(next_random(), imm);
	if (p->flags & MOFFS)
		emit_moffs();
	if (p->flags & UNDEFINED)
		emit(0xc039c0920f, 5); /* SETC AL; CMP EAX, EAX */
}

/* ANDN, BEXTR, BZHI, MULX, PDEP, PEXT, SHLX and their kin, with a VEX prefix. */
static void emit_bmi(void)
{
	static const struct {
		uint8_t opcode, pp, reg; /* reg: 1 to 7 in ModRM, 0: a register */
	} forms[] = { { 0xf2, 0, 0 }, { 0xf3, 0, 1 }, { 0xf3, 0, 2 }, { 0xf3, 0, 3 },
		      { 0xf5, 0, 0 }, { 0xf5, 2, 0 }, { 0xf5, 3, 0 }, { 0xf6, 3, 0 },
		      { 0xf7, 0, 0 }, { 0xf7, 1, 0 }, { 0xf7, 2, 0 }, { 0xf7, 3, 0 } };
	unsigned form = below(sizeof(forms) / sizeof(*forms)), third = pick_register(16);
	unsigned reg = forms[form].reg ? forms[form].reg : pick_register(16);
	struct operand o =
		one_in(2) ? memory_operand(reg, true) : register_operand(reg, pick_register(16));

	emit(0xc4, 1);
	emit(0xe2u ^ (o.rex & 4u) << 5 ^ (o.rex & 1u) << 5, 1);
	emit((next_random() & 0x80) | (~third & 15u) << 3 | forms[form].pp, 1);
	emit(forms[form].opcode, 1);
	for (unsigned i = 0; i < o.count; i++)
		emit(o.bytes[i], 1);
}

enum { MAP_0F = 1, MAP_0F38, MAP_0F3A };

/* AVX, 128 and 256 bits wide, and what ends or forgets upper halves; legacy SSE is among the
 * patterns. */
static void emit_avx(void)
{
	static const struct {
		uint8_t map, opcode, pp;
		bool has_third, has_imm;
	} forms[] = {
		{ MAP_0F, 0x58, 0, true, false },    { MAP_0F, 0x58, 1, true, false },
		{ MAP_0F, 0x59, 2, true, false },    { MAP_0F, 0x5e, 3, true, false },
		{ MAP_0F, 0xfe, 1, true, false },    { MAP_0F, 0xef, 1, true, false },
		{ MAP_0F, 0x14, 0, true, false },    { MAP_0F, 0xc6, 0, true, true },
		{ MAP_0F, 0x10, 0, false, false },   { MAP_0F, 0x11, 0, false, false },
		{ MAP_0F, 0x28, 0, false, false },   { MAP_0F, 0x6f, 2, false, false },
		{ MAP_0F, 0x7f, 2, false, false },   { MAP_0F, 0x70, 1, false, true },
		{ MAP_0F, 0x2a, 2, true, false },    { MAP_0F, 0x10, 2, false, false },
		{ MAP_0F38, 0x00, 1, true, false },  { MAP_0F38, 0x18, 1, false, false },
		{ MAP_0F3A, 0x18, 1, true, true },   { MAP_0F3A, 0x19, 1, false, true },
		{ MAP_0F38, 0x58, 1, false, false }, { MAP_0F, 0xd7, 1, false, false },
	};
	unsigned form = below(sizeof(forms) / sizeof(*forms)), reg = below(8);
	unsigned third = forms[form].has_third ? below(16) : 0, is_wide = one_in(2);
	struct operand o = one_in(2) ? memory_operand(reg, true) : register_operand(reg, below(16));

	if (one_in(8)) { /* VZEROUPPER, VZEROALL */
		emit(one_in(3) ? 0x77fcc5 : 0x77f8c5, 3);
		return;
	}
	emit(0xc4, 1);
	emit((0xe0u ^ (o.rex & 4u) << 5 ^ (o.rex & 1u) << 5) | forms[form].map, 1);
	emit((~third & 15u) << 3 | is_wide << 2 | forms[form].pp, 1);
	emit(forms[form].opcode, 1);
	for (unsigned k = 0; k < o.count; k++)
		emit(o.bytes[k], 1);
	if (forms[form].has_imm)
		emit(next_random(), 1);
}

static const struct pattern *pick_pattern(bool is_64)
{
	const struct pattern *p;

	do
		p = &patterns[below(sizeof(patterns) / sizeof(*patterns))];
	while (is_64 && p->flags & SHORT);
	return p;
}

static void emit_any(bool is_64)
{
	if (is_64 && has_bmi && one_in(12))
		emit_bmi();
	else if (is_64 && has_avx && one_in(avx_share))
		emit_avx();
	else
		emit_insn(pick_pattern(is_64), is_64);
}

/* DEC of the counter in memory; JNZ to the start. */
static void emit_loop(bool is_64)
{
	emit(is_64 ? 0x250cff : 0x0dff, is_64 ? 3 : 2);
	emit((uintptr_t)counter, 4);
	emit(0x850f, 2);
	emit((uint64_t)(code - (at + 4)), 4);
}

/*
 * A piece: now and then a branch over the next instruction, a call of it, a jump; often a loop
 * around it all. UD2 at the end.
 */
static void generate(bool is_64)
{
	unsigned count = 1 + below(PIECE_INSNS);

	at = code;
	avx_share = one_in(4) ? 2 : 30;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *patch = NULL;

		if (one_in(6)) {
			emit(one_in(4) ? 0xeb : 0x70 + below(16), 1);
			patch = at++;
		} else if (one_in(12)) {
			emit(0x00000000e8, 5); /* CALL to the next instruction; POP RAX */
			emit(0x58, 1);
		}
		emit_any(is_64);
		if (patch)
			*patch = (uint8_t)(at - patch - 1);
	}
	if (one_in(2))
		emit_loop(is_64);
	emit(0x0b0f, 2);
}

/* ---- running ---- */

struct result {
	struct frame frame;
	uint64_t cr2;
	uint64_t memory, vectors; /* sums */
};

static struct frame states[STATES];

static uint64_t random_value(void)
{
	switch (below(6)) {
	case 0:
		return below(3) - 1u;
	case 1:
		return below(64);
	case 2:
		return 1ull << below(64);
	default:
		return next_random();
	}
}

static uint64_t pointer(void)
{
	return (uintptr_t)data + (one_in(3) ? DATA_BYTES - below(80) : 512 + below(7000) / 16 * 16);
}

/* In its page; sometimes at its borders, or not aligned. */
static uint64_t stack_pointer(void)
{
	uint64_t offset = one_in(3) ? one_in(2) ? below(80) : 4096 - below(80) : 2048;

	return (uintptr_t)stack + (one_in(8) ? offset : offset / 8 * 8);
}

static void pick_states(bool is_64)
{
	for (unsigned i = 0; i < STATES; i++) {
		struct frame *f = &states[i];
		uint64_t *regs = &f->r15;

		*f = frame_at(code);
		f->cs = is_64 ? SEL_USER_CODE64 : SEL_USER_CODE32;
		f->ss = SEL_USER_DATA;
		for (unsigned r = 0; r < 15; r++)
			regs[r] = random_value();
		f->rdi = pointer();
		f->rsi = pointer();
		f->rbp = pointer();
		f->r13 = pointer();
		f->rdx = one_in(3) ? f->rdx : below(64);
		f->rcx = one_in(2) ? f->rcx : below(64);
		f->rsp = stack_pointer();
		f->rflags = 2 | (next_random() & STATUS) | (one_in(8) ? DF : 0);
		for (unsigned r = 0; r < 15 && !is_64; r++)
			regs[r] = (uint32_t)regs[r];
	}
}

static uint64_t sum_of(const void *from, unsigned bytes, uint64_t sum)
{
	const uint64_t *words = from;

	for (unsigned i = 0; i < bytes / 8; i++)
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ull + (sum >> 29);
	return sum;
}

static void copy(void *to, const void *from, uint64_t bytes)
{
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/*
 * x87's pointers and opcode are left out - bytes 6 to 23 of the image - and so is which components
 * are in use.
 */
static uint64_t vector_sum(void)
{
	static uint8_t area[XSAVE_BYTES] __attribute__((aligned(64)));

	for (unsigned i = 0; i < XSAVE_BYTES; i++)
		area[i] = 0;
	if (has_avx)
		asm volatile("xsave64 %0" : "+m"(area) : "a"(7), "d"(0));
	else
		asm volatile("fxsave64 %0" : "=m"(area));
	for (unsigned i = 6; i < 24; i++)
		area[i] = 0;
	area[XSAVE_HEADER] = 0;
	return sum_of(area, FX_USED, sum_of(area + XSAVE_HEADER, XSAVE_BYTES - XSAVE_HEADER, 0));
}

/* Every other state begins with upper halves of zero. */
static void load_vectors(unsigned state)
{
	fx_start[XSAVE_HEADER] = state % 2 ? 7 : 3;
	if (has_avx)
		asm volatile("xrstor64 %0" : : "m"(fx_start), "a"(7), "d"(0));
	else
		asm volatile("fxrstor64 %0" : : "m"(fx_start));
}

static void run_from(unsigned state, struct result *result)
{
	copy(data, model, DATA_BYTES);
	copy(stack, model, 4096);
	copy(counter, model, 4096);
	*counter = 1 + state;
	result->frame = states[state];
	load_vectors(state);
	run_frame(&result->frame);
	result->vectors = vector_sum();
	result->cr2 = result->frame.vector == PF ? trap.cr2 : 0;
	result->memory = sum_of(stack, 4096, sum_of(data, DATA_BYTES, 0));
}

/* Which of a result's words differ is said by the index: 0 to 14 registers, and so on. */
static int difference(const struct result *a, const struct result *b)
{
	const uint64_t *x = &a->frame.r15, *y = &b->frame.r15;
	uint64_t flags = ~(uint64_t)RF;

	if (a->frame.vector != UD && !is_exact)
		flags &= ~(uint64_t)STATUS;
	for (int i = 0; i < (int)(sizeof(a->frame) / 8); i++)
		if ((x[i] ^ y[i]) & (&x[i] == &a->frame.rflags ? flags : ~0ull))
			return i;
	return a->cr2 != b->cr2           ? 22
	       : a->memory != b->memory   ? 23
	       : a->vectors != b->vectors ? 24
					  : -1;
}

static void report(unsigned piece, unsigned state, int word, const struct result *cold,
		   const struct result *hot)
{
	say("# piece %u, state %u: word %u is %lx cold, %lx hot; vector %lu, rip +%lx", piece,
	    state, (unsigned)word, (&cold->frame.r15)[word], (&hot->frame.r15)[word],
	    hot->frame.vector, hot->frame.rip - (uintptr_t)code);
	for (const uint8_t *byte = code; byte < at; byte += 8)
		say("# %x %x %x %x %x %x %x %x", byte[0], byte[1], byte[2], byte[3], byte[4],
		    byte[5], byte[6], byte[7]);
}

/* The code is written anew before each cold run, so nothing that was translated is left. */
static bool test_piece(unsigned piece, bool may_report)
{
	static uint8_t text[1024];
	static struct result cold[STATES];
	struct result hot;

	copy(text, code, (uint64_t)(at - code));
	for (unsigned i = 0; i < STATES; i++) {
		copy(code, text, (uint64_t)(at - code));
		run_from(i, &cold[i]);
		runs++;
		runs_to_end += cold[i].frame.rip == (uintptr_t)at - 2;
	}
	for (unsigned i = 0; i < WARM; i++) {
		unsigned state = i < WARM / 2 ? 0 : i % STATES;
		int word;

		run_from(state, &hot);
		word = difference(&cold[state], &hot);
		if (word < 0)
			continue;
		if (may_report)
			report(piece, state, word, &cold[state], &hot);
		return false;
	}
	return true;
}

static void test_pieces(const char *name, unsigned pieces, bool is_64)
{
	unsigned bad = 0;

	runs = runs_to_end = 0;
	for (unsigned i = 0; i < pieces; i++) {
		generate(is_64);
		pick_states(is_64);
		bad += !test_piece(i, bad < REPORTS_MAX);
	}
	say("# %u of %u runs came to their end", runs_to_end, runs);
	check(bad == 0, "%u random pieces of %s: %u differ", pieces, name, bad);
}

void test_main(void)
{
	uint64_t seed = boot_number("seed", 1);
	unsigned pieces = (unsigned)boot_number("pieces", 150);

	has_bmi = (cpuid(7, 0).b & BMI1_BMI2) == BMI1_BMI2;
	has_avx = cpuid(1, 0).c & CPUID1_AVX;
	if (has_avx) {
		WRITE_CR(4, READ_CR(4) | CR4_OSXSAVE);
		asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
	}
	is_exact = boot_number("exact", 0);
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	WRITE_CR(0, READ_CR(0) & ~CR0_WP); /* we write where the user only reads */
	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
	code = page_alloc();
	set_pte(code, PTE_U, PTE_W);
	(void)page_alloc();
	stack = page_alloc();
	make_user(stack);
	(void)page_alloc();
	counter = page_alloc();
	make_user(counter);
	(void)page_alloc();
	data = page_alloc();
	make_user(data);
	make_user(page_alloc());
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs"
		     :
		     : "r"(SEL_USER_DATA));
	for (unsigned i = 0; i < DATA_BYTES; i++)
		model[i] = (uint8_t)next_random();
	asm volatile("fninit");
	asm volatile("fxsave64 %0" : "=m"(fx_start));
	copy(fx_start + 160, model, 256);             /* XMM0 to XMM15 */
	copy(fx_start + XSAVE_AVX, model + 512, 256); /* their upper halves */
	say("# seed %lu%s%s", seed, has_avx ? ", AVX" : "", has_bmi ? ", BMI" : "");
	test_pieces("64-bit code", pieces, true);
	test_pieces("32-bit code", pieces, false);
}
