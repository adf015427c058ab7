/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults of memory operands in hot code: each kind of instruction on a page that is missing,
 * read-only or only half there, at an address that is not canonical, and after its TLB entry has
 * gone. State is that before the instruction, and that of every instruction before it in its block.
 *
 * Status flags count where something may read them still: the `kept` column says which of them an
 * instruction does not overwrite.
 */
#include "bare.h"

#define WARM          64
#define CR0_WP        (1ull << 16)
#define CR4_OSFXSR    (1ull << 9)
#define NON_CANONICAL 0x0000800000000040ull

#define CF            1u
#define ZF            0x40u
#define STATUS        0x8d5u /* CF PF AF ZF SF OF */
#define NO_CF         (STATUS & ~CF)
#define MUL_UNDEFINED 0xd4u /* PF AF ZF SF */

static uint8_t *code, *before, *data, *behind; /* pages; those around data may be missing */
static const uint32_t patterns[] = { 0, STATUS, 0x845, 0x90, CF, ZF, 0x801, 0x54 };

enum kind { LOAD = 0, STORE = 2 };

struct op {
	const char *text;
	const uint8_t *code, *end;
	uint8_t size;
	enum kind kind;
	uint32_t kept;
	bool is_aligned;    /* #GP where not */
	uint32_t undefined; /* flags that are anything after it */
};

#define OP_CODE(n, text) CODE(op##n, text "; ud2")
OP_CODE(0, "mov (%rdi), %rax");
OP_CODE(1, "mov (%rdi), %ah");
OP_CODE(2, "mov (%rdi), %bx");
OP_CODE(3, "mov (%rdi), %r9d");
OP_CODE(4, "movzbl (%rdi), %r10d");
OP_CODE(5, "movswq (%rdi), %r11");
OP_CODE(6, "movslq (%rdi), %rdi");
OP_CODE(7, "add (%rdi), %rax");
OP_CODE(8, "adc (%rdi), %eax");
OP_CODE(9, "cmp %rax, (%rdi)");
OP_CODE(10, "testb $1, (%rdi)");
OP_CODE(11, "imul (%rdi), %r8");
OP_CODE(12, "cmovz (%rdi), %rax");
OP_CODE(13, "btl $3, (%rdi)");
OP_CODE(14, "bsf (%rdi), %rdx");
OP_CODE(15, "push (%rdi)");
OP_CODE(16, "mulq (%rdi)");
OP_CODE(17, "movups (%rdi), %xmm0");
OP_CODE(18, "movq (%rdi), %xmm1");
OP_CODE(19, "fldl (%rdi); fstp %st(0)");
OP_CODE(20, "addps (%rdi), %xmm2");
OP_CODE(21, "cvtsi2sdl (%rdi), %xmm3");
OP_CODE(22, "scasb");
OP_CODE(23, "mov %rax, (%rdi)");
OP_CODE(24, "mov %ah, (%rdi)");
OP_CODE(25, "movl $1, (%rdi)");
OP_CODE(26, "add %rax, (%rdi)");
OP_CODE(27, "adcl $5, (%rdi)");
OP_CODE(28, "incq (%rdi)");
OP_CODE(29, "notw (%rdi)");
OP_CODE(30, "negl (%rdi)");
OP_CODE(31, "shll $3, (%rdi)");
OP_CODE(32, "rcrq $1, (%rdi)");
OP_CODE(33, "xchg %rax, (%rdi)");
OP_CODE(34, "xadd %rax, (%rdi)");
OP_CODE(35, "cmpxchg %rbx, (%rdi)");
OP_CODE(36, "lock addl $1, (%rdi)");
OP_CODE(37, "lock cmpxchg8b (%rdi)");
OP_CODE(38, "btsl $3, (%rdi)");
OP_CODE(39, "setnz (%rdi)");
OP_CODE(40, "pop (%rdi)");
OP_CODE(41, "stosl");
OP_CODE(42, "movups %xmm0, (%rdi)");
OP_CODE(43, "movsd %xmm1, (%rdi)");
OP_CODE(44, "fistl (%rdi)");
OP_CODE(45, "movnti %rax, (%rdi)");
OP_CODE(46, "shld $7, %eax, (%rdi)");
OP_CODE(47, "movaps %xmm0, (%rdi)");
OP_CODE(48, "movdqa (%rdi), %xmm0");
OP_CODE(49, "mov 0x40(%rdi,%r12,8), %rax");
OP_CODE(50, "xor %r15, (%rdi,%r12)");
OP_CODE(51, "and (%rdi), %r8b");
OP_CODE(52, "stmxcsr (%rdi)");
OP_CODE(53, "rolw %cl, (%rdi)");

