/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions that kernels are full of. They are translated in kernel code only; at CPL 1
 * and 2, which share its tags, they go the slow way, as does whatever has more to it.
 *
 * None of them can be intercepted by a hypervisor.
 */
#include "cpu/jit/cache.h"
#include "cpu/jit/gen.h"
#include "cpu/jit/group.h"
#include "cpu/mmu/mmu.h"

static struct host_mem field(size_t offset)
{
	return mem_cpu(offset);
}

static struct host_mem rflags(void)
{
	return field(offsetof(struct cpu, rflags));
}

/* The slow way unless CPL is 0. false: the block is user code. */
static bool begin(struct gen *g)
{
	if (g->tlb_class == TLB_USER)
		return false;
	gen_flags_spare(g);
	emit_alu_mi(&g->e, ALU_CMP, 1, field(offsetof(struct cpu, cpl)), 0);
	gen_slow_if(g, COND_NE);
	return true;
}

static void clear_rflag(struct gen *g, uint32_t flag)
{
	emit_alu_mi(&g->e, ALU_AND, 4, rflags(), (int32_t)~flag);
}

static void set_rflag(struct gen *g, uint32_t flag)
{
	emit_alu_mi(&g->e, ALU_OR, 4, rflags(), (int32_t)flag);
}

bool gen_cli(struct gen *g)
{
	if (!begin(g))
		return false;
	clear_rflag(g, RFLAGS_IF);
	return true;
}

/*
 * The instruction behind an STI may still see its shadow in a nested guest, if it exits. What
 * mostly follows is a NOP, or a JMP to where a kernel returns: what its target has to fetch is no
 * longer in the shadow.
 */
static bool may_exit(const struct insn *insn)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_JMP)
		return !(insn->flags & INSN_DIRECT_BRANCH);
	return insn->mnemonic != ZYDIS_MNEMONIC_NOP;
}

static bool is_next_return(const struct gen *g)
{
	return g->insn[1].mnemonic == ZYDIS_MNEMONIC_RET &&
	       !(g->jit->shapes[g->n + 1].flags & SHAPE_FAR);
}

/* The slow way if the shadow of the STI may be seen; a RET may exit for its stack only. */
static void rule_out_exit(struct gen *g)
{
	if (is_next_return(g)) {
		/* What the TLB has causes no exit. */
		emit_lea(&g->e, g->word, R9, mem_at(HOST_RSP_HOME, 0));
		gen_check(g, g->word, false);
	} else if (may_exit(g->insn + 1)) {
		emit_alu_mi(&g->e, ALU_CMP, 1, field(offsetof(struct cpu, in_guest)), 0);
		gen_slow_if(g, COND_NE);
	}
}

/*
 * While nothing asks for attention, no shadow is needed: attention is looked for between blocks
 * only, and another instruction of this one follows.
 */
bool gen_sti(struct gen *g)
{
	if (g->is_last || !g->insn[1].length || !begin(g))
		return false;
	rule_out_exit(g);
	emit_alu_mi(&g->e, ALU_CMP, 4, field(offsetof(struct cpu, attention)), 0);
	gen_slow_if(g, COND_NE);
	set_rflag(g, RFLAGS_IF);
	return true;
}

bool gen_cld(struct gen *g)
{
	gen_flags_spare(g);
	clear_rflag(g, RFLAGS_DF);
	return true;
}

bool gen_std(struct gen *g)
{
	gen_flags_spare(g);
	set_rflag(g, RFLAGS_DF);
	return true;
}

/* What of the vCPU's state depends on the class of tags. */
static void select_class(struct gen *g, unsigned class)
{
	emit_mov_mi(&g->e, 1, field(offsetof(struct cpu, tlb_class)), (int32_t) class);
	emit_mov_rm(&g->e, 8, R9, field(offsetof(struct cpu, tlb)));
	emit_lea(&g->e, 8, R9, mem_at(R9, (int32_t)offsetof(struct tlb, way[class])));
	emit_mov_mr(&g->e, 8, field(offsetof(struct cpu, tlb_tags)), R9);
	g->tlb_class = class;
}

/* From here on the block uses other tags. */
bool gen_stac(struct gen *g)
{
	if (!begin(g))
		return false;
	set_rflag(g, RFLAGS_AC);
	if (g->tlb_class != TLB_KERNEL_AC)
		select_class(g, TLB_KERNEL_AC);
	return true;
}

bool gen_clac(struct gen *g)
{
	if (!begin(g))
		return false;
	clear_rflag(g, RFLAGS_AC);
	if (g->tlb_class != TLB_KERNEL)
		select_class(g, TLB_KERNEL);
	return true;
}

bool gen_swapgs(struct gen *g)
{
	struct host_mem base = field(offsetof(struct cpu, seg[GS].base));
	struct host_mem kept = field(offsetof(struct cpu, msr.kernel_gs_base));

	if (!begin(g))
		return false;
	emit_mov_rm(&g->e, 8, R9, base);
	emit_mov_rm(&g->e, 8, R10, kept);
	emit_mov_mr(&g->e, 8, base, R10);
	emit_mov_mr(&g->e, 8, kept, R9);
	return true;
}

/* --- POPF ----------------------------------------------------------------------------------------
 */

/* Besides the status flags and IF. */
#define POPF_RARE (RFLAGS_TF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID)

void gen_status_set(struct gen *g)
{
	emit_mov_rr(&g->e, 4, R10, R9);
	emit_shift_ri(&g->e, SHIFT_SHR, 4, R10, 11);
	emit_alu_ri(&g->e, ALU_AND, 4, R10, 1);
	emit_alu_ri(&g->e, ALU_AND, 4, R9, (int32_t)(RFLAGS_STATUS & 0xff));
	emit_alu_ri(&g->e, ALU_OR, 4, R9, (int32_t)RFLAGS_ONE);
	emit_shift_ri(&g->e, SHIFT_SHL, 4, R9, 8);
	emit_alu_rr(&g->e, ALU_OR, 4, R9, R10);
	emit_mov_mr(&g->e, 2, field(offsetof(struct cpu, status)), R9);
	g->where = IN_STATUS;
}

bool gen_popf(struct gen *g)
{
	if (g->shape->operand_bytes != g->word || !gen_is_grouped(g) || g->tlb_class == TLB_USER)
		return false;
	gen_reach_stack(g);
	begin(g);
	emit_mov_rm(&g->e, g->word, R9, gen_on_stack(g, 0));
	emit_mov_rr(&g->e, 4, R10, R9);
	emit_alu_rm(&g->e, ALU_XOR, 4, R10, rflags());
	emit_test_ri(&g->e, 4, R10, (int32_t)POPF_RARE);
	gen_slow_if(g, COND_NE);
	/* What has been held back comes before the next instruction. */
	emit_alu_mi(&g->e, ALU_CMP, 4, field(offsetof(struct cpu, attention)), 0);
	gen_slow_if(g, COND_NE);
	emit_alu_ri(&g->e, ALU_AND, 4, R10, (int32_t)RFLAGS_IF);
	emit_alu_mr(&g->e, ALU_XOR, 4, rflags(), R10);
	gen_status_set(g);
	emit_lea(&g->e, g->word, HOST_RSP_HOME, mem_at(HOST_RSP_HOME, (int32_t)g->word));
	gen_jump(g, (int64_t)g->page_offset + g->insn->next);
	return true;
}
