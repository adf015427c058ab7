/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints a line and ends by the debug-exit port with the number on the command line. */
#include "bare.inc"

main:
	mov $text, %esi
	call print
	mov %ebp, %eax
	mov $DEBUG_EXIT, %dx
	out %al, %dx
	ret
text:
	.asciz "bare: hello\n"
