/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes random values of every size to every port, and reads them, except those that end the machine. */
#include "bare.inc"

/* Skipped: reset by 64h, 92h and CF9h; B2h; the debug-exit port; and the ACPI PM block at 600h. */
main:
	xor %ebx, %ebx
1:	cmp $0x64, %ebx
	je 3f
	cmp $0x92, %ebx
	je 3f
	cmp $0xb2, %ebx
	je 3f
	mov %ebx, %eax
	and $0xfffffffc, %eax
	cmp $0xcf8, %eax
	je 3f
	cmp $DEBUG_EXIT, %eax
	je 3f
	and $0xffffff00, %eax
	cmp $0x600, %eax
	je 3f
	mov $8, %ecx
2:	mov %ebx, %edx
	call random
	out %al, %dx
	call random
	out %ax, %dx
	call random
	out %eax, %dx
	in %dx, %al
	in %dx, %ax
	in %dx, %eax
	loop 2b
3:	inc %ebx
	cmp $0x10000, %ebx
	jb 1b
	jmp survived
