/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flat 32-bit code, cold against hot: each piece runs once just written, then, when it has become
 * hot by ordinary states, from the same state again; registers, memory and faults must be the same.
 * The states are those that translation could get wrong: addresses, stacks and EIP that wrap at
 * 4 GiB, registers with upper halves, segments that are not flat, or stop being so in the middle of
 * a block. It is user code; page 0 and the last page below 4 GiB are its memory, too.
 *
 * `again N` on the command line: each piece runs so often (default 100; a block whose groups of
 * accesses do not fit loses them after fewer).
 */
#include "apic.h"
#include "bare.h"

#define WARM_MAX 40
#define STATUS   0x8d5u
#define DF       0x400u
#define LAST     0xfffff000u
#define UPPER    0x1234567800000000ull
#define SIZE     4096u

/* Of the user's, beside flat ones. */
enum {
	SEL_BASED = SEL_FREE | 3,        /* base 16 */
	SEL_SHORT = (SEL_FREE + 8) | 3,  /* limit FFFh */
	SEL_FIXED = (SEL_FREE + 16) | 3, /* read-only */
	SEL_DOWN = (SEL_FREE + 24) | 3,  /* expands down: none of it is below FFFFh */
	SEL_16 = (SEL_FREE + 32) | 3,    /* a stack of 16 bits */
	SEL_HIGH = (SEL_FREE + 40) | 3,  /* base FFFFFF00h */
};

static uint8_t *code, *data, *stack, *first, *last; /* a missing page follows each */
static uint8_t model[SIZE];
static unsigned warm, many;

static void describe(unsigned selector, uint64_t descriptor)
{
	gdt[selector / 8] = descriptor;
}

static void set_up(void)
{
	uint8_t **pages[] = { &code, &data, &stack, &first, &last };

	for (unsigned i = 0; i < 5; i++) {
		*pages[i] = page_alloc();
		make_user(*pages[i]);
		set_pte(page_alloc(), 0, PTE_P);
	}
	*pte((void *)0) = (uintptr_t)first | PTE_P | PTE_W | PTE_U;
	*pte((void *)(uintptr_t)LAST) = (uintptr_t)last | PTE_P | PTE_W | PTE_U;
	make_user((void *)0);
	make_user((void *)(uintptr_t)LAST);
	*pte((void *)(uintptr_t)(LAST - SIZE)) = (uintptr_t)data | PTE_P | PTE_W | PTE_U;
	make_user((void *)(uintptr_t)(LAST - SIZE));
	for (unsigned i = 0; i < SIZE; i++)
		model[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
	describe(SEL_BASED, 0x00cff3000010ffff);
	describe(SEL_SHORT, 0x0040f30000000fff);
	describe(SEL_FIXED, 0x00cff1000000ffff);
	describe(SEL_DOWN, 0x0040f7000000ffff);
	describe(SEL_16, 0x008ff3000000ffff);
	describe(SEL_HIGH, 0xffcff3ffff00ffff);
}

static void copy(void *to, const void *from)
{
	uint64_t bytes = SIZE;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static bool is_equal(const void *a, const void *b, uint64_t bytes)
{
	bool is;

	asm volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(bytes), "=@cce"(is) : : "memory");
	return is;
}

/* What comes of a run. */
struct result {
	struct frame frame;
	uint64_t cr2;
	uint16_t ds, es, fs, gs;
	uint8_t memory[4][SIZE];
};

static unsigned fs_selector, gs_selector; /* of the states */
static struct result cold, hot;

static void run_from(const struct frame *start, struct result *r)
{
	uint8_t *const pages[] = { data, stack, first, last };

	r->frame = *start;
	for (unsigned i = 0; i < 4; i++)
		copy(pages[i], model);
	first[0] = 0x0f; /* UD2, for code that wraps */
	first[1] = 0x0b;
	asm volatile("fninit; mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %2, %%gs"
		     :
		     : "r"(SEL_USER_DATA), "r"(fs_selector), "r"(gs_selector));
	run_frame(&r->frame);
	asm volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
		     : "=r"(r->ds), "=r"(r->es), "=r"(r->fs), "=r"(r->gs));
	r->cr2 = r->frame.vector == PF ? trap.cr2 : 0;
	for (unsigned i = 0; i < 4; i++)
		copy(r->memory[i], pages[i]);
}

