/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handlers that the table of instructions names, a section for each file. Handlers are of type
 * insn_fn: exec(cpu, insn). *_select chooses one for an encoding (insn_select_fn).
 */
#ifndef CPU_EXEC_EXEC_H
#define CPU_EXEC_EXEC_H

#include "cpu/decode/table.h"

/* alu.c */
insn_select_fn alu_select, alu_select_unary;

/* atomic.c */
insn_select_fn atomic_select; /* LOCK with what alu.c has */
insn_fn atomic_xadd, atomic_xchg, atomic_cmpxchg, atomic_cmpxchg8b, atomic_cmpxchg16b;

/* mov.c */
insn_select_fn mov_select, mov_select_extend, mov_select_lea, mov_select_cmov, mov_select_set;
insn_fn mov_bswap, mov_movbe, mov_cbw, mov_cwde, mov_cdqe, mov_cwd, mov_cdq, mov_cqo, mov_xlat;

/* shift.c */
insn_select_fn shift_select, shift_select_double;

/* muldiv.c */
insn_select_fn muldiv_select_imul;
insn_fn muldiv_mul, muldiv_div, muldiv_idiv, muldiv_aam, muldiv_aad;

/* branch.c */
insn_select_fn branch_select_jcc, branch_select_jmp, branch_select_call, branch_select_ret;
insn_fn branch_jcxz, branch_loop, branch_loope, branch_loopne;

/* stack.c */
insn_select_fn stack_select_push, stack_select_pop, stack_select_leave;
insn_fn stack_pusha, stack_popa, stack_pushf, stack_popf, stack_enter;

/* string.c */
insn_select_fn string_select;

/* bit.c */
insn_select_fn bit_select;
insn_fn bit_bsf, bit_bsr;

/* bcd.c */
insn_fn bcd_aaa, bcd_aas, bcd_daa, bcd_das;

/* flag.c */
insn_select_fn flag_select_pause;
insn_fn flag_clc, flag_stc, flag_cmc, flag_cld, flag_std, flag_lahf, flag_sahf, flag_salc;
insn_fn flag_cli, flag_sti, flag_nop;
insn_fn flag_int, flag_int1, flag_int3, flag_into, flag_bound;
insn_fn flag_undefined; /* #UD: no such instruction */
insn_fn flag_too_long;  /* #GP(0): more than 15 bytes */

/* far.c: far transfers, segment registers */
insn_select_fn far_select_jmp, far_select_call; /* the far forms of what branch.c has */
insn_select_fn far_select_mov;                  /* to and from segment registers */
insn_fn far_ret, far_iret_16, far_iret_32, far_iret_64;
insn_fn far_les, far_lds, far_lss, far_lfs, far_lgs;
insn_fn far_lldt, far_ltr, far_sldt, far_str;
insn_fn far_lar, far_lsl, far_verr, far_verw, far_arpl;

/* control.c: control and debug registers, descriptor tables */
insn_select_fn control_select_mov, control_select_load_table;
insn_fn control_clts, control_lmsw, control_smsw, control_sgdt, control_sidt;
insn_fn control_xgetbv, control_xsetbv;

/* system.c */
insn_fn system_cpuid, system_rdmsr, system_wrmsr, system_rdtsc, system_rdtscp, system_rdpid;
insn_fn system_rdpmc, system_wbinvd, system_clflush, system_invlpg, system_invpcid;
insn_fn system_stac, system_clac, system_rdpkru, system_wrpkru, system_swapgs;
insn_fn system_rdfsbase, system_rdgsbase, system_wrfsbase, system_wrgsbase;
insn_select_fn system_select_random; /* RDRAND, RDSEED */
insn_fn system_hlt, system_hypercall, system_vmcall, system_virt;

/* monitor.c */
insn_select_fn monitor_select;
insn_fn monitor_mwait;

/* syscall.c */
insn_fn syscall_syscall, syscall_sysret, syscall_sysenter, syscall_sysexit;

/* io.c */
insn_select_fn io_select_in, io_select_out, io_select_string;

/* hosted.c: for every instruction that has no row; NULL where the host does not run it */
insn_select_fn hosted_select;

/* x87.c; the first three for what the host runs as it is */
insn_fn x87_registers, x87_read, x87_write;
void x87_set_opcode(const ZydisDecodedInstruction *zydis, struct insn *insn);
insn_fn x87_wait, x87_nop, x87_fldcw, x87_fnstcw, x87_fnstsw, x87_fnclex, x87_fninit;
insn_fn x87_fnstenv, x87_fldenv, x87_fnsave, x87_frstor;

/* simd.c */
insn_fn simd_ldmxcsr, simd_stmxcsr, simd_vzeroupper, simd_vzeroall;
insn_fn simd_maskmov4, simd_maskmov8, simd_maskmovdqu, simd_maskmovq;
insn_fn simd_gather_d4, simd_gather_q4, simd_gather_d8, simd_gather_q8;
insn_select_fn simd_maskmov_di_select, simd_gather_select;

/* xsave.c */
insn_fn xsave_fxsave, xsave_fxrstor;
insn_fn xsave_xsave, xsave_xsaveopt, xsave_xsavec, xsave_xsaves, xsave_xrstor, xsave_xrstors;

#endif
