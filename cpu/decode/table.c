/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of instructions, a section for each file of cpu/exec.
 *
 * EXEC names the one handler of all encodings, SELECT the function that chooses among several. The
 * forms with ENDS_BLOCK are for instructions that always end their block.
 */
#include "cpu/decode/table.h"

#include "cpu/exec/exec.h"

// clang-format off
#define EXEC(name, handler)             { ZYDIS_MNEMONIC_##name, 0, handler, NULL }
#define EXEC_ENDS_BLOCK(name, handler)  { ZYDIS_MNEMONIC_##name, INSN_ENDS_BLOCK, handler, NULL }
#define SELECT(name, select)            { ZYDIS_MNEMONIC_##name, 0, NULL, select }
#define SELECT_ENDS_BLOCK(name, select) { ZYDIS_MNEMONIC_##name, INSN_ENDS_BLOCK, NULL, select }

static const struct insn_row rows[] = {
	/* alu.c */
	SELECT(ADD, alu_select),
	SELECT(OR, alu_select),
	SELECT(ADC, alu_select),
	SELECT(SBB, alu_select),
	SELECT(AND, alu_select),
	SELECT(SUB, alu_select),
	SELECT(XOR, alu_select),
	SELECT(CMP, alu_select),
	SELECT(TEST, alu_select),
	SELECT(INC, alu_select_unary),
	SELECT(DEC, alu_select_unary),
	SELECT(NEG, alu_select_unary),
	SELECT(NOT, alu_select_unary),

	/* atomic.c */
	EXEC(XADD, atomic_xadd),
	EXEC(XCHG, atomic_xchg),
	EXEC(CMPXCHG, atomic_cmpxchg),
	EXEC(CMPXCHG8B, atomic_cmpxchg8b),
	EXEC(CMPXCHG16B, atomic_cmpxchg16b),

	/* mov.c */
	SELECT(MOV, mov_select),
	SELECT(MOVZX, mov_select_extend),
	SELECT(MOVSX, mov_select_extend),
	SELECT(MOVSXD, mov_select_extend),
	SELECT(LEA, mov_select_lea),
	SELECT(CMOVO, mov_select_cmov),
	SELECT(CMOVNO, mov_select_cmov),
	SELECT(CMOVB, mov_select_cmov),
	SELECT(CMOVNB, mov_select_cmov),
	SELECT(CMOVZ, mov_select_cmov),
	SELECT(CMOVNZ, mov_select_cmov),
	SELECT(CMOVBE, mov_select_cmov),
	SELECT(CMOVNBE, mov_select_cmov),
	SELECT(CMOVS, mov_select_cmov),
	SELECT(CMOVNS, mov_select_cmov),
	SELECT(CMOVP, mov_select_cmov),
	SELECT(CMOVNP, mov_select_cmov),
	SELECT(CMOVL, mov_select_cmov),
	SELECT(CMOVNL, mov_select_cmov),
	SELECT(CMOVLE, mov_select_cmov),
	SELECT(CMOVNLE, mov_select_cmov),
	SELECT(SETO, mov_select_set),
	SELECT(SETNO, mov_select_set),
	SELECT(SETB, mov_select_set),
	SELECT(SETNB, mov_select_set),
	SELECT(SETZ, mov_select_set),
	SELECT(SETNZ, mov_select_set),
	SELECT(SETBE, mov_select_set),
	SELECT(SETNBE, mov_select_set),
	SELECT(SETS, mov_select_set),
	SELECT(SETNS, mov_select_set),
	SELECT(SETP, mov_select_set),
	SELECT(SETNP, mov_select_set),
	SELECT(SETL, mov_select_set),
	SELECT(SETNL, mov_select_set),
	SELECT(SETLE, mov_select_set),
	SELECT(SETNLE, mov_select_set),
	EXEC(BSWAP, mov_bswap),
	EXEC(MOVBE, mov_movbe),
	EXEC(CBW, mov_cbw),
	EXEC(CWDE, mov_cwde),
	EXEC(CDQE, mov_cdqe),
	EXEC(CWD, mov_cwd),
	EXEC(CDQ, mov_cdq),
	EXEC(CQO, mov_cqo),
	EXEC(XLAT, mov_xlat),

	/* shift.c */

	/* muldiv.c */

	/* branch.c */
	SELECT_ENDS_BLOCK(JO, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNO, branch_select_jcc),
	SELECT_ENDS_BLOCK(JB, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNB, branch_select_jcc),
	SELECT_ENDS_BLOCK(JZ, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNZ, branch_select_jcc),
	SELECT_ENDS_BLOCK(JBE, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNBE, branch_select_jcc),
	SELECT_ENDS_BLOCK(JS, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNS, branch_select_jcc),
	SELECT_ENDS_BLOCK(JP, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNP, branch_select_jcc),
	SELECT_ENDS_BLOCK(JL, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNL, branch_select_jcc),
	SELECT_ENDS_BLOCK(JLE, branch_select_jcc),
	SELECT_ENDS_BLOCK(JNLE, branch_select_jcc),
	SELECT_ENDS_BLOCK(JMP, branch_select_jmp),
	SELECT_ENDS_BLOCK(CALL, branch_select_call),
	SELECT_ENDS_BLOCK(RET, branch_select_ret),
	EXEC_ENDS_BLOCK(JCXZ, branch_jcxz),
	EXEC_ENDS_BLOCK(JECXZ, branch_jcxz),
	EXEC_ENDS_BLOCK(JRCXZ, branch_jcxz),
	EXEC_ENDS_BLOCK(LOOP, branch_loop),
	EXEC_ENDS_BLOCK(LOOPE, branch_loope),
	EXEC_ENDS_BLOCK(LOOPNE, branch_loopne),

	/* stack.c */
	SELECT(PUSH, stack_select_push),
	SELECT(POP, stack_select_pop),
	SELECT(LEAVE, stack_select_leave),
	EXEC(PUSHA, stack_pusha),
	EXEC(PUSHAD, stack_pusha),
	EXEC(POPA, stack_popa),
	EXEC(POPAD, stack_popa),
	EXEC(PUSHF, stack_pushf),
	EXEC(PUSHFD, stack_pushf),
	EXEC(PUSHFQ, stack_pushf),
	EXEC(ENTER, stack_enter),
	EXEC_ENDS_BLOCK(POPF, stack_popf),
	EXEC_ENDS_BLOCK(POPFD, stack_popf),
	EXEC_ENDS_BLOCK(POPFQ, stack_popf),

	/* string.c */

	/* bit.c */

	/* bcd.c */

	/* flag.c */
	EXEC_ENDS_BLOCK(UD0, flag_undefined),
	EXEC_ENDS_BLOCK(UD1, flag_undefined),
	EXEC_ENDS_BLOCK(UD2, flag_undefined),

	/* far.c: far transfers, segment registers */

	/* system.c, io.c */

	/* hosted.c: instructions that the host runs have no row; x87.c, simd.c, xsave.c: those that
	 * need more */
	EXEC(FWAIT, x87_wait),
	EXEC(FLDCW, x87_fldcw),
	EXEC(FNSTCW, x87_fnstcw),
	EXEC(FNSTSW, x87_fnstsw),
	EXEC(FNCLEX, x87_fnclex),
	EXEC(FNINIT, x87_fninit),
	EXEC(FNSTENV, x87_fnstenv),
	EXEC(FLDENV, x87_fldenv),
	EXEC(FNSAVE, x87_fnsave),
	EXEC(FRSTOR, x87_frstor),
	EXEC(LDMXCSR, simd_ldmxcsr),
	EXEC(VLDMXCSR, simd_ldmxcsr),
	EXEC(STMXCSR, simd_stmxcsr),
	EXEC(VSTMXCSR, simd_stmxcsr),
	EXEC(VZEROUPPER, simd_vzeroupper),
	EXEC(VZEROALL, simd_vzeroall),
	EXEC(VMASKMOVPS, simd_maskmov4),
	EXEC(VMASKMOVPD, simd_maskmov8),
	EXEC(VPMASKMOVD, simd_maskmov4),
	EXEC(VPMASKMOVQ, simd_maskmov8),
	SELECT(MASKMOVQ, simd_maskmov_di_select),
	SELECT(MASKMOVDQU, simd_maskmov_di_select),
	SELECT(VMASKMOVDQU, simd_maskmov_di_select),
	SELECT(VGATHERDPS, simd_gather_select),
	SELECT(VGATHERQPS, simd_gather_select),
	SELECT(VGATHERDPD, simd_gather_select),
	SELECT(VGATHERQPD, simd_gather_select),
	SELECT(VPGATHERDD, simd_gather_select),
	SELECT(VPGATHERQD, simd_gather_select),
	SELECT(VPGATHERDQ, simd_gather_select),
	SELECT(VPGATHERQQ, simd_gather_select),
	EXEC(FXSAVE, xsave_fxsave),
	EXEC(FXSAVE64, xsave_fxsave),
	EXEC(FXRSTOR, xsave_fxrstor),
	EXEC(FXRSTOR64, xsave_fxrstor),
	EXEC(XSAVE, xsave_xsave),
	EXEC(XSAVE64, xsave_xsave),
	EXEC(XSAVEOPT, xsave_xsaveopt),
	EXEC(XSAVEOPT64, xsave_xsaveopt),
	EXEC(XSAVEC, xsave_xsavec),
	EXEC(XSAVEC64, xsave_xsavec),
	EXEC(XSAVES, xsave_xsaves),
	EXEC(XSAVES64, xsave_xsaves),
	EXEC(XRSTOR, xsave_xrstor),
	EXEC(XRSTOR64, xsave_xrstor),
	EXEC(XRSTORS, xsave_xrstors),
	EXEC(XRSTORS64, xsave_xrstors),
};
// clang-format on

void insn_rows_index(struct decoder *decoder)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		decoder->row[rows[i].mnemonic] = &rows[i];
}

const struct insn_row *insn_row_find(const struct decoder *decoder, unsigned mnemonic)
{
	return decoder->row[mnemonic];
}
