/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions as they are: any whose operands are general registers and one ordinary memory
 * operand. R8 to R11 of the guest are worked on in memory where that can be, and otherwise have
 * stand-ins.
 */
#include "cpu/jit/gen.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/translate.h"

#define OPCODE_DIRECTION 2 /* which of reg and r/m is the destination */

/* Fields of an encoding that name registers among R8 to R11, and who stands in for them. */
struct stand_ins {
	uint8_t to[16];
	unsigned used; /* set of guest registers */
	unsigned next;
};

/* Which registers are free for them: without a memory operand, with one at R9 and R10 (which
 * one register can hold), with one at a register of its own and R10, and with one at R11. */
static const uint8_t free_registers[][3] = {
	{ R9, R10, R11 }, { R11, R10 }, { R9, R11 }, { R9, R10 }, { R9, R10 }
};

enum operand_place { NO_MEMORY, CHECKED_MEMORY, NEAR_MEMORY, STACK_MEMORY, BASE_MEMORY };

static void add_stand_in(struct stand_ins *s, unsigned n, enum operand_place place)
{
	if (HOST_IS_HIGH(n) || !gen_is_homed(n) || (s->used & (1u << n)))
		return;
	s->used |= 1u << n;
	s->to[n] = free_registers[place][s->next++];
}

static void find_stand_ins(const struct encoding *enc, enum operand_place place,
			   struct stand_ins *s)
{
	*s = (struct stand_ins){ .next = 0 };
	for (unsigned n = 0; n < ARRAY_SIZE(s->to); n++)
		s->to[n] = (uint8_t)gen_pinned(n);
	if (enc->flags & ENCODING_GPR_REG)
		add_stand_in(s, enc->reg, place);
	if (enc->flags & ENCODING_GPR_RM)
		add_stand_in(s, enc->rm, place);
	if (enc->flags & ENCODING_GPR_VVVV)
		add_stand_in(s, enc->vvvv, place);
}

static bool uses_r11(const struct stand_ins *s)
{
	bool uses = false;

	for (unsigned n = R8; n <= R11; n++)
		uses |= (s->used & (1u << n)) && s->to[n] == R11;
	return uses;
}

static bool is_zeroed(const struct gen *g)
{
	return (g->insn->mnemonic == ZYDIS_MNEMONIC_XOR ||
		g->insn->mnemonic == ZYDIS_MNEMONIC_SUB) &&
	       (g->shape->flags & SHAPE_SAME);
}

/* The register that is written as a whole, whatever was in it; 0: there is none. */
static unsigned overwritten(const struct gen *g)
{
	if (g->shape->kind[0] != OPERAND_GENERAL || g->shape->first_bytes < 4)
		return 0;
	switch (g->insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		break;
	default:
		if (!is_zeroed(g))
			return 0;
	}
	return 1u << g->shape->first;
}

/* The registers among the operands that are also read have their value. */
static unsigned read_besides(const struct gen *g)
{
	return is_zeroed(g) ? 0 : g->shape->sources;
}

static void load_stand_ins(struct gen *g, const struct stand_ins *s)
{
	unsigned skipped = overwritten(g) & ~read_besides(g);

	for (unsigned n = R8; n <= R11; n++)
		if (s->used & ~skipped & (1u << n))
			emit_mov_rm(&g->e, 8, s->to[n], gen_home(n));
}

/* Writes back those of R8 to R11 that the instruction may have written. */
static void store_stand_ins(struct gen *g, const struct stand_ins *s)
{
	for (unsigned n = R8; n <= R11; n++)
		if (s->used & g->shape->written & (1u << n))
			emit_mov_mr(&g->e, 8, gen_home(n), s->to[n]);
}

/* Whether the instruction needs the flags of before: to read, or to keep some. */
static bool needs_flags(const struct gen *g, unsigned set)
{
	return g->insn->status_read || (g->insn->status_written && (g->live_after & ~set));
}

static bool writes_memory(const struct gen *g)
{
	return g->shape->flags & SHAPE_WRITES;
}

