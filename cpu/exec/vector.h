/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87, MMX, SSE and AVX state of a vCPU: where it is, and moving it.
 *
 * While a vCPU's thread is between vector_enter and vector_leave, the guest's MXCSR is the host's,
 * and from its first x87 or MMX instruction on the guest's x87 registers are the host's too. So C
 * code on that thread uses no floating point. The vector registers are in cpu->vector.ymm for all
 * of C; in translated code they may be in the host's, see enum vector_ready.
 */
#ifndef CPU_EXEC_VECTOR_H
#define CPU_EXEC_VECTOR_H

#include "cpu/cpu.h"

#define MXCSR_INIT    0x1f80u
#define MXCSR_MASKS   0x1f80u /* the six exceptions */
#define MXCSR_DEFINED 0xffffu /* MXCSR_MASK of FXSAVE */

#define FCW_INIT  0x37fu
#define FCW_MASKS 0x3fu
#define FSW_ES    BIT(7)

/* Offsets in the FXSAVE image. */
enum fxsave_offset {
	FX_FCW = 0,
	FX_FSW = 2,
	FX_FTW = 4, /* one bit a register: not empty */
	FX_FOP = 6,
	FX_FIP = 8,
	FX_FCS = 12,
	FX_FDP = 16,
	FX_FDS = 20,
	FX_MXCSR = 24,
	FX_MXCSR_MASK = 28,
	FX_ST = 32,
	FX_XMM = 160,
	FX_BYTES = 512,
};

#define FX_ST_STRIDE 16 /* from one x87 register to the next */

/*
 * What cpu->vector.ready says, which is not zero in translated code alone: the vector registers are
 * live in the host's, and instructions of these kinds may run as they are. Whoever goes from
 * translated code to C stores the registers and clears it, so nothing that C does to CR0, CR4, XCR0
 * and x87 can make it wrong.
 */
enum vector_ready {
	READY_SSE = BIT(0),
	READY_AVX = BIT(1),
	READY_X87 = BIT(2), /* the x87 state is live too, and no exception is unmasked or pending */
};

/* What is enabled now: what `ready` may be set to once the vector registers are live. */
uint8_t vector_what_is_ready(const struct cpu *cpu);

/* Power-on state. */
void vector_reset(struct cpu *cpu);

/* Around a run of guest code on this thread. Leaving gives the host its own state back. */
void vector_enter(struct cpu *cpu);
void vector_leave(struct cpu *cpu);

uint32_t vector_mxcsr(const struct cpu *cpu);
/* `mxcsr` has no bits outside MXCSR_DEFINED. */
void vector_set_mxcsr(struct cpu *cpu, uint32_t mxcsr);

/* Makes the guest's x87 state the host's (before a stub), or memory's again (before C code that
 * reads or writes cpu->vector.fx). */
void vector_load_x87(struct cpu *cpu);
void vector_store_x87(struct cpu *cpu);
/* Brings cpu->vector.fx up to date and leaves x87 live where it is. */
void vector_copy_x87(struct cpu *cpu);
/* Forgets a live x87 state: cpu->vector.fx, about to be written, is what counts. */
void vector_drop_x87(struct cpu *cpu);

/* XINUSE: the components that are not in their initial state. For XGETBV with ECX = 1 too. */
uint64_t xsave_in_use(struct cpu *cpu);

/* After FCW or FSW changed other than by arithmetic: whether x87 exceptions must be looked for. */
void x87_update_faults(struct cpu *cpu);

/* Raises the pending x87 exception, if there is one: before each waiting x87 or MMX instruction. */
void x87_raise_pending(struct cpu *cpu);

/* --- what must be enabled for an instruction of each kind ----------------------------------------
 */

static inline void vector_check_ts(struct cpu *cpu)
{
	if (unlikely(cpu->cr0 & CR0_TS))
		cpu_raise(cpu, EXC_NM);
}

static inline void vector_check_sse(struct cpu *cpu)
{
	if (unlikely((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR)))
		cpu_raise(cpu, EXC_UD);
	vector_check_ts(cpu);
}

static inline void vector_check_vex(struct cpu *cpu)
{
	if (unlikely(cpu->mode != MODE_64 && !cpu_in_protected_mode(cpu)))
		cpu_raise(cpu, EXC_UD);
}

static inline void vector_check_avx(struct cpu *cpu)
{
	vector_check_vex(cpu);
	if (unlikely(!(cpu->cr4 & CR4_OSXSAVE) ||
		     (cpu->xcr0 & (XCR0_SSE | XCR0_AVX)) != (XCR0_SSE | XCR0_AVX)))
		cpu_raise(cpu, EXC_UD);
	vector_check_ts(cpu);
}

/* These two also make the x87 state live. */
static inline void vector_check_x87(struct cpu *cpu)
{
	if (unlikely(cpu->cr0 & (CR0_EM | CR0_TS)))
		cpu_raise(cpu, EXC_NM);
	if (unlikely(!cpu->vector.x87_is_live))
		vector_load_x87(cpu);
}

static inline void vector_check_mmx(struct cpu *cpu)
{
	if (unlikely(cpu->cr0 & CR0_EM))
		cpu_raise(cpu, EXC_UD);
	vector_check_ts(cpu);
	if (unlikely(!cpu->vector.x87_is_live))
		vector_load_x87(cpu);
	if (unlikely(cpu->vector.x87_may_fault))
		x87_raise_pending(cpu);
}

#endif
