/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction at a time on a vCPU that never runs: put there, decoded, executed.
 */
#ifndef TESTS_UNIT_STEP_H
#define TESTS_UNIT_STEP_H

#include "cpu/decode/decode.h"
#include "cpu/flags.h"
#include "tests/unit/vcpu.h"

#define STEP_DONE     (-1)
#define STEP_RESUMED  (-2) /* cpu_resume */
#define UNWIND_RESUME 2    /* what cpu_resume unwinds with: cpu/run.c */

/* The vector that the instruction raises, STEP_DONE or STEP_RESUMED. RIP moves as in a block of its
 * own. */
static inline int step_bytes(struct cpu *cpu, const uint8_t *bytes, unsigned n)
{
	uint8_t padded[2 * INSN_MAX_BYTES];
	struct insn insn;
	int unwound;

	memset(padded, 0x90, sizeof(padded));
	memcpy(padded, bytes, n);
	assert_int_equal(
		decode_insn(cpu->soft->decoder, cpu->mode, padded, INSN_MAX_BYTES, 0, &insn), n);
	cpu->insn = &insn;
	unwound = setjmp(cpu->unwind);
	if (unwound)
		return unwound == UNWIND_RESUME ? STEP_RESUMED : cpu->fault.vector;
	insn_handler (&insn)(cpu, &insn);
	if (!(insn.flags & INSN_ENDS_BLOCK))
		insn_advance(cpu, &insn);
	return STEP_DONE;
}

#define STEP(cpu, ...) \
	step_bytes(cpu, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Flat segments, no paging, CPL 0: the mode is what the test is about. */
static inline void step_flatten(struct cpu *cpu, enum cpu_mode mode, uint32_t limit)
{
	for (unsigned seg = 0; seg < SEGMENTS; seg++) {
		cpu->seg[seg].base = 0;
		cpu->seg[seg].limit = limit;
	}
	cpu->mode = mode;
	cpu->rip = 0x1000;
	cpu->gpr[RSP] = 0x8000;
}

static inline void step_in_real_mode(struct cpu *cpu)
{
	step_flatten(cpu, MODE_16, 0xffff);
}

static inline void step_in_64_bit_mode(struct cpu *cpu)
{
	step_flatten(cpu, MODE_64, 0xffffffff);
	cpu->cr0 |= CR0_PE;
	cpu->efer |= EFER_LME | EFER_LMA;
	cpu->seg[CS].ar |= SEG_L;
}

static inline void step_in_32_bit_mode(struct cpu *cpu)
{
	step_flatten(cpu, MODE_32, 0xffffffff);
	cpu->cr0 |= CR0_PE;
	for (unsigned seg = 0; seg < SEGMENTS; seg++)
		cpu->seg[seg].ar |= SEG_DB;
}

static inline void step_at_cpl3(struct cpu *cpu, uint32_t rflags)
{
	cpu->cpl = 3;
	flags_set(cpu, rflags);
	cpu_update_derived(cpu);
}

static inline void step_in_v86_mode(struct cpu *cpu, uint32_t rflags)
{
	step_flatten(cpu, MODE_16, 0xffff);
	cpu->cr0 |= CR0_PE;
	step_at_cpl3(cpu, rflags | RFLAGS_VM);
	cpu->mode = MODE_16;
}

/* --- the fixture: *state is a struct vcpu, an Intel one in the mode that `enter` sets --- */

static inline int step_open(void **state, void (*enter)(struct cpu *cpu))
{
	struct vcpu *v = calloc(1, sizeof(*v));

	vcpu_setup(v, CPU_INTEL);
	enter(v->cpu);
	*state = v;
	return 0;
}

static inline int step_close(void **state)
{
	vcpu_teardown(*state);
	free(*state);
	return 0;
}

static inline struct cpu *step_cpu(void **state)
{
	return ((struct vcpu *)*state)->cpu;
}

static inline uint8_t *step_memory(struct vcpu *v, gpa_t gpa)
{
	return memory_at(v->config.memory, gpa, 1);
}

#endif