#define OP(n, text, size, kind, kept, ...)                              \
	{                                                               \
		text, op##n, op##n##_end, size, kind, kept, __VA_ARGS__ \
	}
static const struct op ops[] = {
	OP(0, "mov load 64", 8, LOAD, STATUS, false, 0),
	OP(1, "mov load AH", 1, LOAD, STATUS, false, 0),
	OP(2, "mov load 16", 2, LOAD, STATUS, false, 0),
	OP(3, "mov load 32, R9", 4, LOAD, STATUS, false, 0),
	OP(4, "movzx", 1, LOAD, STATUS, false, 0),
	OP(5, "movsx", 2, LOAD, STATUS, false, 0),
	OP(6, "movsxd to its base", 4, LOAD, STATUS, false, 0),
	OP(7, "add load", 8, LOAD, 0, false, 0),
	OP(8, "adc load", 4, LOAD, CF, false, 0),
	OP(9, "cmp", 8, LOAD, 0, false, 0),
	OP(10, "test", 1, LOAD, 0, false, 0),
	OP(11, "imul, R8", 8, LOAD, 0, false, MUL_UNDEFINED),
	OP(12, "cmovz", 8, LOAD, STATUS, false, 0),
	OP(13, "bt", 4, LOAD, ZF, false, 0),
	OP(14, "bsf", 8, LOAD, 0, false, 0),
	OP(15, "push mem", 8, LOAD, STATUS, false, 0),
	OP(16, "mul", 8, LOAD, 0, false, MUL_UNDEFINED),
	OP(17, "movups load", 16, LOAD, STATUS, false, 0),
	OP(18, "movq load", 8, LOAD, STATUS, false, 0),
	OP(19, "fld", 8, LOAD, STATUS, false, 0),
	OP(20, "addps", 16, LOAD, STATUS, true, 0),
	OP(21, "cvtsi2sd", 4, LOAD, STATUS, false, 0),
	OP(22, "scasb", 1, LOAD, 0, false, 0),
	OP(23, "mov store 64", 8, STORE, STATUS, false, 0),
	OP(24, "mov store AH", 1, STORE, STATUS, false, 0),
	OP(25, "mov store immediate", 4, STORE, STATUS, false, 0),
	OP(26, "add store", 8, STORE, 0, false, 0),
	OP(27, "adc store", 4, STORE, CF, false, 0),
	OP(28, "inc", 8, STORE, CF, false, 0),
	OP(29, "not", 2, STORE, STATUS, false, 0),
	OP(30, "neg", 4, STORE, 0, false, 0),
	OP(31, "shl", 4, STORE, 0, false, 0),
	OP(32, "rcr", 8, STORE, STATUS & ~0x800u, false, 0),
	OP(33, "xchg", 8, STORE, STATUS, false, 0),
	OP(34, "xadd", 8, STORE, 0, false, 0),
	OP(35, "cmpxchg", 8, STORE, 0, false, 0),
	OP(36, "lock add", 4, STORE, 0, false, 0),
	OP(37, "lock cmpxchg8b", 8, STORE, NO_CF & ~ZF, false, 0),
	OP(38, "bts", 4, STORE, ZF, false, 0),
	OP(39, "setnz", 1, STORE, STATUS, false, 0),
	OP(40, "pop mem", 8, STORE, STATUS, false, 0),
	OP(41, "stosl", 4, STORE, STATUS, false, 0),
	OP(42, "movups store", 16, STORE, STATUS, false, 0),
	OP(43, "movsd store", 8, STORE, STATUS, false, 0),
	OP(44, "fist", 4, STORE, STATUS, false, 0),
	OP(45, "movnti", 8, STORE, STATUS, false, 0),
	OP(46, "shld", 4, STORE, 0, false, 0),
	OP(47, "movaps store", 16, STORE, STATUS, true, 0),
	OP(48, "movdqa load", 16, LOAD, STATUS, true, 0),
	OP(49, "mov load, base, index and displacement", 8, LOAD, STATUS, false, 0),
	OP(50, "xor store, base and index", 8, STORE, 0, false, 0),
	OP(51, "and load, R8B", 1, LOAD, 0, false, 0),
	OP(52, "stmxcsr", 4, STORE, STATUS, false, 0),
	OP(53, "rol by CL", 2, STORE, STATUS & ~0x801u, false, 0),
};

