/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering translated code, and its thunks: see cpu/jit/enter.h. They are written in assembly with
 * the offsets of struct cpu as operands; the function around them is never called.
 */
#define _GNU_SOURCE
#include "cpu/jit/enter.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/jit/dispatch.h"
#include "cpu/jit/jit.h"

#define HWCAP2_FSGSBASE BIT(1)

/* Labels of the assembly below. */
extern const uint8_t thunk_handler[] __asm__("jit_thunk_handler");
extern const uint8_t thunk_handler_last[] __asm__("jit_thunk_handler_last");
extern const uint8_t thunk_handler_vector[] __asm__("jit_thunk_handler_vector");
extern const uint8_t thunk_fault[] __asm__("jit_thunk_fault");
extern const uint8_t thunk_link[] __asm__("jit_thunk_link");
extern const uint8_t thunk_poll[] __asm__("jit_thunk_poll");
extern const uint8_t thunk_bail[] __asm__("jit_thunk_bail");
extern const uint8_t thunk_fit[] __asm__("jit_thunk_fit");
extern const uint8_t thunk_cross[] __asm__("jit_thunk_cross");
extern const uint8_t thunk_far[] __asm__("jit_thunk_far");
extern const uint8_t thunk_stop[] __asm__("jit_thunk_stop");

void jit_set_thunks(struct cpu *cpu)
{
	cpu->jit.self = cpu;
	cpu->jit.thunk[THUNK_HANDLER] = thunk_handler;
	cpu->jit.thunk[THUNK_HANDLER_LAST] = thunk_handler_last;
	cpu->jit.thunk[THUNK_HANDLER_VECTOR] = thunk_handler_vector;
	cpu->jit.thunk[THUNK_FAULT] = thunk_fault;
	cpu->jit.thunk[THUNK_LINK] = thunk_link;
	cpu->jit.thunk[THUNK_POLL] = thunk_poll;
	cpu->jit.thunk[THUNK_BAIL] = thunk_bail;
	cpu->jit.thunk[THUNK_FIT] = thunk_fit;
	cpu->jit.thunk[THUNK_CROSS] = thunk_cross;
	cpu->jit.thunk[THUNK_FAR] = thunk_far;
	cpu->jit.thunk[THUNK_STOP] = thunk_stop;
}

/* The GS base is ours: the C library uses FS. */
void jit_enter_thread(struct cpu *cpu)
{
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		__asm__ volatile("wrgsbase %0" : : "r"(cpu));
	else
		syscall(SYS_arch_prctl, ARCH_SET_GS, cpu);
}

#define EACH_PINNED(move)                                                                         \
	move(rax, rax) move(rcx, rcx) move(rdx, rdx) move(rbx, rbx) move(rbp, rbp) move(rsi, rsi) \
		move(rdi, rdi) move(r12, r12) move(r13, r13) move(r14, r14) move(r15, r15)        \
			move(r8, rsp)
#define WRITE_BACK(host, guest) "mov %%" #host ", %%gs:%c[" #guest "]\n\t"
#define READ_BACK(host, guest)  "mov %%gs:%c[" #guest "], %%" #host "\n\t"
#define READ_ALL                EACH_PINNED(READ_BACK)
/* C has the vector registers in memory. */
#define WRITE_ALL               \
	EACH_PINNED(WRITE_BACK) \
	"cmpb $0, %%gs:%c[ready]\n\tje 9f\n\tcall store_vectors\n9:\n\t"

#define EACH_VECTOR(move)                                                                        \
	move(0) move(1) move(2) move(3) move(4) move(5) move(6) move(7) move(8) move(9) move(10) \
		move(11) move(12) move(13) move(14) move(15)
#define STORE_YMM(n) "vmovups %%ymm" #n ", %%gs:%c[ymm]+32*" #n "\n\t"
#define STORE_XMM(n) "movups %%xmm" #n ", %%gs:%c[ymm]+32*" #n "\n\t"
#define LOAD_YMM(n)  "vmovups %%gs:%c[ymm]+32*" #n ", %%ymm" #n "\n\t"
#define LOAD_XMM(n)  "movups %%gs:%c[ymm]+32*" #n ", %%xmm" #n "\n\t"
#define STORE_YMMS   EACH_VECTOR(STORE_YMM)
#define STORE_XMMS   EACH_VECTOR(STORE_XMM)
#define LOAD_YMMS    EACH_VECTOR(LOAD_YMM)
#define LOAD_XMMS    EACH_VECTOR(LOAD_XMM)

