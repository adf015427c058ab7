/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small run-time of the bare test images: see bare.h. */
#include "apic.h"
#include "bare.h"

#include <stdarg.h>

#define SERIAL     0x3f8
#define DEBUG_EXIT 0xf4

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
	uint8_t io[8193];
};

struct trap trap;
uint64_t recover_rip, recover_rsp;
struct frame *running_frame;
uint32_t boot_info; /* start.S: multiboot's */
struct tss tss;
struct table_pointer idt_pointer;
extern char stubs[], ap_trampoline[], ap_trampoline_end[];

static uint64_t idt[512] __attribute__((aligned(16)));
static void (*handlers[256])(struct frame *);
static uint8_t pool[256 * 4096] __attribute__((aligned(4096)));
static uint64_t tables[16][512] __attribute__((aligned(4096)));
static unsigned pool_used, tables_used;
static uint8_t kernel_stack[16384] __attribute__((aligned(16)));
static uint8_t exception_stack[16384] __attribute__((aligned(16)));
static uint8_t frame_stack[4096] __attribute__((aligned(4096)));
static uint8_t user_stack[4096] __attribute__((aligned(4096)));
uint8_t user_code[4096] __attribute__((aligned(4096)));
static unsigned tests, failures;

static void put_char(char c)
{
	while (!(in8(SERIAL + 5) & 0x20))
		;
	out8(SERIAL, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

static void put_number(uint64_t value, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put_char(digits[--n]);
}

/* %s %d %u %x, with any number of l's. */
static void print(const char *format, va_list args)
{
	for (; *format; format++) {
		bool is_long = false;
		int64_t number;

		if (*format != '%') {
			put_char(*format);
			continue;
		}
		for (format++; *format == 'l'; format++)
			is_long = true;
		if (*format == 's') {
			put_string(va_arg(args, const char *));
			continue;
		}
		number = is_long          ? va_arg(args, int64_t)
			 : *format == 'd' ? va_arg(args, int)
					  : (int64_t)va_arg(args, unsigned);
		if (*format == 'd' && number < 0)
			put_char('-');
		put_number(*format == 'd' && number < 0 ? -(uint64_t)number : (uint64_t)number,
			   *format == 'x' ? 16 : 10);
	}
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
	put_char('\n');
}

void check(bool passed, const char *format, ...)
{
	va_list args;

	put_string(passed ? "ok " : "not ok ");
	put_number(++tests, 10);
	put_string(" - ");
	failures += !passed;
	va_start(args, format);
	print(format, args);
	va_end(args);
	if (!passed && trap.vector >= 0) {
		va_list none = { 0 };

		print(" #", none);
		put_number((uint64_t)trap.vector, 10);
		put_char('(');
		put_number(trap.error, 16);
		put_char(')');
	}
	put_char('\n');
}

void bare_exit(void)
{
	say("1..%u", tests);
	out32(DEBUG_EXIT, failures ? 1 : 0);
	for (;;)
		asm volatile("hlt");
}

/* ---- exceptions ---- */

void bare_trap(struct frame *frame);
void bare_start(void);

static void catch (struct frame *frame)
{
	trap = (struct trap){ .vector = (int64_t)frame->vector,
			      .error = frame->error,
			      .rip = frame->rip,
			      .cs = frame->cs,
			      .rflags = frame->rflags,
			      .rsp = frame->rsp,
			      .rcx = frame->rcx,
			      .rax = frame->rax,
			      .cr2 = READ_CR(2),
			      .dr6 = READ_DR(6) };
	if (running_frame) {
		*running_frame = *frame;
		running_frame = NULL;
	}
	frame->rip = recover_rip;
	frame->cs = SEL_CODE64;
	frame->rsp = recover_rsp;
	frame->ss = SEL_DATA;
	frame->rflags = 2;
}

void bare_trap(struct frame *frame)
{
	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
	} else if (recover_rip) {
		catch (frame);
	} else {
		say("not ok - unexpected exception %lu, error %lx, rip %lx, cr2 %lx", frame->vector,
		    frame->error, frame->rip, READ_CR(2));
		failures++;
		bare_exit();
	}
}

struct frame frame_at(const void *rip)
{
	return (struct frame){ .rip = (uintptr_t)rip,
			       .cs = SEL_CODE64,
			       .rflags = 2,
			       .rsp = (uintptr_t)frame_stack + sizeof(frame_stack) - 512,
			       .ss = SEL_DATA };
}

struct frame user_frame_at(const void *rip, unsigned selector)
{
	make_user(user_stack);
	return (struct frame){ .rip = (uintptr_t)rip,
			       .cs = selector,
			       .rflags = 2,
			       .rsp = (uintptr_t)user_stack + sizeof(user_stack) - 512,
			       .ss = SEL_USER_DATA };
}

void *place_code(void *at, const uint8_t *code, const uint8_t *end)
{
	uint8_t *to = at;

	while (code < end)
		*to++ = *code++;
	return at;
}

/* ---- the command line ---- */

static bool has_prefix(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return false;
	return true;
}

const char *boot_word(const char *word)
{
	const uint32_t *info = (uint32_t *)(uintptr_t)boot_info;
	const char *text = info[0] & 4 ? (char *)(uintptr_t)info[4] : "";
	unsigned len = 0;

	while (word[len])
		len++;
	while (*text && !has_prefix(text, word))
		text++;
	return *text ? text + len : NULL;
}

uint64_t boot_number(const char *word, uint64_t otherwise)
{
	const char *text = boot_word(word);
	uint64_t number = 0;

	if (!text)
		return otherwise;
	while (*text && (*text < '0' || *text > '9'))
		text++;
	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	return number;
}

void set_handler(unsigned vector, void (*fn)(struct frame *frame))
{
	handlers[vector] = fn;
}

uint64_t *idt_gate(unsigned vector)
{
	return &idt[2 * vector];
}

static void set_up_idt(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t entry = (uintptr_t)stubs + 16 * i;

		idt[2 * i] = (entry & 0xffff) | SEL_CODE64 << 16 | 0x8e00ull << 32 |
			     (i < 32 ? 1ull << 32 : 0) | (entry >> 16 & 0xffff) << 48;
		idt[2 * i + 1] = entry >> 32;
	}
	idt[2 * BP] |= 3ull << 45; /* INT3 and INT 80h from user mode */
	idt[2 * 0x80] |= 3ull << 45;
	idt_pointer = (struct table_pointer){ sizeof(idt) - 1, (uintptr_t)idt };
	asm volatile("lidt %0" : : "m"(idt_pointer));
}