/* Registers that can be told from each other, and the operand at `address`. */
static struct frame start_frame(uint64_t address, uint32_t flags)
{
	struct frame frame = frame_at(code);

	frame.rax = 0x1122334455667788;
	frame.rbx = 0x2233445566778811;
	frame.rcx = 0x3344556677881103; /* CL counts */
	frame.rdx = 0x4455667788112233;
	frame.rsi = 0x5566778811223344;
	frame.rbp = 0x6677881122334455;
	frame.r8 = 0x7788112233445566;
	frame.r9 = 0x0011223344556677;
	frame.r10 = 0x1021324354657687;
	frame.r11 = 0x1132435465768790;
	frame.r12 = (uint64_t)-8; /* with 40h: nothing, for the one that scales it */
	frame.r13 = 0x1354657687900112;
	frame.r14 = 0x1465768790011223;
	frame.r15 = 0x1576879001122334;
	frame.rdi = address;
	frame.rflags = 2 | flags;
	return frame;
}

static bool same_registers(const struct frame *a, const struct frame *b)
{
	const uint64_t *x = &a->r15, *y = &b->r15;

	for (unsigned i = 0; i < 15; i++)
		if (x[i] != y[i])
			return false;
	return a->rsp == b->rsp;
}

/* The frame before, with the fault's vector, error and address. */
static bool is_precise(const struct op *op, const struct frame *before_it,
		       const struct frame *after, unsigned vector, uint64_t error, uint64_t cr2)
{
	return after->vector == vector && after->error == error && after->rip == (uintptr_t)code &&
	       (vector != PF || trap.cr2 == cr2) && same_registers(before_it, after) &&
	       !((before_it->rflags ^ after->rflags) & op->kept) &&
	       !((before_it->rflags ^ after->rflags) & ~(STATUS | 0x10000ull));
}

/* Of the patterns of flags, how many give a precise fault for the operand at `address`. */
static unsigned count_precise(const struct op *op, uint64_t address, unsigned vector,
			      uint64_t error, uint64_t cr2)
{
	unsigned precise = 0;

	if (op->code == op50) /* RDI + R12 */
		address += 8;
	for (unsigned i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		struct frame start = start_frame(address, patterns[i]), frame = start;

		run_frame(&frame);
		precise += is_precise(op, &start, &frame, vector, error, cr2);
	}
	return precise;
}

static void expect_precise(const struct op *op, const char *what, uint64_t address, unsigned vector,
			   uint64_t error, uint64_t cr2)
{
	unsigned precise = count_precise(op, address, vector, error, cr2);

	trap.vector = -1;
	check(precise == sizeof(patterns) / sizeof(*patterns), "%s: %s: %u of %u precise", op->text,
	      what, precise, (unsigned)(sizeof(patterns) / sizeof(*patterns)));
}

