/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena of stubs and the fault handlers.
 *
 * The arena is one memfd with two mappings, one writable, the other executable. Stubs are appended
 * under a lock; a hash of plans finds equal ones. Its last part is a slot for each vCPU.
 */
#define _GNU_SOURCE
#include <ucontext.h>

/* Indices of a context's registers, before cpu/insn.h takes one of the names. */
enum {
	CONTEXT_RIP = REG_RIP,
	CONTEXT_RSP = REG_RSP,
	CONTEXT_RDI = REG_RDI,
	CONTEXT_RSI = REG_RSI,
	CONTEXT_R9 = REG_R9,
	CONTEXT_FLAGS = REG_EFL,
	CONTEXT_TRAPNO = REG_TRAPNO
};
#undef REG_RIP

#include "cpu/exec/host.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/block.h"
#include "cpu/exec/stub.h"
#include "cpu/exec/vector.h"
#include "cpu/jit/fault.h"
#include "cpu/soft.h"

#define ARENA_BYTES (16 * MIB)
#define SLOT_BYTES  256ull
#define SLOTS_BYTES (SLOT_BYTES * SOFT_MAX_VCPUS)

#define MIN_ENTRIES 1024u /* of the hash; a power of two */

_Static_assert(ARENA_BYTES / HOST_STUB_UNIT <= HOST_STUBS_MAX + 1, "each stub has a number");
_Static_assert(SLOT_BYTES >= STUB_MAX_BYTES, "a slot holds any stub");

struct entry {
	struct stub_plan plan;
	uint32_t offset;
	bool is_used;
};

struct host_code {
	uint8_t *writable, *executable;
	uint32_t used_bytes; /* the next stub goes here; not at the start, whose number is none */
	struct entry *entries;
	uint32_t capacity, count; /* of entries: open addressing, at most half full */
	pthread_mutex_t lock;
	ZydisDecoder zydis[MODES]; /* by enum cpu_mode */
};

static _Thread_local struct cpu *current;

void host_set_current(struct cpu *cpu)
{
	current = cpu;
}

/* --- faults -------------------------------------------------------------------------------------
 */

/* A stub that faulted goes on here instead, with the stack as it was when it faulted. */
static _Noreturn void raise_from_stub(struct cpu *cpu, unsigned vector)
{
	if (vector == EXC_GP)
		cpu_raise_code(cpu, vector, 0);
	cpu_raise(cpu, vector);
}

static void resume_in_raise(ucontext_t *context, struct cpu *cpu, unsigned vector)
{
	greg_t *regs = context->uc_mcontext.gregs;

	regs[CONTEXT_RIP] = (greg_t)raise_from_stub;
	regs[CONTEXT_RDI] = (greg_t)cpu;
	regs[CONTEXT_RSI] = (greg_t)vector;
	/* As after a call: 8 off a multiple of 16. */
	regs[CONTEXT_RSP] = (greg_t)(align_down((uint64_t)regs[CONTEXT_RSP], 16) - 8);
}

static void describe_and_abort(int signal_number, const struct cpu *cpu)
{
	char text[256];
	int len = 0;

	if (cpu && cpu->insn) {
		len = snprintf(text, sizeof(text), "nidus: signal %d while running the guest's ",
			       signal_number);
		for (unsigned i = 0; i < cpu->insn->length; i++)
			len += snprintf(text + len, sizeof(text) - (size_t)len, "%02x ",
					block_insn_bytes(cpu->insn)[i]);
		len += snprintf(text + len, sizeof(text) - (size_t)len, "at RIP %llx\n",
				(unsigned long long)insn_rip(cpu, cpu->insn));
	}
	if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) {
		/* Nowhere to say it; the default action follows. */
	}
	abort(); /* whose handler, if the program has one, leaves in good order */
}

static bool is_in_stub(const struct cpu *cpu, const ucontext_t *context)
{
	uint64_t rip = (uint64_t)context->uc_mcontext.gregs[CONTEXT_RIP];

	return cpu && rip - (uint64_t)cpu->soft->host_code->executable < ARENA_BYTES;
}

/* A copy of an instruction in translated code: its handler raises what it has to. */
static bool is_redirected(struct cpu *cpu, ucontext_t *context)
{
	greg_t *regs = context->uc_mcontext.gregs;
	struct fault_context fault = { .rip = (uint64_t)regs[CONTEXT_RIP],
				       .rflags = (uint64_t)regs[CONTEXT_FLAGS] };

	if (!cpu || !jit_fault_redirect(cpu, &fault))
		return false;
	regs[CONTEXT_RIP] = (greg_t)fault.rip;
	regs[CONTEXT_R9] = (greg_t)fault.r9;
	return true;
}