static void set_up_tss(void)
{
	uint64_t base = (uintptr_t)&tss, limit = sizeof(tss) - 1;

	tss.rsp[0] = (uintptr_t)kernel_stack + sizeof(kernel_stack);
	tss.ist[0] = (uintptr_t)exception_stack + sizeof(exception_stack);
	tss.io_map = sizeof(tss); /* none */
	gdt[SEL_TSS / 8] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			   (base >> 24 & 0xff) << 56;
	gdt[SEL_TSS / 8 + 1] = base >> 32;
	asm volatile("ltr %w0" : : "r"(SEL_TSS));
}

/* ---- memory ---- */

void *page_alloc(void)
{
	void *page = &pool[4096 * pool_used++];

	set_pte(page, 0, 0);
	return page;
}

uint64_t *pte(const void *address)
{
	uint64_t a = (uintptr_t)address, *entry = &page_directories[a >> 21];

	if (*entry & PTE_PS) {
		uint64_t *table = tables[tables_used++];

		for (unsigned i = 0; i < 512; i++)
			table[i] = ((a >> 21 << 21) + 4096 * i) | PTE_P | PTE_W;
		*entry = (uintptr_t)table | PTE_P | PTE_W | PTE_U;
		WRITE_CR(3, READ_CR(3));
	}
	return (uint64_t *)(*entry & ~0xfffull) + (a >> 12 & 511);
}

void set_pte(const void *address, uint64_t set, uint64_t clear)
{
	uint64_t *entry = pte(address);

	*entry = (*entry & ~clear) | set;
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void make_user(const void *address)
{
	set_pte(address, PTE_U, 0);
}

/* ---- user mode and other processors ---- */

void run_user(const void *code, size_t size, unsigned selector)
{
	for (size_t i = 0; i < size; i++)
		user_code[i] = ((const uint8_t *)code)[i];
	make_user(user_code);
	make_user(user_stack);
	trap.vector = -1;
	asm volatile("push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14\n\t"
		     "lea 1f(%%rip), %%rax\n\t"
		     "mov %%rax, recover_rip(%%rip)\n\t"
		     "mov %%rsp, recover_rsp(%%rip)\n\t"
		     "push %[ss]; push %[sp]; push $0x2; push %[cs]; push %[ip]\n\t"
		     "iretq\n"
		     "1: pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n\t"
		     "movq $0, recover_rip(%%rip)"
		     :
		     : [ss] "i"(SEL_USER_DATA), [sp] "S"(user_stack + sizeof(user_stack) - 64),
		       [cs] "d"((uint64_t)selector), [ip] "D"(user_code)
		     : "rax", "rcx", "r8", "r9", "r10", "r11", "r15", "memory", "cc");
}

bool start_ap(void (*fn)(void))
{
	char *target = (char *)0x8000;

	if ((cpuid(1, 0).b >> 16 & 0xff) < 2)
		return false;
	for (long i = 0; i < ap_trampoline_end - ap_trampoline; i++)
		target[i] = ap_trampoline[i];
	ap_entry = fn;
	apic_write(APIC_ICR, 0xc4500); /* INIT, all but self */
	for (volatile int i = 0; i < 100000; i++)
		;
	apic_write(APIC_ICR, 0xc4608); /* start-up at page 8 */
	return true;
}

void bare_start(void)
{
	set_up_idt();
	set_up_tss();
	test_main();
	bare_exit();
}