/* Of the instruction at R9; leaves its block if it says so. For what is called. */
#define RUN_HANDLER                                       \
	WRITE_ALL                                         \
	"incq %%gs:%c[handlers]\n\t"                      \
	"mov %%r9, %%gs:%c[insn]\n\t"                     \
	"mov %%r9, %%gs:%c[block_end]\n\t" /* not NULL */ \
	"movzwl %c[insn_page_offset](%%r9), %%r10d\n\t"   \
	"add %%gs:%c[code_page], %%r10\n\t"               \
	"mov %%r10, %%gs:%c[rip]\n\t"                     \
	"mov %%gs:%c[self], %%rdi\n\t"                    \
	"mov %%r9, %%rsi\n\t"                             \
	"sub $8, %%rsp\n\t"                               \
	"call *%c[insn_exec](%%r9)\n\t"                   \
	"add $8, %%rsp\n\t"                               \
	"cmpq $0, %%gs:%c[block_end]\n\t"                 \
	"je leave_after_insn\n\t"                         \
	"mov %%gs:%c[rflags], %%r10d\n\t"                 \
	"or $%c[not_if], %%r10d\n\t"                      \
	"test %%r10d, %%gs:%c[attention]\n\t"             \
	"jnz leave_after_insn\n\t"

// clang-format off
#define GPR(n) "i"(offsetof(struct cpu, gpr[n]))
#define AT(field) "i"(offsetof(struct cpu, field))
#define OPERANDS \
	[rax] GPR(RAX), [rcx] GPR(RCX), [rdx] GPR(RDX), [rbx] GPR(RBX), [rsp] GPR(RSP), \
	[rbp] GPR(RBP), [rsi] GPR(RSI), [rdi] GPR(RDI), [r12] GPR(R12), [r13] GPR(R13), \
	[r14] GPR(R14), [r15] GPR(R15), [rip] AT(rip), [rflags] AT(rflags), \
	[handlers] AT(stats.count[STAT_LEFT_HANDLER]), [insn] AT(insn), \
	[block_end] AT(block_end), [attention] AT(attention), \
	[self] AT(jit.self), [stop] AT(jit.stop), [code_page] AT(jit.code_page), \
	[ready] AT(vector.ready), [ymm] AT(vector.ymm), [has_avx] AT(jit.has_avx), [has_upper] AT(jit.has_upper), \
	[insn_exec] "i"(offsetof(struct insn, exec)), \
	[insn_page_offset] "i"(offsetof(struct insn, page_offset)), \
	[insn_next] "i"(offsetof(struct insn, next)), [not_if] "i"(~(int)RFLAGS_IF)
// clang-format on

