/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random writes to configuration space by CF8h and CFCh, of every function on bus 0. */
#include "bare.inc"

main:
	mov $20000, %ecx
1:	call random
	and $0x0000fffc, %eax
	or $0x80000000, %eax
	mov $0xcf8, %dx
	out %eax, %dx
	mov $0xcfc, %dx
	in %dx, %eax
	call random
	out %eax, %dx
	call random
	out %ax, %dx
	in %dx, %al
	loop 1b
	jmp survived
