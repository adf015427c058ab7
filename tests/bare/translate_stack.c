/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks and strings of hot code at page borders: pushes, pops, calls, returns, ENTER and LEAVE
 * whose next page is missing, in the middle of a block; and REP string instructions of every size
 * and direction that meet a missing page on their way.
 */
#include "bare.h"

#define WARM     100
#define DF       0x400u
#define STATUS   0x8d5u
#define POPS_MAX 6

static uint8_t *code, *below, *stack, *above; /* the pages around the stack's may be missing */

static struct frame stack_frame(uint64_t rsp)
{
	struct frame frame = frame_at(code);

	frame.rax = 0xa0a1a2a3a4a5a6a7;
	frame.rcx = 0xb0b1b2b3b4b5b6b7;
	frame.rdx = 0xc0c1c2c3c4c5c6c7;
	frame.rbx = 0xd0d1d2d3d4d5d6d7;
	frame.rsi = 0xe0e1e2e3e4e5e6e7;
	frame.rdi = 0xf0f1f2f3f4f5f6f7;
	frame.rflags = 2 | STATUS;
	frame.rsp = rsp;
	return frame;
}

static bool faulted(const struct frame *frame, unsigned at, uint64_t rsp, uint64_t error,
		    uint64_t cr2)
{
	return frame->vector == PF && frame->rip == (uintptr_t)code + at && frame->rsp == rsp &&
	       frame->error == error && trap.cr2 == cr2 && (frame->rflags & STATUS) == STATUS;
}

static void heat(uint64_t rsp)
{
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = stack_frame(rsp);

		run_frame(&frame);
	}
}

/* ---- rows of pushes and pops ---- */

CODE(pushes, "push %rax; push %rcx; push %rdx; push %rbx; push %rsi; push %rdi; ud2");
CODE(pops, "pop %rax; pop %rcx; pop %rdx; pop %rbx; pop %rsi; pop %rdi; ud2");

/* The first n pushes find room above the missing page; RSP is `skew` bytes off its alignment. */
static bool pushes_hold(unsigned n, unsigned skew)
{
	uint64_t bottom = (uintptr_t)stack + skew;
	struct frame start = stack_frame(bottom + 8 * n), frame = start;
	const uint64_t values[] = { start.rax, start.rcx, start.rdx, start.rbx, start.rsi };
	const uint64_t *memory = (uint64_t *)bottom;

	for (unsigned i = 0; i < 64; i++)
		stack[i] = 0;
	run_frame(&frame);
	for (unsigned i = 0; i < n; i++)
		if (memory[n - 1 - i] != values[i])
			return false;
	for (unsigned i = 0; i < skew; i++)
		if (stack[i])
			return false; /* a part of the one that crosses the border */
	return faulted(&frame, n, bottom, 2, bottom - 8);
}

static bool pops_hold(unsigned n, unsigned skew)
{
	uint64_t top = (uintptr_t)above - skew, *memory = (uint64_t *)(top - 8 * n);
	struct frame start = stack_frame((uintptr_t)memory), frame = start;
	const uint64_t *got[] = { &frame.rax, &frame.rcx, &frame.rdx, &frame.rbx, &frame.rsi };

	for (unsigned i = 0; i < n; i++)
		memory[i] = 1000 + i;
	run_frame(&frame);
	for (unsigned i = 0; i < n; i++)
		if (*got[i] != 1000 + i)
			return false;
	return (n > 0 || frame.rax == start.rax) && frame.rdi == start.rdi &&
	       faulted(&frame, n, top, 0, skew ? (uintptr_t)above : top);
}

static void test_rows(void)
{
	PLACE(code, pushes);
	heat((uintptr_t)stack + 256);
	for (unsigned n = 0; n < POPS_MAX - 1; n++)
		for (unsigned skew = 0; skew < 8; skew += 4)
			check(pushes_hold(n, skew), "%u pushes, then #PF, %u bytes off", n, skew);
	PLACE(code, pops);
	heat((uintptr_t)stack + 256);
	for (unsigned n = 0; n < POPS_MAX - 1; n++)
		for (unsigned skew = 0; skew < 8; skew += 4)
			check(pops_hold(n, skew), "%u pops, then #PF, %u bytes off", n, skew);
}

/* ---- each instruction that uses the stack, at its border ---- */

