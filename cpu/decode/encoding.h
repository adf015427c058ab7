/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encoding of an instruction, taken apart, and put together again as 64-bit host code: with
 * other general registers, another memory operand. The stubs of cpu/exec and the translator are
 * clients. SDM2: "Instruction Format".
 *
 * The parts are in normal form: valid as 64-bit code, whatever the mode they came from; without
 * segment and address-size prefixes; a moffs operand is an r/m one. EVEX is not among what the CPU
 * models offer.
 */
#ifndef CPU_DECODE_ENCODING_H
#define CPU_DECODE_ENCODING_H

#include <Zydis/Zydis.h>

#include "lib/base.h"

/* Host registers have the numbers of cpu/cpu.h's RAX to R15. */
#define HOST_NONE       16u         /* no base, no index */
#define HOST_RIP        17u         /* as a base: disp counts from the end of the instruction */
#define HOST_HIGH(n)    (20u + (n)) /* AH, CH, DH, BH as byte operands: n is RAX, RCX, RDX, RBX */
#define HOST_IS_HIGH(n) ((n) >= HOST_HIGH(0))

/* A memory operand: [base + (index << scale_log2) + disp], or gs:[...]. index is not RSP. */
struct host_mem {
	uint8_t base, index; /* or HOST_NONE */
	uint8_t scale_log2;
	bool is_gs;
	int32_t disp;
};

enum encoding_prefix {
	PREFIX_66 = BIT(0),
	PREFIX_F2 = BIT(1),
	PREFIX_F3 = BIT(2), /* not together with F2 */
	PREFIX_LOCK = BIT(3),
};

enum encoding_flags {
	ENCODING_VEX = BIT(0), /* its pp is in `prefixes` */
	ENCODING_W = BIT(1),
	ENCODING_L = BIT(2), /* VEX */
	ENCODING_MODRM = BIT(3),
	ENCODING_MEM = BIT(4),       /* the r/m operand is memory */
	ENCODING_IN_OPCODE = BIT(5), /* `rm` is in the low bits of the opcode */
	ENCODING_BYTE_REG = BIT(6),  /* `reg`, `rm` are byte registers, if general ones */
	ENCODING_BYTE_RM = BIT(7),
	/* Which fields name general registers. */
	ENCODING_GPR_REG = BIT(8),
	ENCODING_GPR_RM = BIT(9),
	ENCODING_GPR_VVVV = BIT(10),
};

struct encoding {
	uint16_t flags; /* enum encoding_flags */
	uint8_t prefixes;
	uint8_t map; /* 0: one byte, 1: 0Fh, 2: 0F38h, 3: 0F3Ah */
	uint8_t opcode;
	uint8_t reg;  /* register, or the opcode's /digit */
	uint8_t rm;   /* register; unused with ENCODING_MEM */
	uint8_t vvvv; /* VEX: register, 0 where it has none */
	uint8_t imm_bytes;
	uint8_t imm[8];
};

#define ENCODING_MAX_BYTES 24u /* room: no instruction is longer than 15 */

/*
 * Takes an instruction apart; `bytes` is its encoding. false: it cannot be moved - it is a branch,
 * has a memory operand that is not an ordinary r/m one (implicit, VSIB), or is EVEX or not
 * to be had in 64-bit mode.
 */
bool encoding_take_apart(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			 const uint8_t *bytes, struct encoding *out);

/* Replaces each general register n by to[n]. High bytes stay; see encoding_write. */
void encoding_map_gprs(struct encoding *encoding, const uint8_t to[16]);

/*
 * Writes the instruction, with `mem` as its r/m operand where that is memory, and returns its
 * length. 0: it has no encoding, that is, a high-byte register beside one that needs REX.
 */
unsigned encoding_write(const struct encoding *encoding, struct host_mem mem,
			uint8_t out[ENCODING_MAX_BYTES]);

#endif
