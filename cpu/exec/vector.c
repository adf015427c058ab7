/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87 and MXCSR state between memory and the host's registers.
 */
#include "cpu/exec/vector.h"

#include "cpu/exec/host.h"

#define FCW_RESET 0x40u
#define FTW_ZEROS 0xffu /* all registers hold zero, none is empty */

static void put_mxcsr(uint32_t mxcsr)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static uint32_t take_mxcsr(void)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return mxcsr;
}

void vector_reset(struct cpu *cpu)
{
	vector_store_x87(cpu);
	memset(cpu->vector.ymm, 0, sizeof(cpu->vector.ymm));
	memset(cpu->vector.fx, 0, sizeof(cpu->vector.fx));
	store_le(cpu->vector.fx + FX_FCW, FCW_RESET, 2);
	store_le(cpu->vector.fx + FX_FTW, FTW_ZEROS, 1);
	cpu->vector.fip = cpu->vector.fdp = 0;
	cpu->vector.fcs = cpu->vector.fds = cpu->vector.fop = 0;
	vector_set_mxcsr(cpu, MXCSR_INIT);
}

uint8_t vector_what_is_ready(const struct cpu *cpu)
{
	const uint64_t avx_state = XCR0_SSE | XCR0_AVX;
	unsigned ready = 0;

	if (cpu->cr0 & CR0_TS)
		return 0;
	if (!(cpu->cr0 & CR0_EM) && (cpu->cr4 & CR4_OSFXSR))
		ready |= READY_SSE;
	if ((cpu->cr4 & CR4_OSXSAVE) && (cpu->xcr0 & avx_state) == avx_state)
		ready |= READY_AVX;
	if (!(cpu->cr0 & CR0_EM) && cpu->vector.x87_is_live && !cpu->vector.x87_may_fault)
		ready |= READY_X87;
	return (uint8_t)ready;
}

void vector_enter(struct cpu *cpu)
{
	host_set_current(cpu);
	put_mxcsr(cpu->vector.mxcsr);
	cpu->vector.is_entered = true;
}

void vector_leave(struct cpu *cpu)
{
	vector_store_x87(cpu);
	cpu->vector.mxcsr = take_mxcsr();
	put_mxcsr(MXCSR_INIT);
	cpu->vector.is_entered = false;
	host_set_current(NULL);
}

uint32_t vector_mxcsr(const struct cpu *cpu)
{
	return cpu->vector.is_entered ? take_mxcsr() : cpu->vector.mxcsr;
}

void vector_set_mxcsr(struct cpu *cpu, uint32_t mxcsr)
{
	cpu->vector.mxcsr = mxcsr;
	if (cpu->vector.is_entered)
		put_mxcsr(mxcsr);
}

/* FXRSTOR also loads XMM registers and MXCSR: no C compiler keeps anything there across these
 * calls, but the guest's MXCSR lives in the host's. */
void vector_load_x87(struct cpu *cpu)
{
	if (cpu->vector.x87_is_live)
		return;
	store_le(cpu->vector.fx + FX_MXCSR, vector_mxcsr(cpu), 4);
	__asm__ volatile("fxrstor64 %0"
			 :
			 : "m"(cpu->vector.fx)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	cpu->vector.x87_is_live = true;
	x87_update_faults(cpu);
}

void vector_copy_x87(struct cpu *cpu)
{
	if (cpu->vector.x87_is_live)
		__asm__ volatile("fxsave64 %0" : "=m"(cpu->vector.fx));
}

/* FNINIT leaves nothing pending that could disturb the host's own code. */
void vector_drop_x87(struct cpu *cpu)
{
	if (!cpu->vector.x87_is_live)
		return;
	__asm__ volatile("fninit");
	cpu->vector.x87_is_live = false;
}

void vector_store_x87(struct cpu *cpu)
{
	vector_copy_x87(cpu);
	vector_drop_x87(cpu);
}
