/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU of the soft engine, driven one instruction at a time in place of the run loop.
 */
#include "tests/insn/guest.h"

#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/decode/decode.h"
#include "cpu/exec/vector.h"
#include "cpu/flags.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/signal_stack.h"
#include "cpu/mmu/mmu.h"
#include "cpu/world.h"

#define MEMORY_BYTES (4 * MIB)
#define CODE_GPA     0x180000ull
#define DATA_GPA     0x100000ull
#define TABLES_GPA   0x10000ull

#define PTE_PRESENT  BIT(0)
#define PTE_WRITABLE BIT(1)
#define PTE_USER     BIT(2)
#define PTE_ALL      (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

#define AR_USER_DATA (SEG_P | SEG_DPL | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G)
#define AR_USER_CODE (AR_USER_DATA | SEG_CODE)

#define UNWOUND_BY_FAULT 1 /* cpu/run.c */

struct guest {
	struct memory *memory;
	struct clock *clock;
	struct irq *irq;
	struct engine *engine;
	struct engine_vcpu *vcpu;
	struct cpu *cpu;
};

static void put_entry(struct guest *guest, unsigned table, unsigned index, uint64_t entry)
{
	uint64_t *at = memory_at(guest->memory, TABLES_GPA + table * 0x1000 + index * 8, 8);

	*at = entry;
}

/* Four levels; nothing is mapped but the code page and the two data pages. */
static void make_tables(struct guest *guest)
{
	for (unsigned level = 0; level < 3; level++)
		put_entry(guest, level, bits(NATIVE_DATA, 47 - 9 * level, 39 - 9 * level),
			  (TABLES_GPA + (level + 1) * 0x1000) | PTE_ALL);
	put_entry(guest, 3, bits(NATIVE_CODE, 20, 12), CODE_GPA | PTE_ALL);
	for (unsigned page = 0; page < NATIVE_DATA_BYTES / 0x1000; page++)
		put_entry(guest, 3, bits(NATIVE_DATA, 20, 12) + page,
			  (DATA_GPA + page * 0x1000) | PTE_ALL);
}

static struct engine_segment segment(uint16_t selector, uint32_t attributes)
{
	return (struct engine_segment){ .selector = selector,
					.limit = 0xffffffff,
					.attributes = attributes };
}

static void set_mode(struct guest *guest)
{
	struct engine_registers regs;
	struct engine_segment data = segment(0x2b, AR_USER_DATA);

	engine_soft.get_registers(guest->vcpu, &regs);
	regs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	regs.cr3 = TABLES_GPA;
	regs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	regs.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	regs.cs = segment(0x33, (AR_USER_CODE & ~SEG_DB) | SEG_L);
	regs.ss = regs.ds = regs.es = data;
	regs.fs = regs.gs = segment(0, AR_USER_DATA);
	engine_soft.set_registers(guest->vcpu, &regs);
	guest->cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
}

struct guest *guest_create(void)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct engine_config config = { .vendor = CPU_INTEL, .vcpus = 1 };

	if (!guest || memory_create(&guest->memory, MEMORY_BYTES, NULL) ||
	    clock_create(&guest->clock) || irq_create(&guest->irq, guest->clock, 1))
		return NULL;
	config.memory = guest->memory;
	config.clock = guest->clock;
	config.irq = guest->irq;
	if (engine_soft.create(&guest->engine, &config, NULL) ||
	    engine_soft.vcpu_create(guest->engine, 0, &guest->vcpu, NULL))
		return NULL;
	guest->cpu = (struct cpu *)guest->vcpu;
	make_tables(guest);
	set_mode(guest);
	return guest;
}

void guest_destroy(struct guest *guest)
{
	engine_soft.vcpu_destroy(guest->vcpu);
	engine_soft.destroy(guest->engine);
	irq_destroy(guest->irq);
	clock_destroy(guest->clock);
	memory_destroy(guest->memory);
	free(guest);
}

uint8_t *guest_data(struct guest *guest)
{
	return memory_at(guest->memory, DATA_GPA, NATIVE_DATA_BYTES);
}

const struct soft *guest_soft(const struct guest *guest)
{
	return guest->cpu->soft;
}

static void registers_in(struct cpu *cpu, const struct registers *regs)
{
	memcpy(cpu->gpr, regs->gpr, sizeof(cpu->gpr));
	flags_set(cpu, regs->rflags | RFLAGS_IF);
	memcpy(cpu->vector.ymm, regs->ymm, sizeof(cpu->vector.ymm));
	vector_drop_x87(cpu);
	memcpy(cpu->vector.fx, regs->fx, sizeof(cpu->vector.fx));
	vector_set_mxcsr(cpu, (uint32_t)load_le(regs->fx + FX_MXCSR, 4));
}

static void registers_out(struct cpu *cpu, struct registers *regs)
{
	memcpy(regs->gpr, cpu->gpr, sizeof(cpu->gpr));
	regs->rflags = flags_get(cpu);
	regs->rip = cpu->rip;
	memcpy(regs->ymm, cpu->vector.ymm, sizeof(cpu->vector.ymm));
	memcpy(regs->fx, cpu->vector.fx, sizeof(cpu->vector.fx));
	store_le(regs->fx + FX_MXCSR, cpu->vector.mxcsr, 4);
}

