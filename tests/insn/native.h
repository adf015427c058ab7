/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs one instruction on the host processor, from a given state and with what it left behind.
 *
 * Everything that the instruction can reach lies below 4 GiB at fixed addresses, so the same case
 * can run as 64-bit and as 32-bit code, and in the interpreter at the same addresses.
 */
#ifndef TESTS_INSN_NATIVE_H
#define TESTS_INSN_NATIVE_H

#include "lib/base.h"

#define NATIVE_BASE  0x10000000u
#define NATIVE_CODE  NATIVE_BASE
#define NATIVE_STATE (NATIVE_BASE + 0x1000)
/* Two pages with unmapped ones on both sides. */
#define NATIVE_DATA       (NATIVE_BASE + 0x5000)
#define NATIVE_DATA_BYTES 0x2000u
#define NATIVE_SLOT       (NATIVE_CODE + 0x100) /* the instruction is run from here */
#define NATIVE_TARGET     (NATIVE_CODE + 0x140) /* where branches may go, or on */

#define NO_FAULT (-1)

/* Registers before and after. The offsets are known to the assembly in native.c. */
struct registers {
	uint64_t gpr[16];
	uint64_t rflags;
	uint8_t private[40];
	uint64_t rip; /* after: of the next instruction, NATIVE_TARGET or behind the slot's */
	uint8_t unused[72];
	uint8_t ymm[16][32];
	uint8_t fx[512]; /* FXSAVE64 image: x87 and MXCSR count */
} __attribute__((aligned(64)));

struct native;

/* NULL: the host has no AVX, or the addresses are taken. */
struct native *native_create(void);
void native_destroy(struct native *native);

/* Whether 32-bit code can be run. */
bool native_can_run_32(const struct native *native);

/* The memory that instructions work on: NATIVE_DATA_BYTES at NATIVE_DATA. */
uint8_t *native_data(void);

/*
 * Runs one instruction of `mode_bits` (32 or 64) from `regs` and leaves in *regs what it left.
 * Returns the vector of the exception that it raised, or NO_FAULT. RSP may be anything.
 */
int native_run(struct native *native, unsigned mode_bits, const uint8_t *bytes, unsigned length,
	       struct registers *regs);

#endif
