/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instructions are translated and by what; the others are done by their handlers. A section
 * for each file of emitters.
 */
#include "cpu/jit/cache.h"
#include "cpu/jit/gen.h"

// clang-format off
#define GEN(name, gen)         { ZYDIS_MNEMONIC_##name, 0, false, false, gen }
#define SETS(name, gen)        { ZYDIS_MNEMONIC_##name, STATUS_ALL, false, false, gen }
#define SOME(name, flags, gen) { ZYDIS_MNEMONIC_##name, flags, false, false, gen }
#define FAULTS(name, gen)      { ZYDIS_MNEMONIC_##name, 0, false, true, gen }
#define FAULTS_SOME(name, flags, gen) { ZYDIS_MNEMONIC_##name, flags, false, true, gen }
#define SHIFT(name, gen)       { ZYDIS_MNEMONIC_##name, STATUS_ALL, true, false, gen }

#define EACH_CONDITION(prefix, gen)                                             \
	GEN(prefix##O, gen), GEN(prefix##NO, gen), GEN(prefix##B, gen),         \
	GEN(prefix##NB, gen), GEN(prefix##Z, gen), GEN(prefix##NZ, gen),        \
	GEN(prefix##BE, gen), GEN(prefix##NBE, gen), GEN(prefix##S, gen),       \
	GEN(prefix##NS, gen), GEN(prefix##P, gen), GEN(prefix##NP, gen),        \
	GEN(prefix##L, gen), GEN(prefix##NL, gen), GEN(prefix##LE, gen),        \
	GEN(prefix##NLE, gen)

static const struct gen_row rows[] = {
	/* gen_general.c */
	SETS(ADD, gen_add),
	SETS(OR, gen_general),
	SETS(ADC, gen_general),
	SETS(SBB, gen_general),
	SETS(AND, gen_general),
	SETS(SUB, gen_add),
	SETS(XOR, gen_general),
	SETS(CMP, gen_general),
	SETS(TEST, gen_test),
	SETS(INC, gen_general),
	SETS(DEC, gen_general),
	SETS(NEG, gen_general),
	SOME(IMUL, GEN_CF | GEN_OF, gen_general),
	SOME(MUL, GEN_CF | GEN_OF, gen_general),
	FAULTS(DIV, gen_general),
	FAULTS(IDIV, gen_general),
	SETS(XADD, gen_general),
	SETS(CMPXCHG, gen_general),
	FAULTS_SOME(CMPXCHG8B, GEN_ZF, gen_general),
	FAULTS_SOME(CMPXCHG16B, GEN_ZF, gen_general),
	GEN(BSF, gen_general),
	GEN(BSR, gen_general),
	SHIFT(SHL, gen_general),
	SHIFT(SHR, gen_general),
	SHIFT(SAR, gen_general),
	SHIFT(ROL, gen_general),
	SHIFT(ROR, gen_general),
	SHIFT(RCL, gen_general),
	SHIFT(RCR, gen_general),
	GEN(SHLD, gen_general),
	GEN(SHRD, gen_general),
	GEN(NOT, gen_general),
	GEN(XCHG, gen_general),
	GEN(BSWAP, gen_general),
	GEN(MOV, gen_mov),
	GEN(MOVZX, gen_general),
	GEN(MOVSX, gen_general),
	GEN(MOVSXD, gen_general),
	GEN(CBW, gen_general),
	GEN(CWDE, gen_general),
	GEN(CDQE, gen_general),
	GEN(CWD, gen_general),
	GEN(CDQ, gen_general),
	GEN(CQO, gen_general),
	GEN(CLC, gen_general),
	GEN(STC, gen_general),
	GEN(CMC, gen_general),
	EACH_CONDITION(CMOV, gen_general),
	EACH_CONDITION(SET, gen_general),
	GEN(LEA, gen_lea),
	GEN(NOP, gen_nop),
	GEN(PREFETCH, gen_nop),
	GEN(PREFETCHNTA, gen_nop),
	GEN(PREFETCHT0, gen_nop),
	GEN(PREFETCHT1, gen_nop),
	GEN(PREFETCHT2, gen_nop),
	GEN(PREFETCHW, gen_nop),
	GEN(PREFETCHWT1, gen_nop),

	/* gen_bit.c */
	SOME(BT, GEN_CF, gen_bit),
	SOME(BTS, GEN_CF, gen_bit),
	SOME(BTR, GEN_CF, gen_bit),
	SOME(BTC, GEN_CF, gen_bit),

	/* gen_branch.c */
	EACH_CONDITION(J, gen_jcc),
	GEN(JMP, gen_jmp),
	GEN(CALL, gen_call),
	GEN(RET, gen_ret),

	/* gen_stack.c */
	GEN(PUSH, gen_push),
	GEN(POP, gen_pop),
	GEN(LEAVE, gen_leave),
	GEN(PUSHFD, gen_pushf),
	GEN(PUSHFQ, gen_pushf),
	SETS(POPFD, gen_popf),
	SETS(POPFQ, gen_popf),

	/* gen_system.c */
	GEN(CLI, gen_cli),
	GEN(STI, gen_sti),
	GEN(CLD, gen_cld),
	GEN(STD, gen_std),
	GEN(STAC, gen_stac),
	GEN(CLAC, gen_clac),
	GEN(SWAPGS, gen_swapgs),

	/* gen_state.c */
	GEN(RDTSC, gen_rdtsc),
	GEN(RDTSCP, gen_rdtsc),
	GEN(RDPKRU, gen_rdpkru),
	GEN(RDFSBASE, gen_read_base),
	GEN(RDGSBASE, gen_read_base),
	GEN(WRFSBASE, gen_write_base),
	GEN(WRGSBASE, gen_write_base),
	GEN(VMREAD, gen_vmread),
	GEN(VMWRITE, gen_vmwrite),

	/* gen_syscall.c */
	GEN(SYSCALL, gen_syscall),
	SETS(SYSRET, gen_sysret),

	/* gen_string.c */
	GEN(MOVSB, gen_movs),
	GEN(MOVSW, gen_movs),
	GEN(MOVSD, gen_movs),
	GEN(MOVSQ, gen_movs),
	GEN(STOSB, gen_stos),
	GEN(STOSW, gen_stos),
	GEN(STOSD, gen_stos),
	GEN(STOSQ, gen_stos),
	GEN(LODSB, gen_lods),
	GEN(LODSW, gen_lods),
	GEN(LODSD, gen_lods),
	GEN(LODSQ, gen_lods),

	/* gen_hosted.c: what does not surely set all flags that it writes, or has a handler */
	SETS(POPCNT, gen_hosted),
	SOME(TZCNT, GEN_CF | GEN_ZF, gen_hosted),
	SOME(LZCNT, GEN_CF | GEN_ZF, gen_hosted),
	SOME(ANDN, GEN_CF | GEN_ZF | GEN_SF | GEN_OF, gen_hosted),
	SOME(BEXTR, GEN_CF | GEN_ZF | GEN_OF, gen_hosted),
	SOME(BLSI, GEN_CF | GEN_ZF | GEN_SF | GEN_OF, gen_hosted),
	SOME(BLSMSK, GEN_CF | GEN_ZF | GEN_SF | GEN_OF, gen_hosted),
	SOME(BLSR, GEN_CF | GEN_ZF | GEN_SF | GEN_OF, gen_hosted),
	SOME(BZHI, GEN_CF | GEN_ZF | GEN_SF | GEN_OF, gen_hosted),
	GEN(FNSTCW, gen_x87_status),
	GEN(FNSTSW, gen_x87_status),
	GEN(STMXCSR, gen_vector_state),
	GEN(VSTMXCSR, gen_vector_state),
	GEN(VZEROUPPER, gen_vector_state),
	GEN(VZEROALL, gen_vector_state),
};

static const struct gen_row hosted_row = { 0, STATUS_ALL, false, true, gen_hosted };
// clang-format on

/* A string instruction shares the name MOVSD with one that is hosted, another one CMPSD. */
static bool is_namesake(const struct insn *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_MOVSD || insn->mnemonic == ZYDIS_MNEMONIC_CMPSD;
}

const struct gen_row *gen_row_of(const struct jit *jit, const struct insn *insn)
{
	const struct gen_row *row = jit->row[insn->mnemonic];

	return (insn->flags & INSN_HOSTED) && (!row || is_namesake(insn)) ? &hosted_row : row;
}

void gen_rows_index(struct jit *jit)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		jit->row[rows[i].mnemonic] = &rows[i];
}

bool gen_row_is_general(const struct gen_row *row)
{
	return row->gen == gen_general || row->gen == gen_add || row->gen == gen_mov ||
	       row->gen == gen_test || row->gen == gen_bit || row->gen == gen_hosted;
}
