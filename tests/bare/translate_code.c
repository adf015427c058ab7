/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that changes under a processor which has translated it: by its own stores, of every kind and
 * to every place (the next instruction, the running block, the store itself, a branch, a caller),
 * through another mapping, by a device, by the other processor; and data beside code.
 *
 * Each piece runs often enough to be translated before it changes. SDM3: "Handling Self- and
 * Cross-Modifying Code": the processor that stores sees its change at the next instruction.
 */
#include "bare.h"

#define WARM       200
#define CR4_OSFXSR (1ull << 9)

static uint8_t *page; /* two pages for code */

/* Runs it to its UD2 and returns RAX. */
static uint64_t run(const void *code)
{
	struct frame frame = frame_at(code);

	return run_frame(&frame) == UD ? frame.rax : ~0ull;
}

/* ---- one processor, code that changes itself ---- */

/* Stores alternately INC EAX and DEC EAX into the very next instruction. */
CODE(next_insn, "mov $200, %ecx; xor %eax, %eax\n"
		"1: mov %cl, %dl; and $8, %dl; or $0xc0, %dl; mov %dl, 2f+1(%rip)\n"
		"2: .byte 0xff, 0xc0; dec %ecx; jnz 1b; ud2");

/* The sum of an immediate that each round increments. */
CODE(own_immediate, "mov $1000, %ecx; xor %eax, %eax\n"
		    "1: .byte 0xba; 2: .long 0; add %rdx, %rax; incl 2b(%rip)\n"
		    "dec %ecx; jnz 1b; ud2");

/* An instruction that adds its immediate to its immediate. */
CODE(itself, "mov $30, %ecx; 1: .byte 0x81, 0x05; .long -4; 2: .long 1\n"
	     "dec %ecx; jnz 1b; mov 2b(%rip), %eax; ud2");

/* 2001 rounds that add 1, then 999 that add 5. */
CODE(once, "mov $3000, %ecx; xor %eax, %eax\n"
	   "1: .byte 0xba; 2: .long 1; add %edx, %eax; cmp $1000, %ecx; jne 3f\n"
	   "movb $5, 2b(%rip); 3: dec %ecx; jnz 1b; ud2");

/* A jump is bent from 3 to 5 in round 1000 of 3000: RAX counts the one way in its upper half, the
 * other in its lower. */
CODE(bent_jump, "mov $3000, %ecx; xor %eax, %eax; mov $0x100000000, %rbx\n"
		"1: 2: jmp 3f; 3: inc %rax; jmp 4f; 5: add %rbx, %rax\n"
		"4: cmp $2001, %ecx; jne 6f; movb $5b-3b, 2b+1(%rip); 6: dec %ecx; jnz 1b; ud2");
CODE(bent_branch, "mov $3000, %ecx; xor %eax, %eax; mov $0x100000000, %rbx\n"
		  "1: test %ecx, %ecx; 2: jnz 3f; 3: inc %rax; jmp 4f; 5: add %rbx, %rax\n"
		  "4: cmp $2001, %ecx; jne 6f; movb $5b-3b, 2b+1(%rip)\n"
		  "6: dec %ecx; jnz 1b; ud2");
/* A branch turned over: JNZ becomes JZ. */
CODE(turned_branch, "mov $3000, %ecx; xor %eax, %eax; mov $0x100000000, %rbx\n"
		    "1: test %ecx, %ecx; 2: jz 5f; inc %rax; jmp 4f; 5: add %rbx, %rax\n"
		    "4: cmp $2001, %ecx; jne 6f; xorb $1, 2b(%rip); 6: dec %ecx; jnz 1b; ud2");
CODE(bent_call, "mov $3000, %ecx; xor %eax, %eax; mov $0x100000000, %rbx\n"
		"1: 2: call 3f; cmp $2001, %ecx; jne 6f; addb $5f-3f, 2b+1(%rip)\n"
		"6: dec %ecx; jnz 1b; ud2; 3: inc %rax; ret; 5: add %rbx, %rax; ret");

