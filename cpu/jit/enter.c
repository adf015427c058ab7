/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering translated code, and its thunks: see cpu/jit/enter.h. They are written in assembly with
 * the offsets of struct cpu as operands; the function around them is never called.
 */
#include "cpu/jit/enter.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/dispatch.h"

_Static_assert(CPU_HOST_RSP - offsetof(struct cpu, gpr[R8]) <= 128 &&
		       offsetof(struct cpu, jit.anchor[2]) - CPU_HOST_RSP <= 127,
	       "what blocks name often has a displacement of one byte");

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
extern const uint8_t thunk_learn[] __asm__("jit_thunk_learn");
extern const uint8_t thunk_far[] __asm__("jit_thunk_far");
extern const uint8_t thunk_slow[] __asm__("jit_thunk_slow");
extern const uint8_t thunk_misfit[] __asm__("jit_thunk_misfit");
extern const uint8_t thunk_sample[] __asm__("jit_thunk_sample");
extern const uint8_t thunk_stop[] __asm__("jit_thunk_stop");

void jit_set_thunks(struct cpu *cpu)
{
	cpu->jit.thunk[THUNK_HANDLER] = thunk_handler;
	cpu->jit.thunk[THUNK_HANDLER_LAST] = thunk_handler_last;
	cpu->jit.thunk[THUNK_HANDLER_VECTOR] = thunk_handler_vector;
	cpu->jit.thunk[THUNK_FAULT] = thunk_fault;
	cpu->jit.thunk[THUNK_LINK] = thunk_link;
	cpu->jit.thunk[THUNK_POLL] = thunk_poll;
	cpu->jit.thunk[THUNK_BAIL] = thunk_bail;
	cpu->jit.thunk[THUNK_FIT] = thunk_fit;
	cpu->jit.thunk[THUNK_CROSS] = thunk_cross;
	cpu->jit.thunk[THUNK_LEARN] = thunk_learn;
	cpu->jit.thunk[THUNK_FAR] = thunk_far;
	cpu->jit.thunk[THUNK_SLOW] = thunk_slow;
	cpu->jit.thunk[THUNK_MISFIT] = thunk_misfit;
	cpu->jit.thunk[THUNK_SAMPLE] = thunk_sample;
	cpu->jit.thunk[THUNK_STOP] = thunk_stop;
}

#define EACH_PINNED(move)                                                                         \
	move(rax, rax) move(rcx, rcx) move(rdx, rdx) move(rbx, rbx) move(rbp, rbp) move(rsi, rsi) \
		move(rdi, rdi) move(r12, r12) move(r13, r13) move(r14, r14) move(r15, r15)        \
			move(r8, rsp)
#define WRITE_BACK(host, guest) "mov %%" #host ", %c[" #guest "](%%rsp)\n\t"
#define READ_BACK(host, guest)  "mov %c[" #guest "](%%rsp), %%" #host "\n\t"

/*
 * From translated code, with nothing of its calls on its stack, to C: all of the guest's registers
 * are in *cpu then, RSP is C's and RBX what it was, by which fields are named from here on.
 */
#define TO_C                                   \
	EACH_PINNED(WRITE_BACK)                \
	"mov %%rsp, %%rbx\n\t"                 \
	"mov %c[host_stack](%%rbx), %%rsp\n\t" \
	"cmpb $0, %c[ready](%%rbx)\n\tje 9f\n\tcall store_vectors\n9:\n\t"
#define FROM_C     "mov %%rbx, %%rsp\n\t" EACH_PINNED(READ_BACK)
#define CPU_TO_RDI "lea %c[cpu](%%rbx), %%rdi\n\t"

/*
 * The address that a called thunk returns to stays where it is meanwhile: nobody else uses that
 * stack.
 */
#define PUT_BY "add $8, %%rsp\n\t"
#define RETURN "lea -8(%%rsp), %%rsp\n\tret\n"

#define EACH_VECTOR(move)                                                                        \
	move(0) move(1) move(2) move(3) move(4) move(5) move(6) move(7) move(8) move(9) move(10) \
		move(11) move(12) move(13) move(14) move(15)