CODE(nop_push, "nop; push %rax; ud2");
CODE(push_imm, "nop; push $5; ud2");
CODE(push_rsp, "nop; push %rsp; ud2");
CODE(push_16, "nop; pushw %ax; ud2");
CODE(push_flags, "nop; pushf; ud2");
CODE(call, "nop; call 1f; 1: ud2");
CODE(call_reg, "lea 1f(%rip), %rax; call *%rax; 1: ud2");
CODE(enter, "nop; enter $16, $0; ud2");
CODE(store_below, "sub $8, %rsp; mov %rax, (%rsp); ud2");
CODE(call_ret, "nop; call 1f; ud2; 1: push %rax; pop %rcx; ret");
CODE(nop_pop, "nop; pop %rax; ud2");
CODE(pop_rsp, "nop; pop %rsp; ud2");
CODE(pop_16, "nop; popw %ax; ud2");
CODE(pop_flags, "nop; popf; ud2");
CODE(ret, "nop; ret; ud2");
CODE(ret_imm, "nop; ret $64; ud2");
CODE(leave, "mov %rsp, %rbp; leave; ud2");
CODE(iret, "nop; iretq; ud2");
CODE(load_above, "nop; mov (%rsp), %rax; ud2");
CODE(add_above, "nop; not %rax; notq (%rsp); ud2");

static const struct edge {
	const char *name;
	const uint8_t *code, *end;
	uint8_t at;    /* the faulting instruction's offset */
	uint8_t size;  /* bytes that it pushes or pops first */
	int8_t moved;  /* how far RSP has moved before it */
	bool is_below; /* it touches the page below, else that above */
	uint8_t error;
} edges[] = {
#define EDGE(name, ...)                              \
	{                                            \
#name, name, name##_end, __VA_ARGS__ \
	}
	EDGE(nop_push, 1, 8, 0, true, 2),   EDGE(push_imm, 1, 8, 0, true, 2),
	EDGE(push_rsp, 1, 8, 0, true, 2),   EDGE(push_16, 1, 2, 0, true, 2),
	EDGE(push_flags, 1, 8, 0, true, 2), EDGE(call, 1, 8, 0, true, 2),
	EDGE(call_reg, 7, 8, 0, true, 2),   EDGE(enter, 1, 8, 0, true, 2),
	EDGE(call_ret, 1, 8, 0, true, 2),   EDGE(nop_pop, 1, 8, 0, false, 0),
	EDGE(pop_rsp, 1, 8, 0, false, 0),   EDGE(pop_16, 1, 2, 0, false, 0),
	EDGE(pop_flags, 1, 8, 0, false, 0), EDGE(ret, 1, 8, 0, false, 0),
	EDGE(ret_imm, 1, 8, 0, false, 0),   EDGE(leave, 3, 8, 0, false, 0),
	EDGE(iret, 1, 8, 0, false, 0),      EDGE(load_above, 1, 8, 0, false, 0),
	EDGE(add_above, 4, 8, 0, false, 2),
};

/* A stack from which each of them can go: what it would return to is the UD2 at its end. */
static void heat_edge(const struct edge *edge)
{
	uint64_t *memory = (uint64_t *)(stack + 2048);

	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = stack_frame((uintptr_t)memory);

		memory[0] = (uintptr_t)code + (uintptr_t)(edge->end - edge->code) - 2;
		memory[1] = SEL_CODE64;
		memory[2] = 2;
		memory[3] = (uintptr_t)memory;
		memory[4] = SEL_DATA;
		if (edge->code == pop_flags)
			memory[0] = 2;
		run_frame(&frame);
	}
}

static void test_edge(const struct edge *edge)
{
	uint64_t border = (uintptr_t)(edge->is_below ? stack : above);
	uint64_t cr2 = edge->is_below ? border - edge->size : border;
	struct frame frame;

	place_code(code, edge->code, edge->end);
	heat_edge(edge);
	check(trap.vector == UD, "%s: hot", edge->name);
	frame = stack_frame(border);
	run_frame(&frame);
	check(faulted(&frame, edge->at, border, edge->error, cr2),
	      "%s: at the border: #PF at +%u, error %lx", edge->name,
	      (unsigned)(frame.rip - (uintptr_t)code), frame.error);
	frame = stack_frame(0x0000800000000000ull + (edge->is_below ? edge->size : 0));
	run_frame(&frame);
	check(frame.vector == SS && frame.error == 0 && frame.rip == (uintptr_t)code + edge->at,
	      "%s: not canonical: #SS(0)", edge->name);
}