/* The callee lies in the next page, and its caller changes it; and the other way round. */
CODE(callee, "1: mov $3000, %ecx; xor %eax, %eax\n"
	     "2: call 5f; cmp $1000, %ecx; jne 3f; movb $5, 6f(%rip); 3: dec %ecx; jnz 2b; ud2\n"
	     ".org callee + 4096; 5: .byte 0xba; 6: .long 1; add %edx, %eax; ret");
CODE(caller, "mov $3000, %ecx; xor %eax, %eax\n"
	     "2: call 5f; .byte 0xba; 4: .long 1; add %edx, %eax; dec %ecx; jnz 2b; ud2\n"
	     ".org caller + 4096; 5: cmp $1000, %ecx; jne 6f; movb $5, 4b(%rip); 6: ret");
/* Jumps from page to page; the second page's last round changes the first. */
CODE(far_loop, "mov $3000, %ecx; xor %eax, %eax\n"
	       "2: .byte 0xba; 3: .long 1; jmp 4f; .org far_loop + 4096\n"
	       "4: add %edx, %eax; cmp $1000, %ecx; jne 5f; movb $5, 3b(%rip)\n"
	       "5: dec %ecx; jnz 2b; ud2");
/* Indirect: the target of a jump through RSI changes. */
CODE(indirect, "mov $3000, %ecx; xor %eax, %eax; lea 3f(%rip), %rsi\n"
	       "1: jmp *%rsi; 3: .byte 0xba; 4: .long 1; add %edx, %eax; cmp $1000, %ecx; jne 5f\n"
	       "movb $5, 4b(%rip); 5: dec %ecx; jnz 1b; ud2");
/* Copies itself onto itself, byte by byte, round after round. */
CODE(overwritten, "mov $500, %ebx; xor %eax, %eax\n"
		  "1: lea 1b(%rip), %rsi; mov %rsi, %rdi; mov $2f-1b, %ecx; rep movsb\n"
		  "inc %eax; dec %ebx; jnz 1b; 2: ud2");
/* An unconditional store just before its own block's head. */
CODE(behind, "mov $1000, %ecx; xor %eax, %eax; jmp 2f\n"
	     "1: .long 0; 2: mov %ecx, 1b(%rip); add 1b(%rip), %eax; dec %ecx; jnz 2b; ud2");

/* Short jumps forward, which go on in the same block: over data that changes, and to an instruction
 * that crosses into the next page. */
CODE(over_data, "mov $3000, %ecx; xor %eax, %eax; 1: jmp 2f; 3: .long 0\n"
		"2: mov %ecx, 3b(%rip); add 3b(%rip), %eax; dec %ecx; jnz 1b; ud2");
CODE(to_border, "jmp 1f; .org to_border + 4078; 1: xor %eax, %eax; mov $3000, %ecx\n"
		"2: jmp 3f; .org to_border + 4093; 3: .byte 0x05; .long 1\n"
		"dec %ecx; jnz 2b; ud2");
CODE(jumps_on, "mov $3000, %ecx; xor %eax, %eax\n"
	       "1: jmp 2f; inc %eax; 2: jmp 3f; inc %eax; 3: inc %eax; jmp 4f; inc %eax\n"
	       "4: dec %ecx; jnz 1b; ud2");
/* Faults behind one. */
CODE(to_fault, "jmp 1f; nop; 1: inc %eax; jmp 2f; nop; nop; 2: ud2");

/* Where a jump leads, flags are written at first and then, when 1000 rounds are left, read: XOR
 * becomes SBB, which is -1 where ECX is below 1500. */
CODE(flags_read, "mov $3000, %ecx; xor %eax, %eax; jmp 1f\n"
		 "2: xor %ebx, %ebx; add %ebx, %eax; dec %ecx; jz 3f\n"
		 "1: cmp $1000, %ecx; jne 4f; movb $0x19, 2b(%rip); 4: cmp $1500, %ecx; jmp 2b\n"
		 "3: ud2");

