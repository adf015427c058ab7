/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A loop without an exit, interrupts off. */
#include "bare.inc"

main:
	cli
	jmp main
