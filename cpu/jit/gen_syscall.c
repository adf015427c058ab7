/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL and SYSRET between 64-bit modes. Where they go is found in the cache of branches first,
 * among the entries of the privilege that follows; with that, nothing can fail any more.
 *
 * TF and RF are clear, and there are no code breakpoints, or translated code would not run. So
 * what follows runs translated, too; a change of AC, which alignment checks depend on, goes the
 * slow way.
 */
#include "cpu/exec/syscall.h"

#include "cpu/flags.h"
#include "cpu/jit/cache.h"
#include "cpu/jit/gen.h"
#include "cpu/mmu/mmu.h"

static struct host_mem field(size_t offset)
{
	return mem_cpu(offset);
}

#define CPU(name) field(offsetof(struct cpu, name))

static void require_enabled(struct gen *g)
{
	emit_test_mi(&g->e, 4, CPU(efer), EFER_SCE);
	gen_slow_if(g, COND_E);
}

/* A flat segment but for its selector. */
static void set_segment(struct gen *g, unsigned seg, uint32_t ar)
{
	emit_mov_mi(&g->e, 8, CPU(seg[seg].base), 0);
	emit_mov_mi(&g->e, 4, CPU(seg[seg].limit), (int32_t)SYSCALL_LIMIT);
	emit_mov_mi(&g->e, 4, CPU(seg[seg].ar), (int32_t)ar);
}

/* What else depends on CPL. Uses R10. */
static void set_privilege(struct gen *g, unsigned cpl, enum tlb_class class)
{
	emit_mov_mi(&g->e, 1, CPU(cpl), (int32_t)cpl);
	emit_mov_mi(&g->e, 1, CPU(tlb_class), (int32_t) class);
	emit_mov_rm(&g->e, 8, R10, CPU(tlb));
	emit_lea(&g->e, 8, R10, mem_at(R10, (int32_t)offsetof(struct tlb, way[class])));
	emit_mov_mr(&g->e, 8, CPU(tlb_tags), R10);
}

/* --- SYSCALL -------------------------------------------------------------------------------------
 */

/* R11 = the flags, which are in memory. Uses RCX, which is written anyway, and R10. */
static void keep_flags(struct gen *g)
{
	emit_movzx_rm(&g->e, 2, RCX, CPU(status));
	emit_mov_rr(&g->e, 4, R10, RCX);
	emit_shift_ri(&g->e, SHIFT_SHR, 4, RCX, 8);
	emit_alu_ri(&g->e, ALU_AND, 4, RCX, (int32_t)(RFLAGS_STATUS & 0xff));
	emit_alu_ri(&g->e, ALU_AND, 4, R10, STATUS_OF);
	emit_shift_ri(&g->e, SHIFT_SHL, 4, R10, 11);
	emit_alu_rr(&g->e, ALU_OR, 4, RCX, R10);
	emit_alu_rm(&g->e, ALU_OR, 4, RCX, CPU(rflags));
	emit_mov_mr(&g->e, 8, gen_home(R11), RCX);
}

/* Clears what IA32_FMASK says. Uses RCX and R10. */
static void mask_flags(struct gen *g)
{
	emit_mov_rm(&g->e, 4, RCX, CPU(msr.fmask));
	emit_alu_ri(&g->e, ALU_OR, 4, RCX, (int32_t)RFLAGS_ONE);
	emit_alu_ri(&g->e, ALU_XOR, 4, RCX, ~(int32_t)RFLAGS_ONE);
	emit_alu_mr(&g->e, ALU_AND, 4, CPU(rflags), RCX);
	emit_mov_rr(&g->e, 4, R10, RCX);
	emit_shift_ri(&g->e, SHIFT_SHL, 4, RCX, 8);
	emit_shift_ri(&g->e, SHIFT_SHR, 4, R10, 11);
	emit_alu_ri(&g->e, ALU_AND, 4, R10, STATUS_OF);
	emit_alu_rr(&g->e, ALU_OR, 4, RCX, R10);
	emit_alu_mr(&g->e, ALU_AND, 2, CPU(status), RCX);
}

