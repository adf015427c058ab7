/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Halts with interrupts off, for ever. */
#include "bare.inc"

main:
	cli
	hlt
	jmp main
