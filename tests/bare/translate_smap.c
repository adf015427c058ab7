/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot kernel code that opens and closes the way to user pages in the middle of a piece, under SMAP,
 * with its stack on either kind of page; and CMPXCHG16B. SDM2: "STAC", "CLAC", "CMPXCHG16B".
 */
#include "bare.h"

#define WARM       200
#define CR4_SMAP   (1ull << 21)
#define CPUID_SMAP (1u << 20) /* leaf 7, EBX */
#define AC_FLAG    0x40000u
#define STATUS     0x8d5u
#define ZF         0x40u
#define VALUE      0x1122334455667788ull

static uint8_t *code;
static uint64_t *data, *shared; /* a user page, and one of the kernel */
static struct frame frame;      /* of the last run */

static uint64_t peek(const uint64_t *at)
{
	uint64_t value;

	asm volatile("stac; mov %1, %0; clac" : "=r"(value) : "m"(*at));
	return value;
}

static int64_t run(void)
{
	frame = frame_at(code);
	frame.rdi = (uintptr_t)data;
	frame.rsi = 5;
	frame.rcx = 40;
	return run_frame(&frame);
}

CODE(opens, "stac; mov (%rdi), %rax; clac; ud2");
CODE(twice, "stac; stac; mov (%rdi), %rax; clac; clac; stac; add (%rdi), %rax; clac; ud2");
CODE(loops, "xor %eax, %eax; stac; 1: add (%rdi), %rax; dec %ecx; jnz 1b; clac; ud2");
CODE(on_stack, "push %rsi; stac; mov (%rdi), %rax; mov %rax, (%rsp); clac; pop %rax; ud2");
CODE(user_stack, "mov %rsp, %rbp; stac; lea 64(%rdi), %rsp; push %rsi; push %rdi; pop %rbx\n"
		 "pop %rdx; mov %rbp, %rsp; push %rdx; clac; pop %rdx; mov $1, %eax; ud2");
CODE(closed, "mov $1, %eax; mov (%rdi), %rbx; ud2");
CODE(closed_again, "stac; mov (%rdi), %rax; clac; mov (%rdi), %rbx; ud2");
CODE(closed_behind_loop,
     "stac; 1: mov (%rdi), %rax; dec %ecx; jnz 1b; clac; jmp 2f; 2: mov (%rdi), %rbx; ud2");

static const struct piece {
	const char *name;
	const uint8_t *code, *end;
	uint64_t rax;
	uint8_t fault_at; /* the load that faults, if one does */
} pieces[] = {
#define PIECE(name, ...)                             \
	{                                            \
#name, name, name##_end, __VA_ARGS__ \
	}
	PIECE(opens, VALUE, 0),        PIECE(twice, 2 * VALUE, 0),
	PIECE(loops, 40 * VALUE, 0),   PIECE(on_stack, VALUE, 0),
	PIECE(user_stack, 1, 0),       PIECE(closed, 1, 5),
	PIECE(closed_again, VALUE, 9), PIECE(closed_behind_loop, VALUE, 15),
};

static void test_piece(const struct piece *p)
{
	int64_t wanted = p->fault_at ? PF : UD;
	uint64_t at = p->fault_at ? p->fault_at : (uint64_t)(p->end - p->code) - 2;
	unsigned good = 0;

	place_code(code, p->code, p->end);
	for (unsigned i = 0; i < WARM; i++) {
		good += run() == wanted && frame.rax == p->rax && !(frame.rflags & AC_FLAG) &&
			frame.rip == (uintptr_t)code + at;
		if (p->code == user_stack)
			good -= frame.rdx != 5 || frame.rbx != (uintptr_t)data ||
				peek(&data[7]) != 5;
	}
	check(good == WARM, "SMAP in a hot piece: %s: %u", p->name, good);
}

static void test_smap(void)
{
	if (!(cpuid(7, 0).b & CPUID_SMAP)) {
		check(true, "SMAP # SKIP the processor has none");
		return;
	}
	data[0] = VALUE;
	make_user(data);
	WRITE_CR(4, READ_CR(4) | CR4_SMAP);
	for (unsigned i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
		test_piece(&pieces[i]);
	WRITE_CR(4, READ_CR(4) & ~CR4_SMAP);
}

/* RDI points to the operand, which is 7 in 128 bits. */
CODE(exchanges, "lock cmpxchg16b (%rdi); ud2");

static void test_exchange(void)
{
	unsigned good = 0;

	PLACE(code, exchanges);
	for (unsigned i = 0; i < WARM; i++) {
		bool is_misaligned = i % 8 == 7, is_equal = i % 2;

		shared[0] = 7;
		shared[1] = 0;
		frame = frame_at(code);
		frame.rdi = (uintptr_t)shared + (is_misaligned ? 8 : 0);
		frame.rax = is_equal ? 7 : 8;
		frame.rbx = 9;
		frame.rcx = 10;
		frame.rflags |= i % 3 ? STATUS : 0;
		run_frame(&frame);
		if (is_misaligned)
			good += frame.vector == GP && shared[0] == 7 &&
				frame.rip == (uintptr_t)code;
		else
			good += frame.vector == UD && shared[0] == (is_equal ? 9 : 7) &&
				shared[1] == (is_equal ? 10 : 0) && frame.rax == 7 &&
				!(frame.rflags & ZF) == !is_equal &&
				(frame.rflags & STATUS & ~ZF) == (i % 3 ? STATUS & ~ZF : 0);
	}
	check(good == WARM, "CMPXCHG16B: %u", good);
}

void test_main(void)
{
	code = page_alloc();
	data = page_alloc();
	shared = page_alloc();
	test_exchange();
	test_smap();
}