/* The copy, which comes next, may fault. */
static void note_site(struct gen *g)
{
	g->site[g->sites++] = (struct fault_site){ .offset = (uint32_t)(g->e.at - g->e.start),
						   .has_host_flags = g->where == IN_HOST,
						   .insn = g->insn };
}

/* Where the memory operand is found. */
static enum operand_place operand_place(const struct gen *g, const struct encoding *enc)
{
	if (!(enc->flags & ENCODING_MEM))
		return NO_MEMORY;
	if (gen_is_grouped(g))
		return STACK_MEMORY;
	if (gen_is_based(g) && !gen_is_alone(g))
		return BASE_MEMORY;
	return gen_is_near(g) ? NEAR_MEMORY : CHECKED_MEMORY;
}

/* Checks the memory operand; *mem is it. */
static bool reach_operand(struct gen *g, enum operand_place place, struct host_mem *mem)
{
	if (place == STACK_MEMORY) {
		gen_reach_stack(g);
		*mem = gen_on_stack(g, (int32_t)g->insn->disp);
	} else if (place != NO_MEMORY && gen_is_based(g)) {
		*mem = gen_reach_base(g);
	} else if (place != NO_MEMORY) {
		return gen_check_operand(g, g->insn->mem_bytes, writes_memory(g), mem);
	}
	return true;
}

/* --- R8 to R11 where they are ------------------------------------------------------------------
 *
 * An instruction without a memory operand has one of them in its place: nothing is to be loaded or
 * stored. Not where 4 bytes are written, which clear the upper ones, nor fewer: a load of all 8
 * would wait until they are in the cache.
 */

static bool is_bit_string(const struct gen *g)
{
	return g->row->gen == gen_bit && g->shape->kind[1] == OPERAND_GENERAL;
}

/* Whether the instruction means the same with its r/m operand in memory: XCHG would lock. */
static bool may_have_memory(const struct gen *g, const struct encoding *enc)
{
	bool is_same = (enc->flags & ENCODING_GPR_REG) && enc->reg == enc->rm;

	return (enc->flags & ENCODING_MODRM) && !is_same &&
	       !(enc->flags & (ENCODING_MEM | ENCODING_IN_OPCODE)) &&
	       !(g->insn->flags & INSN_HOSTED) && g->insn->mnemonic != ZYDIS_MNEMONIC_XCHG &&
	       !is_bit_string(g);
}

/* Opcodes of one byte whose operands may change places; both are of the same size. */
static bool swap_operands(struct encoding *enc)
{
	uint8_t reg = enc->reg;
	bool is_alu = enc->opcode < 0x40 && (enc->opcode & 7) < 4;
	bool is_mov = enc->opcode >= 0x88 && enc->opcode <= 0x8b;
	bool is_test = enc->opcode == 0x84 || enc->opcode == 0x85;

	if (enc->map || (enc->flags & ENCODING_VEX) || !(is_alu || is_mov || is_test))
		return false;
	enc->opcode ^= is_test ? 0 : OPCODE_DIRECTION;
	enc->reg = enc->rm;
	enc->rm = reg;
	return true;
}

/* Has the instruction work on one of R8 to R11 in its home, *mem, where it can. */
static void stay_home(const struct gen *g, struct encoding *enc, struct host_mem *mem)
{
	if (!may_have_memory(g, enc))
		return;
	if (!(g->shape->flags & SHAPE_HOME_RM) &&
	    !((g->shape->flags & SHAPE_HOME_REG) && swap_operands(enc)))
		return;
	*mem = gen_home(enc->rm);
	enc->flags =
		(uint16_t)((enc->flags & ~(ENCODING_GPR_RM | ENCODING_BYTE_RM)) | ENCODING_MEM);
}