#define STORE_YMM(n) "vmovups %%ymm" #n ", %c[ymm]+32*" #n "(%%rbx)\n\t"
#define STORE_XMM(n) "movups %%xmm" #n ", %c[ymm]+32*" #n "(%%rbx)\n\t"
#define LOAD_YMM(n)  "vmovups %c[ymm]+32*" #n "(%%rbx), %%ymm" #n "\n\t"
#define LOAD_XMM(n)  "movups %c[ymm]+32*" #n "(%%rbx), %%xmm" #n "\n\t"
#define STORE_YMMS   EACH_VECTOR(STORE_YMM)
#define STORE_XMMS   EACH_VECTOR(STORE_XMM)
#define LOAD_YMMS    EACH_VECTOR(LOAD_YMM)
#define LOAD_XMMS    EACH_VECTOR(LOAD_XMM)

/* Of the instruction at R9; leaves its block if it says so. */
#define RUN_HANDLER TO_C RUN_INSN
#define RUN_INSN                                                 \
	"incq %c[handlers](%%rbx)\n\t"                           \
	"mov %%r9, %c[block_end](%%rbx)\n\t" /* not NULL */      \
		CALL_HANDLER "cmpq $0, %c[block_end](%%rbx)\n\t" \
	"je leave_after_insn\n\t"                                \
	"mov %c[rflags](%%rbx), %%r10d\n\t"                      \
	"or $%c[not_if], %%r10d\n\t"                             \
	"test %%r10d, %c[attention](%%rbx)\n\t"                  \
	"jnz leave_after_insn\n\t"
#define CALL_HANDLER                                    \
	"mov %%r9, %c[insn](%%rbx)\n\t"                 \
	"movzwl %c[insn_page_offset](%%r9), %%r10d\n\t" \
	"add %c[code_page](%%rbx), %%r10\n\t"           \
	"mov %%r10, %c[rip](%%rbx)\n\t"                 \
	"mov %c[insn_exec](%%r9), %%eax\n\t"            \
	"lea __executable_start(%%rip), %%r10\n\t"      \
	"add %%r10, %%rax\n\t"                          \
	"mov %%r9, %%rsi\n\t" CPU_TO_RDI "call *%%rax\n\t"

/* An asm has 30 operands at most. */
#define POLL "15"

_Static_assert(offsetof(struct cpu, poll) == offsetof(struct cpu, attention) + 15, "POLL");

// clang-format off
#define GPR(n) AT(gpr[n])
#define AT(field) "i"((int)offsetof(struct cpu, field) - (int)CPU_HOST_RSP)
#define OPERANDS \
	[rax] GPR(RAX), [rcx] GPR(RCX), [rdx] GPR(RDX), [rbx] GPR(RBX), [rsp] GPR(RSP), \
	[rbp] GPR(RBP), [rsi] GPR(RSI), [rdi] GPR(RDI), [r12] GPR(R12), [r13] GPR(R13), \
	[r14] GPR(R14), [r15] GPR(R15), [rip] AT(rip), [rflags] AT(rflags), \
	[handlers] AT(stats.count[STAT_LEFT_HANDLER]), [insn] AT(insn), \
	[block_end] AT(block_end), [attention] AT(attention), \
	[cpu] "i"(-(int)CPU_HOST_RSP), [host_stack] AT(jit.host_stack), \
	[code_page] AT(jit.code_page), [ready] AT(vector.ready), \
	[insn_exec] "i"(offsetof(struct insn, exec)), \
	[insn_page_offset] "i"(offsetof(struct insn, page_offset)), [not_if] "i"(~(int)RFLAGS_IF)
#define MORE_OPERANDS \
	[stop] AT(jit.stop), [ymm] AT(vector.ymm), [has_avx] AT(jit.has_avx), [has_upper] AT(jit.has_upper), \
	[insn_next] "i"(offsetof(struct insn, next))
#define WAY_OPERANDS \
	[way_on] "i"(offsetof(struct jit_way, on)), \
	[way_r11] "i"(offsetof(struct jit_way, r11)), [way_ahead] "i"(offsetof(struct jit_way, ahead_after))