static void test_jumps_on(void)
{
	const uint8_t *code = place_code(page, to_fault, to_fault_end);
	unsigned right = 0;

	for (unsigned i = 0; i < WARM; i++) {
		struct frame frame = frame_at(code);

		right += run_frame(&frame) == UD && frame.rax == 1 &&
			 frame.rip == (uintptr_t)code + (to_fault_end - to_fault) - 2;
	}
	check(right == WARM, "a fault behind jumps forward: RIP is right %u times", right);
}

static void expect(const char *name, const uint8_t *code, const uint8_t *end, uint64_t result)
{
	uint64_t got = run(place_code(page, code, end));

	check(got == result, "%s: %lx, expected %lx", name, got, result);
}

#define EXPECT(name, code, result) expect(name, code, code##_end, result)

static uint64_t next_insn_result(void)
{
	uint32_t sum = 0;

	for (unsigned i = 1; i <= WARM; i++)
		sum += i & 8 ? -1u : 1u;
	return sum;
}

static void test_self_modifying(void)
{
	const uint64_t ways = 1000 | 2000ull << 32, sum = 2001 + 999 * 5;

	EXPECT("a store to the next instruction", next_insn, next_insn_result());
	EXPECT("a loop that changes its own immediate", own_immediate, 499500);
	EXPECT("an instruction that changes itself", itself, 1u << 30);
	EXPECT("a hot loop changed once", once, sum);
	EXPECT("a jump's displacement", bent_jump, ways);
	EXPECT("a branch's displacement", bent_branch, ways);
	EXPECT("a branch's condition", turned_branch, ways);
	EXPECT("a call's displacement", bent_call, ways);
	EXPECT("the caller changes the callee, in another page", callee, sum);
	EXPECT("the callee changes the caller", caller, 2000 + 1000 * 5);
	EXPECT("a loop over two pages", far_loop, sum);
	EXPECT("the target of an indirect jump", indirect, sum);
	EXPECT("code that overwrites itself with itself makes progress", overwritten, 500);
	EXPECT("data between code and code", behind, 500500);
	EXPECT("a jump over data that changes", over_data, 4501500);
	EXPECT("a jump to an instruction that crosses pages", to_border, 3000);
	EXPECT("a jump to a jump", jumps_on, 3000);
	EXPECT("flags that were dead are read", flags_read, -1000u);
	test_jumps_on();
}

/* ---- one processor, every kind of store ---- */

/* Each stores the low bytes of RAX to (RDI). */
CODE(by_mov32, "mov %eax, (%rdi); ud2");
CODE(by_mov8, "mov %al, (%rdi); shr $8, %eax; mov %al, 1(%rdi); ud2");
CODE(by_mov16, "mov %ax, (%rdi); ud2");
CODE(by_mov64, "mov -4(%rdi), %rdx; shl $32, %rax; mov %edx, %edx; or %rdx, %rax\n"
	       "mov %rax, -4(%rdi); ud2");
CODE(by_add, "sub (%rdi), %eax; add %eax, (%rdi); ud2");
CODE(by_xor, "xor (%rdi), %eax; xor %eax, (%rdi); ud2");
CODE(by_inc, "incl (%rdi); ud2");
CODE(by_xchg, "xchg %eax, (%rdi); ud2");
CODE(by_xadd, "sub (%rdi), %eax; lock xadd %eax, (%rdi); ud2");
CODE(by_lock, "sub (%rdi), %eax; lock add %eax, (%rdi); ud2");
CODE(by_cmpxchg, "mov %eax, %edx; mov (%rdi), %eax; lock cmpxchg %edx, (%rdi); ud2");
CODE(by_cmpxchg8b, "mov %eax, %ebx; mov (%rdi), %eax; mov 4(%rdi), %edx; mov %edx, %ecx\n"
		   "lock cmpxchg8b (%rdi); ud2");
CODE(by_push, "lea 8(%rdi), %rsp; mov 4(%rdi), %edx; shl $32, %rdx; or %rdx, %rax\n"
	      "push %rax; ud2");
