/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The emitters of instructions (gen_fn in cpu/jit/translate.h), a section for each file.
 */
#ifndef CPU_JIT_GEN_H
#define CPU_JIT_GEN_H

#include "cpu/jit/translate.h"

/* gen_general.c: whatever has general registers and an ordinary memory operand, as it is */
gen_fn gen_general, gen_add, gen_mov, gen_test, gen_lea, gen_nop;

/* gen_bit.c */
gen_fn gen_bit;

/* gen_hosted.c: vector, x87 and other instructions that cpu/exec/hosted.c has the host run */
gen_fn gen_hosted, gen_x87_status, gen_vector_state;

/* gen_string.c */
gen_fn gen_movs, gen_stos, gen_lods;

/* gen_branch.c */
gen_fn gen_jcc, gen_jmp, gen_call, gen_ret;

/* gen_stack.c */
gen_fn gen_push, gen_pop, gen_leave, gen_pushf;

/* gen_system.c */
gen_fn gen_cli, gen_sti, gen_cld, gen_std, gen_stac, gen_clac, gen_swapgs, gen_popf;

/* gen_state.c: the TSC, PKRU, selectors, the bases of FS and GS, control registers that are read,
 * the VMCS */
gen_fn gen_rdtsc, gen_rdpkru, gen_read_selector, gen_read_base, gen_write_base, gen_read_control,
	gen_vmread, gen_vmwrite;

/* gen_syscall.c */
gen_fn gen_syscall, gen_sysret;

#endif
