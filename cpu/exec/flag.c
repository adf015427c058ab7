/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions on single flags, hints, and those that do nothing but raise an exception.
 * SDM2: "CLI", "STI", "LAHF", "INT n", "BOUND", "UD".
 */
#include "cpu/exec/exec.h"

void flag_undefined(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise(cpu, EXC_UD);
}

void flag_too_long(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise_code(cpu, EXC_GP, 0);
}