CODE(by_pop, "mov (%rdi), %rdx; push %rax; mov %eax, (%rsp); shr $32, %rdx\n"
	     "mov %edx, 4(%rsp); pop (%rdi); ud2");
CODE(by_call, "mov 4(%rdi), %ebx; mov (%rdi), %ecx; mov %rsp, %rsi; lea 8(%rdi), %rsp; call 1f\n"
	      "1: mov %ebx, 4(%rdi); mov %eax, (%rdi); ud2");
CODE(by_stosb, "stosb; shr $8, %eax; stosb; ud2");
CODE(by_stosl, "stosl; ud2");
CODE(by_rep_stosb, "mov $2, %ecx; rep stosb; mov %ah, -1(%rdi); ud2");
CODE(by_movsl, "push %rax; mov %rsp, %rsi; movsl; ud2");
CODE(by_rep_movsb, "push %rax; mov %rsp, %rsi; mov $4, %ecx; rep movsb; ud2");
CODE(by_bts, "movw $0, (%rdi); mov $15, %ecx; 1: bt %ecx, %eax; jnc 2f; bts %ecx, (%rdi)\n"
	     "2: dec %ecx; jns 1b; ud2");
CODE(by_setcc, "movw $0, (%rdi); test $1, %al; setnz (%rdi); and $0xfe, %al; or %al, (%rdi)\n"
	       "mov %ah, 1(%rdi); ud2");
CODE(by_movups, "movups -8(%rdi), %xmm0; sub $16, %rsp; movups %xmm0, (%rsp); mov %eax, 8(%rsp)\n"
		"movups (%rsp), %xmm0; movups %xmm0, -8(%rdi); ud2");
CODE(by_movd, "movd %eax, %xmm0; movd %xmm0, (%rdi); ud2");
CODE(by_movnti, "movnti %eax, (%rdi); ud2");
CODE(by_fist, "push %rax; fninit; fildl (%rsp); fistpl (%rdi); ud2");
CODE(by_shld, "shld $16, %eax, (%rdi); shl $16, %eax; shld $16, %eax, (%rdi); ud2");
CODE(by_neg, "neg %eax; mov %eax, (%rdi); negl (%rdi); ud2");

CODE(return_immediate, ".byte 0xb8; .long 0; ud2");
#define IMMEDIATE 17 /* where it lies in the page: crossing no granule */

static const struct {
	const char *name;
	const uint8_t *code, *end;
} stores[] = {
#define STORE_ROW(name)                 \
	{                               \
#name, name, name##_end \
	}
	STORE_ROW(by_mov32),  STORE_ROW(by_mov8),      STORE_ROW(by_mov16),
	STORE_ROW(by_mov64),  STORE_ROW(by_add),       STORE_ROW(by_xor),
	STORE_ROW(by_inc),    STORE_ROW(by_xchg),      STORE_ROW(by_xadd),
	STORE_ROW(by_lock),   STORE_ROW(by_cmpxchg),   STORE_ROW(by_cmpxchg8b),
	STORE_ROW(by_push),   STORE_ROW(by_pop),       STORE_ROW(by_call),
	STORE_ROW(by_stosb),  STORE_ROW(by_stosl),     STORE_ROW(by_rep_stosb),
	STORE_ROW(by_movsl),  STORE_ROW(by_rep_movsb), STORE_ROW(by_bts),
	STORE_ROW(by_setcc),  STORE_ROW(by_movups),    STORE_ROW(by_movd),
	STORE_ROW(by_movnti), STORE_ROW(by_fist),      STORE_ROW(by_shld),
	STORE_ROW(by_neg),
};

/*
 * Round n stores n into the immediate at `target`, by code of its own page, and `code` must then
 * return n. Every other time `target` is run often before, so that it is hot when it changes.
 */
