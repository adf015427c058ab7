/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hypervisor that does no more than switch VT-x on, and off and on again at each key on COM1.
 * SDM3: "Enabling and Entering VMX Operation".
 */
#include "bare.inc"

#define CR0_NE       0x20
#define CR0_PG       0x80000000
#define CR4_PSE      0x10
#define CR4_VMXE     0x2000
#define MSR_FEATURES 0x3a /* locked, VMXON allowed */
#define MSR_VMX      0x480

main:
	cli
	movl $0x83, page_directory /* 4 MiB, as they are */
	mov $page_directory, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $(CR4_PSE | CR4_VMXE), %eax
	mov %eax, %cr4
	mov %cr0, %eax
	or $(CR0_NE | CR0_PG), %eax
	mov %eax, %cr0
	mov $MSR_FEATURES, %ecx
	rdmsr
	test $1, %al
	jnz locked
	or $5, %eax
	wrmsr
locked:
	mov $MSR_VMX, %ecx
	rdmsr
	mov %eax, region
on:
	vmxon region_address
	call wait_for_key
	vmxoff
	call wait_for_key
	jmp on

wait_for_key:
	mov $COM1_LSR, %dx
	in %dx, %al
	test $1, %al
	jz wait_for_key
	mov $COM1, %dx
	in %dx, %al
	ret

	.data
	.balign 4096
page_directory:
	.fill 4096, 1, 0
region:
	.fill 4096, 1, 0
region_address:
	.long region, 0
