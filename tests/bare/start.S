/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of a bare test image: multiboot 1 header, 32-bit protected mode to 64-bit mode with the first
 * 4 GiB mapped one to one in 2 MiB pages, interrupt stubs, start-up code of application processors.
 */
#define CR4_PAE 0x20
#define EFER_LME_NXE 0x900
#define FRAME_BYTES  (22 * 8) /* struct frame */

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl _start
_start:
	mov $stack_top, %esp
	mov %ebx, boot_info
	lgdt gdt_pointer
	mov $pml4, %edi
	movl $pdpt + 7, (%edi)
	mov $pdpt, %edi
	mov $page_directories + 7, %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $8, %edi
	add $4096, %eax
	loop 1b
	mov $page_directories, %edi
	mov $0x83, %eax
	mov $2048, %ecx
2:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 2b
	call to_long_mode
	ljmp $8, $start64

to_long_mode:
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	xor %edx, %edx
	mov $EFER_LME_NXE, %eax
	wrmsr
	mov $0x80010033, %eax
	mov %eax, %cr0
	ret

	.code64
start64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $stack_top, %rsp
	call bare_start
	hlt

/* Application processors start here, copied to page 8: real mode, CS = 0800h. */
	.globl ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + ap_gdt_pointer - ap_trampoline
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x18, $ap32
	.align 4
	.globl ap_gdt_pointer
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:

	.code32
ap32:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $ap_stack_top, %esp
	call to_long_mode
	ljmp $8, $ap64
	.code64
ap64:
	mov $ap_stack_top, %rsp
	lidt idt_pointer
	call *ap_entry
1:	hlt
	jmp 1b

/*
 * int64_t run_frame(struct frame *frame): bare.h. IRETQ makes the first instruction the guest code's
 * own, whatever its mode, stack and flags are.
 */
	.globl run_frame
run_frame:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rdi, running_frame
	mov %rsp, recover_rsp
	movq $1f, recover_rip
	mov $FRAME_BYTES / 8 - 1, %ecx
2:	pushq (%rdi, %rcx, 8)
	dec %ecx
	jns 2b
	jmp leave_frame
1:	movq $0, recover_rip
	mov trap, %rax
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* One stub a vector: pushes an error code where the processor did not, and the vector. */
	.altmacro
	.macro stub vector
	.align 16
	.if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21)
	.else
	push $0
	.endif
	push $\vector
	jmp common
	.endm

	.align 16
	.globl stubs
stubs:
	.set n, 0
	.rept 256
	stub %n
	.align 16
	.set n, n + 1
	.endr

common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi
	cld
	mov %rsp, %rbp
	and $-16, %rsp
	call bare_trap
	mov %rbp, %rsp
leave_frame:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.data
	.align 16
	.globl gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 08 code64 */
	.quad 0x00cf93000000ffff	/* 10 data */
	.quad 0x00cf9b000000ffff	/* 18 code32 */
	.quad 0x00009b000000ffff	/* 20 code16, base 0 */
	.quad 0x000093000000ffff	/* 28 data16, base 0 */
	.quad 0x00cffb000000ffff	/* 30 user code32 */
	.quad 0x00cff3000000ffff	/* 38 user data */
	.quad 0x00affb000000ffff	/* 40 user code64 */
	.quad 0, 0			/* 48 task state */
	.fill 22, 8, 0			/* 58.. for tests */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.align 8
	.globl ap_entry
ap_entry:
	.quad 0

	.bss
	.align 4096
	.globl pml4, pdpt, page_directories
pml4:	.skip 4096
pdpt:	.skip 4096
page_directories: .skip 4 * 4096
	.skip 65536
	.globl stack_top
stack_top:
	.skip 16384
ap_stack_top:
