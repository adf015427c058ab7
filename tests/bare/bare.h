/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a bare test image has to work with: checks printed as TAP on the serial port, exceptions
 * caught, page tables and privilege to play with. Each image is one C file with a `test_main`.
 */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Selectors of start.S's GDT. */
#define SEL_CODE64      0x08
#define SEL_DATA        0x10
#define SEL_CODE32      0x18
#define SEL_USER_CODE32 0x33
#define SEL_USER_DATA   0x3b
#define SEL_USER_CODE64 0x43
#define SEL_TSS         0x48
#define SEL_FREE        0x58 /* and up to 0x100: for tests */

#define PTE_P  1ull
#define PTE_W  2ull
#define PTE_U  4ull
#define PTE_A  0x20ull
#define PTE_D  0x40ull
#define PTE_PS 0x80ull
#define PTE_G  0x100ull
#define PTE_NX (1ull << 63)

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS = 10, NP, SS, GP, PF, MF = 16, AC, MC, XM };

/* What common in start.S pushes. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* The last exception that TRY, run_user or run_frame caught; vector is -1 where there was none. */
struct trap {
	int64_t vector;
	uint64_t error, rip, cs, rflags, rsp, cr2, dr6, rcx, rax;
};

extern struct trap trap;
extern uint64_t recover_rip, recover_rsp;
extern uint64_t gdt[], pml4[512], pdpt[512], page_directories[4 * 512];
extern void (*ap_entry)(void);
extern char stack_top[];

void test_main(void);

/* Prints one line of TAP. */
void check(bool passed, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A handler for a vector, instead of catching; it returns to what was interrupted. */
void set_handler(unsigned vector, void (*fn)(struct frame *frame));
/* The raw IDT gate, to break. */
uint64_t *idt_gate(unsigned vector);

/* The 4 KiB page table entry of an address below 4 GiB; splits its 2 MiB page the first time. */
uint64_t *pte(const void *address);
/* A fresh, zeroed 4 KiB page of its own (mapped supervisor, writable), behind the one before. */
void *page_alloc(void);
void set_pte(const void *address, uint64_t set, uint64_t clear); /* and INVLPG */
/* Makes the page of `address` and the tables above it accessible to user mode. */
void make_user(const void *address);

/*
 * Copies an array of code to user_code, a user page, and runs it there in user mode, with the code
 * segment `selector`, until its first exception, left in `trap`. RDI holds user_code.
 */
#define RUN_USER(code, selector) run_user(code, sizeof(code), selector)
void run_user(const void *code, size_t size, unsigned selector);
extern uint8_t user_code[4096];

/*
 * Runs from the state in *frame (with CS, SS, RSP and RFLAGS) until its first exception, whose
 * frame it then holds. Returns the vector. Code ends with UD2, say.
 */
int64_t run_frame(struct frame *frame);
/* A frame for run_frame: kernel mode at `rip`, on a stack of its own, all other registers zero. */
struct frame frame_at(const void *rip);
/* The same in user mode, at a page that make_user knows, with the code segment `selector`. */
struct frame user_frame_at(const void *rip, unsigned selector);

/*
 * CODE(name, "instructions"): machine code that is data here, from name to name_end, to be copied
 * to where it is to run. It must not depend on its place.
 */
#define CODE(name, ...)                                                             \
	extern const uint8_t name[], name##_end[];                                  \
	asm(".pushsection .rodata\n" #name ":\n" __VA_ARGS__ "\n" #name "_end:\n\t" \
	    ".popsection")
/* Copies it to `at`, and returns that. */
#define PLACE(at, name) place_code(at, name, name##_end)
void *place_code(void *at, const uint8_t *code, const uint8_t *end);

/* What stands behind `word` on the kernel's command line; NULL where that is not there. */
const char *boot_word(const char *word);
/* The next number behind `word` there; `otherwise` where `word` is not there. */
uint64_t boot_number(const char *word, uint64_t otherwise);

/* Starts the second processor at fn; false where there is none. */
bool start_ap(void (*fn)(void));

void bare_exit(void) __attribute__((noreturn));

/*
 * Runs the assembly `body` and evaluates to the vector of the exception that it raised, or -1. The
 * operands after it are inputs; RAX to RDX and R15 are free for the body.
 */
#define TRY(body, ...)                                                             \
	({                                                                         \
		trap.vector = -1;                                                  \
		asm volatile("lea 99f(%%rip), %%r15\n\t"                           \
			     "mov %%r15, recover_rip(%%rip)\n\t"                   \
			     "mov %%rsp, recover_rsp(%%rip)\n\t" body "\n"         \
			     "99: movq $0, recover_rip(%%rip)"                     \
			     :                                                     \
			     : __VA_ARGS__                                         \
			     : "rax", "rbx", "rcx", "rdx", "r15", "memory", "cc"); \
		trap.vector;                                                       \
	})

static inline void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* The vector of the exception, or -1. */
static inline int64_t try_rdmsr(uint32_t msr)
{
	return TRY("mov %k0, %%ecx; rdmsr", "r"(msr));
}

static inline int64_t try_wrmsr(uint32_t msr, uint64_t value)
{
	return TRY("mov %k0, %%ecx; mov %1, %%rdx; mov %k1, %%eax; shr $32, %%rdx; wrmsr", "r"(msr),
		   "r"(value));
}

#define READ_CR(n)                                             \
	({                                                     \
		uint64_t v_;                                   \
		asm volatile("mov %%cr" #n ", %0" : "=r"(v_)); \
		v_;                                            \
	})
#define WRITE_CR(n, v)     asm volatile("mov %0, %%cr" #n : : "r"((uint64_t)(v)) : "memory")
#define TRY_WRITE_CR(n, v) TRY("mov %0, %%cr" #n, "r"((uint64_t)(v)))
#define READ_DR(n)                                             \
	({                                                     \
		uint64_t v_;                                   \
		asm volatile("mov %%dr" #n ", %0" : "=r"(v_)); \
		v_;                                            \
	})
#define WRITE_DR(n, v) asm volatile("mov %0, %%dr" #n : : "r"((uint64_t)(v)) : "memory")

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	asm volatile("cpuid"
		     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

static inline bool is_amd(void)
{
	return cpuid(0, 0).c == 0x444d4163;
}

#endif
