/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handlers that the table of instructions names, a section for each file. Handlers are of type
 * insn_fn: exec(cpu, insn). *_select chooses one for an encoding (insn_select_fn).
 */
#ifndef CPU_EXEC_EXEC_H
#define CPU_EXEC_EXEC_H

#include "cpu/decode/table.h"

/* alu.c */

/* mov.c */

/* shift.c */

/* muldiv.c */

/* branch.c */

/* stack.c */

/* string.c */

/* bit.c */

/* bcd.c */

/* flag.c */
insn_fn flag_undefined; /* #UD: no such instruction */
insn_fn flag_too_long;  /* #GP(0): more than 15 bytes */

/* far.c: far transfers, segment registers */

/* system.c, io.c */

/* vector.c: host-run instructions */

#endif