static void test_moved(void)
{
	struct frame frame;

	PLACE(code, store_below);
	heat((uintptr_t)stack + 256);
	frame = stack_frame((uintptr_t)stack);
	run_frame(&frame);
	/* SUB has set the flags anew. */
	check(frame.vector == PF && frame.rip == (uintptr_t)code + 4 &&
		      frame.rsp == (uintptr_t)stack - 8 && frame.error == 2,
	      "a store to the stack below the border: #PF with RSP moved");
}

/* POP to memory: the address is computed with RSP already moved, and a fault leaves it unmoved. */
CODE(pop_mem, "pop 8(%rsp); ud2");
CODE(push_mem, "push 8(%rsp); ud2");

static void test_memory_forms(void)
{
	uint64_t *memory = (uint64_t *)(stack + 2048), *top = (uint64_t *)above - 1;
	struct frame frame;
	unsigned good = 0;

	PLACE(code, pop_mem);
	for (unsigned i = 0; i < WARM; i++) {
		memory[0] = i;
		memory[2] = 0;
		frame = stack_frame((uintptr_t)memory);
		run_frame(&frame);
		good += memory[2] == i && frame.rsp == (uintptr_t)(memory + 1);
	}
	check(good == WARM, "POP to the stack by RSP: %u", good);
	frame = stack_frame((uintptr_t)top);
	run_frame(&frame);
	check(faulted(&frame, 0, (uintptr_t)top, 2, (uintptr_t)above + 8), "its store faults");
	PLACE(code, push_mem);
	good = 0;
	for (unsigned i = 0; i < WARM; i++) {
		memory[1] = i;
		frame = stack_frame((uintptr_t)memory);
		run_frame(&frame);
		good += memory[-1] == i && frame.rsp == (uintptr_t)(memory - 1);
	}
	check(good == WARM, "PUSH from the stack by RSP: %u", good);
	frame = stack_frame((uintptr_t)top);
	run_frame(&frame);
	check(faulted(&frame, 0, (uintptr_t)top, 0, (uintptr_t)above), "its load faults");
	frame = stack_frame((uintptr_t)stack);
	run_frame(&frame);
	check(faulted(&frame, 0, (uintptr_t)stack, 2, (uintptr_t)stack - 8), "its store faults");
}

/* ---- stack accesses that stand for one another ---- */

CODE(vector_first, "movups (%rsp), %xmm0; mov 8(%rsp), %rax; mov 16(%rsp), %rbx; ud2");
#define CR0_TS     (1ull << 3)
#define CR4_OSFXSR (1ull << 9)

CODE(far_moves, "mov (%rsp), %rax; add $0x7fffffff, %rsp; add $0x7fffffff, %rsp; "
		"mov 2(%rsp), %rbx; ud2");

CODE(far_apart, "mov %rax, -0x40000000(%rsp); mov 0x3ffffff8(%rsp), %rcx; ud2");
CODE(far_top, "mov %rax, 0x7ffffffc(%rbx); mov 0x10(%rbx), %rcx; ud2");

/* What is known of the stack and of the vector registers is gone when the hot code runs again. */
static void test_vector_first(void)
{
	uint64_t *memory = (uint64_t *)(stack + 2048);
	unsigned good = 0;

	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	PLACE(code, vector_first);
	memory[1] = 0x1111;
	memory[2] = 0x2222;
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = stack_frame((uintptr_t)memory);

		WRITE_CR(0, READ_CR(0) | CR0_TS);
		asm volatile("clts");
		WRITE_CR(3, READ_CR(3));
		run_frame(&frame);
		good += frame.rax == 0x1111 && frame.rbx == 0x2222;
	}
	check(good == WARM, "loads behind a vector load from the stack: %u", good);
}

/* Two moves whose sum is no 32-bit number. */
static void test_far_moves(void)
{
	uint64_t *memory = (uint64_t *)(stack + 2048);
	struct frame frame;

	PLACE(code, far_moves);
	heat((uintptr_t)memory);
	frame = stack_frame((uintptr_t)memory);
	run_frame(&frame);
	check(frame.vector == PF && frame.rsp == (uintptr_t)memory + 0xfffffffe &&
		      trap.cr2 == (uintptr_t)memory + 0x100000000,
	      "a load 4 GiB above the one before");
}

