/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host as the oracle: all guest-visible registers are loaded from fixed memory, the instruction
 * runs from a slot in low memory, all registers are stored. A fault in the slot goes on at the
 * code that stores; signals are handled on a stack of their own, since RSP is the test's.
 */
#define _GNU_SOURCE
#include <ucontext.h>

#include "tests/insn/native.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CODE_BYTES       0x1000
#define STATE_BYTES      0x1000
#define SIGNAL_STACK     (64 * KIB)
#define CODE_SELECTOR_32 0x23
#define CODE_SELECTOR_64 0x33
#define DATA_SELECTOR    0x2b

/* Private words of struct registers, as the assembly below numbers them. */
#define SLOT_POINTER 144
#define EXIT_POINTER 152
#define SLOT_FAR     160
#define HOST_RSP     136
#define HOST_MXCSR   168

_Static_assert(offsetof(struct registers, rflags) == 128, "assembly");
_Static_assert(offsetof(struct registers, ymm) == 256, "assembly");
_Static_assert(offsetof(struct registers, fx) == 768, "assembly");
_Static_assert(NATIVE_STATE == 0x10001000, "assembly");

void native_enter_64(void);
void native_enter_32(void);
void native_exit(void);

/* clang-format off */
#define AT(offset) "0x10001000+" #offset
#define EACH_YMM(insn_from) \
	insn_from(0) insn_from(1) insn_from(2) insn_from(3) insn_from(4) insn_from(5) \
	insn_from(6) insn_from(7) insn_from(8) insn_from(9) insn_from(10) insn_from(11) \
	insn_from(12) insn_from(13) insn_from(14) insn_from(15)
#define LOAD_YMM(n)  "vmovups 0x10001100+32*" #n ", %ymm" #n "\n"
#define STORE_YMM(n) "vmovups %ymm" #n ", 0x10001100+32*" #n "\n"
#define ENTER(name, jump) \
	".globl " #name "\n" #name ":\n" \
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n" \
	"mov %rsp, " AT(136) "\n stmxcsr " AT(168) "\n" \
	"fxrstor64 " AT(768) "\n" \
	EACH_YMM(LOAD_YMM) \
	"pushq " AT(128) "\n popfq\n" \
	"mov " AT(0) ", %rax\n mov " AT(8) ", %rcx\n mov " AT(16) ", %rdx\n" \
	"mov " AT(24) ", %rbx\n mov " AT(32) ", %rsp\n mov " AT(40) ", %rbp\n" \
	"mov " AT(48) ", %rsi\n mov " AT(56) ", %rdi\n mov " AT(64) ", %r8\n" \
	"mov " AT(72) ", %r9\n mov " AT(80) ", %r10\n mov " AT(88) ", %r11\n" \
	"mov " AT(96) ", %r12\n mov " AT(104) ", %r13\n mov " AT(112) ", %r14\n" \
	"mov " AT(120) ", %r15\n" jump "\n"

__asm__(".text\n"
	ENTER(native_enter_64, "jmp *" AT(144))
	ENTER(native_enter_32, "ljmp *" AT(160))
	".globl native_exit\nnative_exit:\n"
	"mov %rax, " AT(0) "\n mov %rcx, " AT(8) "\n mov %rdx, " AT(16) "\n"
	"mov %rbx, " AT(24) "\n mov %rsp, " AT(32) "\n mov %rbp, " AT(40) "\n"
	"mov %rsi, " AT(48) "\n mov %rdi, " AT(56) "\n mov %r8, " AT(64) "\n"
	"mov %r9, " AT(72) "\n mov %r10, " AT(80) "\n mov %r11, " AT(88) "\n"
	"mov %r12, " AT(96) "\n mov %r13, " AT(104) "\n mov %r14, " AT(112) "\n"
	"mov %r15, " AT(120) "\n"
	"mov " AT(136) ", %rsp\n pushfq\n popq " AT(128) "\n cld\n"
	EACH_YMM(STORE_YMM)
	"fxsave64 " AT(768) "\n ldmxcsr " AT(168) "\n fninit\n vzeroupper\n"
	"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");
/* clang-format on */

struct native {
	int fault;
	bool can_run_32;
	uint8_t *signal_stack;
	struct sigaction before[NSIG];
};

static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };

/* A signal handler has no other way to know. */
static struct native *current;

static void on_fault(int signal_number, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	greg_t *regs = context->uc_mcontext.gregs;
	const struct sigaction *before = &current->before[signal_number];

	if ((uint64_t)regs[REG_RIP] - NATIVE_CODE < CODE_BYTES) {
		current->fault = (int)regs[REG_TRAPNO];
		regs[REG_RIP] = (greg_t)native_exit;
		regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | CODE_SELECTOR_64;
	} else if (before->sa_flags & SA_SIGINFO) {
		before->sa_sigaction(signal_number, info, opaque);
	} else {
		signal(signal_number, SIG_DFL);
	}
}

static void install_handlers(struct native *native)
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_sp = native->signal_stack, .ss_size = SIGNAL_STACK };

	sigemptyset(&action.sa_mask);
	sigaltstack(&stack, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, &native->before[signals[i]]);
}