static void select_mode(struct cpu *cpu, unsigned mode_bits)
{
	uint32_t is_64 = mode_bits == 64 ? SEG_L : SEG_DB;

	cpu->seg[CS].ar = (cpu->seg[CS].ar & ~(uint32_t)(SEG_L | SEG_DB)) | is_64;
	cpu_update_derived(cpu);
}

/* Apart, so that nothing of its caller is in registers when a fault unwinds. */
static int execute(struct cpu *cpu, const struct insn *insn)
{
	switch (setjmp(cpu->unwind)) {
	case 0:
		break;
	case UNWOUND_BY_FAULT:
		return cpu->fault.vector;
	default:
		return RESUMED;
	}
	cpu->insn = insn;
	cpu->block_end = insn + 1;
	insn_handler(insn)(cpu, insn);
	if (!(insn->flags & INSN_ENDS_BLOCK))
		insn_advance(cpu, insn);
	return NO_FAULT;
}

struct cpu *guest_cpu(struct guest *guest)
{
	return guest->cpu;
}

int guest_step(struct guest *guest, unsigned mode_bits, const uint8_t *bytes, unsigned length)
{
	struct cpu *cpu = guest->cpu;
	int fault = NO_FAULT;

	select_mode(cpu, mode_bits);
	cpu->rip = NATIVE_SLOT;
	vector_enter(cpu);
	for (unsigned done = 0; done < length && fault == NO_FAULT;) {
		uint8_t padded[INSN_MAX_BYTES] = { 0 };
		struct insn insn;

		memcpy(padded, bytes + done, MIN(length - done, sizeof(padded)));
		decode_insn(cpu->soft->decoder, cpu->mode, padded, sizeof(padded), 0, &insn);
		fault = execute(cpu, &insn);
		done += insn.length;
	}
	vector_leave(cpu);
	return fault;
}

int guest_run(struct guest *guest, guest_step_fn *step, unsigned mode_bits, const uint8_t *bytes,
	      unsigned length, struct registers *regs)
{
	int fault;

	registers_in(guest->cpu, regs);
	fault = step(guest, mode_bits, bytes, length);
	registers_out(guest->cpu, regs);
	return fault;
}

/* --- translated ---------------------------------------------------------------------------------
 */

#define BEFORE_BYTES 3u
#define BLOCK_START  (NATIVE_SLOT - BEFORE_BYTES)

static const uint8_t movaps[BEFORE_BYTES] = { 0x0f, 0x28, 0xc0 }; /* xmm0, xmm0 */
static const uint8_t nop[BEFORE_BYTES] = { 0x0f, 0x1f, 0x00 };
static const uint8_t the_end[] = { 0x0f, 0x0b }; /* ud2 */

static void put_code(struct cpu *cpu, gva_t addr, const uint8_t *bytes, unsigned length)
{
	gpa_t gpa = CODE_GPA + (addr - NATIVE_CODE);

	memcpy(memory_at(cpu->soft->config.memory, gpa, length), bytes, length);
	memory_written(cpu->soft->config.memory, gpa, length);
}

/* Makes code of the block at RIP and runs it; UD2 unwinds, if nothing else does. */
static void translate_and_run(struct cpu *cpu)
{
	struct block *block;
	enum block_state state;

	do {
		block = block_lookup(cpu);
		state = block->code ? BLOCK_TRANSLATED : block_translate(cpu, block);
	} while (state == BLOCK_GONE);
	if (state == BLOCK_TRANSLATED)
		jit_run(cpu, block, 0);
}

/* Returns what execute does. The end is no fault. */
static int run_translated(struct cpu *cpu, uint64_t end)
{
	switch (setjmp(cpu->unwind)) {
	case 0:
		translate_and_run(cpu);
		return NO_FAULT;
	case UNWOUND_BY_FAULT:
		cpu->rip = insn_rip(cpu, cpu->insn);
		return cpu->rip == end || cpu->rip == NATIVE_TARGET ? NO_FAULT : cpu->fault.vector;
	default:
		return RESUMED;
	}
}

int guest_step_translated(struct guest *guest, unsigned mode_bits, const uint8_t *bytes,
			  unsigned length)
{
	struct cpu *cpu = guest->cpu;
	bool has_sse = vector_what_is_ready(cpu) & READY_SSE;
	int fault;

	select_mode(cpu, mode_bits);
	if (!jit_can_run(cpu))
		return guest_step(guest, mode_bits, bytes, length);
	put_code(cpu, BLOCK_START, has_sse ? movaps : nop, BEFORE_BYTES);
	put_code(cpu, NATIVE_SLOT, bytes, length);
	put_code(cpu, NATIVE_SLOT + length, the_end, sizeof(the_end));
	put_code(cpu, NATIVE_TARGET, the_end, sizeof(the_end));
	cpu->rip = BLOCK_START;
	world_enter(cpu);
	vector_enter(cpu);
	vector_load_x87(cpu);
	signal_stack_give(cpu);
	mmu_enter_thread(cpu);
	fault = run_translated(cpu, NATIVE_SLOT + length);
	signal_stack_take(cpu);
	vector_leave(cpu);
	world_leave(cpu);
	return fault;
}