/*
 * Two accesses that are 2 GiB and more apart are two: the first one, to a missing page, faults for
 * itself, whether the second one's page is there or not.
 */
static void test_far_apart(const uint8_t *from, const uint8_t *end, uint64_t base, int64_t offset)
{
	unsigned good = 0;

	place_code(code, from, end);
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = stack_frame(base);

		frame.rbx = base;
		stack[i] = (uint8_t)i; /* known from now on, for writes */
		run_frame(&frame);
		good += faulted(&frame, 0, base, 2, base + (uint64_t)offset);
	}
	check(good == WARM, "a store at %lx, then a load far from it: #PF: %u", offset, good);
}

CODE(nowhere_push, "mov %cr3, %rax; mov %rax, %cr3; push %rbx; ud2");
CODE(nowhere_load, "mov %cr3, %rax; mov %rax, %cr3; mov (%rsp), %rbx; mov 8(%rsp), %rcx; ud2");

/* Nothing is known of the stack when a block begins with an RSP that is no address. */
static void test_no_stack(const uint8_t *from, const uint8_t *end)
{
	static const uint64_t places[] = { 1ull << 63, 1ull << 62, 1ull << 47, 0x5555ull << 48 };

	place_code(code, from, end);
	for (unsigned p = 0; p < sizeof(places) / sizeof(*places); p++) {
		unsigned good = 0;

		for (unsigned i = 0; i < WARM; i++) {
			struct frame frame = stack_frame(places[p] + 2048);

			run_frame(&frame);
			good += frame.vector == SS && frame.error == 0 &&
				frame.rip == (uintptr_t)code + 6;
		}
		check(good == WARM, "a stack at %lx, which is nowhere: #SS(0): %u", places[p],
		      good);
	}
}

/* ---- ways out while the host's copy of RSP is behind ---- */

CODE(waiting, "push %rax; push %rbx; mov (%rsi), %rcx; push %rcx; mov 8(%rsp), %rdi; pop %rdx; "
	      "pop %rbx; mov (%rsi), %rbx; sub $64, %rsp; mov %rdi, 8(%rsp); add $48, %rsp; ud2");

static bool waiting_holds(uint64_t value, const uint64_t *from, uint64_t *memory)
{
	struct frame frame = stack_frame((uintptr_t)memory), start = frame;

	memory[-9] = 0;
	frame.rsi = (uintptr_t)from;
	run_frame(&frame);
	return frame.vector == UD && frame.rcx == value && frame.rdx == value &&
	       frame.rbx == value && frame.rdi == start.rbx && memory[-1] == start.rax &&
	       memory[-8] == start.rbx && frame.rsp == (uintptr_t)(memory - 3);
}

/* A load between pushes and pops that goes well, that crosses pages, and that faults. */
static void test_waiting(void)
{
	static uint64_t pages[1024] __attribute__((aligned(4096)));
	uint64_t *memory = (uint64_t *)(stack + 2048), crossing = (uintptr_t)(pages + 512) - 4;
	struct frame frame;
	unsigned good = 0;

	PLACE(code, waiting);
	for (unsigned i = 0; i < WARM; i++) {
		pages[0] = i;
		good += waiting_holds(i, pages, memory);
	}
	check(good == WARM, "a load between pushes and pops: %u", good);
	pages[511] = 0x1122334455667788;
	pages[512] = 0x99aabbccddeeff00;
	check(waiting_holds(0xddeeff0011223344, (uint64_t *)crossing, memory),
	      "the same across a border of pages");
	frame = stack_frame((uintptr_t)memory);
	frame.rsi = (uintptr_t)above;
	run_frame(&frame);
	check(frame.vector == PF && frame.rip == (uintptr_t)code + 2 && frame.rsi == trap.cr2 &&
		      frame.rsp == (uintptr_t)(memory - 2),
	      "the same from a missing page: #PF, with RSP moved");
}

/* ---- strings ---- */

#define EQUAL 0x44u /* ZF and PF: what comparing equals gives */

enum string { MOVS, STOS, LODS, SCAS, CMPS };

static const char *const string_names[] = { "movs", "stos", "lods", "scas", "cmps" };
static const uint8_t string_opcodes[] = { 0xa4, 0xaa, 0xac, 0xae, 0xa6 };

static uint8_t *source, *target; /* the second of three pages each; the outer ones may be missing */

