/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks for signals: see cpu/jit/signal_stack.h. The lowest page of one is not accessible, so what
 * needs more ends there and changes nothing else.
 */
#define _GNU_SOURCE
#include "cpu/jit/signal_stack.h"

#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#define HANDLER_BYTES (64 * KIB)

/* The frame has all of the vector registers, whose size the kernel says (0: an old one). */
static size_t stack_bytes(void)
{
	return PAGE_BYTES + align_up(HANDLER_BYTES + getauxval(AT_MINSIGSTKSZ), PAGE_BYTES);
}

int signal_stack_create(struct cpu *cpu)
{
	uint8_t *stack = mmap(NULL, stack_bytes(), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return -ENOMEM;
	if (mprotect(stack, PAGE_BYTES, PROT_NONE)) {
		munmap(stack, stack_bytes());
		return -ENOMEM;
	}
	cpu->jit.signal_stack = stack;
	return 0;
}

void signal_stack_destroy(struct cpu *cpu)
{
	if (cpu->jit.signal_stack)
		munmap(cpu->jit.signal_stack, stack_bytes());
	cpu->jit.signal_stack = NULL;
}

void signal_stack_give(const struct cpu *cpu)
{
	stack_t now, stack = { .ss_sp = cpu->jit.signal_stack, .ss_size = stack_bytes() };

	if (stack.ss_sp && !sigaltstack(NULL, &now) && (now.ss_flags & SS_DISABLE))
		sigaltstack(&stack, NULL);
}

void signal_stack_take(const struct cpu *cpu)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t now;

	if (cpu->jit.signal_stack && !sigaltstack(NULL, &now) && now.ss_sp == cpu->jit.signal_stack)
		sigaltstack(&none, NULL);
}
