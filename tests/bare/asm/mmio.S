/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random reads and writes of every size to random addresses from C0000000h to FFFFFFFFh: devices, windows, holes. */
#include "bare.inc"

/* Half of them to the page of the IOAPIC, the HPET or the local APIC. */
main:
	mov $20000, %ecx
1:	call random
	mov %eax, %ebx
	or $0xc0000000, %ebx
	call random
	test $3, %al
	jz 2f
	mov %ebx, %edx
	and $0xfff, %edx
	movzx %ah, %eax
	and $3, %eax
	mov pages(, %eax, 4), %ebx
	or %edx, %ebx
2:	call random
	mov %al, (%ebx)
	mov (%ebx), %dl
	call random
	mov %ax, (%ebx)
	mov (%ebx), %dx
	call random
	mov %eax, (%ebx)
	mov (%ebx), %edx
	loop 1b
	jmp survived
pages:
	.long 0xfec00000, 0xfed00000, 0xfee00000, 0xfeb00000