/* One run that does not fault, with a known operand; what it leaves in memory goes to *result. */
static struct frame run_good(const struct op *op, uint32_t flags, uint64_t *result)
{
	uint64_t *operand = (uint64_t *)(data + 0x80);
	struct frame frame = start_frame((uintptr_t)operand + (op->code == op50 ? 8 : 0), flags);

	operand[0] = 0x8000000000000001;
	operand[1] = 0x4000000000000002;
	asm volatile("fninit; fld1; movups %0, %%xmm0; movups %0, %%xmm1; movups %0, %%xmm2"
		     :
		     : "m"(operand[0]));
	run_frame(&frame);
	*result = operand[0] ^ operand[1] << 1;
	return frame;
}

/* The same results, cold, hot, and with the TLB's entry gone. */
static void test_results(const struct op *op)
{
	unsigned good = 0, wanted = 0;

	for (unsigned i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		uint64_t memory, memory_then;
		struct frame first, then;

		place_code(code, op->code, op->end);
		first = run_good(op, patterns[i], &memory);
		for (unsigned round = 0; round < WARM; round++) {
			if (round > WARM / 2)
				asm volatile("invlpg (%0)" : : "r"(data) : "memory");
			then = run_good(op, patterns[i], &memory_then);
			good += then.vector == UD && then.rip == first.rip &&
				same_registers(&first, &then) && memory == memory_then &&
				!((then.rflags ^ first.rflags) & ~op->undefined);
			wanted++;
		}
	}
	check(good == wanted, "%s: the same when hot: %u of %u", op->text, good, wanted);
}

static void test_op(const struct op *op)
{
	uint64_t end = (uintptr_t)behind;

	test_results(op);
	expect_precise(op, "missing page", end + 0x80, PF, op->kind, end + 0x80);
	expect_precise(op, "not canonical", NON_CANONICAL, GP, 0, 0);
	if (op->size > 1 && !op->is_aligned)
		expect_precise(op, "half missing", end - 1, PF, op->kind, end);
	if (op->is_aligned)
		expect_precise(op, "misaligned", (uintptr_t)data + 0x88, GP, 0, 0);
	if (op->kind == STORE) {
		set_pte(data, 0, PTE_W);
		expect_precise(op, "read-only", (uintptr_t)data + 0x80, PF, 3,
			       (uintptr_t)data + 0x80);
		set_pte(data, PTE_W, 0);
		expect_precise(op, "half missing below",
			       (uintptr_t)data - 1 - (op->size > 1 ? 0 : 7),
			       op->is_aligned ? GP : PF, op->is_aligned ? 0 : 2,
			       (uintptr_t)data - 1 - (op->size > 1 ? 0 : 7));
	}
}

/* ---- blocks of several ---- */

CODE(group, "mov (%rdi), %rax; mov 8(%rdi), %rbx; mov %rcx, 16(%rdi); mov 24(%rdi), %r8\n"
	    "mov %r9, 32(%rdi); add 40(%rdi), %rdx; ud2");
static const uint8_t group_rips[] = { 0, 3, 7, 11, 15, 19 };
CODE(group_down, "mov (%rdi), %rax; mov -8(%rdi), %rbx; mov %rcx, -16(%rdi); mov -24(%rdi), %r8\n"
		 "mov %r9, -32(%rdi); add -40(%rdi), %rdx; ud2");

/*
 * Six accesses by one base, of which the first n lie in a page that is there: exactly those have
 * happened. is_down: the addresses fall.
 */
static bool group_holds(unsigned n, bool is_down)
{
	uint64_t first = is_down ? (uintptr_t)data + 8 * (n - 1) : (uintptr_t)behind - 8 * n;
	int64_t step = is_down ? -1 : 1;
	uint64_t *memory = (uint64_t *)first;
	struct frame start = start_frame(first, STATUS), frame = start;

	for (int64_t i = 0; i < n; i++)
		memory[step * i] = 100 + (uint64_t)i;
	run_frame(&frame);
	start.rax = n > 0 ? 100 : start.rax;
	start.rbx = n > 1 ? 101 : start.rbx;
	start.r8 = n > 3 ? 103 : start.r8;
	if (n > 2 && memory[step * 2] != start.rcx)
		return false;
	if (n > 4 && memory[step * 4] != start.r9)
		return false;
	return frame.vector == PF && frame.rip == (uintptr_t)code + group_rips[n] &&
	       frame.error == (n == 2 || n == 4 ? 2 : 0) &&
	       trap.cr2 == first + (uint64_t)(step * 8 * n) && same_registers(&start, &frame);
}

