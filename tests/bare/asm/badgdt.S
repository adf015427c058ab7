/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads a descriptor table that lies outside memory, then a segment from it. */
#include "bare.inc"

main:
	lidt gdt
	lgdt gdt
	mov $0x10, %eax
	mov %eax, %ds
	ljmp $8, $main
gdt:
	.word 0xffff
	.long 0xfffff000