bool gen_general(struct gen *g)
{
	unsigned set = gen_flags_set(g->insn, g->row);
	struct host_mem mem = mem_at(R9, 0);
	enum operand_place place;
	struct stand_ins stand_ins;
	struct encoding enc = g->shape->encoding;

	if (!(g->shape->flags & SHAPE_MOVABLE))
		return false;
	place = operand_place(g, &enc);
	if (place == NO_MEMORY)
		stay_home(g, &enc, &mem);
	find_stand_ins(&enc, place, &stand_ins);
	if (!reach_operand(g, place, &mem))
		return false;
	if (place == CHECKED_MEMORY && stand_ins.next > 1) {
		emit_lea(&g->e, 8, R9, mem);
		mem = mem_at(R9, 0);
	}
	if (needs_flags(g, set))
		gen_flags_load(g);
	if (place == STACK_MEMORY)
		gen_reach_stack(g);
	else if (place == BASE_MEMORY)
		gen_reach_base(g);
	else if (uses_r11(&stand_ins))
		gen_take_r11(g);
	load_stand_ins(g, &stand_ins);
	encoding_map_gprs(&enc, stand_ins.to);
	if (g->row->may_fault)
		note_site(g);
	if (!emit_encoding(&g->e, &enc, mem))
		return false;
	store_stand_ins(g, &stand_ins);
	if (g->insn->status_written)
		gen_flags_written(g);
	return true;
}

/* Moves RSP by a constant, if that is all that matters. */
static bool move_stack(struct gen *g)
{
	int32_t by;

	if (!gen_is_stack_move(g) || !group_is_move(g, g->insn, g->shape, &by))
		return false;
	gen_move_stack(g, by);
	return true;
}

/* ADD and SUB. */
bool gen_add(struct gen *g)
{
	return move_stack(g) || gen_general(g);
}

/* A register against itself, where it is one of R8 to R11: comparing it with 0 sets the same flags.
 */
static bool test_home(struct gen *g)
{
	if (g->shape->kind[0] != OPERAND_GENERAL || !(g->shape->flags & SHAPE_SAME) ||
	    !gen_is_homed(g->shape->first))
		return false;
	emit_alu_mi(&g->e, ALU_CMP, g->insn->size, gen_home(g->shape->first), 0);
	gen_flags_written(g);
	return true;
}

bool gen_test(struct gen *g)
{
	return test_home(g) || gen_general(g);
}

/* A constant for one of R8 to R11, if it is one that memory can be given. */
static bool move_home(struct gen *g)
{
	const struct shape *shape = g->shape;
	int64_t imm = g->insn->imm, value = shape->first_bytes == 4 ? (uint32_t)imm : imm;

	if (shape->kind[0] != OPERAND_GENERAL || shape->first_bytes < 4 ||
	    (g->insn->flags & INSN_WIDE) || shape->kind[1] != OPERAND_IMMEDIATE ||
	    !gen_is_homed(shape->first) || (int64_t)value != (int32_t)value)
		return false;
	emit_mov_mi(&g->e, 8, gen_home(shape->first), (int32_t)value);
	return true;
}

static bool is_special(const struct gen *g, unsigned operand)
{
	return shape_is_register(g->shape, operand) && g->shape->kind[operand] != OPERAND_GENERAL;
}

/* Between general registers and memory, and from control and segment registers. */
bool gen_mov(struct gen *g)
{
	if (g->shape->kind[1] == OPERAND_CONTROL)
		return gen_read_control(g);
	if (g->shape->kind[1] == OPERAND_SEGMENT)
		return gen_read_selector(g);
	if (is_special(g, 0) || is_special(g, 1))
		return false;
	return move_home(g) || gen_general(g);
}

bool gen_nop(struct gen *g)
{
	(void)g;
	return true;
}

/* The address itself; nothing is accessed. */
bool gen_lea(struct gen *g)
{
	unsigned n = g->insn->dst / REG_OFFSET(1), size = g->insn->size;
	unsigned dst = gen_is_homed(n) ? R9 : gen_pinned(n);
	struct host_mem mem;

	if (move_stack(g))
		return true;
	if (size < 4 || !gen_operand(g, &mem))
		return false;
	emit_lea(&g->e, size, dst, mem);
	if (gen_is_homed(n))
		gen_write(g, n, dst);
	return true;
}