static unsigned count_seen(const void *storing, uint8_t *target, const uint8_t *code)
{
	unsigned seen = 0;

	for (uint32_t n = 1; n <= WARM; n++) {
		struct frame frame = frame_at(storing);

		frame.rax = n;
		frame.rdi = (uintptr_t)target;
		if (run_frame(&frame) != UD)
			return 0;
		for (unsigned i = n % 64 ? 1 : 40; i; i--)
			if (run(code) != n)
				return seen;
		seen++;
	}
	return seen;
}

static void test_stores(void)
{
	uint8_t *code = PLACE(page + IMMEDIATE - 1, return_immediate);

	for (unsigned i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		void *storing = place_code(page + 4096, stores[i].code, stores[i].end);
		unsigned seen;

		PLACE(code, return_immediate);
		seen = count_seen(storing, code + 1, code);
		check(seen == WARM, "a change %s is seen: %u of %u times", stores[i].name, seen,
		      WARM);
	}
}

static void test_alias(void)
{
	uint8_t *alias = page_alloc(), *code = PLACE(page + IMMEDIATE - 1, return_immediate);
	uint64_t saved = *pte(alias);
	void *storing = PLACE(page + 4096, by_mov32);
	unsigned seen;

	*pte(alias) = (uintptr_t)page | PTE_P | PTE_W;
	set_pte(alias, 0, 0);
	seen = count_seen(storing, alias + IMMEDIATE, code);
	check(seen == WARM, "a change through another mapping: %u", seen);
	seen = count_seen(storing, page + IMMEDIATE, alias + IMMEDIATE - 1);
	check(seen == WARM, "code run through another mapping: %u", seen);
	*pte(alias) = saved;
	set_pte(alias, 0, 0);
}

/* The immediate lies in two granules, and in two pages. */
static void test_borders(void)
{
	static const unsigned offsets[] = { 60, 61, 62, 63, 64, 4092, 4093, 4094, 4095, 4096 };
	uint8_t *storing = page_alloc();

	PLACE(storing, by_mov32);
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		uint8_t *code = PLACE(page + offsets[i] - 1, return_immediate);
		unsigned seen = count_seen(storing, code + 1, code);

		check(seen == WARM, "an immediate at offset %u: %u", offsets[i], seen);
	}
}

/* ---- data beside code ---- */

/* Counters just before and just behind a hot loop, and one in its page. */
CODE(neighbours, ".quad 0; 1: mov $20000, %ecx\n"
		 "2: incl neighbours(%rip); incl 3f(%rip); lock incl neighbours+2048(%rip)\n"
		 "dec %ecx; jnz 2b; mov neighbours(%rip), %eax; add 3f(%rip), %eax\n"
		 "add neighbours+2048(%rip), %eax; ud2; 3: .long 0; .org neighbours + 2052");

/* fib(15) = 610 with its stack in its own page. */
CODE(own_stack, "mov %rsp, %rbp; lea own_stack+4096(%rip), %rsp; mov $15, %edi; call 1f\n"
		"mov %rbp, %rsp; ud2\n"
		"1: cmp $2, %edi; jb 2f; push %rdi; dec %edi; call 1b; pop %rdi; push %rax\n"
		"sub $2, %edi; call 1b; pop %rdx; add %rdx, %rax; ret; 2: mov %edi, %eax; ret");

static void test_neighbours(void)
{
	PLACE(page, neighbours);
	check(run(page + 8) == 60000, "counters beside a hot loop");
	PLACE(page, own_stack);
	check(run(page) == 610, "a stack in the page of its code");
	check(run(page) == 610, "again");
}

/* ---- a device writes ---- */

#define FWCFG_DMA      0x514
#define DMA_READ       2u
#define DMA_SELECT     8u
#define ITEM_SIGNATURE 0u
#define SIGNATURE      0x554d4551u /* "QEMU", as the item says */