__attribute__((used)) static void thunks(void)
{
	__asm__ volatile(
		/* rdi = cpu, rsi = code */
		".globl jit_enter\n"
		"jit_enter:\n\t"
		"push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush "
		"%%r15\n\t"
		"sub $8, %%rsp\n\t"
		"mov %%rsi, %%r9\n"
		"go:\n\t" /* to the code at R9 */
		READ_ALL "jmp *%%r9\n"

		"leave:\n\t" /* back to C; all state is in *cpu */
		"movq $0, %%gs:%c[insn]\n\t"
		"add $8, %%rsp\n\t"
		"pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx\n\t"
		"ret\n"

		".globl jit_thunk_handler\n"
		"jit_thunk_handler:\n\t" RUN_HANDLER READ_ALL "ret\n"

		"leave_after_insn:\n\t" /* the instruction is done, and its block is to be left */
		"mov %%gs:%c[insn], %%r9\n\t"
		"movzwl %c[insn_next](%%r9), %%eax\n\t"
		"add %%rax, %%gs:%c[rip]\n\t"
		"add $8, %%rsp\n\t"
		"jmp leave\n"

		".globl jit_thunk_handler_last\n"
		"jit_thunk_handler_last:\n\t" WRITE_ALL "incq %%gs:%c[handlers]\n\t"
		"mov %%r9, %%gs:%c[insn]\n\t"
		"movzwl %c[insn_page_offset](%%r9), %%r10d\n\t"
		"add %%gs:%c[code_page], %%r10\n\t"
		"mov %%r10, %%gs:%c[rip]\n\t"
		"mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r9, %%rsi\n\t"
		"call *%c[insn_exec](%%r9)\n"
		"next:\n\t" /* at RIP */
		"mov %%gs:%c[self], %%rdi\n\t"
		"call jit_next\n"
		"go_or_leave:\n\t"
		"test %%rax, %%rax\n\t"
		"jz leave\n\t"
		"mov %%rax, %%r9\n\t"
		"jmp go\n"

		".globl jit_thunk_link\n"
		"jit_thunk_link:\n\t"
		"pop %%r9\n\t" WRITE_ALL "mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r9, %%rsi\n\t"
		"call jit_link\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_far\n"
		"jit_thunk_far:\n\t" WRITE_ALL "mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r10, %%rsi\n\t"
		"call jit_far\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_poll\n"
		"jit_thunk_poll:\n\t"
		"mov %%gs:%c[rflags], %%r10d\n\t"
		"or $%c[not_if], %%r10d\n\t"
		"test %%r10d, %%gs:%c[attention]\n\t"
		"jnz 1f\n\t"
		"ret\n"
		"1:\n\t" WRITE_ALL "add %%gs:%c[code_page], %%r9\n\t"
		"mov %%r9, %%gs:%c[rip]\n\t"
		"add $8, %%rsp\n\t"
		"jmp leave\n"

		".globl jit_thunk_bail\n"
		"jit_thunk_bail:\n\t"
		"pop %%r9\n\t" WRITE_ALL "mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r9, %%rsi\n\t"
		"call jit_bail\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_stop\n"
		"jit_thunk_stop:\n\t" WRITE_ALL "mov %%gs:%c[stop], %%r9\n\t"
		"mov %%r9, %%gs:%c[rip]\n\t"
		"jmp leave\n"

		".globl jit_thunk_fit\n"
		"jit_thunk_fit:\n\t" WRITE_ALL "mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r9, %%rsi\n\t"
		"call jit_fit\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_cross\n"
		"jit_thunk_cross:\n\t" WRITE_ALL "mov %%gs:%c[self], %%rdi\n\t"
		"mov %%r9, %%rsi\n\t"
		"call jit_cross\n\t"
		"jmp go_or_leave\n"
		:
		: OPERANDS);
}

/* Those that have to do with the vector registers. */
__attribute__((used)) static void vector_thunks(void)
{
	__asm__ volatile(".globl jit_thunk_handler_vector\n"
			 "jit_thunk_handler_vector:\n\t" RUN_HANDLER "mov %%gs:%c[self], %%rdi\n\t"
			 "sub $8, %%rsp\n\t"
			 "call jit_prepare_vectors\n\t"
			 "add $8, %%rsp\n\t"
			 "mov %%al, %%gs:%c[ready]\n\t"
			 "test %%al, %%al\n\t"
			 "jz 2f\n\t"
			 "cmpb $0, %%gs:%c[has_avx]\n\t"
			 "je 1f\n\t"
			 "vzeroupper\n\t"
			 "cmpb $0, %%gs:%c[has_upper]\n\t"
			 "je 1f\n\t" LOAD_YMMS "jmp 2f\n"
			 "1:\n\t" LOAD_XMMS "2:\n\t" READ_ALL "ret\n"

			 "store_vectors:\n\t"
			 "movb $0, %%gs:%c[ready]\n\t"
			 "cmpb $0, %%gs:%c[has_avx]\n\t"
			 "je 1f\n\t" STORE_YMMS "vzeroupper\n\t"
			 "ret\n"
			 "1:\n\t" STORE_XMMS "ret\n"

			 ".globl jit_thunk_fault\n"
			 "jit_thunk_fault:\n\t"
			 "sub $8, %%rsp\n\t" /* in the place of a return address */
			 RUN_HANDLER "jmp leave_after_insn\n"
			 :
			 : OPERANDS);
}