/* Flags at a fault may be others than the interpreter's where nobody could read them. */
static bool is_same(const struct result *a, const struct result *b)
{
	const uint64_t *x = &a->frame.r15, *y = &b->frame.r15;
	uint64_t flags = 0x10000u | (a->frame.vector == UD ? 0 : STATUS);

	for (unsigned i = 0; i < sizeof(a->frame) / 8; i++)
		if ((x[i] ^ y[i]) & ~(&x[i] == &a->frame.rflags ? flags : 0))
			return false;
	return a->cr2 == b->cr2 && is_equal(a->memory, b->memory, sizeof(a->memory)) &&
	       a->ds == b->ds && a->es == b->es && a->fs == b->fs && a->gs == b->gs;
}

static struct frame flat_frame(void)
{
	struct frame frame = user_frame_at(code, SEL_USER_CODE32);

	frame.rax = 0xa0a1a2a3;
	frame.rcx = 5;
	frame.rdx = 0xc0c1c2c3;
	frame.rbx = (uintptr_t)data + 1024;
	frame.rsi = (uintptr_t)data + 2048;
	frame.rdi = (uintptr_t)data + 3072;
	frame.rbp = (uintptr_t)stack + 3072;
	frame.rsp = (uintptr_t)stack + 2048;
	frame.r12 = frame.r15 = UPPER;
	frame.rflags |= STATUS;
	return frame;
}

static void compare(const char *name, const char *what, const uint8_t *from, const uint8_t *end,
		    const struct frame *special)
{
	struct frame ordinary = flat_frame();
	unsigned fs = fs_selector, gs = gs_selector, again = 0;

	place_code(code, from, end);
	run_from(special, &cold);
	place_code(code, from, end);
	fs_selector = gs_selector = SEL_USER_DATA;
	for (unsigned i = 0; i < warm; i++)
		run_from(&ordinary, &hot);
	fs_selector = fs;
	gs_selector = gs;
	for (; again < many; again++) {
		run_from(special, &hot);
		if (!is_same(&cold, &hot))
			break;
	}
	if (again < many)
		say("# run %u: vector %lu and %lu, rip %lx and %lx, rsp %lx and %lx, cr2 %lx and "
		    "%lx",
		    again, cold.frame.vector, hot.frame.vector, cold.frame.rip, hot.frame.rip,
		    cold.frame.rsp, hot.frame.rsp, cold.cr2, hot.cr2);
	check(again == many, "%s, %s", name, what);
}