#define FLAG_OPERANDS [way_flags] "i"(offsetof(struct jit_way, flags)), [status] AT(status)
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
		"mov %%rdi, %%rbx\n\t"
		"sub $%c[cpu], %%rbx\n\t"
		"mov %%rsp, %c[host_stack](%%rbx)\n\t"
		"mov %%rsi, %%r11\n"
		"go:\n\t" /* to the code at R11, which jit_bail looks at */
		FROM_C "jmp *%%r11\n"

		"leave:\n\t" /* back to C; all state is in *cpu */
		"movq $0, %c[insn](%%rbx)\n\t"
		"add $8, %%rsp\n\t"
		"pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx\n\t"
		"ret\n"

		".globl jit_thunk_handler\n"
		"jit_thunk_handler:\n\t" PUT_BY RUN_HANDLER FROM_C RETURN

		"leave_after_insn:\n\t" /* the instruction is done, and its block is to be left */
		"mov %c[insn](%%rbx), %%r9\n\t"
		"movzwl %c[insn_next](%%r9), %%eax\n\t"
		"add %%rax, %c[rip](%%rbx)\n\t"
		"jmp leave\n"

		".globl jit_thunk_handler_last\n"
		"jit_thunk_handler_last:\n\t" TO_C "run_last:\n\t"
		"incq %c[handlers](%%rbx)\n\t" CALL_HANDLER
			/* at RIP */
			CPU_TO_RDI "call jit_next\n\t"
		"go_or_leave:\n\t"
		"test %%rax, %%rax\n\t"
		"jz leave\n\t"
		"mov %%rax, %%r11\n\t"
		"jmp go\n"
		:
		: OPERANDS, MORE_OPERANDS);
}

/* To other blocks, and out. */
__attribute__((used)) static void branch_thunks(void)
{
	__asm__ volatile(
		".globl jit_thunk_link\n"
		"jit_thunk_link:\n\t"
		"pop %%r9\n\t" TO_C "mov %%r9, %%rsi\n\t" CPU_TO_RDI "call jit_link\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_far\n"
		"jit_thunk_far:\n\t" TO_C "mov %%r10, %%rsi\n\t" CPU_TO_RDI "call jit_far\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_poll\n"
		"jit_thunk_poll:\n\t"
		"mov %c[rflags]+8(%%rsp), %%r10d\n\t"
		"or $%c[not_if], %%r10d\n\t"
		"test %%r10d, %c[attention]+8(%%rsp)\n\t"
		"jnz 1f\n\t"
		"xor %%r10d, %%r10d\n\t" /* cpu_poll_settle */
		"xchg %%r10b, %c[attention]+" POLL "+8(%%rsp)\n\t"
		"mov %c[rflags]+8(%%rsp), %%r10d\n\t"
		"or $%c[not_if], %%r10d\n\t"
		"test %%r10d, %c[attention]+8(%%rsp)\n\t"
		"jnz 1f\n\t"
		"ret\n"
		"1:\n\t"
		"movb $1, %c[attention]+" POLL "+8(%%rsp)\n\t" PUT_BY TO_C
		"add %c[code_page](%%rbx), %%r9\n\t"
		"mov %%r9, %c[rip](%%rbx)\n\t"
		"jmp leave\n"

		".globl jit_thunk_bail\n"
		"jit_thunk_bail:\n\t"
		"pop %%r9\n\t" TO_C "mov %%r9, %%rsi\n\tmov %%r11, %%rdx\n\t" CPU_TO_RDI
		"call jit_bail\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_stop\n"
		"jit_thunk_stop:\n\t" TO_C "mov %c[stop](%%rbx), %%r9\n\t"
		"mov %%r9, %c[rip](%%rbx)\n\t"
		"jmp leave\n"

		".globl jit_thunk_fit\n"
		"jit_thunk_fit:\n\t" TO_C "mov %%r9, %%rsi\n\t" CPU_TO_RDI "call jit_fit\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_cross\n"
		"jit_thunk_cross:\n\t" TO_C "mov %%r9, %%rsi\n\t" CPU_TO_RDI "call jit_cross\n\t"
		"jmp go_or_leave\n"

		".globl jit_thunk_learn\n"
		"jit_thunk_learn:\n\t" TO_C "mov %%r9, %%rsi\n\t" CPU_TO_RDI
		"call stretch_learn\n\t"
		"jmp go_or_leave\n"
		:
		: OPERANDS, MORE_OPERANDS);
}

