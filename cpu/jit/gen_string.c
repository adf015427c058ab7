/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVS, STOS and LODS, forward and in flat addressing: the host's own instruction on host
 * addresses, with or without REP, where all of it lies in one page at either end. Backward, across
 * pages and for devices the handler does it, in chunks. So an interrupt waits for a page's worth.
 */
#include "cpu/jit/gen.h"

#include "cpu/jit/translate.h"
#include "cpu/mmu/mmu.h"

#define OPCODE_MOVS 0xa4 /* of bytes; the next one is for other sizes */
#define OPCODE_STOS 0xaa

static bool is_repeated(const struct gen *g)
{
	return g->insn->flags & (INSN_REP | INSN_REPNE);
}

static bool is_flat(const struct gen *g)
{
	unsigned seg = g->insn->seg;

	return g->insn->addr_size == g->word && seg != FS && seg != GS &&
	       (g->word == 8 || seg != CS);
}

static unsigned size_log2(const struct gen *g)
{
	return (unsigned)__builtin_ctz(g->insn->size);
}

static struct host_mem kept(void)
{
	return mem_cpu(offsetof(struct cpu, jit.scratch));
}

static void slow_if_backward(struct gen *g)
{
	emit_test_mi(&g->e, 4, mem_cpu(offsetof(struct cpu, rflags)), RFLAGS_DF);
	gen_slow_if(g, COND_NE);
}

/* Nothing to do: returns the jump behind all of it. More than a page: slow. */
static struct emit_jump look_at_count(struct gen *g)
{
	struct emit_jump done;

	emit_test_rr(&g->e, g->word, RCX, RCX);
	done = emit_jcc(&g->e, COND_E, false);
	emit_alu_ri(&g->e, ALU_CMP, g->word, RCX, (int32_t)(PAGE_BYTES >> size_log2(g)));
	gen_slow_if(g, COND_A);
	return done;
}

/* R9 = host address of the elements at guest register `reg`. Uses R10 and, with REP, R11. */
static void reach(struct gen *g, unsigned reg, bool is_write)
{
	emit_mov_rr(&g->e, g->word, R9, reg);
	gen_check(g, g->insn->size, is_write);
	if (is_repeated(g)) { /* R9 is the offset in the page */
		emit_lea(&g->e, g->word, R11, mem_index(R9, RCX, size_log2(g), 0));
		emit_alu_ri(&g->e, ALU_CMP, 8, R11, PAGE_BYTES);
		gen_slow_if(g, COND_A);
	}
	emit_lea(&g->e, 8, R9, gen_checked(0));
}

/* `reg` becomes the host address in `host`, which becomes their distance: guest - host. */
static void to_host(struct gen *g, unsigned reg, unsigned host)
{
	emit_xchg_rr(&g->e, 8, reg, host);
	emit_alu_rr(&g->e, ALU_SUB, 8, host, reg);
}

static void emit_string(struct gen *g, unsigned opcode)
{
	const struct encoding encoding = {
		.flags = g->insn->size == 8 ? ENCODING_W : 0,
		.prefixes = (uint8_t)((g->insn->size == 2 ? PREFIX_66 : 0) |
				      (is_repeated(g) ? PREFIX_F3 : 0)),
		.opcode = (uint8_t)(opcode | (g->insn->size != 1)),
	};

	if (is_repeated(g) && g->word == 4)
		emit_mov_rr(&g->e, 4, RCX, RCX);
	emit_encoding(&g->e, &encoding, mem_at(HOST_NONE, 0));
}

/* What all begin with. */
static bool begin(struct gen *g, struct emit_jump *done)
{
	if (!is_flat(g))
		return false;
	gen_flags_spare(g);
	gen_take_r11(g);
	*done = (struct emit_jump){ NULL, 0 };
	if (is_repeated(g))
		*done = look_at_count(g);
	slow_if_backward(g);
	return true;
}

bool gen_movs(struct gen *g)
{
	struct emit_jump done;

	if (!begin(g, &done))
		return false;
	reach(g, RDI, true);
	emit_mov_mr(&g->e, 8, kept(), R9);
	reach(g, RSI, false);
	emit_mov_rm(&g->e, 8, R11, kept());
	to_host(g, RSI, R9);
	to_host(g, RDI, R11);
	emit_string(g, OPCODE_MOVS);
	emit_alu_rr(&g->e, ALU_ADD, g->word, RSI, R9);
	emit_alu_rr(&g->e, ALU_ADD, g->word, RDI, R11);
	emit_land(&g->e, done);
	return true;
}

bool gen_stos(struct gen *g)
{
	struct emit_jump done;

	if (!begin(g, &done))
		return false;
	reach(g, RDI, true);
	to_host(g, RDI, R9);
	emit_string(g, OPCODE_STOS);
	emit_alu_rr(&g->e, ALU_ADD, g->word, RDI, R9);
	emit_land(&g->e, done);
	return true;
}

bool gen_lods(struct gen *g)
{
	struct emit_jump done;

	if (is_repeated(g) || !begin(g, &done))
		return false;
	emit_mov_rr(&g->e, g->word, R9, RSI);
	gen_check(g, g->insn->size, false);
	emit_mov_rm(&g->e, g->insn->size, RAX, gen_checked(0));
	emit_lea(&g->e, g->word, RSI, mem_at(RSI, g->insn->size));
	return true;
}
