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
	SELECT(SHL, shift_select),
	SELECT(SHR, shift_select),
	SELECT(SAR, shift_select),
	SELECT(ROL, shift_select),
	SELECT(ROR, shift_select),
	SELECT(RCL, shift_select),
	SELECT(RCR, shift_select),
	SELECT(SHLD, shift_select_double),
	SELECT(SHRD, shift_select_double),

	/* muldiv.c */
	SELECT(IMUL, muldiv_select_imul),
	EXEC(MUL, muldiv_mul),
	EXEC(DIV, muldiv_div),
	EXEC(IDIV, muldiv_idiv),
	EXEC(AAM, muldiv_aam),
	EXEC(AAD, muldiv_aad),

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
	SELECT(MOVSB, string_select_movs),
	SELECT(MOVSW, string_select_movs),
	SELECT(MOVSD, string_select_movs),
	SELECT(MOVSQ, string_select_movs),
	SELECT(STOSB, string_select_stos),
	SELECT(STOSW, string_select_stos),
	SELECT(STOSD, string_select_stos),
	SELECT(STOSQ, string_select_stos),
	SELECT(LODSB, string_select_lods),
	SELECT(LODSW, string_select_lods),
	SELECT(LODSD, string_select_lods),
	SELECT(LODSQ, string_select_lods),
	SELECT(SCASB, string_select_scas),
	SELECT(SCASW, string_select_scas),
	SELECT(SCASD, string_select_scas),
	SELECT(SCASQ, string_select_scas),
	SELECT(CMPSB, string_select_cmps),
	SELECT(CMPSW, string_select_cmps),
	SELECT(CMPSD, string_select_cmps),
	SELECT(CMPSQ, string_select_cmps),

	/* bit.c */
	SELECT(BT, bit_select),
	SELECT(BTS, bit_select),
	SELECT(BTR, bit_select),
	SELECT(BTC, bit_select),
	EXEC(BSF, bit_bsf),
	EXEC(BSR, bit_bsr),

	/* bcd.c */
	EXEC(AAA, bcd_aaa),
	EXEC(AAS, bcd_aas),
	EXEC(DAA, bcd_daa),
	EXEC(DAS, bcd_das),

	/* flag.c */
	EXEC(CLC, flag_clc),
	EXEC(STC, flag_stc),
	EXEC(CMC, flag_cmc),
	EXEC(CLD, flag_cld),
	EXEC(STD, flag_std),
	EXEC(LAHF, flag_lahf),
	EXEC(SAHF, flag_sahf),
	EXEC(SALC, flag_salc),
	EXEC(CLI, flag_cli),
	EXEC(BOUND, flag_bound),
	EXEC(PAUSE, flag_pause),
	EXEC(NOP, flag_nop),
	EXEC(PREFETCH, flag_nop),
	EXEC(PREFETCHNTA, flag_nop),
	EXEC(PREFETCHT0, flag_nop),
	EXEC(PREFETCHT1, flag_nop),
	EXEC(PREFETCHT2, flag_nop),
	EXEC(PREFETCHW, flag_nop),
	EXEC(PREFETCHWT1, flag_nop),
	EXEC_ENDS_BLOCK(STI, flag_sti),
	EXEC_ENDS_BLOCK(INT, flag_int),
	EXEC_ENDS_BLOCK(INT1, flag_int1),
	EXEC_ENDS_BLOCK(INT3, flag_int3),
	EXEC_ENDS_BLOCK(INTO, flag_into),
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