/* Those that have to do with the vector registers. */
__attribute__((used)) static void vector_thunks(void)
{
	__asm__ volatile(".globl jit_thunk_handler_vector\n"
			 "jit_thunk_handler_vector:\n\t" PUT_BY RUN_HANDLER
			 "call load_vectors\n\t" FROM_C RETURN

			 "load_vectors:\n\t" /* called on the stack of C */
			 "sub $8, %%rsp\n\t" CPU_TO_RDI "call jit_prepare_vectors\n\t"
			 "add $8, %%rsp\n\t"
			 "mov %%al, %c[ready](%%rbx)\n\t"
			 "test %%al, %%al\n\t"
			 "jz 2f\n\t"
			 "cmpb $0, %c[has_avx](%%rbx)\n\t"
			 "je 1f\n\t"
			 "vzeroupper\n\t"
			 "cmpb $0, %c[has_upper](%%rbx)\n\t"
			 "je 1f\n\t" LOAD_YMMS "jmp 2f\n"
			 "1:\n\t" LOAD_XMMS "2:\n\t"
			 "ret\n"

			 "store_vectors:\n\t"
			 "movb $0, %c[ready](%%rbx)\n\t"
			 "cmpb $0, %c[has_avx](%%rbx)\n\t"
			 "je 1f\n\t" STORE_YMMS "vzeroupper\n\t"
			 "ret\n"
			 "1:\n\t" STORE_XMMS "ret\n"

			 ".globl jit_thunk_fault\n"
			 "jit_thunk_fault:\n\t" RUN_HANDLER "jmp leave_after_insn\n"
			 :
			 : OPERANDS, MORE_OPERANDS);
}

#define TEST_FLAG(flag, way) "testb $" #flag ", %c[way_flags](%%" way ")\n\t"
#define TEST_WAY(flag, way)  TEST_FLAG(flag, way)
#define TEST_LAST            TEST_WAY(WAY_LAST, "r12")
#define TEST_VECTOR          TEST_WAY(WAY_VECTOR, "r12")
#define TEST_FLAGS           TEST_WAY(WAY_FLAGS, "r9")

/* Those that code shared by blocks goes to: what has called it is known by its address. */
__attribute__((used)) static void shared_thunks(void)
{
	__asm__ volatile(".globl jit_thunk_slow\n"
			 "jit_thunk_slow:\n\t"
			 "pop %%r9\n\t" TO_C "mov %%r9, %%rsi\n\t"
			 "mov %%r11, %%rdx\n\t" CPU_TO_RDI "call jit_take_way\n\t"
			 "mov %%rax, %%r12\n\t"
			 "mov (%%r12), %%r9\n\t" TEST_LAST "jnz run_last\n\t" RUN_INSN TEST_VECTOR
			 "jz 1f\n\t"
			 "call load_vectors\n"
			 "1:\n\t"
			 "mov %%r12, %%r9\n\t" FROM_C "sub %c[way_ahead](%%r9), %%r8\n\t"
			 "movzwl %c[way_r11](%%r9), %%r10d\n\t"
			 "mov %c[cpu](%%rsp, %%r10), %%r11\n\t" TEST_FLAGS "jz 2f\n\t"
			 "mov %%rax, %%r10\n\t" /* gen_status_load */
			 "movzwl %c[status](%%rsp), %%eax\n\t"
			 "add $0x7f, %%al\n\t"
			 "sahf\n\t"
			 "mov %%r10, %%rax\n"
			 "2:\n\t"
			 "jmp *%c[way_on](%%r9)\n"
			 :
			 : OPERANDS, WAY_OPERANDS, FLAG_OPERANDS);
}

__attribute__((used)) static void more_shared_thunks(void)
{
	__asm__ volatile(".globl jit_thunk_misfit\n"
			 "jit_thunk_misfit:\n\t"
			 "pop %%r9\n\t" TO_C "mov %%r9, %%rsi\n\t" CPU_TO_RDI "call jit_misfit\n\t"
			 "jmp go_or_leave\n"

			 /* Both addresses that it returns to stay where they are, and below them is
			    what it keeps. */
			 ".globl jit_thunk_sample\n"
			 "jit_thunk_sample:\n\t" PUT_BY PUT_BY "mov %%r9, -24(%%rsp)\n\t"
			 "mov %%r10, -32(%%rsp)\n\t"
			 "mov %%r11, -40(%%rsp)\n\t"
			 "movzbl %c[ready](%%rsp), %%r9d\n\t"
			 "mov %%r9, -48(%%rsp)\n\t" TO_C "mov -8(%%rbx), %%rsi\n\t" CPU_TO_RDI
			 "call jit_sample\n\t"
			 "cmpq $0, -48(%%rbx)\n\t"
			 "je 1f\n\t"
			 "call load_vectors\n"
			 "1:\n\t" FROM_C "mov -24(%%rsp), %%r9\n\t"
			 "mov -32(%%rsp), %%r10\n\t"
			 "mov -40(%%rsp), %%r11\n\t"
			 "lea -16(%%rsp), %%rsp\n\t"
			 "ret\n"
			 :
			 : OPERANDS);
}

_Static_assert(offsetof(struct jit_way, insn) == 0, "it is found there");
_Static_assert(CPU_CALLS >= 6, "room for what is kept while a sample is taken");
