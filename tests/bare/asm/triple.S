/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interrupt without an IDT: a triple fault. */
#include "bare.inc"

main:
	lidt no_idt
	int3
	ret
no_idt:
	.word 0
	.long 0