static void set_kernel_segments(struct gen *g)
{
	emit_movzx_rm(&g->e, 2, R10, field(offsetof(struct cpu, msr.star) + STAR_SYSCALL / 8));
	emit_alu_ri(&g->e, ALU_AND, 4, R10, SYSCALL_SELECTOR);
	emit_mov_mr(&g->e, 2, CPU(seg[CS].selector), R10);
	emit_alu_ri(&g->e, ALU_ADD, 4, R10, SYSCALL_TO_SS);
	emit_mov_mr(&g->e, 2, CPU(seg[SS].selector), R10);
	set_segment(g, CS, SYSCALL_CODE | SEG_L);
	set_segment(g, SS, SYSCALL_STACK);
}

bool gen_syscall(struct gen *g)
{
	if (g->word != 8)
		return false;
	gen_flags_store(g);
	require_enabled(g);
	emit_test_mi(&g->e, 4, CPU(rflags), (int32_t)RFLAGS_AC);
	gen_slow_if(g, COND_NE);
	emit_mov_rm(&g->e, 8, R9, CPU(msr.lstar));
	gen_lookup_as(g, TLB_KERNEL);
	keep_flags(g);
	mask_flags(g);
	gen_linear(g, RCX, (int64_t)g->page_offset + g->insn->next);
	set_kernel_segments(g);
	set_privilege(g, 0, TLB_KERNEL);
	gen_go(g);
	return true;
}

/* --- SYSRET --------------------------------------------------------------------------------------
 */

/* From R11. Uses R9 and R10. */
static void return_flags(struct gen *g)
{
	emit_mov_rm(&g->e, 4, R10, gen_home(R11));
	emit_mov_rr(&g->e, 4, R9, R10);
	emit_alu_ri(&g->e, ALU_AND, 4, R10, (int32_t)(SYSRET_FLAGS & ~RFLAGS_STATUS));
	emit_alu_ri(&g->e, ALU_OR, 4, R10, (int32_t)RFLAGS_ONE);
	emit_mov_mr(&g->e, 4, CPU(rflags), R10);
	gen_status_set(g);
}

/* AMD leaves the hidden part of SS as it is. */
static void set_user_segments(struct gen *g)
{
	uint32_t dpl = SYSCALL_USER << SEG_DPL_SHIFT;

	emit_movzx_rm(&g->e, 2, R10, field(offsetof(struct cpu, msr.star) + STAR_SYSRET / 8));
	emit_alu_ri(&g->e, ALU_OR, 4, R10, SYSCALL_USER);
	emit_lea(&g->e, 4, R9, mem_at(R10, SYSRET_64));
	emit_mov_mr(&g->e, 2, CPU(seg[CS].selector), R9);
	emit_alu_ri(&g->e, ALU_ADD, 4, R10, SYSCALL_TO_SS);
	emit_mov_mr(&g->e, 2, CPU(seg[SS].selector), R10);
	set_segment(g, CS, SYSCALL_CODE | SEG_L | dpl);
	if (!g->jit->is_amd)
		set_segment(g, SS, SYSCALL_STACK | dpl);
}

/*
 * An address that is not canonical is found nowhere. RCX stays, so R9 is free between the look-up
 * and the jump.
 */
bool gen_sysret(struct gen *g)
{
	if (g->word != 8 || g->insn->size != 8 || g->tlb_class == TLB_USER)
		return false;
	gen_flags_spare(g);
	emit_alu_mi(&g->e, ALU_CMP, 1, CPU(cpl), 0);
	gen_slow_if(g, COND_NE);
	require_enabled(g);
	emit_test_mi(&g->e, 4, gen_home(R11), (int32_t)(RFLAGS_TF | RFLAGS_AC));
	gen_slow_if(g, COND_NE);
	/* It sets RFLAGS.IF. */
	emit_alu_mi(&g->e, ALU_CMP, 4, CPU(attention), 0);
	gen_slow_if(g, COND_NE);
	emit_mov_rr(&g->e, 8, R9, RCX);
	gen_lookup_as(g, TLB_USER);
	return_flags(g);
	set_user_segments(g);
	set_privilege(g, SYSCALL_USER, TLB_USER);
	emit_mov_rr(&g->e, 8, R9, RCX);
	gen_go(g);
	return true;
}