static void test_groups(void)
{
	for (unsigned is_down = 0; is_down < 2; is_down++) {
		PLACE(code, group);
		if (is_down)
			PLACE(code, group_down);
		for (unsigned i = 0; i < WARM; i++) {
			struct frame frame = start_frame((uintptr_t)data + 0x80, 0);

			run_frame(&frame);
		}
		for (unsigned n = 0; n < 6; n++)
			check(group_holds(n, is_down), "%u of 6 accesses by one base, then #PF%s",
			      n, is_down ? ", downwards" : "");
	}
}

/* Accesses that must be aligned come first: misaligned, they are #GP, whether or not there is a
 * page. */
CODE(aligned_group, "movaps (%rdi), %xmm0; movaps 16(%rdi), %xmm1; mov 32(%rdi), %rax; ud2");

static void test_aligned_group(void)
{
	struct frame frame;

	PLACE(code, aligned_group);
	for (unsigned i = 0; i < WARM; i++) {
		frame = start_frame((uintptr_t)data + 0x80, 0);
		run_frame(&frame);
	}
	check(frame.vector == UD, "a group of aligned accesses");
	frame = start_frame((uintptr_t)behind + 0x88, 0);
	run_frame(&frame);
	check(frame.vector == GP && frame.error == 0 && frame.rip == (uintptr_t)code,
	      "misaligned, in a missing page: #GP");
	frame = start_frame((uintptr_t)behind + 0x80, 0);
	run_frame(&frame);
	check(frame.vector == PF && frame.rip == (uintptr_t)code, "aligned, there: #PF");
}

/* A list of three; the third is in the missing page. */
CODE(chase, "mov (%rdi), %rdi; mov (%rdi), %rdi; mov (%rdi), %rdi; mov (%rdi), %rax; ud2");

static void test_chase(void)
{
	uint64_t *list = (uint64_t *)(data + 0x100);
	struct frame frame;

	PLACE(code, chase);
	for (unsigned i = 0; i < 4; i++)
		list[i] = (uintptr_t)&list[i + 1];
	for (unsigned i = 0; i <= WARM; i++) {
		if (i == WARM)
			list[1] = (uintptr_t)behind + 0x18;
		frame = start_frame((uintptr_t)list, 0);
		run_frame(&frame);
	}
	check(frame.vector == PF && frame.rip == (uintptr_t)code + 6 &&
		      frame.rdi == (uintptr_t)behind + 0x18,
	      "a chain of pointers breaks where it leads nowhere");
}

/* ---- flags that live across memory accesses ---- */

/* rdx:rax = two words added with carry, memory accesses in between; the carry out in CL. */
CODE(bignum, "mov (%rdi), %rax; add 16(%rdi), %rax; mov 8(%rdi), %rdx; adc 24(%rdi), %rdx\n"
	     "mov %rax, (%rdi); mov %rdx, 8(%rdi); setc %cl; ud2");
CODE(fresh, "add %rbx, %rax; mov (%rdi), %rcx; ud2");
CODE(fresh_store, "sub %rbx, %rax; mov %rax, (%rdi); ud2");
CODE(counted, "dec %rbx; mov (%rdi), %rcx; push %rcx; pop %rdx; ud2"); /* CF stays */