static bool map(uint32_t address, size_t bytes, int protection)
{
	void *at = (void *)(uintptr_t)address;

	return mmap(at, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) == at;
}

static struct registers *state(void)
{
	return (struct registers *)(uintptr_t)NATIVE_STATE;
}

static void set_private(unsigned offset, uint64_t value, unsigned bytes)
{
	store_le((uint8_t *)state() + offset, value, bytes);
}

/* 32-bit code needs data segments that are not null. */
static void set_data_segments(void)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(DATA_SELECTOR));
}

static struct native *release(struct native *native)
{
	if (native)
		free(native->signal_stack);
	free(native);
	return NULL;
}

struct native *native_create(void)
{
	static const uint8_t nop[] = { 0x90 };
	struct native *native = calloc(1, sizeof(*native));
	struct registers regs = { .gpr = { 0 }, .rflags = 2 };

	if (!native || !__builtin_cpu_supports("avx"))
		return release(native);
	native->signal_stack = malloc(SIGNAL_STACK);
	if (!native->signal_stack ||
	    !map(NATIVE_CODE, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map(NATIVE_STATE, STATE_BYTES, PROT_READ | PROT_WRITE) ||
	    !map(NATIVE_DATA, NATIVE_DATA_BYTES, PROT_READ | PROT_WRITE))
		return release(native);
	current = native;
	install_handlers(native);
	set_private(SLOT_POINTER, NATIVE_SLOT, 8);
	set_private(EXIT_POINTER, (uint64_t)native_exit, 8);
	set_private(SLOT_FAR, NATIVE_SLOT, 4);
	set_private(SLOT_FAR + 4, CODE_SELECTOR_32, 4);
	store_le(regs.fx + 24, 0x1f80, 4);
	native->can_run_32 = native_run(native, 32, nop, sizeof(nop), &regs) == NO_FAULT;
	return native;
}

void native_destroy(struct native *native)
{
	const stack_t no_stack = { .ss_flags = SS_DISABLE };

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &native->before[signals[i]], NULL);
	sigaltstack(&no_stack, NULL);
	munmap((void *)(uintptr_t)NATIVE_CODE, CODE_BYTES);
	munmap((void *)(uintptr_t)NATIVE_STATE, STATE_BYTES);
	munmap((void *)(uintptr_t)NATIVE_DATA, NATIVE_DATA_BYTES);
	release(native);
	current = NULL;
}

bool native_can_run_32(const struct native *native)
{
	return native->can_run_32;
}

uint8_t *native_data(void)
{
	return (uint8_t *)(uintptr_t)NATIVE_DATA;
}

/* Code that notes its own address as the next instruction's and goes to native_exit. */
static void write_end(unsigned mode_bits, uint8_t *at)
{
	static const uint8_t jump_to_exit[] = { 0xff, 0x24, 0x25 }; /* jmp [EXIT_POINTER] */
	uintptr_t start = (uintptr_t)at;

	*at++ = 0xc7; /* mov dword [rip], start */
	if (mode_bits == 64)
		*at++ = 0x04;
	*at++ = mode_bits == 64 ? 0x25 : 0x05;
	store_le(at, NATIVE_STATE + offsetof(struct registers, rip), 4);
	store_le(at + 4, start, 4);
	at += 8;
	if (mode_bits == 32) { /* jmp far to the next instruction, as 64-bit code */
		*at++ = 0xea;
		store_le(at, (uintptr_t)at + 6, 4);
		store_le(at + 4, CODE_SELECTOR_64, 2);
		at += 6;
	}
	memcpy(at, jump_to_exit, sizeof(jump_to_exit));
	store_le(at + sizeof(jump_to_exit), NATIVE_STATE + EXIT_POINTER, 4);
}

static void write_slot(unsigned mode_bits, const uint8_t *bytes, unsigned length)
{
	uint8_t *slot = (uint8_t *)(uintptr_t)NATIVE_SLOT;

	memcpy(slot, bytes, length);
	write_end(mode_bits, slot + length);
	write_end(mode_bits, (uint8_t *)(uintptr_t)NATIVE_TARGET);
}

int native_run(struct native *native, unsigned mode_bits, const uint8_t *bytes, unsigned length,
	       struct registers *regs)
{
	struct registers *s = state();

	write_slot(mode_bits, bytes, length);
	memcpy(s->gpr, regs->gpr, sizeof(s->gpr));
	s->rflags = regs->rflags;
	s->rip = 0;
	memcpy(s->ymm, regs->ymm, sizeof(s->ymm) + sizeof(s->fx));
	native->fault = NO_FAULT;
	if (mode_bits == 32) {
		set_data_segments();
		native_enter_32();
	} else {
		native_enter_64();
	}
	memcpy(regs->gpr, s->gpr, sizeof(s->gpr));
	regs->rflags = s->rflags;
	regs->rip = s->rip;
	memcpy(regs->ymm, s->ymm, sizeof(s->ymm) + sizeof(s->fx));
	return native->fault;
}