/* Puts REP (0: none) with the instruction there, then UD2. */
static void place_string(enum string op, unsigned size, uint8_t rep)
{
	uint8_t *to = code;

	if (size == 2)
		*to++ = 0x66;
	if (rep)
		*to++ = rep;
	if (size == 8)
		*to++ = 0x48;
	*to++ = string_opcodes[op] | (size > 1);
	*to++ = 0x0f;
	*to = 0x0b;
}

static bool uses_source(enum string op)
{
	return op == MOVS || op == LODS || op == CMPS;
}

static bool uses_target(enum string op)
{
	return op != LODS;
}

static struct frame string_frame(uint64_t rsi, uint64_t rdi, uint64_t rcx, uint64_t direction)
{
	struct frame frame = stack_frame((uintptr_t)stack + 2048);

	frame.rsi = rsi;
	frame.rdi = rdi;
	frame.rcx = rcx;
	frame.rax = 0x5a5a5a5a5a5a5a5a;
	frame.rflags |= direction;
	return frame;
}

static void fill(uint8_t *at, uint8_t value)
{
	for (unsigned i = 0; i < 4096; i++)
		at[i] = value;
}

/*
 * The manual has the flags as before a repeated comparison that faults; processors also leave those
 * of the last pair.
 */
static bool are_flags_kept(enum string op, uint64_t rflags)
{
	rflags &= STATUS;
	return rflags == STATUS || ((op == SCAS || op == CMPS) && rflags == EQUAL);
}

/*
 * REP over `count` elements, of which `room` lie in the page that is there; is_source says which
 * side is short. `skew`: the element at the border lies on both sides of it.
 */
static void test_string_fault(enum string op, unsigned size, bool is_down, bool is_source,
			      unsigned skew)
{
	const uint64_t room = 37, count = 100;
	uint8_t *page = is_source ? source : target;
	uint64_t edge = is_down ? (uintptr_t)page + size * (room - 1) + skew
				: (uintptr_t)page + 4096 - size * room - skew;
	uint64_t middle = 2048, moved = (is_down ? -1 : 1) * (int64_t)(size * room);
	uint64_t rsi = is_source ? edge : (uintptr_t)source + middle;
	uint64_t rdi = is_source ? (uintptr_t)target + middle : edge;
	struct frame frame = string_frame(rsi, rdi, count, is_down ? DF : 0);
	bool is_write = !is_source && (op == MOVS || op == STOS), stored = true;
	uint64_t at, cr2;

	fill(source, 0x5a);
	fill(target, op == SCAS || op == CMPS ? 0x5a : 0);
	run_frame(&frame);
	at = is_source ? frame.rsi : frame.rdi;
	cr2 = is_down ? at : skew ? (uintptr_t)page + 4096 : at;
	if (op == MOVS || op == STOS)
		for (uint64_t i = 0; i < size * room; i++)
			stored &= *(uint8_t *)(is_down ? rdi + size - 1 - i : rdi + i) == 0x5a;
	check(frame.vector == PF && frame.rip == (uintptr_t)code && frame.rcx == count - room &&
		      (!uses_source(op) || frame.rsi == rsi + moved) &&
		      (!uses_target(op) || frame.rdi == rdi + moved) &&
		      frame.error == (is_write ? 2 : 0) && trap.cr2 == cr2 && stored &&
		      are_flags_kept(op, frame.rflags),
	      "rep %s of %u bytes, %s, #PF of the %s%s: rcx %lu, error %lx, cr2 %lx",
	      string_names[op], size, is_down ? "down" : "up", is_source ? "source" : "destination",
	      skew ? ", misaligned" : "", frame.rcx, frame.error, trap.cr2 - (uintptr_t)page);
}

static void heat_string(void)
{
	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = string_frame((uintptr_t)source + 2048,
						  (uintptr_t)target + 2048, i % 20, i % 2 ? DF : 0);

		run_frame(&frame);
	}
}

static void test_string_faults(void)
{
	static const unsigned sizes[] = { 1, 2, 4, 8 };

	for (enum string op = MOVS; op <= CMPS; op++)
		for (unsigned s = 0; s < 4; s++) {
			place_string(op, sizes[s], 0xf3);
			heat_string();
			for (unsigned way = 0; way < 8; way++) {
				bool is_source = way & 1;
				unsigned skew = way & 4 ? 1 : 0;

				if ((skew && sizes[s] == 1) ||
				    !(is_source ? uses_source(op) : uses_target(op)))
					continue;
				test_string_fault(op, sizes[s], way & 2, is_source,
						  way & 2 ? 0 : skew);
			}
		}
}