static void on_sigfpe(int signal_number, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	bool is_x87 = context->uc_mcontext.gregs[CONTEXT_TRAPNO] == EXC_MF;

	if (is_redirected(current, context))
		return;
	if (is_in_stub(current, context) && is_x87)
		resume_in_raise(context, current, EXC_MF);
	else if (is_in_stub(current, context))
		resume_in_raise(context, current, current->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
	else if (current && info->si_code != FPE_INTDIV)
		/* Floating point in C under the guest's MXCSR: go on with everything masked. */
		context->uc_mcontext.fpregs->mxcsr |= MXCSR_MASKS;
	else
		describe_and_abort(signal_number, current);
}

/* The processor's own #GP has no address and the kernel's code; a bad address has neither. */
static void on_sigsegv(int signal_number, siginfo_t *info, void *opaque)
{
	if (info->si_code == SI_KERNEL && is_redirected(current, opaque))
		return;
	if (is_in_stub(current, opaque) && info->si_code == SI_KERNEL)
		resume_in_raise(opaque, current, EXC_GP);
	else
		describe_and_abort(signal_number, current);
}

static void install_handlers(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	action.sa_sigaction = on_sigfpe;
	sigaction(SIGFPE, &action, NULL);
	action.sa_sigaction = on_sigsegv;
	sigaction(SIGSEGV, &action, NULL);
}

/* --- the arena ----------------------------------------------------------------------------------
 */

static bool map_arena(struct host_code *code)
{
	int fd = memfd_create("nidus-code", MFD_CLOEXEC);

	if (fd < 0)
		return false;
	if (ftruncate(fd, ARENA_BYTES) == 0) {
		code->writable = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		code->executable =
			mmap(NULL, ARENA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	close(fd);
	return code->writable != MAP_FAILED && code->executable != MAP_FAILED;
}

struct host_code *host_code_create(void)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
	} modes[] = {
		[MODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		[MODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
		[MODE_FLAT] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
	};
	struct host_code *code = calloc(1, sizeof(*code));

	if (!code)
		return NULL;
	pthread_mutex_init(&code->lock, NULL);
	code->writable = code->executable = MAP_FAILED;
	code->used_bytes = HOST_STUB_UNIT;
	code->capacity = MIN_ENTRIES;
	code->entries = calloc(code->capacity, sizeof(*code->entries));
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		ZydisDecoderInit(&code->zydis[i], modes[i].machine, modes[i].stack);
	if (!code->entries || !map_arena(code)) {
		host_code_destroy(code);
		return NULL;
	}
	install_handlers();
	return code;
}

void host_code_destroy(struct host_code *code)
{
	if (!code)
		return;
	if (code->writable != MAP_FAILED)
		munmap(code->writable, ARENA_BYTES);
	if (code->executable != MAP_FAILED)
		munmap(code->executable, ARENA_BYTES);
	pthread_mutex_destroy(&code->lock);
	free(code->entries);
	free(code);
}

/* FNV-1a */
static uint32_t hash(const struct stub_plan *plan)
{
	const uint8_t *bytes = (const uint8_t *)plan;
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < sizeof(*plan); i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h;
}

/* The entry of a plan, or the free one where it belongs. */
static struct entry *find_entry(struct entry *entries, uint32_t capacity,
				const struct stub_plan *plan)
{
	uint32_t i = hash(plan) & (capacity - 1);

	while (entries[i].is_used && memcmp(&entries[i].plan, plan, sizeof(*plan)) != 0)
		i = (i + 1) & (capacity - 1);
	return &entries[i];
}

static bool grow(struct host_code *code)
{
	uint32_t capacity = code->capacity * 2;
	struct entry *entries = calloc(capacity, sizeof(*entries));

	if (!entries)
		return false;
	for (uint32_t i = 0; i < code->capacity; i++)
		if (code->entries[i].is_used)
			*find_entry(entries, capacity, &code->entries[i].plan) = code->entries[i];
	free(code->entries);
	code->entries = entries;
	code->capacity = capacity;
	return true;
}

/* Appends a stub; false where it does not fit. */
static bool append(struct host_code *code, const struct stub_plan *plan, uint32_t *offset)
{
	uint8_t stub[STUB_MAX_BYTES];
	unsigned length = stub_emit(&code->zydis[MODE_64], plan, stub);

	if (!length || code->used_bytes + length > ARENA_BYTES - SLOTS_BYTES)
		return false;
	memcpy(code->writable + code->used_bytes, stub, length);
	*offset = code->used_bytes;
	code->used_bytes = (uint32_t)align_up(code->used_bytes + length, HOST_STUB_UNIT);
	return true;
}

static uint32_t find_or_append(struct host_code *code, const struct stub_plan *plan)
{
	struct entry *entry;

	if (code->count * 2 >= code->capacity && !grow(code))
		return 0;
	entry = find_entry(code->entries, code->capacity, plan);
	if (!entry->is_used) {
		if (!append(code, plan, &entry->offset))
			return 0;
		entry->plan = *plan;
		entry->is_used = true;
		code->count++;
	}
	return entry->offset / HOST_STUB_UNIT;
}

const uint8_t *host_code_stubs(const struct host_code *code)
{
	return code->executable;
}

uint32_t host_code_find(struct host_code *code, const ZydisDecodedInstruction *zydis,
			const ZydisDecodedOperand *operands, const uint8_t *bytes)
{
	struct stub_plan plan;
	uint32_t stub;

	if (!stub_plan(zydis, operands, bytes, &plan))
		return 0;
	pthread_mutex_lock(&code->lock);
	stub = find_or_append(code, &plan);
	pthread_mutex_unlock(&code->lock);
	return stub;
}

host_stub *host_code_write_slot(struct cpu *cpu, const struct insn *insn)
{
	const uint8_t *bytes = block_insn_bytes(insn);
	struct host_code *code = cpu->soft->host_code;
	uint64_t offset = ARENA_BYTES - SLOTS_BYTES + cpu->index * SLOT_BYTES;
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct stub_plan plan;
	uint32_t eax = 0, ebx, ecx = 0, edx;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&code->zydis[cpu->mode], bytes, insn->length,
						 &zydis, operands)))
		cpu_raise(cpu, EXC_UD);
	if (!stub_plan(&zydis, operands, bytes, &plan) ||
	    !stub_emit(&code->zydis[MODE_64], &plan, code->writable + offset))
		cpu_raise(cpu, EXC_UD);
	/* Code changed at another linear address than it runs at: CPUID serialises. */
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
	return (host_stub *)(code->executable + offset);
}
