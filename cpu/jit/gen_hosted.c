/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that cpu/exec/hosted.c has the host run: SSE, AVX, AES and the like, MMX, x87, BMI
 * and its kin. They are copied as gen_general copies integer ones; what is added here is that the
 * vector state must be in the host's registers and the guest must have enabled them.
 *
 * A block looks at cpu->vector.ready before its first SSE and its first AVX instruction and takes
 * the slow way if it must, from which the code comes back with the registers live. x87 and MMX look
 * each time, since any of them may leave an exception pending.
 *
 * What a copy raises - #XM, #GP of a misaligned operand - comes as a signal: cpu/jit/fault.h.
 */
#include "cpu/jit/gen.h"

#include "cpu/decode/isa.h"
#include "cpu/exec/vector.h"
#include "cpu/jit/cache.h"

static unsigned needs(const struct shape *shape)
{
	switch (shape->isa_class) {
	case ISA_X87:
	case ISA_MMX:
		return READY_X87;
	case ISA_SSE:
		return READY_SSE;
	case ISA_SSE_MMX:
		return READY_SSE | READY_X87;
	case ISA_AVX:
		return READY_AVX;
	default:
		return 0;
	}
}

static struct host_mem vector_field(size_t offset)
{
	return mem_cpu(offsetof(struct cpu, vector) + offset);
}

/*
 * One bit after the other: the slow way is taken where any is missing. It must not pass by the
 * check of a group of stack accesses, which stands for later ones, too.
 */
static void check_ready(struct gen *g, unsigned need)
{
	need &= ~(unsigned)g->ready;
	if (!need)
		return;
	if (gen_is_grouped(g))
		gen_reach_stack(g);
	if (gen_is_based(g) && !gen_is_alone(g))
		gen_reach_base(g);
	gen_flags_spare(g);
	g->ready |= (uint8_t)(need & ~(unsigned)READY_X87);
	for (unsigned bit = READY_SSE; bit <= READY_X87; bit <<= 1)
		if (need & bit) {
			emit_test_mi(&g->e, 1, vector_field(offsetof(struct vector_state, ready)),
				     (int32_t)bit);
			gen_slow_vector_if(g, COND_E);
		}
}

static void copy_selector(struct gen *g, size_t field, unsigned seg)
{
	size_t selector = offsetof(struct cpu, seg) + seg * sizeof(struct segment) +
			  offsetof(struct segment, selector);

	emit_movzx_rm(&g->e, 2, R9, mem_cpu(selector));
	emit_mov_mr(&g->e, 2, vector_field(field), R9);
}

/* The pointers to the instruction and its operand, as cpu/exec/x87.c keeps them. */
static void note_x87(struct gen *g)
{
	struct host_mem ea;

	emit_mov_mi(&g->e, 2, vector_field(offsetof(struct vector_state, fop)), g->insn->fop);
	gen_linear(g, R9, (int64_t)g->page_offset + g->insn->start);
	emit_mov_mr(&g->e, 8, vector_field(offsetof(struct vector_state, fip)), R9);
	copy_selector(g, offsetof(struct vector_state, fcs), CS);
	if (!gen_operand(g, &ea))
		return;
	emit_lea(&g->e, g->insn->addr_size, R9, ea);
	emit_mov_mr(&g->e, 8, vector_field(offsetof(struct vector_state, fdp)), R9);
	copy_selector(g, offsetof(struct vector_state, fds), g->insn->seg);
}

bool gen_hosted(struct gen *g)
{
	check_ready(g, needs(g->shape));
	if (!gen_general(g))
		return false;
	if (g->shape->isa_class == ISA_X87)
		note_x87(g);
	return true;
}

/* FNSTCW, FNSTSW: they leave the pointers alone. */
bool gen_x87_status(struct gen *g)
{
	check_ready(g, READY_X87);
	return gen_general(g);
}

static bool is_zeroing(const struct gen *g)
{
	return g->insn->mnemonic == ZYDIS_MNEMONIC_VZEROUPPER ||
	       g->insn->mnemonic == ZYDIS_MNEMONIC_VZEROALL;
}

/*
 * STMXCSR, VZEROUPPER, VZEROALL, which C has as handlers of their own. 32-bit code zeroes 8
 * registers only.
 */
bool gen_vector_state(struct gen *g)
{
	if (is_zeroing(g) && g->word != 8)
		return false;
	check_ready(g, g->insn->flags & INSN_VEX ? READY_AVX : READY_SSE);
	return gen_general(g);
}