/* Overlap: a store feeds the loads behind it, byte by byte. */
static void test_overlap(void)
{
	unsigned good = 0;
	struct frame frame;

	place_string(MOVS, 1, 0xf3);
	heat_string();
	for (unsigned i = 0; i < WARM; i++) {
		unsigned bad = 0;

		fill(target, 0);
		target[100] = (uint8_t)(i + 1);
		frame = string_frame((uintptr_t)target + 100, (uintptr_t)target + 101, 300, 0);
		run_frame(&frame);
		for (unsigned k = 100; k <= 400; k++)
			bad += target[k] != i + 1;
		good += !bad && !target[401];
	}
	check(good == WARM, "rep movsb onto the next byte repeats it: %u", good);
	place_string(MOVS, 8, 0xf3);
	for (unsigned i = 0; i < 200; i++)
		target[i] = (uint8_t)i;
	frame = string_frame((uintptr_t)target, (uintptr_t)target + 3, 10, 0);
	run_frame(&frame);
	/* 3 bytes behind: each quadword's upper bytes are the lower ones of the next. */
	check(target[3] == 0 && target[10] == 7 && target[11] == 5 && target[18] == 15 &&
		      target[19] == 13,
	      "rep movsq with an overlap of five bytes");
	frame = string_frame(0, 0, 0, 0);
	run_frame(&frame);
	check(frame.vector == UD && frame.rsi == 0 && frame.rdi == 0 && frame.rcx == 0,
	      "a count of zero touches nothing");
}

/* REPE and REPNE stop where they should; ECX and EDI with 67h. */
static void test_stops(void)
{
	static const uint8_t addr32[] = { 0x67, 0xf3, 0xaa, 0x0f, 0x0b };
	struct frame frame;

	place_string(SCAS, 1, 0xf2);
	heat_string();
	fill(target, 0);
	target[4000] = 0x5a;
	frame = string_frame(0, (uintptr_t)target, 5000, 0);
	run_frame(&frame);
	check(frame.vector == UD && frame.rdi == (uintptr_t)target + 4001 && frame.rcx == 999 &&
		      (frame.rflags & 0x40),
	      "repne scasb finds it");
	place_string(CMPS, 4, 0xf3);
	heat_string();
	fill(source, 7);
	fill(target, 7);
	source[402] = 8;
	frame = string_frame((uintptr_t)source, (uintptr_t)target, 1000, 0);
	run_frame(&frame);
	check(frame.vector == UD && frame.rcx == 1000 - 101 &&
		      frame.rsi == (uintptr_t)source + 404 && !(frame.rflags & 0x41),
	      "repe cmpsl stops at the difference: above");
	place_code(code, addr32, addr32 + sizeof(addr32));
	heat_string();
	frame = string_frame(0, 1ull << 40 | (uintptr_t)target, 1ull << 33 | 16, 0);
	run_frame(&frame);
	check(frame.vector == UD && frame.rcx == 0 && frame.rdi == (uintptr_t)target + 16,
	      "rep stosb with 32-bit addresses counts ECX and clears the upper halves");
}

static uint8_t *alone_in_three(void)
{
	uint8_t *low = page_alloc(), *page = page_alloc(), *high = page_alloc();

	set_pte(low, 0, PTE_P);
	set_pte(high, 0, PTE_P);
	return page;
}

void test_main(void)
{
	code = page_alloc();
	stack = alone_in_three();
	below = stack - 4096;
	above = stack + 4096;
	source = alone_in_three();
	target = alone_in_three();
	test_rows();
	for (unsigned i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		test_edge(&edges[i]);
	test_moved();
	test_memory_forms();
	test_vector_first();
	test_waiting();
	test_far_moves();
	set_pte(stack + 0x7fffffff, 0, PTE_P);
	test_far_apart(far_top, far_top_end, (uintptr_t)stack, 0x7ffffffc);
	test_far_apart(far_apart, far_apart_end, (uintptr_t)stack + (1ull << 33), -0x40000000);
	test_no_stack(nowhere_push, nowhere_push_end);
	test_no_stack(nowhere_load, nowhere_load_end);
	test_string_faults();
	test_overlap();
	test_stops();
}
