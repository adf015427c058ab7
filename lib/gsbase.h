/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This thread's GS base, which the C library leaves to the program: it uses FS.
 */
#ifndef LIB_GSBASE_H
#define LIB_GSBASE_H

#include "lib/base.h"

/* Whether there is an instruction for it that the kernel lets us use; else it is a system call. */
bool gsbase_has_instruction(void);

void gsbase_set_by_kernel(const void *base);

static inline void gsbase_set(const void *base, bool has_instruction)
{
	if (likely(has_instruction))
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else
		gsbase_set_by_kernel(base);
}

#endif