static void dma_read(uint32_t item, void *to, uint32_t len)
{
	static volatile struct {
		uint32_t control, length;
		uint64_t address;
	} dma __attribute__((aligned(16)));

	dma.length = __builtin_bswap32(len);
	dma.address = __builtin_bswap64((uintptr_t)to);
	dma.control = __builtin_bswap32(item << 16 | DMA_SELECT | DMA_READ);
	out32(FWCFG_DMA, 0);
	out32(FWCFG_DMA + 4, __builtin_bswap32((uint32_t)(uintptr_t)&dma));
	while (dma.control)
		asm volatile("pause");
}

static void test_device(void)
{
	uint8_t *code = PLACE(page + IMMEDIATE - 1, return_immediate);
	unsigned seen = 0;

	for (unsigned n = 0; n < WARM; n++)
		seen += run(code) == 0;
	dma_read(ITEM_SIGNATURE, code + 1, 4);
	check(seen == WARM && run(code) == SIGNATURE, "a device changes hot code");
	PLACE(code, return_immediate);
	check(run(code) == 0, "and the processor does again");
	dma_read(ITEM_SIGNATURE, code + 2, 2);
	check(run(code) == (SIGNATURE & 0xffff) << 8, "a device changes a part");
}

/* ---- two processors ---- */

static volatile uint32_t phase;
static volatile uint64_t rounds, wrong;
static volatile uint32_t agreed, finished;

/* RAX counts up for ever, over four blocks and two pages, until the JMP is made two NOPs. */
CODE(endless, "xor %eax, %eax; 1: inc %rax; test %rax, %rax; jz 1b; mov %rax, (%rdi)\n"
	      "jmp 3f; 2: jmp 1b; ret; .org endless + 4096; 3: jmp 2b");
#define ENDLESS_JUMP (2 + 3 + 3 + 2 + 3 + 5) /* offset of the JMP */

static uint32_t call_at(const void *code)
{
	uint32_t value;

	asm volatile("call *%1" : "=a"(value) : "r"(code) : "memory", "cc", "rdx", "rcx");
	return value;
}

/* Calls a piece that returns an immediate which only grows, until it is `finished`. */
static void watch_immediate(void)
{
	uint32_t last = 0;

	while (!finished) {
		uint32_t now = call_at(page);

		wrong += now < last;
		last = now;
		agreed = now;
	}
}

static void second(void)
{
	phase = 1;
	asm volatile("call *%0" : : "r"(page), "D"(&rounds) : "rax", "memory", "cc");
	phase = 2;
	while (phase == 2)
		asm volatile("pause");
	watch_immediate();
	phase = 4;
}

static void test_two_processors(void)
{
	uint64_t before;

	PLACE(page, endless);
	if (page[ENDLESS_JUMP] != 0xeb)
		return check(false, "the jump stands where it is thought to");
	if (!start_ap(second)) {
		check(true, "code that two processors share # SKIP there is one");
		return;
	}
	while (phase != 1)
		asm volatile("pause");
	before = rounds;
	while (rounds - before < 100000)
		asm volatile("pause");
	*(volatile uint16_t *)(page + ENDLESS_JUMP) = 0x9090;
	while (phase != 2)
		asm volatile("pause");
	check(true, "an endless loop of the other processor ends when its jump goes");

	page[0] = 0xb8; /* mov $imm, %eax; ret; the immediate is aligned */
	uint8_t *code = page = page + 3;
	*(volatile uint32_t *)(code + 1) = 0;
	code[5] = 0xc3;
	code[0] = 0xb8;
	phase = 3;
	for (uint32_t n = 1; n <= 300; n++) {
		__atomic_store_n((uint32_t *)(code + 1), n, __ATOMIC_SEQ_CST);
		while (agreed < n)
			asm volatile("pause");
	}
	finished = 1;
	while (phase != 4)
		asm volatile("pause");
	check(wrong == 0 && agreed == 300, "300 changes by one processor, seen by the other");
}

void test_main(void)
{
	WRITE_CR(4, READ_CR(4) | CR4_OSFXSR);
	page = page_alloc();
	(void)page_alloc(); /* behind it */
	test_self_modifying();
	test_stores();
	test_alias();
	test_borders();
	test_neighbours();
	test_device();
	test_two_processors();
}
