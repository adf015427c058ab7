/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Executes random bytes: each fault starts the next 64 of them, for 5000 rounds; then a triple fault. */
#include "bare.inc"

#define ROUNDS 5000
main:
	mov $idt, %edi
	mov $256, %ecx
1:	mov $next, %eax
	mov %ax, (%edi)
	movw %cs, 2(%edi)
	movw $0x8e00, 4(%edi)
	shr $16, %eax
	mov %ax, 6(%edi)
	add $8, %edi
	loop 1b
	mov %ebp, state
	movl $ROUNDS, left
	lidt idt_at
next:
	cld
	mov $stack_top, %esp
	mov %ss:state, %ebp
	mov %ss, %eax
	mov %eax, %ds
	mov %eax, %es
	decl left
	jz 3f
	mov $code, %edi
	mov $16, %ecx
2:	call random
	mov %eax, (%edi)
	add $4, %edi
	loop 2b
	mov %ebp, state
	movb $0xcc, (%edi)
	jmp code
3:	mov $text, %esi
	call print
	lidt no_idt
	int3
text:
	.asciz "bare: survived\n"
no_idt:
	.word 0
	.long 0
idt_at:
	.word 256 * 8 - 1
	.long idt
	.data
state:	.long 0
left:	.long 0
code:	.skip 80
	.bss
	.balign 8
idt:	.skip 256 * 8