/* The piece, from a state in which `change` makes `special` other than the ordinary one. */
#define COMPARE(piece, what, change)                                 \
	do {                                                         \
		struct frame special = flat_frame();                 \
                                                                     \
		fs_selector = gs_selector = SEL_USER_DATA;           \
		change;                                              \
		compare(#piece, what, piece, piece##_end, &special); \
	} while (0)

#define CODE32(name, ...) CODE(name, ".code32\n" __VA_ARGS__ "\n.code64")

/* ---- the stack ---- */

CODE32(pushes, "push %eax; push %ecx; push $-5; pushl (%ebx); pop %edx; pop %esi; pop %edi; ud2");
CODE32(frames, "sub $32, %esp; mov %eax, 28(%esp); mov %ecx, 36(%esp); mov (%esp), %edx\n"
	       "add $32, %esp; mov 4(%esp), %edi; ud2");
CODE32(rises, "mov (%esp), %edx; add $32, %esp; mov %eax, -36(%esp); mov -4(%esp), %ecx\n"
	      "sub $32, %esp; mov (%esp), %edi; ud2");
CODE32(leaps, "mov (%esp), %eax; sub $4080, %esp; mov 4080(%esp), %ecx; sub $4080, %esp\n"
	      "mov 8160(%esp), %edx; add $8160, %esp; ud2");
CODE32(calls, "call 1f; push %eax; pop %ecx; ud2; 1: mov (%esp), %edx; ret");
CODE32(pic, "call 1f; 1: pop %edx; sub $5, %edx; lea 2f-1b+5(%edx), %ecx; jmp *%ecx; ud2\n"
	    "2: push %ecx; call *(%esp); 3: ud2");
CODE32(drops, "push $7; push $8; push $9; call 1f; ud2; 1: mov 8(%esp), %eax; ret $12");
CODE32(linked, "push %ebp; mov %esp, %ebp; push %ebx; mov %eax, -8(%ebp); leave; ud2");
CODE32(all, "pusha; mov $3, %eax; popa; push %es; pop %es; pushf; pop %edx; push %edx; popf; ud2");
CODE32(halves, "pushw %ax; pushw $3; popw %cx; popw %dx; push %sp; popw %si; ud2");
CODE32(entered, "enter $24, $0; mov %eax, -4(%ebp); leave; enter $8, $2; leave; ud2");
CODE32(between, "push %eax; mov (%ebx), %ecx; push %ecx; pop %edx; push %esi; pop %edi; ud2");
CODE32(pops_sp, "push %ebx; pop %esp; push %esp; popl (%esp); pushl (%esp); ud2");

static void test_stack(void)
{
	static const uint32_t wraps[] = {
		0, 1, 2, 4, 8, 12, 16, 32, 36, LAST + SIZE - 4, LAST + SIZE - 16, LAST + SIZE - 32
	};

	for (unsigned i = 0; i < sizeof(wraps) / sizeof(*wraps); i++) {
		say("# ESP is %x", wraps[i]);
		COMPARE(pushes, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(frames, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(rises, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(leaps, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(calls, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(drops, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(linked, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(all, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(halves, "ESP near a wrap", special.rsp = wraps[i]);
		COMPARE(entered, "ESP near a wrap", special.rsp = wraps[i]);
	}
	for (unsigned at = 0; at <= 16; at += 2) {
		say("# %u bytes above the page's start, below its end", at);
		COMPARE(pushes, "above a missing page", special.rsp = (uintptr_t)stack + at);
		COMPARE(calls, "above a missing page", special.rsp = (uintptr_t)stack + at);
		COMPARE(all, "above a missing page", special.rsp = (uintptr_t)stack + at);
		COMPARE(rises, "below a missing page", special.rsp = (uintptr_t)stack + SIZE - at);
		COMPARE(drops, "below a missing page", special.rsp = (uintptr_t)stack + SIZE - at);
	}
	COMPARE(pic, "as it is", (void)0);
	COMPARE(pic, "at the end of the stack", special.rsp = (uintptr_t)stack + 4);
	COMPARE(between, "an operand in two pages", special.rbx = LAST - 2);
	COMPARE(pops_sp, "as it is", (void)0);
	COMPARE(pops_sp, "an upper half", special.rbx |= UPPER);
	COMPARE(linked, "an upper half", special.rbp |= UPPER);
}

/* ---- memory ---- */

CODE32(bases, "mov 8(%ebx), %eax; mov 12(%ebx), %ecx; add $16, %ebx; mov %eax, -8(%ebx)\n"
	      "mov -4(%ebx), %edx; sub $32, %ebx; mov 16(%ebx), %esi; mov %ecx, 20(%ebx); ud2");
CODE32(indexed, "mov 8(%ebx,%ecx,4), %eax; add %eax, -4(%ebx,%ecx,8); lea 3(%ebx,%ecx,2), %edx\n"
		"incl (%ebx); decb 1(%ecx,%ebx); ud2");
CODE32(absolute, "mov 0x10, %eax; mov %eax, 0x20; mov 0xfffffff0, %al; mov %ax, 0xfffffff8\n"
		 "add %eax, 0xfffffffc; xor %esi, 0x24; ud2");
CODE32(narrow, "mov (%bx,%si), %al; lea 5(%bx,%di), %ecx; ud2");
CODE32(vectors, "movups (%ebx), %xmm0; movups %xmm0, 16(%ebx); fldl (%ebx); fstpl 8(%ebx)\n"
		"movd (%ebx), %mm0; movd %mm0, %eax; emms; ud2");
CODE32(decimal, "aaa; aad; daa; das; aas; aam; inc %eax; dec %ecx; .byte 0xd6; ud2");
CODE32(bounded, "bound %ecx, (%ebx); arpl %cx, (%edi); ud2");
CODE32(counted, "mov $3, %ecx; 1: add %ecx, %eax; loop 1b; jecxz 2f; ud2; 2: ud2");

static void test_memory(void)
{
	for (uint32_t at = LAST + SIZE - 40; at != 24; at += 4) {
		say("# at %x", at);
		COMPARE(bases, "near a wrap", special.rbx = at);
		COMPARE(indexed, "near a wrap", special.rbx = at);
		COMPARE(indexed, "a base that wraps", special.rbx = at; special.rcx = 0x80000002);
		COMPARE(vectors, "near a wrap", special.rbx = at);
	}
	for (unsigned at = 0; at <= 40; at += 4) {
		say("# %u bytes before a missing page", at);
		COMPARE(bases, "at a missing page", special.rbx = (uintptr_t)data + SIZE - at);
		COMPARE(indexed, "at a missing page", special.rbx = (uintptr_t)data + SIZE - at);
		COMPARE(vectors, "at a missing page", special.rbx = (uintptr_t)data + SIZE - at);
	}
	COMPARE(bases, "an upper half", special.rbx |= UPPER);
	COMPARE(indexed, "upper halves", special.rbx |= UPPER; special.rcx |= UPPER);
	COMPARE(absolute, "as it is", (void)0);
	COMPARE(narrow, "16-bit addresses", special.rbx = 0x10 | UPPER; special.rsi = 0xfff8);
	COMPARE(decimal, "as it is", (void)0);
	COMPARE(bounded, "as it is", (void)0);
	COMPARE(counted, "an upper half", special.rcx |= UPPER);
}

/* ---- strings ---- */

CODE32(copies, "rep movsl; movsb; ud2");
CODE32(stores, "rep stosb; stosl; rep stosw; ud2");
CODE32(loads, "lodsl; lodsb; rep lodsw; ud2");
CODE32(compares, "repe cmpsb; repne scasb; ud2");

static void test_strings(void)
{
	static const uint32_t at[] = { 0, 3, 8, LAST + SIZE - 20, LAST + SIZE - 21, LAST + 100 };

	for (unsigned i = 0; i < 2 * sizeof(at) / sizeof(*at); i++) {
		unsigned flags = i & 1 ? DF : 0;
		uint32_t to = at[i / 2];

		say("# to and from %x, %s", to, flags ? "down" : "up");
		COMPARE(copies, "to a wrap", special.rdi = to; special.rflags |= flags);
		COMPARE(copies, "from a wrap", special.rsi = to; special.rflags |= flags);
		COMPARE(stores, "at a wrap", special.rdi = to; special.rflags |= flags);
		COMPARE(loads, "at a wrap", special.rsi = to; special.rflags |= flags);
		COMPARE(compares, "at a wrap", special.rdi = to; special.rflags |= flags);
	}
	COMPARE(copies, "upper halves", special.rdi |= UPPER; special.rsi |= UPPER);
	COMPARE(copies, "a count with an upper half", special.rcx |= UPPER);
	COMPARE(copies, "a count of zero with an upper half", special.rcx = UPPER);
	COMPARE(stores, "all with upper halves", special.rdi |= UPPER; special.rcx |= UPPER);
	COMPARE(stores, "a large count", special.rcx = 5000);
	COMPARE(loads, "upper halves", special.rsi |= UPPER; special.rax |= UPPER);
}

/* ---- segments ---- */

CODE32(by_fs, "mov %fs:(%ebx), %eax; mov %fs:0x20, %ecx; mov %eax, %fs:4(%ebx); pushl %fs:(%edi)\n"
	      "pop %edx; ud2");
CODE32(by_gs, "add %gs:(%ebx,%ecx,4), %eax; inc %ecx; cmp %gs:0x14, %ecx; ud2");
CODE32(by_cs, "mov %cs:(%ebx), %eax; mov %es:(%esp), %ecx; mov %ss:(%ebx), %edx; ud2");
CODE32(writes_cs, "nop; incl %cs:(%ebx); ud2");
CODE32(loads_ds, "mov %edx, %ds; mov (%ebx), %eax; mov %ecx, 4(%ebx); mov %esi, %ds; ud2");
CODE32(loads_es, "push %edx; pop %es; mov (%ebx), %eax; movsl; mov %eax, %es:(%ebx); ud2");
CODE32(loads_ss, "mov %edx, %ss; mov (%esp), %eax; push %eax; pop %ecx; ud2");
CODE32(loads_fs, "mov %edx, %fs; mov %fs:(%ebx), %eax; incl %fs:(%ebx); ud2");
CODE32(far_pointer, "push %edx; push %ebx; lds (%esp), %edi; mov (%edi), %eax; pop %ecx; ud2");
CODE32(loops_ds, "mov $20, %ecx; 1: mov %edx, %ds; mov (%ebx), %eax; mov %esi, %ds\n"
		 "add (%ebx), %eax; dec %ecx; jnz 1b; ud2");
CODE32(reads_base, "nop; .byte 0xf3, 0x0f, 0xae, 0xc2; ud2");  /* RDFSBASE */
CODE32(writes_base, "nop; .byte 0xf3, 0x0f, 0xae, 0xda; ud2"); /* WRGSBASE */

static void test_segments(void)
{
	static const struct {
		const char *name;
		unsigned selector;
	} kinds[] = {
		{ "base 16", SEL_BASED },
		{ "a short one", SEL_SHORT },
		{ "a read-only one", SEL_FIXED },
		{ "one that expands down", SEL_DOWN },
		{ "one of 16 bits", SEL_16 },
		{ "a base that wraps", SEL_HIGH },
		{ "none", 0 },
		{ "code", SEL_USER_CODE32 },
		{ "the flat one", SEL_USER_DATA },
	};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *name = kinds[i].name;
		unsigned selector = kinds[i].selector;

		COMPARE(by_fs, name, fs_selector = selector);
		COMPARE(by_fs, name, fs_selector = selector; special.rbx = 0x400);
		COMPARE(by_gs, name, gs_selector = selector);
		COMPARE(by_gs, name, gs_selector = selector; special.rbx = LAST + SIZE - 16);
		COMPARE(loads_ds, name, special.rdx = selector; special.rsi = SEL_USER_DATA);
		COMPARE(loads_ds, name, special.rdx = SEL_USER_DATA; special.rsi = selector);
		COMPARE(loads_es, name, special.rdx = selector);
		COMPARE(loads_ss, name, special.rdx = selector);
		COMPARE(loads_fs, name, special.rdx = selector);
		COMPARE(far_pointer, name, special.rdx = selector);
		COMPARE(loops_ds, name, special.rdx = selector; special.rsi = SEL_USER_DATA);
	}
	COMPARE(by_cs, "as it is", (void)0);
	COMPARE(writes_cs, "as it is", (void)0);
	COMPARE(reads_base, "an instruction of 64-bit mode", (void)0);
	COMPARE(writes_base, "an instruction of 64-bit mode", (void)0);
	check(hot.frame.vector == UD && hot.frame.rip == (uintptr_t)code + 1,
	      "it does not exist here");
}

/* ---- where code is ---- */

CODE32(runs_off, "mov $300, %ecx; 1: add %ecx, %eax; dec %ecx; jnz 1b; nop");
CODE32(jumps_on, "jmp . + 0x2000; ud2");
CODE32(jumps_back, "jmp . - 0x1000; ud2");
CODE32(calls_far, "call . + 0x3000; ud2");

/* At the end of the last page: what is behind it is page 0. The code lies in a second place, too,
 * where it has become hot. */
static void test_last_page(void)
{
	const unsigned at = SIZE - (unsigned)(runs_off_end - runs_off);
	struct frame frame = flat_frame();
	bool same = true;

	for (unsigned round = 0; round < 2; round++) {
		set_pte(last, 0, 0);
		*pte((void *)(uintptr_t)LAST) = (uintptr_t)code | PTE_P | PTE_W | PTE_U;
		asm volatile("invlpg (%0)" : : "r"((uintptr_t)LAST) : "memory");
		place_code(code + at, runs_off, runs_off_end);
		frame.rip = LAST + at;
		run_from(&frame, &cold);
		check(cold.frame.rip == 0 && cold.frame.vector == UD, "EIP wraps to 0");
		place_code(code + at, runs_off, runs_off_end);
		frame.rip = (uintptr_t)code + at;
		for (unsigned i = 0; i < warm && round; i++)
			run_from(&frame, &hot);
		frame.rip = LAST + at;
		for (unsigned i = 0; i < many; i++) {
			run_from(&frame, &hot);
			same &= is_same(&cold, &hot);
		}
		check(same, "a loop in the last page%s", round ? ", hot elsewhere" : "");
		place_code(code, jumps_on, jumps_on_end);
		frame.rip = LAST;
		for (unsigned i = 0; i < warm && same; i++) {
			run_from(&frame, &hot);
			same &= hot.frame.vector == PF && hot.frame.rip == 0x1000 &&
				hot.cr2 == 0x1000;
		}
		check(same, "a jump over the wrap");
		*pte((void *)(uintptr_t)LAST) = (uintptr_t)last | PTE_P | PTE_W | PTE_U;
		asm volatile("invlpg (%0)" : : "r"((uintptr_t)LAST) : "memory");
	}
}

static void test_jumps(void)
{
	struct frame frame = flat_frame();
	bool same = true;

	/* Page 0 is code that jumps below it, to the last page. */
	*pte((void *)0) = (uintptr_t)code | PTE_P | PTE_W | PTE_U;
	asm volatile("invlpg (%0)" : : "r"(0) : "memory");
	place_code(code, jumps_back, jumps_back_end);
	frame.rip = 0;
	for (unsigned i = 0; i < warm; i++) {
		last[0] = 0;
		run_from(&frame, &hot);
		same &= hot.frame.rip == LAST + (hot.frame.rip - LAST);
		same &= hot.frame.rip >= LAST;
	}
	check(same, "a jump to below 0");
	place_code(code, calls_far, calls_far_end);
	*pte((void *)0) = (uintptr_t)first | PTE_P | PTE_W | PTE_U;
	asm volatile("invlpg (%0)" : : "r"(0) : "memory");
	frame = flat_frame();
	for (unsigned i = 0; i < warm; i++) {
		run_from(&frame, &hot);
		same &= hot.frame.vector == PF && hot.frame.rip == (uintptr_t)code + 0x3000 &&
			hot.frame.rsp == frame.rsp - 4 &&
			*(uint32_t *)(stack + 2044) == (uint32_t)(uintptr_t)code + 5;
	}
	check(same, "a call of a page that is missing");
}

/* ---- a loop that goes forward only, round the 4 GiB ---- */

#define ROUND_STEP   0x40000000u
#define ROUND_FIRST  0x10000000u
#define TIMER_VECTOR 0x40
#define TIMER_TICKS  20000000u
#define RFLAGS_IF    0x200u

CODE32(goes_round, "inc %eax; jmp . + 0x40000000");

static void test_round(void)
{
	struct frame frame = flat_frame();
	bool came = true;

	for (uint32_t at = ROUND_FIRST, n = 0; n < 4; n++, at += ROUND_STEP) {
		void *page = page_alloc();

		place_code(page, goes_round, goes_round_end);
		*pte((void *)(uintptr_t)at) = (uintptr_t)page | PTE_P | PTE_U;
		make_user((void *)(uintptr_t)at);
	}
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	apic_write(APIC_SVR, APIC_ENABLE);
	apic_write(APIC_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER, TIMER_VECTOR);
	for (unsigned i = 0; i < 3; i++) {
		frame = flat_frame();
		frame.rip = ROUND_FIRST;
		frame.rax = 0;
		frame.rflags |= RFLAGS_IF;
		apic_write(APIC_INITIAL, TIMER_TICKS);
		came &= run_frame(&frame) == TIMER_VECTOR && frame.rax;
		apic_write(APIC_EOI, 0);
	}
	check(came, "an interrupt ends a loop of jumps forward, round the 4 GiB");
}

/* ---- from 64-bit code, with upper halves ---- */

CODE(goes_32, "ljmp *(%rdi)");
CODE32(begins_32, "push %eax; mov (%ebx), %ecx; mov (%esp), %edx; pop %esi; push %ebp; ud2");

static void test_from_64(void)
{
	struct frame frame = flat_frame();
	bool same = true;

	place_code(code, goes_32, goes_32_end);
	place_code(code + 64, begins_32, begins_32_end);
	for (unsigned i = 0; i < warm + many; i++) {
		frame = flat_frame();
		frame.cs = SEL_USER_CODE64;
		frame.rsp |= UPPER & 0x7fff00000000;
		frame.rbx |= UPPER;
		frame.rdi = (uintptr_t)code + 128;
		*(uint32_t *)(code + 128) = (uint32_t)(uintptr_t)code + 64;
		*(uint16_t *)(code + 132) = SEL_USER_CODE32;
		run_from(&frame, &hot);
		if (!i)
			run_from(&frame, &cold);
		same &= is_same(&cold, &hot);
	}
	check(same && cold.frame.vector == UD, "32-bit code begins with RSP above 4 GiB");
}

/* ---- self-modifying code ---- */

CODE32(patches, "mov $200, %ecx; 1: mov %cl, 3f+1-4f(%ebx); 3: mov $0, %al; movzbl %al, %eax\n"
		"add %eax, %edx; dec %ecx; jnz 1b; ud2; 4:");

static void test_patching(void)
{
	const uint32_t want = 200 * 201 / 2;
	struct frame frame = flat_frame();
	bool same = true;

	place_code(code, patches, patches_end);
	frame.rbx = (uintptr_t)code + (uintptr_t)(patches_end - patches);
	frame.rdx = 0;
	for (unsigned i = 0; i < warm; i++) {
		run_from(&frame, &hot);
		same &= hot.frame.vector == UD && hot.frame.rdx == want;
	}
	check(same, "a loop that writes its own next instruction");
}

void test_main(void)
{
	many = (unsigned)boot_number("again", 100);
	warm = many < WARM_MAX ? many : WARM_MAX;
	set_up();
	WRITE_CR(4, READ_CR(4) | 1ull << 9 | 1ull << 16); /* OSFXSR, FSGSBASE */
	test_stack();
	test_memory();
	test_strings();
	test_segments();
	test_last_page();
	test_jumps();
	test_round();
	test_from_64();
	test_patching();
}
