/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GS base by the kernel's means: see lib/gsbase.h.
 */
#define _GNU_SOURCE
#include "lib/gsbase.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE BIT(1)

bool gsbase_has_instruction(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

void gsbase_set_by_kernel(const void *base)
{
	syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}