static void test_bignum(void)
{
	uint64_t *memory = (uint64_t *)(data + 0x100), x = 0x9e3779b97f4a7c15;
	unsigned good = 0;

	PLACE(code, bignum);
	for (unsigned i = 0; i < 4 * WARM; i++) {
		unsigned __int128 a, b, sum;
		struct frame frame = start_frame((uintptr_t)memory, 0);

		for (unsigned k = 0; k < 4; k++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			memory[k] = i % 3 ? x : ~0ull;
		}
		a = (unsigned __int128)memory[1] << 64 | memory[0];
		b = (unsigned __int128)memory[3] << 64 | memory[2];
		sum = a + b;
		if (i % 2)
			asm volatile("invlpg (%0)" : : "r"(data) : "memory");
		run_frame(&frame);
		good += frame.vector == UD && memory[0] == (uint64_t)sum &&
			memory[1] == (uint64_t)(sum >> 64) && (frame.rcx & 0xff) == (sum < a);
	}
	check(good == 4 * WARM, "carries across loads and stores: %u", good);
}

/* What a fault of the last access leaves of the flags equals what a run without it leaves. */
static void test_fresh(const char *name, const uint8_t *text, const uint8_t *end)
{
	static const uint64_t values[] = { 0, 1, ~0ull, 1ull << 63, ~(1ull << 63), 0x0f, 0x10 };
	unsigned good = 0, wanted = 0;

	place_code(code, text, end);
	for (unsigned i = 0; i < WARM; i++)
		for (unsigned a = 0; a < 7; a++) {
			struct frame fine = start_frame((uintptr_t)data + 8, patterns[i % 8]),
				     bad = start_frame((uintptr_t)behind, patterns[i % 8]);

			fine.rax = bad.rax = values[a];
			fine.rbx = bad.rbx = values[i % 7];
			if (i % 3 == 0)
				asm volatile("invlpg (%0)" : : "r"(data) : "memory");
			run_frame(&fine);
			run_frame(&bad);
			good += fine.vector == UD && bad.vector == PF && bad.rax == fine.rax &&
				bad.rbx == fine.rbx &&
				(bad.rflags & STATUS) == (fine.rflags & STATUS);
			wanted++;
		}
	check(good == wanted, "flags just set, then a fault: %s: %u of %u", name, good, wanted);
}

/* Every pattern of flags comes through loads and stores that miss the TLB, and through loops. */
CODE(passes, "mov (%rdi), %rax; mov %rax, 8(%rdi); push %rax; pop %rbx; mov 4096(%rdi), %rcx\n"
	     "lea 1f(%rip), %rdx; jmp *%rdx; 1: call 2f; nop; ud2; 2: mov (%rdi), %rsi; ret");

static void test_passes(void)
{
	unsigned good = 0, wanted = 0;

	PLACE(code, passes);
	set_pte(behind, PTE_P, 0);
	for (unsigned i = 0; i < 8 * WARM; i++) {
		uint32_t flags = (i & 1) | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 |
				 (i & 16) << 3 | (i & 32) << 6;
		struct frame frame = start_frame((uintptr_t)data + 0x40, flags);

		if (i / 64 % 2) {
			asm volatile("invlpg (%0)" : : "r"(data) : "memory");
			asm volatile("invlpg (%0)" : : "r"(behind) : "memory");
		}
		run_frame(&frame);
		good += frame.vector == UD && (frame.rflags & STATUS) == flags;
		wanted++;
	}
	set_pte(behind, 0, PTE_P);
	check(good == wanted,
	      "flags come through loads, stores, jumps, calls and returns: %u of %u", good, wanted);
}

void test_main(void)
{
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	code = page_alloc();
	before = page_alloc();
	data = page_alloc();
	behind = page_alloc();
	set_pte(before, 0, PTE_P);
	set_pte(behind, 0, PTE_P);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		test_op(&ops[i]);
	test_groups();
	test_aligned_group();
	test_chase();
	test_bignum();
	test_fresh("add, load", fresh, fresh_end);
	test_fresh("sub, store", fresh_store, fresh_store_end);
	test_fresh("dec, load, push and pop", counted, counted_end);
	test_passes();
}
