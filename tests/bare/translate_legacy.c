/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same hot 32-bit kernel code in compatibility mode and out of long mode: without paging, with
 * 32-bit paging and with PAE paging. All four share its translation, and what it computes.
 */
#include "bare.h"

#define CR0_PG  (1u << 31)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define ROUNDS  3000

/* From 64-bit mode; the result of work(). `pg` is CR0_PG or 0. */
uint32_t legacy_run(uint32_t cr3, uint32_t cr4, uint32_t pg);
uint32_t compatible_run(void);

uint32_t work_words[256];

asm(".pushsection .text\n"
    ".code32\n"
    /* EAX = a sum of what the rounds have done to work_words; keeps nothing. */
    "work: mov $1, %eax; mov $work_words, %ebx; mov %ebx, %edi; mov $256, %ecx; rep stosl\n"
    "mov $3000, %ecx\n"
    "1: push %ecx; push %eax; and $127, %ecx; lea (%ebx,%ecx,4), %esi; call 2f; pop %edx\n"
    "pop %ecx; add %edx, %eax; xor work_words + 64, %eax; dec %ecx; jnz 1b; ret\n"
    "2: push %ebp; mov %esp, %ebp; mov 8(%ebp), %eax; add %eax, (%esi); mov 4(%esi), %edx\n"
    "adc %edx, 8(%esi); imul $0x10dcd, %eax, %eax; rol $5, %eax; pushf; add %eax, 12(%esi)\n"
    "popf; sbb (%esi), %eax; leave; ret\n"

    ".code64\n"
    "enter_32: mov %rsp, kept_rsp; ljmp *pointer_32\n"
    ".globl compatible_run\n"
    "compatible_run: push %rbx; push %rbp; movl $4f, pointer_32; jmp enter_32\n"
    ".globl legacy_run\n"
    "legacy_run: push %rbx; push %rbp; mov %edx, %ebp; movl $3f, pointer_32; jmp enter_32\n"

    ".code32\n"
    "3: call set_segments; mov %cr4, %eax; mov %eax, kept_cr4; mov %cr3, %eax\n"
    "mov %eax, kept_cr3; call leave_long; mov %esi, %cr4; mov %edi, %cr3\n"
    "mov %cr0, %eax; or %ebp, %eax; mov %eax, %cr0; call work; mov %eax, result\n"
    "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0; mov kept_cr4, %eax\n"
    "mov %eax, %cr4; mov kept_cr3, %eax; mov %eax, %cr3; mov $0xc0000080, %ecx; rdmsr\n"
    "or $0x100, %eax; wrmsr; mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
    "ljmp $8, $5f\n"
    "4: call set_segments; call work; mov %eax, result; ljmp $8, $5f\n"

    "set_segments: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; ret\n"
    "leave_long: mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
    "mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr; ret\n"

    ".code64\n"
    "5: mov kept_rsp, %rsp; pop %rbp; pop %rbx; mov result, %eax; ret\n"
    ".popsection\n"
    ".pushsection .data\n"
    "pointer_32: .long 0; .word 0x18\n" /* SEL_CODE32 */
    ".balign 8\n"
    "kept_rsp: .quad 0\n"
    "kept_cr3: .long 0\n"
    "kept_cr4: .long 0\n"
    "result: .long 0\n"
    ".popsection");

/* What `work` does. */
static uint32_t expected(void)
{
	static uint32_t words[256];
	uint32_t sum = 1;

	for (unsigned i = 0; i < 256; i++)
		words[i] = 1;
	for (uint32_t round = ROUNDS; round; round--) {
		uint32_t *w = &words[round & 127], value = sum, before = w[0];
		uint64_t second;
		bool carry;

		w[0] += value;
		carry = w[0] < before;
		second = (uint64_t)w[2] + w[1] + carry;
		w[2] = (uint32_t)second;
		value *= 0x10dcd;
		/* ROL leaves in CF the bit that it has brought to the right. */
		value = value << 5 | value >> 27;
		carry = value & 1;
		w[3] += value;
		value -= w[0] + carry;
		sum = (value + sum) ^ words[16];
	}
	return sum;
}

static uint32_t *four_megabyte_pages(void)
{
	uint32_t *directory = page_alloc();

	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | PTE_P | PTE_W | PTE_PS;
	return directory;
}

static uint64_t *pointers(void)
{
	uint64_t *table = page_alloc();

	for (unsigned i = 0; i < 4; i++)
		table[i] = (uintptr_t)(page_directories + 512 * i) | PTE_P;
	return table;
}

void test_main(void)
{
	uint32_t want = expected(), directory = (uint32_t)(uintptr_t)four_megabyte_pages();
	uint32_t pdpt_32 = (uint32_t)(uintptr_t)pointers();

	for (unsigned i = 0; i < 3; i++) {
		check(compatible_run() == want, "compatibility mode");
		check(legacy_run(0, 0, 0) == want, "no paging");
		check(legacy_run(directory, CR4_PSE, CR0_PG) == want, "32-bit paging");
		check(legacy_run(pdpt_32, CR4_PAE, CR0_PG) == want, "PAE paging");
	}
}
